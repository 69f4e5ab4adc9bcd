"""When a subscription is to end, if that was asked for, and what is settled then."""

from typing import Any

from sandbox.billing import (
    changing,
    drafting,
    invoicing,
    lines,
    modes,
    periods,
    prorating,
    renewing,
    subscribing,
    waiting,
)
from sandbox.billing.bills import Bill
from sandbox.billing.lines import Line
from sandbox.errors import StripeError
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World

SCHEDULED = (
    "The subscription is managed by the subscription schedule `{}`, and updating any cancelation behavior directly is "
    "not allowed. Please update the schedule instead."
)


def plan_end(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """Have it end at the period's end or at an instant, or take that back. Credits wait for the next invoice."""
    if "cancel_at_period_end" not in params and "cancel_at" not in params:
        return
    if params.get("cancel_at") and params.get("cancel_at_period_end"):
        text = "You may only specify one of these parameters: cancel_at, cancel_at_period_end."
        raise StripeError(text, param="cancel_at")
    now = world.now(subscription["customer"])
    at = _end(world, subscription, params)
    if at is not None:
        periods.checked(at, "cancel_at")
        periods.check_future(at, now, "cancel_at")
    if subscription["schedule"] and (at is not None or subscription["cancel_at"] is not None):
        param = "cancel_at" if "cancel_at" in params else "cancel_at_period_end"
        raise StripeError(SCHEDULED.format(subscription["schedule"]), param=param)
    world.unschedule(subscription, "cancel_at")
    if at is None:
        if "cancel_at_period_end" in params or subscription["cancel_at"] is not None:
            subscription.update(cancel_at=None, cancel_at_period_end=False, canceled_at=None)
            subscription["cancellation"] = {**subscription["cancellation"], "reason": None}
    else:
        subscription.update(
            cancel_at=at,
            cancel_at_period_end=bool(params.get("cancel_at_period_end")),
            canceled_at=now,
            cancellation={**subscription["cancellation"], "reason": "cancellation_requested"},
        )
        world.schedule(at, "cancel_at", subscription)
        if _cuts_trial(subscription, at):
            changing.move_trial_end(world, subscription, at)
    world.save(subscription)


def _cuts_trial(subscription: Document, at: int) -> bool:
    """Classic billing ends a trial when the subscription does; flexible billing leaves it as it was."""
    trialing = subscription["status"] == "trialing" and modes.is_classic(subscription)
    return trialing and at < subscription["trial_end"]


def fit_periods(world: World, subscription: Document, params: dict[str, Any]) -> Bill:
    """Shorten the running periods to an end inside them, or lengthen them when it is gone; and what that gives back."""
    behaviour, made = params.get("proration_behavior", "create_prorations"), []
    if not {"cancel_at", "cancel_at_period_end"} & params.keys() or subscription["status"] in (
        "trialing",
        "incomplete",
    ):
        return Bill()
    for item in subscribing.items_of(world, subscription):
        start, old = item["current_period_start"], item["current_period_end"]
        end = lines.natural_period(world, subscription, item, start)[1]
        if subscription["cancel_at"] and not subscription["cancel_at_period_end"]:
            end = min(end, subscription["cancel_at"])
        if end < old:
            made += prorating.credits(world, subscription, item, end)
        item["current_period_end"] = end
        world.save(item)
        if end > old:
            made += prorating.debit(world, subscription, item, old)
    if behaviour == "none":
        return Bill()
    return Bill(prorations=made, at_once=behaviour == "always_invoice" and bool(made))


def _end(world: World, subscription: Document, params: dict[str, Any]) -> int | None:
    ends = [item["current_period_end"] for item in subscribing.items_of(world, subscription)]
    if params.get("cancel_at_period_end"):
        return int(max(ends))
    wish = params.get("cancel_at")
    if wish == "min_period_end":
        return int(min(ends))
    if wish in ("max_period_end", "max_billed_until"):
        return int(max(ends))
    return wish


@job("cancel_at")
def cancel_at(world: World, subscription: Document) -> None:
    if subscription["status"] not in subscribing.ENDED and subscription["cancel_at"] == world.now(
        subscription["customer"]
    ):
        at_its_time(world, subscription)


def at_its_time(world: World, subscription: Document) -> None:
    """The end that was asked for has come: what still waits is invoiced."""
    subscribing.cancel(world, subscription, at_period_end=True)
    settle(world, subscription)


def cancel_now(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """End it at once; give back unused time and invoice what waits, if that is asked for."""
    changing.draft(world, subscription, unused(world, subscription, params))
    subscribing.cancel(world, subscription, details=params.get("cancellation_details"))
    if params.get("invoice_now"):
        settle(world, subscription)


def unused(world: World, subscription: Document, params: dict[str, Any]) -> Bill:
    """What an end now gives back, and charges of usage."""
    now, items = world.now(subscription["customer"]), subscribing.items_of(world, subscription)
    made: list[Line] = []
    if params.get("prorate") and subscription["status"] not in (
        "incomplete",
        "trialing",
    ):
        made += [line for item in items for line in prorating.credits(world, subscription, item, now)]
    if params.get("invoice_now"):
        made += [line for item in items for line in renewing.usage_until(world, subscription, item, now)]
    return Bill(prorations=made)


def settle(world: World, subscription: Document) -> None:
    """Issue a last invoice for what waits on the subscription, if anything does."""
    pending = [item for item in waiting.items(world, subscription) if item["subscription"]]
    charged = waiting.take(world, pending)
    now = world.now(subscription["customer"])
    if not charged:
        return
    invoice = drafting.draft(world, subscription, charged, "subscription_update", (now, now))
    waiting.put_on(world, pending, invoice)
    subscription["latest_invoice"] = invoice["id"]
    world.save(subscription)
    world.emit("invoice.created", invoice)
    invoicing.finalize(world, invoice)
    if invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically":
        invoicing.collect(world, invoice, automatic=False)
