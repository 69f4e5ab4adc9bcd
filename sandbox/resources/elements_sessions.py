"""GET /v1/elements/sessions: what the Payment Element asks before it shows itself. Stripe.js alone calls this."""

from typing import Any, List, Literal

from typing_extensions import NotRequired, TypedDict

from sandbox import methods, money
from sandbox.api import published
from sandbox.billing import intents
from sandbox.errors import missing, no_such
from sandbox.resources import account
from sandbox.routes import route
from sandbox.world import World


class DeferredIntent(TypedDict):
    mode: Literal["payment", "subscription", "setup"]
    amount: NotRequired[int]
    currency: NotRequired[str]
    setup_future_usage: NotRequired[str]
    capture_method: NotRequired[str]
    allowed_payment_method_types: NotRequired[List[str]]
    excluded_payment_method_types: NotRequired[List[str]]


class SessionParams(TypedDict):
    type: Literal["payment_intent", "setup_intent", "deferred_intent"]
    client_secret: NotRequired[str]
    deferred_intent: NotRequired[DeferredIntent]
    locale: NotRequired[str]
    expand: NotRequired[List[str]]


@route("GET /v1/elements/sessions", SessionParams, "type client_secret deferred_intent locale", publishable=True)
def retrieve(world: World, params: dict[str, Any]) -> dict[str, Any]:
    """The methods to offer, in order, and the intent as a browser may see it (null in deferred mode)."""
    kind = params["type"]
    intent = None if kind == "deferred_intent" else _intent(world, kind)
    known = intent or params.get("deferred_intent", {})
    code = known.get("currency")
    allowed, excluded = known.get("allowed_payment_method_types"), known.get("excluded_payment_method_types")
    kinds = known.get("payment_method_types") or methods.offered(code, allowed, excluded) or ["card"]
    return {
        "object": "elements_session",
        "account": world.account,
        "amount": known.get("amount"),
        "business_name": account.NAME,
        "currency": money.currency(code, "deferred_intent[currency]") if code else None,
        kind if intent else "intent": intent,
        "livemode": False,
        "merchant_country": account.COUNTRY,
        "payment_method_preference": {
            "object": "payment_method_preference",
            "country_code": account.COUNTRY,
            "ordered_payment_method_types": sorted(kinds, key=list(methods.KINDS).index),
            "type": kind,
        },
    }


def _intent(world: World, kind: str) -> dict[str, Any]:
    secret = world.caller.client_secret
    if not secret:
        raise missing("client_secret")
    intent = world.find(secret.partition("_secret_")[0], kind)
    if intent is None:
        raise no_such(kind, secret.partition("_secret_")[0], "client_secret")
    intents.check_secret(world, intent)
    return published({"intent": world.wire(intent)}, world.caller)["intent"]
