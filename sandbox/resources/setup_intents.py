"""/v1/setup_intents"""

from typing import Any

from stripe.params import (
    SetupIntentCancelParams,
    SetupIntentConfirmParams,
    SetupIntentCreateParams,
    SetupIntentListParams,
    SetupIntentRetrieveParams,
    SetupIntentUpdateParams,
)

from sandbox import lists, methods
from sandbox.billing import intents, setups
from sandbox.errors import no_such
from sandbox.ids import random_text
from sandbox.params import merge_metadata
from sandbox.resources import payment_methods
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

OPTIONS: dict[str, dict[str, Any]] = {
    "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"},
    "sepa_debit": {"mandate_options": {}},
}


@route(
    "POST /v1/setup_intents",
    SetupIntentCreateParams,
    "allowed_payment_method_types automatic_payment_methods confirm customer description excluded_payment_method_types "
    "mandate_data metadata payment_method return_url usage use_stripe_sdk",
)
def create(world: World, params: dict[str, Any]) -> Document:
    if params.get("customer"):
        world.get("customer", params["customer"], "customer")
    method = None
    if params.get("payment_method"):
        method = payment_methods.usable(world, params["payment_method"], params.get("customer"))
    intent = make(
        world,
        allowed_payment_method_types=params.get("allowed_payment_method_types"),
        customer=params.get("customer"),
        description=params.get("description"),
        excluded_payment_method_types=params.get("excluded_payment_method_types"),
        metadata=merge_metadata({}, params.get("metadata")),
        payment_method=method["id"] if method else None,
        status="requires_confirmation" if method else "requires_payment_method",
        usage=params.get("usage", "off_session"),
    )
    world.emit("setup_intent.created", intent)
    if params.get("confirm"):
        setups.confirm(world, intent, method, return_url=_return_url(params))
    return intent


@route("GET /v1/setup_intents/<id>", SetupIntentRetrieveParams, "client_secret", publishable=True)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return _intent(world, id)


@route("POST /v1/setup_intents/<id>", SetupIntentUpdateParams, "customer description metadata payment_method")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    intent = world.get("setup_intent", id)
    changes = {name: params[name] for name in ("description",) if name in params}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(intent["metadata"], params["metadata"])
    if params.get("customer"):
        changes["customer"] = world.get("customer", params["customer"], "customer")["id"]
    if params.get("payment_method"):
        setups.check_confirmable(world, intent)
        method = payment_methods.usable(world, params["payment_method"], changes.get("customer", intent["customer"]))
        changes |= {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
    world.update(intent, **changes)
    return intent


@route(
    "POST /v1/setup_intents/<id>/confirm",
    SetupIntentConfirmParams,
    "mandate_data payment_method payment_method_data return_url use_stripe_sdk",
    publishable=True,
)
def confirm(world: World, params: dict[str, Any], id: str) -> Document:
    intent = _intent(world, id)
    setups.check_confirmable(world, intent)
    method = intents.method_given(world, params, intent["customer"])
    setups.confirm(world, intent, method, return_url=_return_url(params))
    return intent


@route("POST /v1/setup_intents/<id>/cancel", SetupIntentCancelParams, "cancellation_reason")
def cancel(world: World, params: dict[str, Any], id: str) -> Document:
    intent = world.get("setup_intent", id)
    if intent["status"] not in intents.CONFIRMABLE:
        text = f"You cannot cancel this SetupIntent because it has a status of {intent['status']}."
        raise intents.unexpected_state(world, intent, text)
    setups.cancel(world, intent, params.get("cancellation_reason"))
    return intent


@route(
    "GET /v1/setup_intents", SetupIntentListParams, "created customer ending_before limit payment_method starting_after"
)
def list_setup_intents(world: World, params: dict[str, Any]) -> lists.Page:
    equal = {name: params.get(name) for name in ("customer", "payment_method")}
    return lists.page(world, "setup_intent", params, **equal)


def make(world: World, **fields: Any) -> Document:
    """A new intent. Emits nothing."""
    id = world.new_id("seti")
    nothing: dict[str, Any] = dict.fromkeys(
        [
            "allowed_payment_method_types",
            "cancellation_reason",
            "currency",
            "description",
            "excluded_payment_method_types",
            "last_setup_error",
            "mandate",
            "next_action",
            "payment_method",
        ]
    )
    subscription = world.find(fields.get("subscription"), "subscription")
    if subscription:
        nothing["currency"] = subscription["currency"]
        nothing["kinds"] = subscription["payment_settings"]["payment_method_types"]
    given = nothing | {"metadata": {}, "status": "requires_payment_method", "usage": "off_session"} | fields
    return world.create("setup_intent", id, client_secret=f"{id}_secret_{random_text(31)}", **given)


@formats("setup_intent")
def format_setup_intent(world: World, intent: Document) -> dict[str, Any]:
    kinds = method_types(intent)
    return {
        "id": intent["id"],
        "object": "setup_intent",
        "allowed_payment_method_types": intent["allowed_payment_method_types"],
        "application": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "cancellation_reason": intent["cancellation_reason"],
        "client_secret": intent["client_secret"],
        "created": intent["created"],
        "customer": intent["customer"],
        "customer_account": None,
        "description": intent["description"],
        "excluded_payment_method_types": intent.get("excluded_payment_method_types"),
        "flow_directions": None,
        "last_setup_error": intent["last_setup_error"],
        "latest_attempt": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "mandate": intent.get("mandate"),
        "metadata": intent["metadata"],
        "next_action": intent["next_action"],
        "on_behalf_of": None,
        "payment_method": intent["payment_method"],
        "payment_method_configuration_details": None,
        "payment_method_options": {kind: dict(OPTIONS[kind]) for kind in kinds if kind in OPTIONS},
        "payment_method_types": kinds,
        "single_use_mandate": None,
        "status": intent["status"],
        "usage": intent["usage"],
    }


def method_types(intent: Document) -> list[str]:
    """The kinds of methods that can be set up: by the subscription's currency if it is for one, else those allowed."""
    allowed = intent["allowed_payment_method_types"] or intent.get("kinds")
    excluded = intent.get("excluded_payment_method_types")
    return methods.offered(intent.get("currency"), allowed, excluded) or ["card"]


def _intent(world: World, id: str) -> Document:
    intent = world.find(id, "setup_intent")
    if intent is None:
        raise no_such("setup_intent", id)
    intents.check_secret(world, intent)
    return intent


def _return_url(params: dict[str, Any]) -> str | None:
    return None if params.get("use_stripe_sdk") else params.get("return_url")
