"""What stands on an invoice: lines and their texts."""

from decimal import Decimal
from typing import Any

from sandbox import money
from sandbox.billing import periods
from sandbox.resources import prices
from sandbox.store import Document
from sandbox.world import World


def for_period(world: World, subscription: Document, item: Document) -> dict[str, Any]:
    """The line that charges an item's whole current period."""
    price = world.get("price", item["price"])
    unit = _unit_amount(price, subscription)
    text = f"{_counted(world, item, price)} (at {_rate(price, unit, subscription['currency'])})"
    return _line(world, subscription, item, money.rounded(unit * item["quantity"]), text, unit_amount=unit)


def for_trial(world: World, subscription: Document, item: Document) -> dict[str, Any]:
    price = world.get("price", item["price"])
    text = f"Free trial for {_counted(world, item, price)}"
    return _line(world, subscription, item, 0, text, unit_amount=Decimal(0))


def for_pending(world: World, pending: Document) -> dict[str, Any]:
    """The line that takes up an invoice item that waited."""
    return {**pending["line"], "id": world.new_id("il"), "invoice_item": pending["id"]}


def proration(
    world: World,
    subscription: Document,
    item: Document,
    amount: int,
    period: tuple[int, int],
    *,
    credited: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A part of a period: a credit for unused time, or a charge for the time that remains."""
    price = world.get("price", item["price"])
    product = world.find(price["product"], "product")
    quantity = f"{item['quantity']} × " if item["quantity"] != 1 else ""
    kind = "Unused" if amount < 0 or credited else "Remaining"
    text = f"{kind} time on {quantity}{product['name'] if product else ''} after {periods.day(period[0])}"
    line = _line(world, subscription, item, amount, text, unit_amount=None)
    return line | {
        "credited_items": credited,
        "discountable": False,
        "period": {"end": period[1], "start": period[0]},
        "proration": True,
    }


def format_line(invoice: Document, line: dict[str, Any]) -> dict[str, Any]:
    details = {
        "invoice_item": line["invoice_item"],
        "proration": line["proration"],
        "proration_details": {"credited_items": line["credited_items"]},
        "subscription": line["subscription"],
        "subscription_item": line["subscription_item"],
    }
    return {
        "id": line["id"],
        "object": "line_item",
        "amount": line["amount"],
        "currency": invoice["currency"],
        "description": line["description"],
        "discount_amounts": [],
        "discountable": line["discountable"],
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": line["metadata"],
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
        "period": line["period"],
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": line["price"], "product": line["product"]},
            "type": "price_details",
            "unit_amount_decimal": line["unit_amount_decimal"],
        },
        "quantity": line["quantity"],
        "quantity_decimal": str(line["quantity"]),
        "subscription": line["subscription"],
        "subtotal": line["amount"],
        "taxes": [],
    }


def _line(
    world: World, subscription: Document, item: Document, amount: int, text: str, *, unit_amount: Decimal | None
) -> dict[str, Any]:
    price = world.get("price", item["price"])
    return {
        "id": world.new_id("il"),
        "amount": amount,
        "credited_items": None,
        "description": text,
        "discountable": True,
        "invoice_item": None,
        "metadata": subscription["metadata"],
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
        "price": price["id"],
        "product": price["product"],
        "proration": False,
        "quantity": item["quantity"],
        "subscription": subscription["id"],
        "subscription_item": item["id"],
        "unit_amount_decimal": None if unit_amount is None else f"{unit_amount:f}",
    }


def _unit_amount(price: Document, subscription: Document) -> Decimal:
    amount = prices.unit_amount_in(price, subscription["currency"])
    assert amount is not None, "a subscription's prices have its currency"
    return amount


def amount_per_period(world: World, subscription: Document, item: Document) -> Decimal:
    """What an item costs for a whole period, not yet rounded."""
    return _unit_amount(world.get("price", item["price"]), subscription) * item["quantity"]


def _counted(world: World, item: Document, price: Document) -> str:
    product = world.find(price["product"], "product") or {"name": "", "unit_label": None}
    label = f" {product['unit_label']}" if product["unit_label"] else ""
    return f"{item['quantity']}{label} × {product['name']}"


def _rate(price: Document, unit: Decimal, currency: str) -> str:
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    every = interval if count == 1 else f"{count} {interval}s"
    amount = money.shown(int(unit), currency) if unit == int(unit) else f"{unit / 100:f} {currency.upper()}"
    return f"{amount} / {every}"
