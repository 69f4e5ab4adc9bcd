"""Pauses: of the whole subscription, and of the collection of its invoices alone."""

from typing import Any

from sandbox.billing import changing, invoicing, modes, pending, periods, prorating, renewing, subscribing, usage
from sandbox.billing.bills import Bill
from sandbox.billing.lines import Line
from sandbox.errors import StripeError
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World


def pause(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """Stop its periods, and give back the unused time as asked. Raises Stripe's error for one that can't be paused."""
    if modes.is_classic(subscription):
        raise StripeError("Only subscriptions with `billing_mode=flexible` can be paused.")
    if subscription["collection_method"] != "charge_automatically":
        raise StripeError("Only subscriptions with `collection_method=charge_automatically` can be paused.")
    if subscription["schedule"]:
        raise StripeError("A subscription that is attached to a subscription schedule cannot be paused directly.")
    if subscription["status"] not in ("active", "trialing", "past_due"):
        raise StripeError(f"A subscription with the status {subscription['status']} cannot be paused.")
    if subscription["pending_update"]:
        pending.expire(world, subscription)
    made = _outstanding(world, subscription, params.get("bill_for") or {})
    at_once = params.get("invoicing_behavior") == "invoice" and bool(made)
    invoice = changing.draft(world, subscription, Bill(prorations=made, at_once=at_once))
    if invoice:
        subscription["latest_invoice"] = invoice["id"]
        world.save(subscription)
    pause_now(world, subscription, "pause_requested")
    if invoice:
        world.emit("invoice.created", invoice)
        invoicing.finalize(world, invoice)


def _outstanding(world: World, subscription: Document, asked: dict[str, Any]) -> list[Line]:
    """The lines for time that is not used any more and for usage up to now."""
    if subscription["status"] == "trialing":
        return []
    now, made = world.now(subscription["customer"]), []
    unused_from = (asked.get("unused_time_from") or {}).get("type", "now")
    used_through = (asked.get("outstanding_usage_through") or {}).get("type", "now")
    for item in subscribing.items_of(world, subscription):
        if unused_from != "none":
            at = now if unused_from == "now" else item["current_period_start"]
            made += prorating.credits(world, subscription, item, at)
        if used_through == "now":
            made += renewing.usage_until(world, subscription, item, now)
            usage.settled(item, now)
            world.save(item)
    return made


def pause_now(world: World, subscription: Document, why: str) -> None:
    world.unschedule(subscription, "end_period", "warn_of_trial_end", "announce_renewal")
    paused = {"subscription": {"type": why}, "transitioned_at": world.now(subscription["customer"])}
    details = {"paused": {**paused, "type": "subscription"}}
    world.update(subscription, "customer.subscription.updated", status="paused", status_details=details)
    world.emit("customer.subscription.paused", subscription)


# Collection


def set_collection(world: World, subscription: Document, wish: dict[str, Any] | None) -> None:
    """Invoices go on being made, but are kept as drafts, given up or voided; None collects again."""
    resumes_at = (wish or {}).get("resumes_at")
    if resumes_at is not None:
        periods.checked(resumes_at, "pause_collection[resumes_at]", after=world.now(subscription["customer"]))
    world.unschedule(subscription, "collect_again")
    subscription["pause_collection"] = wish and {"behavior": wish["behavior"], "resumes_at": resumes_at}
    if resumes_at is not None:
        world.schedule(resumes_at, "collect_again", subscription)


@job("collect_again")
def collect_again(world: World, subscription: Document) -> None:
    world.update(subscription, "customer.subscription.updated", pause_collection=None)


def keeps_drafts(subscription: Document) -> bool:
    return bool((subscription["pause_collection"] or {}).get("behavior") == "keep_as_draft")


def disposed_of(world: World, invoice: Document) -> bool:
    """Whether a finalized invoice is not to be collected, because collection is paused; it is given up then."""
    subscription = world.find(invoice["subscription"], "subscription")
    behavior = ((subscription and subscription["pause_collection"]) or {}).get("behavior")
    if behavior == "void":
        invoicing.void(world, invoice)
    elif behavior == "mark_uncollectible":
        invoicing.mark_uncollectible(world, invoice, "subscription_paused")
    return behavior in ("void", "mark_uncollectible")
