"""What people pay with: one module per kind of payment method, all with the same functions.

new(world, given, owner): what is stored of the parameters that describe one; owner is the billing_details.
details(world, method): the hash of the payment method that bears the kind's name.
charge_details(world, charge, method): the same hash of a charge's payment_method_details.
instrument(method): the test card or account behind it, which says what becomes of a payment.
mandate_details(mandate): the hash of a mandate's payment_method_details, where the kind has mandates.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from sandbox.methods import au_becs_debit, card, sepa_debit

if TYPE_CHECKING:
    from sandbox.store import Document

KINDS: dict[str, ModuleType] = {"card": card, "sepa_debit": sepa_debit, "au_becs_debit": au_becs_debit}
CURRENCIES = {"sepa_debit": "eur", "au_becs_debit": "aud"}  # which a kind is tied to


def kind_of(method: Document) -> ModuleType:
    return KINDS[method["type"]]


def instrument_of(method: Document) -> Any:
    """The test card or bank account: decline, dispute, refund, settles_after, needs_authentication()."""
    return kind_of(method).instrument(method)


def offered(
    currency: str | None, allowed: list[str] | None = None, excluded: list[str] | None = None, /, *, sort: bool = False
) -> list[str]:
    """The kinds that can pay in a currency, cards first unless sorted, of those that are allowed and not excluded.

    Without a currency (a setup) only cards, unless others are allowed by name.
    """
    fitting = [kind for kind in KINDS if CURRENCIES.get(kind, currency) == currency or (allowed and currency is None)]
    found = [kind for kind in fitting if kind in (allowed or KINDS) and kind not in (excluded or ())]
    return sorted(found) if sort else found
