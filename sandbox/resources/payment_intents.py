"""/v1/payment_intents"""

from typing import Any

from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentCaptureParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    PaymentIntentUpdateParams,
)

from sandbox import lists, methods, money
from sandbox.billing import intents, payments
from sandbox.errors import StripeError, no_such
from sandbox.ids import random_text
from sandbox.params import merge_metadata
from sandbox.resources import customers, payment_methods
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

FIELDS = "description receipt_email setup_future_usage statement_descriptor statement_descriptor_suffix shipping"
KINDS = "allowed_payment_method_types excluded_payment_method_types"
OPTIONS: dict[str, dict[str, Any]] = {
    "card": {
        "installments": None,
        "mandate_options": None,
        "network": None,
        "request_three_d_secure": "automatic",
    },
    "sepa_debit": {"mandate_options": {}},
    "au_becs_debit": {},
}
OF_AN_INVOICE = (
    "This PaymentIntent belongs to an invoice, which decides about it: void or pay the invoice ({}) instead."
)


@route(
    "POST /v1/payment_intents",
    PaymentIntentCreateParams,
    f"{FIELDS} {KINDS} amount automatic_payment_methods capture_method confirm confirmation_method currency customer "
    "mandate_data metadata off_session payment_method return_url use_stripe_sdk",
)
def create(world: World, params: dict[str, Any]) -> Document:
    if params.get("customer"):
        world.get("customer", params["customer"], "customer")
    currency = money.currency(params["currency"])
    method = None
    if params.get("payment_method"):
        method = payment_methods.usable(world, params["payment_method"], params.get("customer"))
    intent = make(
        world,
        allowed=params.get("allowed_payment_method_types"),
        excluded=params.get("excluded_payment_method_types"),
        amount=_amount(params["amount"], currency),
        currency=currency,
        customer=params.get("customer"),
        capture_method=params.get("capture_method", "automatic_async"),
        metadata=merge_metadata({}, params.get("metadata")),
        payment_method=method["id"] if method else None,
        status="requires_confirmation" if method else "requires_payment_method",
        **_fields(params),
    )
    world.emit("payment_intent.created", intent)
    if params.get("confirm"):
        payments.confirm(world, intent, method, **_session(params))
    return intent


@route("GET /v1/payment_intents/<id>", PaymentIntentRetrieveParams, "client_secret", publishable=True)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return _intent(world, id)


@route(
    "POST /v1/payment_intents/<id>",
    PaymentIntentUpdateParams,
    f"{FIELDS} {KINDS} amount currency customer metadata payment_method",
)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    intent = world.get("payment_intent", id)
    changes = _fields(params)
    if "metadata" in params:
        changes["metadata"] = merge_metadata(intent["metadata"], params["metadata"])
    rest = params.keys() - {"metadata", "expand", "description"}
    if rest and intent["status"] not in intents.CONFIRMABLE:
        name = sorted(rest)[0]
        text = f"This PaymentIntent's {name} could not be updated because it has a status of {intent['status']}."
        raise intents.unexpected_state(world, intent, text)
    if rest & {"amount", "currency", "customer"} and intent["invoice"]:
        raise StripeError(OF_AN_INVOICE.format(intent["invoice"]))
    for name in ("allowed", "excluded"):
        if f"{name}_payment_method_types" in params:
            changes[name] = params[f"{name}_payment_method_types"]
    if "currency" in params:
        changes["currency"] = money.currency(params["currency"])
    if "amount" in params:
        changes["amount"] = _amount(params["amount"], changes.get("currency", intent["currency"]))
    if params.get("customer"):
        changes["customer"] = world.get("customer", params["customer"], "customer")["id"]
    if params.get("payment_method"):
        method = payment_methods.usable(world, params["payment_method"], changes.get("customer", intent["customer"]))
        changes |= {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
    world.update(intent, **changes)
    return intent


@route(
    "POST /v1/payment_intents/<id>/confirm",
    PaymentIntentConfirmParams,
    "mandate_data off_session payment_method payment_method_data receipt_email return_url setup_future_usage shipping "
    "use_stripe_sdk",
    publishable=True,
)
def confirm(world: World, params: dict[str, Any], id: str) -> Document:
    intent = _intent(world, id)
    payments.check_confirmable(world, intent)
    for name in ("receipt_email", "shipping", "setup_future_usage"):
        if name in params:
            intent |= _fields({name: params[name]})
    payments.confirm(world, intent, intents.method_given(world, params, intent["customer"]), **_session(params))
    return intent


@route("POST /v1/payment_intents/<id>/capture", PaymentIntentCaptureParams, "amount_to_capture metadata")
def capture(world: World, params: dict[str, Any], id: str) -> Document:
    """Take what was authorized, or a part of it; the rest is let go."""
    intent = world.get("payment_intent", id)
    if intent["status"] != "requires_capture":
        text = (
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a "
            "PaymentIntent with one of the following statuses may be captured: requires_capture."
        )
        raise intents.unexpected_state(world, intent, text)
    amount = params.get("amount_to_capture", intent["amount"])
    if not 1 <= amount <= intent["amount"]:
        text = f"The amount to capture must be at least 1 and at most {intent['amount']}."
        raise StripeError(text, code="amount_too_large" if amount > 1 else None, param="amount_to_capture")
    if "metadata" in params:
        intent["metadata"] = merge_metadata(intent["metadata"], params["metadata"])
    payments.capture(world, intent, amount)
    return intent


@route("POST /v1/payment_intents/<id>/cancel", PaymentIntentCancelParams, "cancellation_reason")
def cancel(world: World, params: dict[str, Any], id: str) -> Document:
    intent = world.get("payment_intent", id)
    if intent["invoice"]:
        raise StripeError(OF_AN_INVOICE.format(intent["invoice"]))
    if intent["status"] not in (*intents.CONFIRMABLE, "requires_capture"):
        text = (
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent "
            "with one of the following statuses may be canceled: requires_payment_method, requires_capture, "
            "requires_confirmation, requires_action, processing."
        )
        raise intents.unexpected_state(world, intent, text)
    payments.cancel(world, intent, params.get("cancellation_reason"))
    return intent


@route("GET /v1/payment_intents", PaymentIntentListParams, "created customer ending_before limit starting_after")
def list_payment_intents(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, "payment_intent", params, customer=params.get("customer"))


def make(world: World, **fields: Any) -> Document:
    """A new intent; what is not given has the value of a one-off payment. Emits nothing."""
    id = world.new_id("pi")
    invoice = world.find(fields.get("invoice"), "invoice")
    subscription = world.find(invoice["subscription"], "subscription") if invoice else None
    nothing = dict.fromkeys(
        [
            "allowed",
            "canceled_at",
            "cancellation_reason",
            "excluded",
            "invoice",
            "last_payment_error",
            "latest_charge",
            "next_action",
            "payment_method",
        ]
    )
    settings = subscription["payment_settings"]["payment_method_types"] if subscription else None
    given = nothing | dict.fromkeys(FIELDS.split())
    given |= {"amount_capturable": 0, "amount_received": 0, "kinds": settings, "metadata": {}} | fields
    return world.create("payment_intent", id, client_secret=f"{id}_secret_{random_text(25)}", **given)


@formats("payment_intent")
def format_payment_intent(world: World, intent: Document) -> dict[str, Any]:
    of_invoice, kinds = intent["invoice"] is not None, method_types(intent)
    wire = {
        "id": intent["id"],
        "object": "payment_intent",
        "allowed_payment_method_types": intent.get("allowed"),
        "amount": intent["amount"],
        "amount_capturable": intent.get("amount_capturable", 0),
        "amount_details": {"tip": {}},
        "amount_received": intent["amount_received"],
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None if of_invoice else {"allow_redirects": "always", "enabled": True},
        "canceled_at": intent["canceled_at"],
        "cancellation_reason": intent["cancellation_reason"],
        "capture_method": intent["capture_method"],
        "client_secret": intent["client_secret"],
        "confirmation_method": "automatic",
        "created": intent["created"],
        "currency": intent["currency"],
        "customer": intent["customer"],
        "customer_account": None,
        "description": intent["description"],
        "excluded_payment_method_types": intent.get("excluded"),
        "last_payment_error": intent["last_payment_error"],
        "latest_charge": intent["latest_charge"],
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": intent["metadata"],
        "next_action": intent["next_action"],
        "on_behalf_of": None,
        "payment_method": intent["payment_method"],
        "payment_method_configuration_details": None if of_invoice else {"id": _configuration(world), "parent": None},
        "payment_method_options": {kind: dict(OPTIONS[kind]) for kind in kinds},
        "payment_method_types": kinds,
        "payment_record": None,
        "processing": None,
        "receipt_email": intent["receipt_email"],
        "review": None,
        "setup_future_usage": intent["setup_future_usage"],
        "shipping": intent["shipping"],
        "source": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": intent["status"],
        "transfer_data": None,
        "transfer_group": None,
    }
    if of_invoice:
        wire["payment_details"] = {"customer_reference": None, "order_reference": intent["invoice"]}
    return wire


def method_types(intent: Document) -> list[str]:
    """The kinds of methods that can pay it: for an invoice, those of its subscription's payment_settings."""
    allowed, excluded = intent.get("allowed") or intent.get("kinds"), intent.get("excluded")
    return methods.offered(intent["currency"], allowed, excluded, sort=intent["invoice"] is not None)


def _intent(world: World, id: str) -> Document:
    intent = world.find(id, "payment_intent")
    if intent is None:
        raise no_such("payment_intent", id)
    intents.check_secret(world, intent)
    return intent


def _fields(params: dict[str, Any]) -> dict[str, Any]:
    found = {name: params[name] for name in FIELDS.split() if name in params}
    if "shipping" in found:
        found["shipping"] = customers.shipping(found["shipping"])
    return found


def _session(params: dict[str, Any]) -> dict[str, Any]:
    by_stripe_js = params.get("use_stripe_sdk")
    return {
        "off_session": bool(params.get("off_session")),
        "return_url": None if by_stripe_js else params.get("return_url"),
    }


def _amount(amount: int, currency: str) -> int:
    if amount < 1 or amount < money.LEAST.get(currency, 1):
        text = (
            "The amount must be greater than or equal to the minimum charge amount allowed for your account and the "
            "currency set. For more information on minimum charge amounts, see "
            "https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts."
        )
        code = "parameter_invalid_integer" if amount < 1 else "amount_too_small"
        raise StripeError(text, code=code, param="amount")
    money.check_most(amount, currency, "amount")
    return amount


def _configuration(world: World) -> str:
    return f"pmc_1{world.account[-10:]}".ljust(28, "S")
