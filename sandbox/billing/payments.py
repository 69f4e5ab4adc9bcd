"""How a payment intent gets its money: the bank is asked, the cardholder perhaps, and whoever waits is told."""

from typing import Any

from sandbox import methods
from sandbox.billing import debiting, intents, invoicing
from sandbox.errors import CardError
from sandbox.resources import charges, disputes, payment_intents, payment_methods
from sandbox.store import Document
from sandbox.world import World

AUTHENTICATION_REQUIRED = {
    "code": "authentication_required",
    "decline_code": "authentication_required",
    "message": "Your card was declined. This transaction requires authentication.",
    "type": "card_error",
}


def confirm(
    world: World,
    intent: Document,
    method: Document | None,
    *,
    off_session: bool = False,
    return_url: str | None = None,
) -> None:
    """Try to pay. Afterwards the intent is succeeded, or requires_action.

    return_url: where a server that confirms wants the customer sent back; Stripe.js needs none.
    Raises CardError when the bank declines, which the state remembers.
    """
    check_confirmable(world, intent)
    if method is None and intent["payment_method"]:
        method = payment_methods.usable(world, intent["payment_method"], intent["customer"])
    if method is None:
        raise intents.unexpected_state(world, intent, intents.NO_METHOD)
    intents.check_kind(intent, method, payment_intents.method_types(intent))
    attempt(world, intent, method, off_session=off_session, return_url=return_url)
    error = intent["last_payment_error"]
    if error:
        raise CardError(**for_caller(world, intent, error))


def attempt(
    world: World,
    intent: Document,
    method: Document,
    *,
    off_session: bool,
    automatic: bool = False,
    return_url: str | None = None,
) -> None:
    """Try to pay, and leave what came of it in the intent: succeeded, processing, requires_action, or an error.

    off_session: the cardholder is not there. automatic: nor is anybody else, it is the clockwork that tries.
    """
    if intent["status"] == "processing":
        if automatic:
            return  # a debit is on its way
        check_confirmable(world, intent)
    instrument = methods.instrument_of(method)
    method["checked"] = True
    world.save(method)
    intent.update(payment_method=method["id"], last_payment_error=None, next_action=None)
    if instrument.settles_after is not None:
        debiting.submit(world, intent, method, automatic=automatic)
    elif not instrument.needs_authentication(off_session=off_session, set_up=method["set_up"]):
        _charge(world, intent, method, by_3ds=False, automatic=automatic)
    elif off_session and not intent["invoice"]:
        declined(world, intent, method, dict(AUTHENTICATION_REQUIRED), automatic=automatic)
    else:
        _ask_cardholder(world, intent, return_url, automatic=automatic)


def authenticated(world: World, intent: Document, passed: bool) -> None:
    """The cardholder has answered: go on to the bank, or back to choosing a method."""
    method = world.get("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if passed:
        method["set_up"] = method["set_up"] or intent["setup_future_usage"] == "off_session"
        world.save(method)
        _charge(world, intent, method, by_3ds=True, automatic=False)
    else:
        error = intents.NOT_AUTHENTICATED | {"payment_method": world.wire(method)}
        _failed(world, intent, error, automatic=False)


def cancel(world: World, intent: Document, reason: str | None) -> None:
    world.update(
        intent,
        status="canceled",
        cancellation_reason=reason,
        canceled_at=world.now(intent["customer"]),
        next_action=None,
        amount_capturable=0,
    )
    charge = world.find(intent["latest_charge"], "charge")
    if charge and charge["status"] == "succeeded":  # authorized and never taken
        world.update(charge, "charge.refunded", amount_refunded=charge["amount"])
    world.emit("payment_intent.canceled", intent)


def check_confirmable(world: World, intent: Document) -> None:
    if intent["status"] == "succeeded":
        text = (
            "You cannot confirm this PaymentIntent because it has already succeeded after being previously confirmed."
        )
        raise intents.unexpected_state(world, intent, text)
    if intent["status"] not in intents.CONFIRMABLE:
        text = (
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be confirmed: requires_confirmation, requires_action."
        )
        raise intents.unexpected_state(world, intent, text)


def _ask_cardholder(world: World, intent: Document, return_url: str | None, *, automatic: bool) -> None:
    intents.ask_cardholder(world, intent, return_url)
    if intent["invoice"]:
        invoicing.action_required(world, intent, automatic=automatic)


def _charge(world: World, intent: Document, method: Document, *, by_3ds: bool, automatic: bool) -> None:
    decline = methods.instrument_of(method).decline
    status, details = ("failed", decline.details()) if decline else ("succeeded", None)
    held = intent["capture_method"] == "manual"
    charge = charges.create(world, intent, method, status, decline=details, authenticated=by_3ds, captured=not held)
    intent["latest_charge"] = charge["id"]
    if decline:
        world.emit("charge.failed", charge)
        error = {**decline.details(), "charge": charge["id"], "type": "card_error"}
        declined(world, intent, method, error, automatic=automatic)
        return
    keep(world, intent, method)
    if held:
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        world.save(intent)
        world.emit("charge.succeeded", charge)
        world.emit("payment_intent.amount_capturable_updated", intent)
        return
    succeeded(world, intent, charge, automatic=automatic)


def capture(world: World, intent: Document, amount: int) -> None:
    """Take the money that was only authorized."""
    charge = world.get("charge", intent["latest_charge"])
    charge.update(captured=True, amount_captured=amount, amount_refunded=charge["amount"] - amount)
    world.save(charge)
    intent.update(status="succeeded", amount_capturable=0, amount_received=amount)
    world.save(intent)
    world.emit("charge.captured", charge)
    world.emit("payment_intent.succeeded", intent)
    disputes.plan(world, charge)


def keep(world: World, intent: Document, method: Document) -> None:
    """A method that is to be used again becomes the customer's; any other is used up."""
    if intent["setup_future_usage"] and intent["customer"] and method["customer"] is None:
        payment_methods.attach_now(world, method, intent["customer"])
    elif method["customer"] is None:
        method["used_up"] = True
        world.save(method)
    if intent["setup_future_usage"] == "off_session":
        method["set_up"] = True
        world.save(method)


def succeeded(world: World, intent: Document, charge: Document, *, automatic: bool) -> None:
    """The money is there."""
    intent.update(status="succeeded", amount_received=intent["amount"])
    world.save(intent)
    world.emit("charge.succeeded", charge)
    world.emit("payment_intent.succeeded", intent)
    if _is_owed(world, intent):
        invoicing.paid(world, intent, automatic=automatic)
    disputes.plan(world, charge)


def declined(world: World, intent: Document, method: Document, error: dict[str, Any], *, automatic: bool) -> None:
    """The bank says no, for the reason that the error gives."""
    url = "https://stripe.com/docs/error-codes/" + error["code"].replace("_", "-")
    error = {**error, "doc_url": url, "payment_method": world.wire(method)}
    _failed(world, intent, error, automatic=automatic)


def _failed(world: World, intent: Document, error: dict[str, Any], *, automatic: bool) -> None:
    intent.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
    world.save(intent)
    world.emit("payment_intent.payment_failed", intent)
    if _is_owed(world, intent):
        invoicing.failed(world, intent, automatic=automatic)


def _is_owed(world: World, intent: Document) -> bool:
    """Whether an invoice still waits for it: one that was voided while a debit was on its way does not."""
    invoice = world.find(intent["invoice"], "invoice")
    return invoice is not None and invoice["status"] not in ("void", "paid")


def for_caller(world: World, intent: Document, error: dict[str, Any]) -> dict[str, Any]:
    """The error of an answer: what the intent remembers, with the intent itself."""
    shown = {name: value for name, value in error.items() if name not in ("type", "doc_url")}
    return {**shown, "payment_intent": world.wire(intent)}
