"""/v1/subscription_items"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from stripe.params import (
    SubscriptionItemCreateParams,
    SubscriptionItemDeleteParams,
    SubscriptionItemListParams,
    SubscriptionItemRetrieveParams,
    SubscriptionItemUpdateParams,
)

from sandbox import lists, money
from sandbox.billing import discounting, pricing
from sandbox.errors import StripeError, missing, too_small
from sandbox.params import merge_metadata
from sandbox.resources import prices, tax_rates
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

MOST_ITEMS = 20


CHANGES = (
    "discounts metadata payment_behavior plan price price_data proration_behavior proration_date quantity tax_rates"
)


@route("POST /v1/subscription_items", SubscriptionItemCreateParams, f"{CHANGES} subscription")
def create(world: World, params: dict[str, Any]) -> Document:
    subscription = world.get("subscription", params["subscription"], "subscription")
    old = {item["id"] for item in world.select("subscription_item", "subscription = ?", (subscription["id"],))}
    _change(world, subscription, {}, params)
    items = world.select("subscription_item", "subscription = ?", (subscription["id"],))
    return next((item for item in items if item["id"] not in old), items[-1])


@route("POST /v1/subscription_items/<id>", SubscriptionItemUpdateParams, f"{CHANGES} off_session")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    item = world.get("subscription_item", id)
    _change(world, world.get("subscription", item["subscription"]), {"id": id}, params)
    return item


@route(
    "DELETE /v1/subscription_items/<id>",
    SubscriptionItemDeleteParams,
    "clear_usage payment_behavior proration_behavior proration_date",
)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    item = world.get("subscription_item", id)
    subscription = world.get("subscription", item["subscription"])
    clear = {name: params.pop(name) for name in ("clear_usage",) if name in params}
    _change(world, subscription, {"id": id, "deleted": True, **clear}, params)
    return item


def _change(world: World, subscription: Document, item: dict[str, Any], params: dict[str, Any]) -> None:
    """An item's own requests are updates of its subscription."""
    from sandbox.resources import subscriptions

    of_update = ("payment_behavior", "proration_behavior", "proration_date", "off_session")
    wish = {name: value for name, value in params.items() if name not in (*of_update, "subscription", "expand")}
    rest = {name: params[name] for name in of_update if name in params}
    subscriptions.update(world, {**rest, "items": [{**item, **wish}]}, subscription["id"])


@route("GET /v1/subscription_items/<id>", SubscriptionItemRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("subscription_item", id)


@route("GET /v1/subscription_items", SubscriptionItemListParams, "ending_before limit starting_after subscription")
def list_subscription_items(world: World, params: dict[str, Any]) -> lists.Page:
    if not params.get("subscription"):
        raise missing("subscription")
    world.get("subscription", params["subscription"], "subscription")
    return lists.page(world, "subscription_item", params, subscription=params["subscription"])


@formats("subscription_item")
def format_subscription_item(world: World, item: Document) -> dict[str, Any]:
    price = world.get("price", item["price"])
    metered = prices.is_metered(price)
    return {
        "id": item["id"],
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": item["created"],
        "current_period_end": item["current_period_end"],
        "current_period_start": item["current_period_start"],
        "current_trial": None,
        "discounts": item["discounts"],
        "metadata": item["metadata"],
        "plan": prices.format_plan(price),
        "price": world.wire(price),
        **({} if metered else {"quantity": item["quantity"]}),
        "subscription": item["subscription"],
        "tax_rates": tax_rates.wires(world, item["tax_rates"]),
    }


def checked_items(
    world: World, customer: Document, given: list[dict[str, Any]], currency: str | None, mode: str
) -> tuple[str, list[dict[str, Any]]]:
    """The currency of a new subscription, and its items with price, quantity and metadata."""
    if len(given) > MOST_ITEMS:
        raise StripeError(f"A subscription can have up to {MOST_ITEMS} items.", param="items")
    items = [checked_item(world, item, f"items[{index}]") for index, item in enumerate(given)]
    first = world.get("price", items[0]["price"])
    currency = money.currency(currency) if currency else first["currency"]
    check_together(world, items, currency, mode)
    check_customer_currency(customer, currency)
    return currency, items


def checked_item(world: World, given: dict[str, Any], where: str) -> dict[str, Any]:
    """One item as asked for: an active recurring price, a quantity, metadata."""
    name = "price" if "price" in given else "plan"
    if given.get("price_data"):
        price = inline_price(world, given["price_data"])
    elif not given.get(name):
        raise missing(f"{where}[price]")
    else:
        price = world.get("price", given[name], f"{where}[{name}]")
    if not price["active"] and not given.get("price_data"):
        text = "The price specified is inactive. This field only accepts active prices."
        raise StripeError(text, param=f"{where}[{name}]")
    if price["recurring"] is None:
        text = "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."
        raise StripeError(text, param=f"{where}[{name}]")
    return {
        "price": price["id"],
        "quantity": checked_quantity(price, given.get("quantity"), f"{where}[quantity]"),
        "metadata": merge_metadata({}, given.get("metadata")),
    }


def inline_price(world: World, data: dict[str, Any]) -> Document:
    """A price for this use alone, which nobody else can subscribe to."""
    return prices.create(world, {**data, "active": False})


def set_extras(world: World, subscription: Document, item: Document, wish: dict[str, Any], where: str) -> None:
    """Give an item the discounts and tax rates that were asked for. Saves it if there are any."""
    if "discounts" in wish:
        customer, old = world.get("customer", subscription["customer"]), item["discounts"]
        on = {"subscription": subscription["id"], "subscription_item": item["id"]}
        item["discounts"] = discounting.redeem(world, wish["discounts"], customer, old, f"{where}[discounts]", **on)
    if "tax_rates" in wish:
        item["tax_rates"] = tax_rates.checked(world, wish["tax_rates"], f"{where}[tax_rates]")
    if "discounts" in wish or "tax_rates" in wish:
        world.save(item)


def checked_quantity(price: Document, quantity: int | None, param: str) -> int:
    """How many were asked for: 1 unless told. Raises Stripe's error for less than none, and for any of metered ones."""
    if quantity is None:
        return 1
    if prices.is_metered(price):
        text = "You cannot set the quantity of a metered price: it is what was used."
        raise StripeError(text, param=param)
    if quantity < 0:
        raise too_small(0, param)
    return quantity


def check_together(world: World, items: Sequence[dict[str, Any]], currency: str, mode: str) -> None:
    """Raises Stripe's error for items that cannot stand in one subscription."""
    intervals = set()
    for index, item in enumerate(items):
        price = world.get("price", item["price"])
        check_currency(price, currency, f"items[{index}]")
        intervals.add((price["recurring"]["interval"], price["recurring"]["interval_count"]))
    if len({item["price"] for item in items}) < len(items):
        text = "Cannot add multiple subscription items with the same price: {}"
        doubled = next(
            item["price"] for i, item in enumerate(items) if item["price"] in [x["price"] for x in items[:i]]
        )
        raise StripeError(text.format(doubled), param="items")
    _check_amount(world, items, currency)
    if len(intervals) > 1 and mode == "classic":
        text = "All prices on a subscription must have the same `recurring.interval` and `recurring.interval_count`."
        raise StripeError(text, param="items")


def _check_amount(world: World, items: Sequence[dict[str, Any]], currency: str) -> None:
    """Raises Stripe's error for more than can be charged."""
    priced = [(world.get("price", item["price"]), item["quantity"]) for item in items]
    counted = [one for one in priced if not prices.is_metered(one[0])]
    whole = sum((pricing.amount(price, quantity, currency) for price, quantity in counted), Decimal(0))
    money.check_most(whole, currency, "items")


def check_currency(price: Document, currency: str, where: str) -> None:
    if prices.amounts_in(price, currency) is None:
        text = (
            f"The price specified only supports `{price['currency']}`. This doesn't match the expected currency: "
            f"`{currency}`."
        )
        raise StripeError(text, param=f"{where}[price]")


def check_customer_currency(customer: Document, currency: str) -> None:
    if customer["currency"] not in (None, currency):
        text = (
            "You cannot combine currencies on a single customer. This customer has an active subscription, "
            f"subscription schedule, discount, quote, or invoice item with currency {customer['currency']}"
        )
        raise StripeError(text, param="currency")


def create_items(
    world: World, subscription: Document, items: list[dict[str, Any]], start: int, end: int
) -> list[Document]:
    return [
        world.create(
            "subscription_item",
            "si_",
            current_period_end=end,
            current_period_start=start,
            discounts=[],
            metadata=item["metadata"],
            price=item["price"],
            quantity=item["quantity"],
            subscription=subscription["id"],
            tax_rates=[],
        )
        for item in items
    ]
