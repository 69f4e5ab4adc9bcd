"""How a setup intent is confirmed: the card is checked for later, no money moves."""

from typing import Any

from sandbox import methods
from sandbox.billing import intents, subscribing
from sandbox.errors import CardError
from sandbox.resources import mandates, payment_methods, setup_intents
from sandbox.store import Document
from sandbox.world import World

NOT_AUTHENTICATED = intents.NOT_AUTHENTICATED | {"code": "setup_intent_authentication_failure"}


def confirm(world: World, intent: Document, method: Document | None, *, return_url: str | None = None) -> None:
    """Check the method and attach it. Afterwards the intent is succeeded, or requires_action.

    Raises CardError for a card that the bank refuses, which the state remembers.
    """
    check_confirmable(world, intent)
    if method is None and intent["payment_method"]:
        method = payment_methods.usable(world, intent["payment_method"], intent["customer"])
    if method is None:
        raise intents.unexpected_state(world, intent, intents.NO_METHOD.replace("PaymentIntent", "SetupIntent"))
    intents.check_kind(intent, method, setup_intents.method_types(intent))
    instrument = methods.instrument_of(method)
    intent.update(payment_method=method["id"], last_setup_error=None, next_action=None)
    if instrument.needs_authentication(off_session=False, set_up=False):
        intents.ask_cardholder(world, intent, return_url)
        return
    _check(world, intent, method)
    if intent["last_setup_error"]:
        error = {k: v for k, v in intent["last_setup_error"].items() if k not in ("type", "doc_url")}
        raise CardError(**error, setup_intent=world.wire(intent))


def authenticated(world: World, intent: Document, passed: bool) -> None:
    """The cardholder has answered."""
    method = world.get("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if passed:
        _check(world, intent, method)
    else:
        _failed(world, intent, method, dict(NOT_AUTHENTICATED))


def cancel(world: World, intent: Document, reason: str | None) -> None:
    world.update(intent, status="canceled", cancellation_reason=reason, next_action=None)
    world.emit("setup_intent.canceled", intent)


def check_confirmable(world: World, intent: Document) -> None:
    if intent["status"] == "succeeded":
        text = "You cannot confirm this SetupIntent because it has already succeeded."
        raise intents.unexpected_state(world, intent, text)
    if intent["status"] not in intents.CONFIRMABLE:
        text = (
            f"You cannot confirm this SetupIntent because it has a status of {intent['status']}. Only a SetupIntent "
            "with one of the following statuses may be confirmed: requires_confirmation, requires_action, "
            "requires_payment_method."
        )
        raise intents.unexpected_state(world, intent, text)


def _check(world: World, intent: Document, method: Document) -> None:
    instrument = methods.instrument_of(method)
    method["checked"] = True
    world.save(method)
    if instrument.decline and not instrument.attaches:
        _failed(world, intent, method, instrument.decline.details() | {"type": "card_error"})
        return
    method["set_up"] = True
    world.save(method)
    mandate = mandates.agreed(world, method)
    intent.update(status="succeeded", mandate=mandate["id"] if mandate else None)
    world.save(intent)
    world.emit("setup_intent.succeeded", intent)
    if intent["customer"] and method["customer"] is None:
        payment_methods.attach_now(world, method, intent["customer"])
    subscribing.set_up(world, intent, method)


def _failed(world: World, intent: Document, method: Document, error: dict[str, Any]) -> None:
    error["doc_url"] = "https://stripe.com/docs/error-codes/" + error["code"].replace("_", "-")
    error["payment_method"] = world.wire(method)
    intent.update(status="requires_payment_method", payment_method=None, last_setup_error=error)
    world.save(intent)
    world.emit("setup_intent.setup_failed", intent)
