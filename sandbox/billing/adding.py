"""Invoice items: what somebody puts on a customer's next invoice by hand, or with a subscription."""

from decimal import Decimal
from typing import Any

from sandbox import money
from sandbox.billing import discounting, lines, periods, pricing, subscribing
from sandbox.billing.lines import Line
from sandbox.errors import StripeError, missing
from sandbox.params import merge_metadata
from sandbox.resources import invoice_items, prices, products, tax_rates
from sandbox.store import Document
from sandbox.world import World

MOST_ADDED = 20


def to_subscription(
    world: World, subscription: Document, given: list[dict[str, Any]] | None, param: str = "add_invoice_items"
) -> None:
    """Put things that are charged once on the subscription's next invoice."""
    if not given:
        return
    if len(given) > MOST_ADDED:
        raise StripeError(f"You can add up to {MOST_ADDED} invoice items.", param=param)
    customer = world.get("customer", subscription["customer"])
    starts = [item["current_period_start"] for item in subscribing.items_of(world, subscription)]
    ends = [item["current_period_end"] for item in subscribing.items_of(world, subscription)]
    for index, wish in enumerate(given):
        where = f"{param}[{index}]"
        made = line(world, customer, wish, subscription["currency"], where)
        made["subscription"] = subscription["id"]
        asked = wish.get("period") or {}
        made["period"] = {
            "end": _instant(asked.get("end"), max(ends), where, "end"),
            "start": _instant(asked.get("start"), min(starts), where, "start"),
        }
        invoice_items.create(world, subscription, made)


def line(world: World, customer: Document, wish: dict[str, Any], currency: str, where: str = "") -> Line:
    """The line for something that is charged once. Raises Stripe's error for what can't be."""
    made = lines.blank(world) | {
        "discountable": wish.get("discountable", True),
        "metadata": merge_metadata({}, wish.get("metadata")),
        "quantity": wish.get("quantity", 1),
        "tax_rates": tax_rates.checked(world, wish.get("tax_rates"), _named(where, "tax_rates")),
    }
    made |= _priced(world, wish, currency, where)
    made["discounts"] = discounting.redeem(world, wish.get("discounts"), customer, [], _named(where, "discounts"))
    if wish.get("description"):
        made["description"] = wish["description"]
    if wish.get("period"):
        asked, now = wish["period"], world.now(customer["id"])
        made["period"] = {name: _instant(asked[name], now, where, name) for name in ("end", "start")}
    return made


def _instant(at: Any, otherwise: int, where: str, name: str) -> int:
    """A time of a period: given as such, described with a timestamp, or the subscription's own."""
    found = at.get("timestamp") if isinstance(at, dict) else at
    return otherwise if found is None else periods.checked(found, _named(where, f"period[{name}]"))


def _priced(world: World, wish: dict[str, Any], currency: str, where: str) -> dict[str, Any]:
    """Amount, price and text: of a price, of an amount per unit, or of an amount alone."""
    if wish.get("price_data"):
        wish = {**wish, "price": prices.create(world, {**wish["price_data"], "active": False})["id"]}
    id = wish.get("price") or (wish.get("pricing") or {}).get("price")
    if id:
        return _of_price(world, world.get("price", id, _named(where, "price")), wish, currency, where)
    unit = wish.get("unit_amount_decimal", wish.get("unit_amount"))
    if unit is None and wish.get("amount") is None:
        raise missing(_named(where, "amount"))
    amount = Decimal(wish["amount"] if unit is None else unit)
    money.check_most(abs(amount), currency, _named(where, "amount" if unit is None else "unit_amount_decimal"))
    product = products.create(world, {"name": wish.get("description") or "Invoice item", "active": False})
    hidden = {"active": False, "currency": currency, "product": product["id"], "unit_amount_decimal": abs(amount)}
    price = prices.create(world, hidden)
    return {
        "amount": money.rounded(amount if unit is None else amount * wish.get("quantity", 1)),
        "price": price["id"],
        "product": product["id"],
        "unit_amount_decimal": lines.decimal(amount),
    }


def _of_price(world: World, price: Document, wish: dict[str, Any], currency: str, where: str) -> dict[str, Any]:
    if price["recurring"] is not None:
        text = "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`."
        raise StripeError(text, param=_named(where, "price"))
    if prices.amounts_in(price, currency) is None:
        text = f"The price specified only supports `{price['currency']}`. This doesn't match the expected currency: "
        raise StripeError(f"{text}`{currency}`.", param=_named(where, "price"))
    unit = prices.unit_amount_in(price, currency)
    return {
        "amount": money.rounded(pricing.amount(price, wish.get("quantity", 1), currency)),
        "description": lines.product_name(world, price),
        "price": price["id"],
        "product": price["product"],
        "unit_amount_decimal": lines.decimal(unit),
    }


def _named(where: str, name: str) -> str:
    return f"{where}[{name}]" if where else name
