"""What payment intents and setup intents have in common."""

import secrets
from typing import Any

from sandbox.errors import StripeError
from sandbox.resources import payment_methods
from sandbox.store import Document
from sandbox.world import World

CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
NOT_AUTHENTICATED = {
    "code": "payment_intent_authentication_failure",
    "message": "We are unable to authenticate your payment method. Please choose a different payment method and try "
    "again.",
    "type": "invalid_request_error",
}
NO_METHOD = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
    "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method "
    "or ConfirmationToken."
)


def check_secret(world: World, intent: Document) -> None:
    """Raises Stripe's error unless a browser knows the intent's client secret (a server need not)."""
    given = world.caller.client_secret
    if given is None and not world.caller.publishable:
        return
    if given is None or not secrets.compare_digest(given.encode(), intent["client_secret"].encode()):
        text = "The client_secret provided does not match the client_secret associated with this {}."
        noun = "PaymentIntent" if intent["object"] == "payment_intent" else "SetupIntent"
        raise StripeError(text.format(noun), code=f"{intent['object']}_invalid_parameter", param="client_secret")


def method_given(world: World, params: dict[str, Any], customer: str | None) -> Document | None:
    """The payment method that a confirmation names or describes, if it does."""
    if params.get("payment_method"):
        return payment_methods.usable(world, params["payment_method"], customer)
    data = params.get("payment_method_data")
    return payment_methods.create(world, data) if data else None


def check_kind(intent: Document, method: Document, kinds: list[str]) -> None:
    """Raises Stripe's error for a method of a kind that the intent does not take."""
    if method["type"] not in kinds:
        noun = "PaymentIntent" if intent["object"] == "payment_intent" else "SetupIntent"
        text = (
            f"The PaymentMethod provided ({method['type']}) is not allowed for this {noun}. Please attach a "
            f"PaymentMethod of one of the following types: {', '.join(kinds)}."
        )
        raise StripeError(text, param="payment_method")


def unexpected_state(world: World, intent: Document, text: str) -> StripeError:
    name = intent["object"]
    details: Any = {name: world.wire(intent)}
    return StripeError(text, code=f"{name}_unexpected_state", **details)


def ask_cardholder(world: World, intent: Document, return_url: str | None) -> None:
    """The payment or setup now waits for 3D Secure."""
    attempt = world.create("payment_attempt", "payatt_", intent=intent["id"], customer=intent["customer"], outcome=None)
    intent.update(status="requires_action", next_action=_next_action(world, attempt, return_url))
    world.save(intent)
    world.emit(f"{intent['object']}.requires_action", intent)


def _next_action(world: World, attempt: Document, return_url: str | None) -> dict[str, Any]:
    """What the cardholder has to do: a challenge that Stripe.js shows, or a page that a server can send them to."""
    if return_url:
        url = f"{world.caller.origin}/3ds/challenge?source={attempt['id']}&redirect=1"
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {
            "directory_server_encryption": {
                "algorithm": "RSA",
                "certificate": "",
                "directory_server_id": "A000000003",
                "root_certificate_authorities": [],
            },
            "directory_server_name": "visa",
            "merchant": world.account,
            "one_click_authn": None,
            "server_transaction_id": attempt["id"].replace("payatt_", "tx_"),
            "three_d_secure_2_source": attempt["id"],
            "three_ds_frontend_optimizations": "kmt",
            "three_ds_method_url": "",
            "three_ds_optimizations": "kmt",
            "type": "stripe_3ds2_fingerprint",
        },
    }
