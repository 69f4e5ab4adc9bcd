"""BECS Direct Debit: Australian dollars, from a bank account known by its BSB and number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import bank_accounts
from sandbox.errors import StripeError, missing
from sandbox.ids import fingerprint

if TYPE_CHECKING:
    from sandbox.store import Document
    from sandbox.world import World


def new(world: World, given: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    bank_accounts.check_owner(owner)
    for name in ("bsb_number", "account_number"):
        if name not in given:
            raise missing(f"au_becs_debit[{name}]")
    bsb, number = given["bsb_number"].replace("-", ""), given["account_number"].replace(" ", "")
    if not (bsb.isascii() and bsb.isdigit() and len(bsb) == 6):
        text = "The BSB you entered is invalid."
        raise StripeError(text, code="invalid_bsb_number", param="au_becs_debit[bsb_number]")
    if not (number.isascii() and number.isdigit() and 5 <= len(number) <= 9):
        text = "The account number you entered is invalid."
        raise StripeError(text, code="account_number_invalid", param="au_becs_debit[account_number]")
    return {"number": number, "bsb_number": bsb}


def instrument(method: Document) -> bank_accounts.Account:
    return bank_accounts.by_becs_number(method["number"])


def details(world: World, method: Document) -> dict[str, Any]:
    number = method["number"]
    return {
        "bsb_number": method["bsb_number"],
        "fingerprint": fingerprint(world.account, method["bsb_number"] + number),
        "last4": number[-4:],
    }


def charge_details(world: World, charge: Document, method: Document) -> dict[str, Any]:
    return details(world, method) | ({"mandate": charge["mandate"]} if charge["mandate"] else {})


def mandate_details(mandate: Document) -> dict[str, Any]:
    return {"url": f"https://hooks.stripe.com/adapter/au_becs_debit/file/{mandate['id']}"}
