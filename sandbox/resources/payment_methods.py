"""/v1/payment_methods and /v1/customers/<id>/payment_methods"""

from typing import Any

from stripe.params import (
    CustomerPaymentMethodListParams,
    CustomerPaymentMethodRetrieveParams,
    PaymentMethodAttachParams,
    PaymentMethodCreateParams,
    PaymentMethodDetachParams,
    PaymentMethodListParams,
    PaymentMethodRetrieveParams,
    PaymentMethodUpdateParams,
)

from sandbox import bank_accounts, cards, lists, methods
from sandbox.errors import CardError, StripeError, missing, no_such, not_built
from sandbox.params import merge_metadata
from sandbox.resources import customers
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

USED_UP = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again. To "
    "use a PaymentMethod multiple times, you must attach it to a Customer first."
)


@route(
    "POST /v1/payment_methods",
    PaymentMethodCreateParams,
    "allow_redisplay au_becs_debit.account_number au_becs_debit.bsb_number billing_details card.number card.exp_month "
    "card.exp_year card.cvc card.token metadata sepa_debit.iban type",
    publishable=True,
)
def create(world: World, params: dict[str, Any]) -> Document:
    kind = params.get("type")
    if kind is None:
        raise missing("type")
    if kind not in methods.KINDS:
        raise not_built(f"payment methods of type {kind}")
    owner = params.get("billing_details") or {}
    return _create(world, kind, methods.KINDS[kind].new(world, params.get(kind) or {}, owner), params)


@route("GET /v1/payment_methods/<id>", PaymentMethodRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document | dict[str, Any]:
    return {**world.wire(from_token(world, id)), "id": id} if is_token(id) else world.get("payment_method", id)


@route("POST /v1/payment_methods/<id>", PaymentMethodUpdateParams, "allow_redisplay billing_details card metadata")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    method = world.get("payment_method", id)
    if method["customer"] is None:
        raise StripeError("You must save this PaymentMethod to a customer before you can update it.")
    changes = {name: params[name] for name in ("allow_redisplay",) if name in params}
    changes |= {name: params["card"][name] for name in ("exp_month", "exp_year") if name in params.get("card", {})}
    if "billing_details" in params:
        changes["billing_details"] = method["billing_details"] | _billing_details(params["billing_details"])
    if "metadata" in params:
        changes["metadata"] = merge_metadata(method["metadata"], params["metadata"])
    world.update(method, "payment_method.updated", **changes)
    return method


@route("POST /v1/payment_methods/<id>/attach", PaymentMethodAttachParams, "customer")
def attach(world: World, params: dict[str, Any], id: str) -> Document:
    if not params.get("customer"):
        raise missing("customer")
    return attach_to(world, id, world.get("customer", params["customer"], "customer"), in_path=True)


@route("POST /v1/payment_methods/<id>/detach", PaymentMethodDetachParams)
def detach(world: World, params: dict[str, Any], id: str) -> Document:
    method = world.get("payment_method", id)
    if method["customer"] is None:
        text = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise StripeError(text)
    detach_from_customer(world, method)
    return method


@route(
    "GET /v1/payment_methods",
    PaymentMethodListParams,
    "allow_redisplay customer ending_before limit starting_after type",
)
def list_payment_methods(world: World, params: dict[str, Any]) -> lists.Page:
    if "customer" in params:
        world.get("customer", params["customer"], "customer")
    customer = params.get("customer", "")  # Stripe shows no methods that have no customer
    return lists.page(
        world,
        "payment_method",
        params,
        customer=customer,
        type=params.get("type"),
        allow_redisplay=params.get("allow_redisplay"),
    )


@route(
    "GET /v1/customers/<customer>/payment_methods",
    CustomerPaymentMethodListParams,
    "allow_redisplay ending_before limit starting_after type",
)
def list_of_customer(world: World, params: dict[str, Any], customer: str) -> lists.Page:
    world.get("customer", customer)
    return list_payment_methods(world, {**params, "customer": customer})


@route("GET /v1/customers/<customer>/payment_methods/<id>", CustomerPaymentMethodRetrieveParams)
def retrieve_of_customer(world: World, params: dict[str, Any], customer: str, id: str) -> Document:
    method = world.get("payment_method", id)
    if method["customer"] != customer:
        raise no_such("payment_method", id)
    return method


@formats("payment_method")
def format_payment_method(world: World, method: Document) -> dict[str, Any]:
    return {
        "id": method["id"],
        "object": "payment_method",
        "allow_redisplay": method["allow_redisplay"],
        "billing_details": method["billing_details"],
        "created": method["created"],
        "customer": method["customer"],
        "customer_account": None,
        "livemode": False,
        "metadata": method["metadata"],
        "type": method["type"],
        method["type"]: methods.kind_of(method).details(world, method),
    }


def is_token(id: str) -> bool:
    """Whether it stands for a test card or account, as pm_card_visa does."""
    return id in cards.BY_TOKEN or id in bank_accounts.BY_TOKEN


def usable(world: World, id: str, customer: str | None) -> Document:
    """The method to pay with; a pm_card_ token makes a new one. Raises Stripe's error for one that can't be used."""
    if is_token(id):
        return from_token(world, id)
    method = world.get("payment_method", id, "payment_method")
    if method["customer"] is not None and method["customer"] != customer:
        whose = f"the Customer you supplied {customer}" if customer else "any customer of this request"
        text = (
            f"The PaymentMethod {id} does not belong to {whose}. Please use this PaymentMethod with its own customer."
        )
        raise StripeError(text, param="payment_method")
    if method["used_up"]:
        raise StripeError(USED_UP, param="payment_method")
    return method


def check_attached(world: World, id: str, customer: Document, param: str) -> None:
    """Raises Stripe's error for a method that is not the customer's."""
    if world.get("payment_method", id, param)["customer"] != customer["id"]:
        text = (
            f"The customer does not have a payment method with the ID {id}. "
            "The payment method must be attached to the customer."
        )
        raise StripeError(text, code="resource_missing", param=param)


def from_token(world: World, token: str) -> Document:
    if token in cards.BY_TOKEN:
        return _create(world, "card", methods.card.from_token(world, cards.BY_TOKEN[token]), {})
    owner = {"billing_details": {"email": "jenny.rosen@example.com", "name": "Jenny Rosen"}}
    return _create(world, "sepa_debit", {"number": bank_accounts.BY_TOKEN[token]}, owner)


def attach_to(world: World, id: str, customer: Document, *, in_path: bool = False) -> Document:
    """Attach a method, or a new one of a pm_card_ token. Raises CardError for a card that the bank refuses."""
    token = is_token(id)
    method = from_token(world, id) if token else world.get("payment_method", id, None if in_path else "payment_method")
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None:
        raise StripeError("The payment method you provided has already been attached to a customer.")
    if method["used_up"]:
        raise StripeError(USED_UP)
    instrument = methods.instrument_of(method)
    if not instrument.attaches and instrument.decline:
        refusal = CardError(**(instrument.decline.details() | {"param": instrument.decline.param or ""}))
        refusal.keeps_changes = False
        raise refusal
    attach_now(world, method, customer["id"])
    return method


def attach_now(world: World, method: Document, customer: str) -> None:
    method.update(customer=customer, checked=True)
    world.save(method)
    world.emit("payment_method.attached", method)


def detach_from_customer(world: World, method: Document) -> None:
    """Detach it; where it was the default, there is none afterwards."""
    customer = world.get("customer", method["customer"])
    if customer["default_payment_method"] == method["id"]:
        world.update(customer, "customer.updated", default_payment_method=None)
    for subscription in world.select("subscription", "customer = ?", (customer["id"],)):
        if subscription["default_payment_method"] == method["id"]:
            world.update(subscription, "customer.subscription.updated", default_payment_method=None)
    world.update(method, "payment_method.detached", customer=None, used_up=True)


def _create(world: World, kind: str, stored: dict[str, Any], params: dict[str, Any]) -> Document:
    fields = {
        "allow_redisplay": params.get("allow_redisplay", "unspecified"),
        "billing_details": _NOTHING | _billing_details(params.get("billing_details")),
        "checked": False,
        "customer": None,
        "mandate": None,
        "metadata": merge_metadata({}, params.get("metadata")),
        "set_up": False,  # the holder agreed to payments in their absence
        "type": kind,
        "used_up": False,
    }
    return world.create("payment_method", "pm_", **(fields | stored))


_NOTHING = {"address": customers.address({}), "email": None, "name": None, "phone": None, "tax_id": None}


def _billing_details(given: dict[str, Any] | None) -> dict[str, Any]:
    found = dict(given or {})
    if "address" in found:
        found["address"] = customers.address(found["address"] or {})
    return found
