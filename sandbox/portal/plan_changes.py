"""A change of plan in the portal: what it asks of the API, when it happens, and what it costs."""

from __future__ import annotations

import dataclasses
from typing import Any

from sandbox.billing import pricing, subscribing
from sandbox.errors import StripeError
from sandbox.resources import invoices, subscription_schedules, subscriptions
from sandbox.store import Document
from sandbox.world import World

DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclasses.dataclass
class PlanChange:
    """A subscription with one item, which is to get another price or another quantity."""

    world: World
    subscription: Document
    feature: dict[str, Any]  # what the configuration says of updates
    price: Document
    quantity: int

    def __post_init__(self) -> None:
        self.item = subscribing.items_of(self.world, self.subscription)[0]
        self.old_price = self.world.get("price", self.item["price"])

    def make(self) -> str:
        """Change the plan now, or plan to: "updated" or "scheduled"."""
        if self._waits():
            self._schedule()
            return "scheduled"
        subscriptions.update(self.world, self._wish(), self.subscription["id"])
        return "updated"

    def cost(self) -> dict[str, Any]:
        """What is to be paid for the change, and when: at once, or on the next invoice."""
        end, id = self.item["current_period_end"], self.subscription["id"]
        if self._waits():
            return {"at": end, "amount": None, "currency": self.subscription["currency"]}
        asked = self._wish()
        details = {name: asked[name] for name in ("items", "proration_behavior", "trial_end") if name in asked}
        try:
            shown = invoices.create_preview(self.world, {"subscription": id, "subscription_details": details})
        except StripeError:
            return {"at": None, "amount": None, "currency": self.subscription["currency"]}
        new_period = _days(self.price) != _days(self.old_price)
        at_once = self.feature["proration_behavior"] == "always_invoice" or "trial_end" in asked or new_period
        return {"at": None if at_once else end, "amount": shown["amount_due"], "currency": shown["currency"]}

    def _wish(self) -> dict[str, Any]:
        """The update to ask for. What is to be paid at once and can't be, changes nothing."""
        asked: dict[str, Any] = {
            "items": [{"id": self.item["id"], "price": self.price["id"], "quantity": self.quantity}],
            "proration_behavior": self.feature["proration_behavior"],
        }
        if self.feature["proration_behavior"] == "always_invoice":
            asked["payment_behavior"] = "error_if_incomplete"
        if self.subscription["status"] == "trialing" and self.feature["trial_update_behavior"] == "end_trial":
            asked["trial_end"] = "now"
        return asked

    def _waits(self) -> bool:
        """Whether the configuration puts such a change off to the period's end."""
        currency = self.subscription["currency"]
        new = pricing.amount(self.price, self.quantity, currency)
        old = pricing.amount(self.old_price, self.item["quantity"], currency)
        met = {
            "decreasing_item_amount": new < old,
            "shortening_interval": _days(self.price) < _days(self.old_price),
        }
        return any(met[condition["type"]] for condition in self.feature["schedule_at_period_end"]["conditions"])

    def _schedule(self) -> None:
        """Change the plan when the running period ends."""
        made_from = {"from_subscription": self.subscription["id"]}
        id = self.subscription["schedule"] or subscription_schedules.create(self.world, made_from)["id"]
        now = {
            "end_date": self.item["current_period_end"],
            "items": [{"price": self.item["price"], "quantity": self.item["quantity"]}],
            "start_date": self.world.get("subscription_schedule", id)["phases"][0]["start_date"],
        }
        recurring = self.price["recurring"]
        then = {
            "duration": {name: recurring[name] for name in ("interval", "interval_count")},
            "items": [{"price": self.price["id"], "quantity": self.quantity}],
        }
        subscription_schedules.update(self.world, {"end_behavior": "release", "phases": [now, then]}, id)


def _days(price: Document) -> int:
    return int(DAYS[price["recurring"]["interval"]] * price["recurring"]["interval_count"])
