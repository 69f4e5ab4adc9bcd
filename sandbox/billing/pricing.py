"""What a quantity of something costs, by its price's model."""

import dataclasses
from decimal import Decimal

from sandbox import money
from sandbox.resources import prices
from sandbox.store import Document


@dataclasses.dataclass
class Part:
    """What becomes one line: a flat price has one, a graduated one has one for each tier that is entered."""

    amount: Decimal  # not yet rounded
    quantity: int
    unit_amount: Decimal | None
    text: str = ""  # after the product's name


def amount(price: Document, quantity: int, currency: str) -> Decimal:
    """The whole for one period, in the smallest unit, not yet rounded."""
    return sum((part.amount for part in parts(price, quantity, currency)), Decimal(0))


def parts(price: Document, quantity: int, currency: str) -> list[Part]:
    """What a quantity costs for one period. The price must have the currency."""
    amounts = prices.amounts_in(price, currency)
    assert amounts is not None, "a subscription's prices have its currency"
    if amounts["tiers"]:
        make = _graduated if price["tiers_mode"] == "graduated" else _volume
        return make(price, amounts["tiers"], quantity, currency)
    unit = Decimal(amounts["unit_amount_decimal"])
    if price["transform_quantity"]:
        return [_package(price, unit, quantity, currency)]
    return [Part(unit * quantity, quantity, unit, f"(at {rate(price, unit, currency)})")]


def rate(price: Document, unit: Decimal, currency: str) -> str:
    """$5.00 / month"""
    shown = money.shown(unit, currency)
    if price["recurring"] is None:
        return shown
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    return f"{shown} / {interval if count == 1 else f'every {count} {interval}s'}"


def _package(price: Document, unit: Decimal, quantity: int, currency: str) -> Part:
    size, up = price["transform_quantity"]["divide_by"], price["transform_quantity"]["round"] == "up"
    packages = -(-quantity // size) if up else quantity // size
    return Part(unit * packages, quantity, None, f"(at {rate(price, unit, currency)} per {size})")


def _graduated(price: Document, tiers: list[Document], quantity: int, currency: str) -> list[Part]:
    found, start = [], 0
    for number, tier in enumerate(tiers, 1):
        inside = (quantity if tier["up_to"] is None else min(quantity, tier["up_to"])) - start
        if inside <= 0 and number > 1:
            break
        found += _tier_parts(price, tier, number, max(inside, 0), currency)
        start = tier["up_to"] or quantity
    return found


def _volume(price: Document, tiers: list[Document], quantity: int, currency: str) -> list[Part]:
    for number, tier in enumerate(tiers, 1):
        if tier["up_to"] is None or quantity <= tier["up_to"]:
            return _tier_parts(price, tier, number, quantity, currency)
    raise AssertionError("the last tier has no end")


def _tier_parts(price: Document, tier: Document, number: int, quantity: int, currency: str) -> list[Part]:
    unit = Decimal(tier["unit_amount_decimal"] or 0)
    found = [Part(unit * quantity, quantity, unit, f"(Tier {number} at {rate(price, unit, currency)})")]
    if tier["flat_amount_decimal"] is not None:
        flat = Decimal(tier["flat_amount_decimal"])
        found.append(Part(flat, 1, None, f"(Tier {number} flat fee, {rate(price, flat, currency)})"))
    return found
