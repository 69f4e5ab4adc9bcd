"""/v1/payment_methods and /v1/customers/<id>/payment_methods"""

import hashlib
import time
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

from sandbox import cards, lists
from sandbox.errors import CardError, StripeError, missing, no_such, not_built
from sandbox.params import merge_metadata
from sandbox.resources import customers
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

RAW_CARD = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test tokens that "
    "map to the test card you are using, see https://stripe.com/docs/testing. To enable testing raw card data APIs, "
    "see https://support.stripe.com/questions/enabling-access-to-raw-card-data-apis."
)
USED_UP = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a "
    "connected account without Customer attachment, or was detached from a Customer. It may not be used again. To "
    "use a PaymentMethod multiple times, you must attach it to a Customer first."
)


@route(
    "POST /v1/payment_methods",
    PaymentMethodCreateParams,
    "allow_redisplay billing_details card.number card.exp_month card.exp_year card.cvc card.token metadata type",
    publishable=True,
)
def create(world: World, params: dict[str, Any]) -> Document:
    if params.get("type") is None:
        raise missing("type")
    if params["type"] != "card":
        raise not_built(f"payment methods of type {params['type']}")
    given = params.get("card") or {}
    if "token" in given:
        found = cards.BY_TOKEN.get(given["token"].replace("tok_", "pm_card_", 1))
        if found is None:
            raise StripeError(f"No such token: '{given['token']}'", code="resource_missing", param="card[token]")
        return _create(world, found, params)
    if not world.caller.publishable:
        raise StripeError(RAW_CARD, status=402)
    for name in ("number", "exp_month", "exp_year"):
        if name not in given:
            raise missing(f"card[{name}]")
    _check_card(world, given)
    expiry = {"exp_month": given["exp_month"], "exp_year": given["exp_year"]}
    return _create(world, cards.card_of(_digits(given["number"])), params, **expiry)


@route("GET /v1/payment_methods/<id>", PaymentMethodRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document | dict[str, Any]:
    return {**world.wire(from_token(world, id)), "id": id} if id in cards.BY_TOKEN else world.get("payment_method", id)


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
    card = cards.card_of(method["number"])
    return {
        "id": method["id"],
        "object": "payment_method",
        "allow_redisplay": method["allow_redisplay"],
        "billing_details": method["billing_details"],
        "card": {
            "brand": card.brand,
            "checks": checks(method, card),
            "country": card.country,
            "display_brand": "american_express" if card.brand == "amex" else card.brand,
            "exp_month": method["exp_month"],
            "exp_year": method["exp_year"],
            "fingerprint": fingerprint(world, card),
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": card.brand != "amex"},
            "wallet": None,
        },
        "created": method["created"],
        "customer": method["customer"],
        "customer_account": None,
        "livemode": False,
        "metadata": method["metadata"],
        "type": "card",
    }


def checks(method: Document, card: cards.Card) -> dict[str, Any]:
    address = method["billing_details"]["address"]
    return {
        "address_line1_check": "pass" if address["line1"] else None,
        "address_postal_code_check": "pass" if address["postal_code"] else None,
        "cvc_check": card.cvc_check if method["checked"] else "unchecked",
    }


def fingerprint(world: World, card: cards.Card) -> str:
    """The same for the same number within one account."""
    return hashlib.sha256((world.account + card.number).encode()).hexdigest()[:16]


def usable(world: World, id: str, customer: str | None, param: str = "payment_method") -> Document:
    """The method to pay with; a pm_card_ token makes a new one. Raises Stripe's error for one that can't be used."""
    if id in cards.BY_TOKEN:
        return from_token(world, id)
    method = world.get("payment_method", id, param)
    if method["customer"] is not None and method["customer"] != customer:
        whose = f"the Customer you supplied {customer}" if customer else "any customer of this request"
        text = (
            f"The PaymentMethod {id} does not belong to {whose}. Please use this PaymentMethod with its own customer."
        )
        raise StripeError(text, param=param)
    if method["used_up"]:
        raise StripeError(USED_UP, param=param)
    return method


def from_token(world: World, token: str) -> Document:
    return _create(world, cards.BY_TOKEN[token], {})


def attach_to(world: World, id: str, customer: Document, *, in_path: bool = False) -> Document:
    """Attach a method, or a new one of a pm_card_ token. Raises CardError for a card that the bank refuses."""
    token = id in cards.BY_TOKEN
    method = from_token(world, id) if token else world.get("payment_method", id, None if in_path else "payment_method")
    if method["customer"] == customer["id"]:
        return method
    if method["customer"] is not None:
        raise StripeError("The payment method you provided has already been attached to a customer.")
    if method["used_up"]:
        raise StripeError(USED_UP)
    card = cards.card_of(method["number"])
    if not card.attaches and card.decline:
        refusal = CardError(**(card.decline.details() | {"param": card.decline.param or ""}))
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


def _create(world: World, card: cards.Card, params: dict[str, Any], **expiry: int) -> Document:
    today = time.gmtime(world.now())
    return world.create(
        "payment_method",
        "pm_",
        allow_redisplay=params.get("allow_redisplay", "unspecified"),
        billing_details=_NOTHING | _billing_details(params.get("billing_details")),
        checked=bool((params.get("card") or {}).get("cvc")),
        customer=None,
        exp_month=expiry.get("exp_month", today.tm_mon),
        exp_year=expiry.get("exp_year", today.tm_year + 1),
        metadata=merge_metadata({}, params.get("metadata")),
        number=card.number,
        set_up=False,  # the cardholder agreed to payments in their absence
        type="card",
        used_up=False,
    )


_NOTHING = {"address": customers.address({}), "email": None, "name": None, "phone": None, "tax_id": None}


def _billing_details(given: dict[str, Any] | None) -> dict[str, Any]:
    found = dict(given or {})
    if "address" in found:
        found["address"] = customers.address(found["address"] or {})
    return found


def _digits(number: str) -> str:
    return number.replace(" ", "").replace("-", "")


def _check_card(world: World, card: dict[str, Any]) -> None:
    number, today = _digits(card["number"]), time.gmtime(world.now())
    year = card["exp_year"] + 2000 if card["exp_year"] < 100 else card["exp_year"]
    card["exp_year"] = year
    if not (number.isascii() and number.isdigit()) or not 12 <= len(number) <= 19 or not passes(number):
        raise _refused("incorrect_number", "Your card number is incorrect.", "number")
    if not 1 <= card["exp_month"] <= 12:
        raise _refused("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if not today.tm_year <= year <= today.tm_year + 50:
        raise _refused("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    if (year, card["exp_month"]) < (today.tm_year, today.tm_mon):
        raise _refused("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    cvc = card.get("cvc")
    if cvc is not None and not (cvc.isdigit() and 3 <= len(cvc) <= 4):
        raise _refused("invalid_cvc", "Your card's security code is invalid.", "cvc")


passes = cards.passes_luhn


def _refused(code: str, message: str, param: str) -> CardError:
    refusal = CardError(message, code=code, param=param)
    refusal.keeps_changes = False
    return refusal
