"""A change of plan in the portal: what it asks of the API, when it happens, and what it costs."""

from __future__ import annotations

from typing import Any

from sandbox.billing import pricing, subscribing
from sandbox.errors import StripeError
from sandbox.resources import invoices, subscription_schedules
from sandbox.store import Document
from sandbox.world import World

DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


def wish(
    world: World, subscription: Document, feature: dict[str, Any], price: Document, quantity: int
) -> dict[str, Any]:
    """The update to ask for. What is to be paid at once and can't be, changes nothing."""
    item = subscribing.items_of(world, subscription)[0]
    asked: dict[str, Any] = {
        "items": [{"id": item["id"], "price": price["id"], "quantity": quantity}],
        "proration_behavior": feature["proration_behavior"],
    }
    if feature["proration_behavior"] == "always_invoice":
        asked["payment_behavior"] = "error_if_incomplete"
    if subscription["status"] == "trialing" and feature["trial_update_behavior"] == "end_trial":
        asked["trial_end"] = "now"
    return asked


def waits(world: World, subscription: Document, feature: dict[str, Any], price: Document, quantity: int) -> bool:
    """Whether the configuration puts such a change off to the period's end."""
    item = subscribing.items_of(world, subscription)[0]
    old, currency = world.get("price", item["price"]), subscription["currency"]
    met = {
        "decreasing_item_amount": pricing.amount(price, quantity, currency)
        < pricing.amount(old, item["quantity"], currency),
        "shortening_interval": _days(price) < _days(old),
    }
    return any(met[condition["type"]] for condition in feature["schedule_at_period_end"]["conditions"])


def schedule(world: World, subscription: Document, price: Document, quantity: int) -> None:
    """Change the plan when the running period ends."""
    adopted = (
        subscription["schedule"]
        or subscription_schedules.create(world, {"from_subscription": subscription["id"]})["id"]
    )
    item = subscribing.items_of(world, subscription)[0]
    now = {
        "end_date": item["current_period_end"],
        "items": [{"price": item["price"], "quantity": item["quantity"]}],
        "start_date": world.get("subscription_schedule", adopted)["phases"][0]["start_date"],
    }
    recurring = price["recurring"]
    then = {
        "duration": {name: recurring[name] for name in ("interval", "interval_count")},
        "items": [{"price": price["id"], "quantity": quantity}],
    }
    subscription_schedules.update(world, {"end_behavior": "release", "phases": [now, then]}, adopted)


def cost(
    world: World, subscription: Document, feature: dict[str, Any], price: Document, quantity: int
) -> dict[str, Any]:
    """What is to be paid for the change, and when: at once, or on the next invoice."""
    item = subscribing.items_of(world, subscription)[0]
    end = item["current_period_end"]
    if waits(world, subscription, feature, price, quantity):
        return {"at": end, "amount": None, "currency": subscription["currency"]}
    asked = wish(world, subscription, feature, price, quantity)
    details = {name: asked[name] for name in ("items", "proration_behavior", "trial_end") if name in asked}
    try:
        shown = invoices.create_preview(world, {"subscription": subscription["id"], "subscription_details": details})
    except StripeError:
        return {"at": None, "amount": None, "currency": subscription["currency"]}
    new_period = _days(price) != _days(world.get("price", item["price"]))
    at_once = feature["proration_behavior"] == "always_invoice" or "trial_end" in asked or new_period
    return {"at": None if at_once else end, "amount": shown["amount_due"], "currency": shown["currency"]}


def _days(price: Document) -> int:
    return int(DAYS[price["recurring"]["interval"]] * price["recurring"]["interval_count"])
