"""The end of a pause: new periods, or the one that would be running; and what that costs."""

from typing import Any

from sandbox.billing import changing, dunning, invoicing, lines, pending, prorating, subscribing
from sandbox.billing.bills import Bill
from sandbox.errors import StripeError
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World

ATTEMPTED_WITHIN = 23 * 3600  # seconds


def resume(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """Go on: with a new period from now, or in the one that would be running. Charges what that costs."""
    if subscription["status"] != "paused":
        text = "You can only resume subscriptions with a status of `paused`."
        raise StripeError(text)
    _withdraw(world, subscription)
    before, old = world.wire(subscription), pending.snapshot(world, subscription)
    invoice = changing.draft(world, subscription, carry_out(world, subscription, params))
    new = pending.snapshot(world, subscription)
    if invoice and invoicing.amount_due(invoice) and params.get("payment_behavior") == "resume_on_payment_success":
        pending.restore(world, old, new)
        held = {"changes": pending.changes(old, new), "invoice": invoice["id"]}
        subscription.update(latest_invoice=invoice["id"], resumption=held)
        world.save(subscription)
        world.emit("customer.subscription.updated", subscription, before)
        _collect_first(world, subscription, invoice)
        return
    subscription["latest_invoice"] = invoice["id"] if invoice else subscription["latest_invoice"]
    _resumed(world, subscription, before)
    if invoice:
        _collect_later(world, invoice)


def settled(world: World, invoice: Document) -> None:
    """An invoice was paid or given up: a subscription that stays paused because of it goes on."""
    subscription = world.find(invoice["subscription"], "subscription")
    if subscription is None or subscription["status"] != "paused" or subscription["latest_invoice"] != invoice["id"]:
        return
    before, held = world.wire(subscription), subscription.get("resumption")
    if held and held["invoice"] == invoice["id"]:
        pending.carry_out(world, held["changes"])
        subscription["resumption"] = None
    world.unschedule(subscription, "void_resumption")
    _resumed(world, subscription, before)


def _collect_first(world: World, subscription: Document, invoice: Document) -> None:
    """The subscription waits for its payment: tried again like a renewal's, or dropped if there is nothing to try."""
    world.emit("invoice.created", invoice)
    invoicing.finalize(world, invoice)
    if invoicing.method_for(world, invoice) is None:
        due = world.now(subscription["customer"]) + ATTEMPTED_WITHIN
        world.schedule(due, "void_resumption", subscription)
        return
    invoicing.collect(world, invoice, automatic=False)
    if invoice["status"] == "open":
        dunning.plan_retry(world, invoice)
        world.save(invoice)


def _collect_later(world: World, invoice: Document) -> None:
    """Nobody waits for the payment: one attempt is made in an hour."""
    world.emit("invoice.created", invoice)
    invoicing.finalize(world, invoice)
    if invoice["status"] == "open":
        dunning.plan_only_attempt(world, invoice, invoicing.DRAFT_FOR)


@job("void_resumption")
def _withdraw(world: World, subscription: Document) -> None:
    """A resumption that was never paid for is not to come any more."""
    held = subscription.get("resumption")
    if held is None:
        return
    invoice = world.get("invoice", held["invoice"])
    subscription["resumption"] = None
    world.save(subscription)
    world.unschedule(subscription, "void_resumption")
    if invoice["status"] == "open":
        invoicing.void(world, invoice)


def _resumed(world: World, subscription: Document, before: dict[str, Any]) -> None:
    subscription.update(status="active", status_details=None)
    world.save(subscription)
    subscribing.plan_next(world, subscription)
    world.emit("customer.subscription.updated", subscription, before)
    world.emit("customer.subscription.resumed", subscription)


def carry_out(world: World, subscription: Document, params: dict[str, Any]) -> Bill:
    """Let it run again as asked, and say what that is to cost. Tells and charges nothing."""
    anew = (params.get("billing_cycle_anchor") or {}).get("type", "now") == "now"
    return _begin_anew(world, subscription) if anew else _go_on(world, subscription, params)


def _begin_anew(world: World, subscription: Document) -> Bill:
    """New periods begin now, charged in full."""
    changing.set_anchor(subscription, world.now(subscription["customer"]))
    subscription["status"] = "active"
    charges = changing.new_periods(world, subscription)
    return Bill(charges=charges, at_once=True, reason="subscription_cycle")


def _go_on(world: World, subscription: Document, params: dict[str, Any]) -> Bill:
    """The period that would be running had there been no pause goes on, for the rest of it charged as asked."""
    now, made = world.now(subscription["customer"]), []
    behaviour = params.get("proration_behavior", "create_prorations")
    subscription["status"] = "active"
    for item in subscribing.items_of(world, subscription):
        start, end = lines.natural_period(world, subscription, item, now)
        item.update(current_period_start=start, current_period_end=end)
        world.save(item)
    at = changing.proration_date(world, subscription, params.get("proration_date"), now)
    for item in subscribing.items_of(world, subscription):
        made += prorating.debit(world, subscription, item, at)
    if behaviour == "none":
        return Bill()
    return Bill(prorations=made, at_once=behaviour == "always_invoice")
