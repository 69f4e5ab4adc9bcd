"""What comes when a period is over: the next one with its invoice, or the end."""

from typing import Any

from sandbox.billing import drafting, ending, invoicing, lines, pausing, pending, scheduling, subscribing, waiting
from sandbox.billing.lines import Line
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World


@job("end_period")
def end_period(world: World, subscription: Document) -> None:
    """A period is over: the subscription ends, or a new period begins with an invoice."""
    if subscription["status"] in (*subscribing.ENDED, "incomplete", "paused"):
        return
    if subscription["pending_update"]:
        pending.expire(world, subscription)
    now = world.now(subscription["customer"])
    scheduling.enter_due_phase(world, subscription)
    if subscription["status"] in subscribing.ENDED or not _over(world, subscription, now):
        return
    if subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        ending.at_its_time(world, subscription)
    elif subscription["status"] == "trialing" and trial_ends_without_method(world, subscription):
        return
    else:
        renew(world, subscription)


def renew(world: World, subscription: Document) -> None:
    """Move each item to its next period and issue the invoice for it."""
    before = world.wire(subscription)
    invoice = draft(world, subscription)
    subscription["latest_invoice"] = invoice["id"] if invoice else subscription["latest_invoice"]
    world.save(subscription)
    world.emit("customer.subscription.updated", subscription, before)
    subscribing.plan_next(world, subscription)
    if invoice is None:
        return
    invoicing.wait(world, invoice)
    if subscription["status"] == "unpaid" or pausing.keeps_drafts(subscription):
        invoice.update(auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None)
        world.save(invoice)
        world.unschedule(invoice, "finalize_invoice")
    world.emit("invoice.created", invoice)


def draft(world: World, subscription: Document) -> Document | None:
    """Begin the next period of each item whose period is over, and draft the invoice for them.

    None when there is nothing to put on it.
    """
    now = world.now(subscription["customer"])
    due = [item for item in subscribing.items_of(world, subscription) if item["current_period_end"] <= now]
    span = min(item["current_period_start"] for item in due), min(item["current_period_end"] for item in due)
    if subscription["status"] == "trialing":
        subscription["status"] = "active"
    pending_items = waiting.items(world, subscription)[::-1]
    charged = waiting.take(world, pending_items)
    for item in due:
        charged += lines.for_usage(
            world, subscription, item, (item["current_period_start"], item["current_period_end"])
        )
        begin_period(world, subscription, item, item["current_period_end"])
        charged += lines.for_period(world, subscription, item)
    if not charged:
        return None
    invoice = drafting.draft(world, subscription, charged, "subscription_cycle", span)
    waiting.put_on(world, pending_items, invoice)
    return invoice


def begin_period(world: World, subscription: Document, item: Document, start: int) -> None:
    """Have an item's period begin, up to its next boundary, or the trial's or subscription's end before that."""
    end = lines.natural_period(world, subscription, item, start)[1]
    if subscription["status"] == "trialing":
        end = subscription["trial_end"]
    elif subscription["cancel_at"] and not subscription["cancel_at_period_end"] and subscription["cancel_at"] > start:
        end = min(end, subscription["cancel_at"])
    item.update(current_period_start=start, current_period_end=end)
    world.save(item)


def usage_until(world: World, subscription: Document, item: Document, now: int) -> list[Line]:
    """The lines for what was used of a metered item up to now, when its period is cut short."""
    return lines.for_usage(world, subscription, item, (item["current_period_start"], now))


def _over(world: World, subscription: Document, now: int) -> bool:
    return any(item["current_period_end"] <= now for item in subscribing.items_of(world, subscription))


def trial_ends_without_method(world: World, subscription: Document) -> bool:
    """Cancel or pause a trial that no method was given for, if that was asked for; says whether it was."""
    wish = subscription["missing_payment_method"]
    has_method = invoicing.default_method(world, subscription, subscription["customer"]) is not None
    if wish == "create_invoice" or has_method:
        return False
    if wish == "cancel":
        subscribing.cancel(world, subscription)
    else:
        pausing.pause_now(world, subscription, "trial_end_without_payment_method")
    return True


def recurring_lines(world: World, subscription: Document) -> list[Line]:
    """What each whole period of it costs, as if nothing had ever changed."""
    made: list[Any] = []
    for item in subscribing.items_of(world, subscription):
        start, end = lines.natural_period(world, subscription, item, item["current_period_start"])
        item.update(current_period_start=start, current_period_end=end)
        made += lines.for_period(world, subscription, item)
    return made
