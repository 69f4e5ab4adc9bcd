"""SEPA Direct Debit: euros, from a bank account known by its IBAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox import bank_accounts
from sandbox.errors import StripeError, missing
from sandbox.ids import fingerprint

if TYPE_CHECKING:
    from sandbox.store import Document
    from sandbox.world import World

_EEA = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
EEA = frozenset(_EEA.split())
# Where in an IBAN its bank and its branch are.
BANK = {"AT": (4, 9), "BE": (4, 7), "DE": (4, 12), "DK": (4, 8), "FR": (4, 9), "IT": (5, 10)}
BRANCH = {"FR": (9, 14), "IT": (10, 15)}


def new(world: World, given: dict[str, Any], owner: dict[str, Any]) -> dict[str, Any]:
    """An account outside the European Economic Area needs its owner's address, too."""
    bank_accounts.check_owner(owner)
    if "iban" not in given:
        raise missing("sepa_debit[iban]")
    iban = "".join(given["iban"].split()).upper()
    if not bank_accounts.is_iban(iban):
        raise StripeError(
            "The IBAN you entered is invalid.", code="invalid_bank_account_iban", param="sepa_debit[iban]"
        )
    address = owner.get("address") or {}
    for name in ("line1", "country") if iban[:2] not in EEA else ():
        if not address.get(name):
            raise missing(f"billing_details[address][{name}]")
    return {"number": iban}


def instrument(method: Document) -> bank_accounts.Account:
    return bank_accounts.by_iban(method["number"])


def details(world: World, method: Document) -> dict[str, Any]:
    return _account(world, method) | {"generated_from": {"charge": None, "setup_attempt": None}}


def charge_details(world: World, charge: Document, method: Document) -> dict[str, Any]:
    return _account(world, method) | {"mandate": charge["mandate"]}


def mandate_details(mandate: Document) -> dict[str, Any]:
    reference = mandate["id"][-16:].upper()
    return {"reference": reference, "url": f"https://hooks.stripe.com/adapter/sepa_debit/file/{mandate['id']}"}


def _account(world: World, method: Document) -> dict[str, Any]:
    iban = method["number"]
    bank, branch = BANK.get(iban[:2], (4, 8)), BRANCH.get(iban[:2], (0, 0))
    return {
        "bank_code": iban[slice(*bank)],
        "branch_code": iban[slice(*branch)],
        "country": iban[:2],
        "fingerprint": fingerprint(world.account, iban),
        "last4": iban[-4:],
    }
