"""What stands on an invoice: lines and their texts."""

from decimal import Decimal
from typing import Any

from sandbox import money
from sandbox.billing import modes, periods, pricing, usage
from sandbox.resources import prices
from sandbox.store import Document
from sandbox.world import World

Line = dict[str, Any]


def for_period(world: World, subscription: Document, item: Document) -> list[Line]:
    """The lines that charge an item's current period: the whole of one, or the part of it that there is."""
    from sandbox.billing import prorating  # whose lines are these

    if is_metered(world, item):
        return []  # billed when the period is over
    span = item["current_period_start"], item["current_period_end"]
    if span != natural_period(world, subscription, item, span[0]):
        return [prorating.part(world, subscription, item, span)]
    return _for_quantity(world, subscription, item, item["quantity"], span)


def for_usage(world: World, subscription: Document, item: Document, span: tuple[int, int]) -> list[Line]:
    """The lines that charge what was used of a metered item in a time that is over."""
    made = []
    for priced, stretch in usage.stretches(item, span):
        if is_metered(world, priced):
            made += _for_quantity(world, subscription, priced, usage.usage_of(world, priced, stretch), stretch)
    return made


def for_no_usage(world: World, subscription: Document, item: Document) -> list[Line]:
    """The line of nothing with which classic billing begins a metered item."""
    span = item["current_period_start"], item["current_period_end"]
    return _for_quantity(world, subscription, item, 0, span)[:1]


def is_metered(world: World, item: Document) -> bool:
    return prices.is_metered(world.get("price", item["price"]))


def for_trial(world: World, subscription: Document, item: Document) -> list[Line]:
    price = world.get("price", item["price"])
    if modes.is_classic(subscription):
        text = f"Trial period for {product_name(world, price)}"
    else:
        text = f"Free trial for {_counted(world, price, item['quantity'])}"
    return [_line(world, subscription, item, Decimal(0), text) | {"unit_amount_decimal": "0"}]


def for_pending(world: World, pending: Document) -> Line:
    """The line that takes up an invoice item that waited."""
    return {**pending["line"], "id": world.new_id("il"), "invoice_item": pending["id"]}


def proration(
    world: World,
    subscription: Document,
    item: Document,
    amount: int,
    span: tuple[int, int],
    *,
    credited: Line | None = None,
) -> Line:
    """A part of a period: a charge for the time that remains, or a credit for unused time.

    credited: what is given back, as a line has it: price, quantity, and where it stood in `credited_items`.
    """
    of = credited or item
    price = world.get("price", of["price"])
    quantity = f"{of['quantity']} × " if of["quantity"] != 1 else ""
    kind = "Unused" if credited else "Remaining"
    text = f"{kind} time on {quantity}{product_name(world, price)} after {periods.day(span[0])}"
    return _line(world, subscription, item, Decimal(amount), text) | {
        "credited_items": credited["credited_items"] if credited else None,
        "discountable": False,
        "period": _period(span),
        "price": price["id"],
        "product": price["product"],
        "proration": True,
        "quantity": of["quantity"],
    }


def natural_period(world: World, subscription: Document, item: Document, at: int) -> tuple[int, int]:
    """The whole period, counted from the anchor, that holds an instant: what the price is for."""
    recurring = world.get("price", item["price"])["recurring"]
    day = (subscription["billing_cycle_anchor_config"] or {}).get("day_of_month")
    anchor, interval, count = subscription["billing_cycle_anchor"], recurring["interval"], recurring["interval_count"]
    return periods.around(anchor, interval, count, at, day)


def net(line: Line) -> int:
    """What a line comes to after its discounts."""
    return int(line["amount"]) - sum(discount["amount"] for discount in line["discount_amounts"])


def product_name(world: World, price: Document) -> str:
    product = world.find(price["product"], "product")
    return str(product["name"]) if product else ""


def decimal(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def blank(world: World) -> Line:
    """A line without content, with every field that lines have."""
    return {
        "id": world.new_id("il"),
        "amount": 0,
        "credited_items": None,
        "description": None,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice_item": None,
        "metadata": {},
        "period": _period((world.now(), world.now())),
        "price": None,
        "product": None,
        "proration": False,
        "quantity": 1,
        "subscription": None,
        "subscription_item": None,
        "tax_rates": [],
        "taxes": [],
        "unit_amount_decimal": None,
    }


def format_line(invoice: Document, line: Line) -> dict[str, Any]:
    details = {
        "invoice_item": line["invoice_item"],
        "proration": line["proration"],
        "proration_details": {"credited_items": _credited(line)},
        "subscription": line["subscription"],
    }
    kind = "subscription_item_details" if line["subscription_item"] else "invoice_item_details"
    if line["subscription_item"]:
        details["subscription_item"] = line["subscription_item"]
    subtotal = line["amount"] - sum(d["amount"] for d in line["discount_amounts"] if d["discount"] in line["discounts"])
    return {
        "id": line["id"],
        "object": "line_item",
        "amount": line["amount"],
        "currency": invoice["currency"],
        "description": line["description"],
        "discount_amounts": line["discount_amounts"],
        "discountable": line["discountable"],
        "discounts": line["discounts"],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": line["metadata"],
        "parent": {"invoice_item_details": None, "subscription_item_details": None, kind: details, "type": kind},
        "period": line["period"],
        "pretax_credit_amounts": [{**amount, "type": "discount"} for amount in line["discount_amounts"]],
        "pricing": line["price"]
        and {
            "price_details": {"price": line["price"], "product": line["product"]},
            "type": "price_details",
            "unit_amount_decimal": line["unit_amount_decimal"],
        },
        "quantity": line["quantity"],
        "quantity_decimal": str(line["quantity"]),
        "subscription": line["subscription"],
        "subtotal": subtotal,
        "taxes": line["taxes"],
    }


def _line(world: World, subscription: Document, item: Document, amount: Decimal, text: str) -> Line:
    price = world.get("price", item["price"])
    return blank(world) | {
        "amount": money.rounded(amount),
        "description": text,
        "discounts": item["discounts"],
        "metadata": subscription["metadata"],
        "period": _period((item["current_period_start"], item["current_period_end"])),
        "price": price["id"],
        "product": price["product"],
        "quantity": item["quantity"],
        "subscription": subscription["id"],
        "subscription_item": item["id"],
        "tax_rates": item["tax_rates"],
    }


def _for_quantity(
    world: World, subscription: Document, item: Document, quantity: int, span: tuple[int, int]
) -> list[Line]:
    """A line for each part of what a quantity costs for a whole period."""
    price = world.get("price", item["price"])
    return [
        _line(world, subscription, item, part.amount, f"{_counted(world, price, part.quantity)} {part.text}")
        | {"quantity": part.quantity, "period": _period(span), "unit_amount_decimal": decimal(part.unit_amount)}
        for part in pricing.parts(price, quantity, subscription["currency"])
    ]


def _period(span: tuple[int, int]) -> dict[str, int]:
    return {"end": span[1], "start": span[0]}


def _credited(line: Line) -> dict[str, Any] | None:
    """Lines know only of debits on invoices, and invoice items of those that still waited too."""
    credited = line["credited_items"]
    return credited if credited and "invoice" in credited else None


def _counted(world: World, price: Document, quantity: int) -> str:
    product = world.find(price["product"], "product") or {"name": "", "unit_label": None}
    label = f" {product['unit_label']}" if product["unit_label"] else ""
    return f"{quantity}{label} × {product['name']}"
