"""When a subscription is to end, if that was asked for."""

from typing import Any

from sandbox.billing import subscribing
from sandbox.errors import StripeError, not_built
from sandbox.store import Document
from sandbox.world import World


def plan_end(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """Have it end at the period's end or at an instant, or take that back."""
    now = world.now(subscription["customer"])
    if params.get("cancel_at") and params.get("cancel_at_period_end"):
        text = "You may only specify one of these parameters: cancel_at, cancel_at_period_end."
        raise StripeError(text, param="cancel_at")
    if "cancel_at_period_end" not in params and "cancel_at" not in params:
        return
    at = _end(world, subscription, params)
    world.unschedule(subscription, "cancel_at")
    if at is None:
        if "cancel_at_period_end" in params or subscription["cancel_at"] is not None:
            subscription.update(cancel_at=None, cancel_at_period_end=False, canceled_at=None)
            subscription["cancellation"] = {**subscription["cancellation"], "reason": None}
        return
    if at <= now:
        raise StripeError("Invalid timestamp: must be an integer Unix timestamp in the future", param="cancel_at")
    subscription.update(
        cancel_at=at,
        cancel_at_period_end=bool(params.get("cancel_at_period_end")),
        canceled_at=now,
        cancellation={**subscription["cancellation"], "reason": "cancellation_requested"},
    )
    world.schedule(at, "cancel_at", subscription)


def _end(world: World, subscription: Document, params: dict[str, Any]) -> int | None:
    ends = [item["current_period_end"] for item in subscribing.items_of(world, subscription)]
    if params.get("cancel_at_period_end"):
        return int(max(ends))
    wish = params.get("cancel_at")
    if wish == "min_period_end":
        return int(min(ends))
    if wish in ("max_period_end", "max_billed_until"):
        return int(max(ends))
    if isinstance(wish, int) and wish < min(ends) and params.get("proration_behavior") != "none":
        raise not_built("prorations for a cancel_at inside the period (proration_behavior=none works)")
    return wish
