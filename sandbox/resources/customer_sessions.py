"""POST /v1/customer_sessions: what a browser may show of a customer, for half an hour."""

from typing import Any

from stripe.params import CustomerSessionCreateParams

from sandbox.errors import StripeError, missing
from sandbox.ids import random_text
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

LASTS = 30 * 60  # seconds
COMPONENTS = (
    "active_entitlements",
    "buy_button",
    "customer_portal",
    "customer_sheet",
    "mobile_payment_element",
    "payment_element",
    "pricing_table",
)
SHEET = {"payment_method_allow_redisplay_filters": ["always"], "payment_method_remove": "disabled"}
ELEMENT = SHEET | {
    "payment_method_redisplay": "disabled",
    "payment_method_redisplay_limit": 3,
    "payment_method_save": "disabled",
    "payment_method_save_usage": None,
}
MOBILE = SHEET | {
    "payment_method_redisplay": "disabled",
    "payment_method_save": "disabled",
    "payment_method_save_allow_redisplay_override": None,
}
FEATURES: dict[str, dict[str, Any]] = {
    "customer_sheet": SHEET,
    "mobile_payment_element": MOBILE,
    "payment_element": ELEMENT,
}


@route("POST /v1/customer_sessions", CustomerSessionCreateParams, "components customer")
def create(world: World, params: dict[str, Any]) -> Document:
    if not params.get("customer"):
        raise missing("customer")
    customer = world.get("customer", params["customer"], "customer")
    given = params["components"] or {}
    if not any(component.get("enabled") for component in given.values()):
        raise StripeError("At least one component must be enabled.", param="components")
    return world.create(
        "customer_session",
        "cuss_",
        client_secret=f"cuss_secret_{random_text(48)}",
        components={name: _component(name, given.get(name, {})) for name in COMPONENTS},
        customer=customer["id"],
        expires_at=world.now() + LASTS,
    )


@formats("customer_session")
def format_session(world: World, session: Document) -> dict[str, Any]:
    names = "object client_secret components created customer expires_at"
    return {name: session[name] for name in names.split()} | {"customer_account": None, "livemode": False}


def _component(name: str, given: dict[str, Any]) -> dict[str, Any]:
    enabled = given.get("enabled", False)
    if name not in FEATURES:
        return {"enabled": enabled}
    return {"enabled": enabled, "features": FEATURES[name] | given.get("features", {}) if enabled else None}
