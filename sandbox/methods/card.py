"""Cards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sandbox import cards
from sandbox.errors import CardError, StripeError, missing
from sandbox.ids import fingerprint

if TYPE_CHECKING:
    from sandbox.store import Document
    from sandbox.world import World

RAW_CARD = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test tokens that "
    "map to the test card you are using, see https://stripe.com/docs/testing. To enable testing raw card data APIs, "
    "see https://support.stripe.com/questions/enabling-access-to-raw-card-data-apis."
)
THREE_D_SECURE = {
    "authentication_flow": "challenge",
    "electronic_commerce_indicator": "05",
    "exemption_indicator": None,
    "result": "authenticated",
    "result_reason": None,
    "version": "2.2.0",
}


def new(world: World, given: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    if "token" in given:
        found = cards.BY_TOKEN.get(given["token"].replace("tok_", "pm_card_", 1))
        if found is None:
            raise StripeError(f"No such token: '{given['token']}'", code="resource_missing", param="card[token]")
        return from_token(world, found)
    if not world.caller.publishable:
        raise StripeError(RAW_CARD, status=402)
    for name in ("number", "exp_month", "exp_year"):
        if name not in given:
            raise missing(f"card[{name}]")
    number, year = _digits(given["number"]), given["exp_year"] + 2000 if given["exp_year"] < 100 else given["exp_year"]
    _check(world, number, given["exp_month"], year, given.get("cvc"))
    return {
        "number": number,
        "exp_month": given["exp_month"],
        "exp_year": year,
        "checked": bool(given.get("cvc")),
    }


def from_token(world: World, card: cards.Card) -> dict[str, Any]:
    today = time.gmtime(world.now())
    return {"number": card.number, "exp_month": today.tm_mon, "exp_year": today.tm_year + 1, "checked": False}


def instrument(method: Document) -> cards.Card:
    return cards.card_of(method["number"])


def details(world: World, method: Document) -> dict[str, Any]:
    card = instrument(method)
    return {
        "brand": card.brand,
        "checks": _checks(method, card),
        "country": card.country,
        "display_brand": "american_express" if card.brand == "amex" else card.brand,
        "exp_month": method["exp_month"],
        "exp_year": method["exp_year"],
        "fingerprint": fingerprint(world.account, card.number),
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": card.brand != "amex"},
        "wallet": None,
    }


def charge_details(world: World, charge: Document, method: Document) -> dict[str, Any]:
    card = instrument(method)
    authenticated = THREE_D_SECURE | {"transaction_id": charge["id"].replace("ch_", "3ds_")}
    return {
        "amount_authorized": charge["amount"] if not charge["decline"] else None,
        "authorization_code": None if charge["decline"] else charge["id"][-6:].upper(),
        "brand": card.brand,
        "checks": _checks(method, card),
        "country": card.country,
        "electronic_commerce_indicator": None,
        "exp_month": method["exp_month"],
        "exp_year": method["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": fingerprint(world.account, card.number),
        "funding": card.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": charge["id"][-15:],
        "overcapture": {"maximum_amount_capturable": charge["amount"], "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": authenticated if charge["authenticated"] else None,
        "transaction_link_id": None,
        "wallet": None,
    }


def _checks(method: Document, card: cards.Card) -> dict[str, Any]:
    address = method["billing_details"]["address"]
    return {
        "address_line1_check": card.line1_check if address["line1"] else None,
        "address_postal_code_check": card.postal_code_check if address["postal_code"] else None,
        "cvc_check": card.cvc_check if method["checked"] else "unchecked",
    }


def _digits(number: str) -> str:
    return number.replace(" ", "").replace("-", "")


def _check(world: World, number: str, month: int, year: int, cvc: str | None) -> None:
    today = time.gmtime(world.now())
    if not (number.isascii() and number.isdigit()) or not 12 <= len(number) <= 19 or not cards.passes_luhn(number):
        raise _refused("incorrect_number", "Your card number is incorrect.", "number")
    if not 1 <= month <= 12:
        raise _refused("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if not today.tm_year <= year <= today.tm_year + 50:
        raise _refused("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    if (year, month) < (today.tm_year, today.tm_mon):
        raise _refused("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    if cvc is not None and not (cvc.isdigit() and 3 <= len(cvc) <= 4):
        raise _refused("invalid_cvc", "Your card's security code is invalid.", "cvc")


def _refused(code: str, message: str, param: str) -> CardError:
    refusal = CardError(message, code=code, param=param)
    refusal.keeps_changes = False
    return refusal
