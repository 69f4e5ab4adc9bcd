"""What the portal's pages show, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from sandbox import money
from sandbox.billing import subscribing
from sandbox.resources import prices
from sandbox.store import Document
from sandbox.world import World

HIDDEN = (*subscribing.ENDED, "incomplete")
SHOWN_INVOICES = 24
DONE = {
    "canceled": "Your subscription has been canceled",
    "details": "Your billing information has been updated",
    "method": "Your payment method has been updated",
    "paused": "Your subscription has been paused",
    "removed": "Your payment method has been removed",
    "renewed": "Your subscription goes on",
    "scheduled": "Your subscription will be updated at the end of the period",
    "updated": "Your subscription has been updated",
}
REASONS = {
    "customer_service": "Customer service was less than expected",
    "low_quality": "Quality was less than expected",
    "missing_features": "I need more features",
    "other": "Other reason",
    "switched_service": "I found an alternative",
    "too_complex": "Ease of use was less than expected",
    "too_expensive": "It’s too expensive",
    "unused": "I no longer need it",
}


def day(at: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%B %Y}"


def host_of(url: str) -> str:
    return urlsplit(url).hostname or url


def money_of(amount: int, currency: str) -> str:
    return money.shown(amount, currency)


def subscriptions(world: World, customer: Document) -> list[dict[str, Any]]:
    """What the customer has now, newest first."""
    found = world.select("subscription", "customer = ?", (customer["id"],), tail="ORDER BY sequence DESC")
    return [subscription(world, one) for one in found if one["status"] not in HIDDEN]


def subscription(world: World, document: Document) -> dict[str, Any]:
    """Names, price and what happens next of a subscription."""
    items = subscribing.items_of(world, document)
    return {
        "id": document["id"],
        "ends": document["cancel_at"],
        "items": items,
        "name": ", ".join(_product_name(world, world.get("price", item["price"])) for item in items),
        "price": ", ".join(
            price_of(world.get("price", i["price"]), document["currency"], i["quantity"]) for i in items
        ),
        "change": _next_phase(world, document),
        "renews": min(item["current_period_end"] for item in items),
        "status": document["status"],
    }


def _next_phase(world: World, document: Document) -> dict[str, Any] | None:
    """The plan that a schedule has for later, and since when."""
    schedule = world.find(document["schedule"], "subscription_schedule")
    if schedule is None or schedule["current"] is None or len(schedule["phases"]) <= schedule["current"] + 1:
        return None
    phase = schedule["phases"][schedule["current"] + 1]
    price, quantity = world.get("price", phase["items"][0]["price"]), phase["items"][0]["quantity"]
    text = f"{_product_name(world, price)}, {price_of(price, document['currency'], quantity)}"
    return {"at": phase["start_date"], "schedule": schedule["id"], "text": text}


def price_of(price: Document, currency: str, quantity: int | None = 1) -> str:
    """As a plan's price is written: $5.00 per month."""
    interval, count = price["recurring"]["interval"], price["recurring"]["interval_count"]
    every = f"per {interval}" if count == 1 else f"every {count} {interval}s"
    unit = None if price.get("tiers") else prices.unit_amount_in(price, currency)
    if unit is None or quantity is None:
        return f"by use, {every}"
    return f"{money.shown(money.rounded(unit * quantity), currency)} {every}"


def choices(world: World, document: Document, feature: dict[str, Any]) -> list[dict[str, Any]]:
    """The prices that a subscription may change to, in its currency."""
    item, found = subscribing.items_of(world, document)[0], []
    for product in feature["products"]:
        for id in product["prices"]:
            price = world.find(id, "price")
            if price is None or not price["active"] or prices.unit_amount_in(price, document["currency"]) is None:
                continue
            found.append(
                {
                    "current": price["id"] == item["price"],
                    "id": price["id"],
                    "name": _product_name(world, price),
                    "price": price_of(price, document["currency"]),
                    "quantity": product["adjustable_quantity"],
                }
            )
    return found


def methods(world: World, customer: Document) -> list[dict[str, Any]]:
    """The customer's payment methods, the default first."""
    used, default = methods_of_subscriptions(world, customer), customer["default_payment_method"]
    shown = [
        {"id": one["id"], "default": one["id"] == default, "text": method(world.wire(one)), "used": one["id"] in used}
        for one in world.select("payment_method", "customer = ?", (customer["id"],))
    ]
    return sorted(shown, key=lambda one: not one["default"])


def methods_of_subscriptions(world: World, customer: Document) -> set[str]:
    """The methods that live subscriptions have of their own."""
    found = world.select("subscription", "customer = ?", (customer["id"],))
    return {one["default_payment_method"] for one in found if one["status"] not in HIDDEN}


def method(wire: dict[str, Any]) -> str:
    """A payment method in a few words: Visa •••• 4242, expires 12/2040."""
    details = wire[wire["type"]]
    name = str(details.get("brand") or wire["type"].replace("_", " ")).capitalize()
    expires = f", expires {details['exp_month']:02}/{details['exp_year']}" if "exp_year" in details else ""
    return f"{name} •••• {details.get('last4')}{expires}"


def invoices(world: World, customer: Document) -> list[dict[str, Any]]:
    """What was billed, newest first."""
    condition, tail = "customer = ? AND status <> 'draft'", f"ORDER BY sequence DESC LIMIT {SHOWN_INVOICES}"
    return [world.wire(invoice) for invoice in world.select("invoice", condition, (customer["id"],), tail=tail)]


def _product_name(world: World, price: Document) -> str:
    product = world.find(price["product"], "product")
    return str(product["name"]) if product else price["id"]
