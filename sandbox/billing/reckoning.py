"""From an invoice's lines to its totals: discounts, then taxes."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from sandbox import money
from sandbox.billing import discounting, lines, pricing, subscribing
from sandbox.billing.lines import Line
from sandbox.store import Document
from sandbox.world import World


def reckon(world: World, invoice: Document) -> None:
    """Give the invoice and its lines the amounts that follow from what the lines cost. Saves nothing."""
    charged = invoice["lines"]
    for line in charged:
        if not line["proration"]:
            line["discount_amounts"] = []
    discount(world, charged, invoice["discounts"], invoice["currency"])
    for line in charged:
        _tax(world, line, line["tax_rates"] or invoice["default_tax_rates"])
    own = sum(d["amount"] for line in charged for d in line["discount_amounts"] if d["discount"] in line["discounts"])
    net = sum(lines.net(line) for line in charged)
    taxes = [tax for line in charged for tax in line["taxes"]]
    exclusive, inclusive = _sum_of(taxes, "exclusive"), _sum_of(taxes, "inclusive")
    invoice.update(
        subtotal=sum(line["amount"] for line in charged) - own,
        subtotal_excluding_tax=sum(line["amount"] for line in charged) - own - inclusive,
        total=net + exclusive,
        total_discount_amounts=_summed(
            (d["discount"], d["amount"]) for line in charged for d in line["discount_amounts"]
        ),
        total_excluding_tax=net - inclusive,
        total_taxes=_total_taxes(taxes),
    )


def discount(world: World, charged: list[Line], discounts: list[str], currency: str) -> None:
    """Take off each line its own discounts, then the invoice's in their order."""
    for line in charged:
        for id in line["discounts"]:
            _take_off(world, [line], id, currency)
    for id in discounts:
        _take_off(world, charged, id, currency)


def net(world: World, subscription: Document, item: Document) -> Decimal:
    """What an item costs for a whole period after its share of all discounts."""
    discounts = discounting.running(world, subscription)
    if not discounts and not item["discounts"]:
        return _gross(world, subscription, item)
    items = subscribing.items_of(world, subscription)
    charged = [_whole(world, subscription, one) for one in items]
    discount(world, charged, discounts, subscription["currency"])
    return Decimal(lines.net(charged[[one["id"] for one in items].index(item["id"])]))


def itemized(world: World, subscription: Document, item: Document) -> tuple[Decimal, list[dict[str, Any]]]:
    """What an item costs for a whole period before discounts, and what each discount takes off it."""
    items = subscribing.items_of(world, subscription)
    charged = [_whole(world, subscription, one) for one in items]
    discount(world, charged, discounting.running(world, subscription), subscription["currency"])
    own = charged[[one["id"] for one in items].index(item["id"])]
    return _gross(world, subscription, item), own["discount_amounts"]


def alone(world: World, subscription: Document, item: Document) -> Decimal:
    """What an item costs for a whole period if the discounts were for it alone, as classic billing prorates."""
    discounts = discounting.running(world, subscription)
    if not discounts and not item["discounts"]:
        return _gross(world, subscription, item)
    charged = [_whole(world, subscription, item)]
    discount(world, charged, discounts, subscription["currency"])
    return Decimal(lines.net(charged[0]))


def gross(world: World, subscription: Document) -> int:
    """What all items cost for a whole period, before discounts."""
    items = subscribing.items_of(world, subscription)
    return sum(money.rounded(_gross(world, subscription, item)) for item in items)


def _gross(world: World, subscription: Document, item: Document) -> Decimal:
    return pricing.amount(world.get("price", item["price"]), item["quantity"], subscription["currency"])


def _whole(world: World, subscription: Document, item: Document) -> Line:
    amount = money.rounded(_gross(world, subscription, item))
    product = world.get("price", item["price"])["product"]
    return {"amount": amount, "discountable": True, "discounts": item["discounts"], "product": product} | {
        "discount_amounts": []
    }


def _take_off(world: World, charged: list[Line], id: str, currency: str) -> None:
    coupon = discounting.coupon_of(world, id)
    products = (coupon["applies_to"] or {}).get("products")
    eligible = [
        line
        for line in charged
        if line["discountable"] and lines.net(line) > 0 and (not products or line["product"] in products)
    ]
    left = [lines.net(line) for line in eligible]
    if coupon["percent_off"] is not None:
        whole = money.rounded(Decimal(sum(left)) * Decimal(str(coupon["percent_off"])) / 100)
    else:
        whole = min(discounting.amount_off(coupon, currency) or 0, sum(left))
    for line, amount in zip(eligible, money.spread(whole, left), strict=True):
        line["discount_amounts"].append({"amount": amount, "discount": id})


def _tax(world: World, line: Line, rates: list[str]) -> None:
    if not rates:
        line["taxes"] = []
        return
    amount = Decimal(lines.net(line))
    found = [world.get("tax_rate", id) for id in rates]
    included = sum((Decimal(str(rate["percentage"])) for rate in found if rate["inclusive"]), Decimal(0))
    taxable = amount / (1 + included / 100)
    line["taxes"] = [
        {
            "amount": money.rounded(taxable * Decimal(str(rate["percentage"])) / 100),
            "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": "not_available",
            "taxable_amount": money.rounded(taxable),
            "type": "tax_rate_details",
        }
        for rate in found
    ]


def _sum_of(taxes: list[dict[str, Any]], behavior: str) -> int:
    return sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == behavior)


def _summed(pairs: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    sums: dict[str, int] = {}
    for id, amount in pairs:
        sums[id] = sums.get(id, 0) + amount
    return [{"amount": amount, "discount": id} for id, amount in sums.items()]


def _total_taxes(taxes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for tax in taxes:
        rate = tax["tax_rate_details"]["tax_rate"]
        so_far = sums.get(rate, {"amount": 0, "taxable_amount": 0})
        sums[rate] = tax | {name: so_far[name] + tax[name] for name in ("amount", "taxable_amount")}
    return list(sums.values())
