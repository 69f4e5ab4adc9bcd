"""Another price or quantity, or the end of a trial, in the life of a subscription."""

from decimal import Decimal
from typing import Any

from sandbox import money
from sandbox.billing import invoicing, lines, periods, subscribing
from sandbox.errors import StripeError
from sandbox.params import merge_metadata
from sandbox.resources import invoice_items
from sandbox.resources.subscription_items import check_together, checked_item, checked_quantity, create_items
from sandbox.store import Document
from sandbox.world import World


def change(world: World, subscription: Document, params: dict[str, Any], before: dict[str, Any]) -> None:
    """Carry out what an update asks of items and trial, charge or credit it as asked, and tell what changed.

    before: the subscription's wire form before the request.
    Raises CardError for error_if_incomplete and a payment that fails.
    """
    now = world.now(subscription["customer"])
    at = _proration_date(world, subscription, params.get("proration_date"), now)
    waiting: list[dict[str, Any]] = []
    if params.get("items"):
        waiting = _change_items(world, subscription, params["items"], at)
        subscribing.plan_next(world, subscription)
    if params.get("trial_end") == "now" and subscription["status"] == "trialing":
        _end_trial(world, subscription, params, before, now)
        return
    if params.get("trial_end") not in (None, "now"):
        raise StripeError("The sandbox can end a trial now, but not move its end yet.", param="trial_end")
    behaviour = params.get("proration_behavior", "create_prorations")
    prorated = behaviour != "none" and subscription["status"] not in ("trialing", "incomplete")
    pending = [invoice_items.create(world, subscription, line) for line in waiting] if prorated else []
    if pending and behaviour == "always_invoice":
        _invoice_now(world, subscription, params, before)
    elif world.wire(subscription) != before:
        world.emit("customer.subscription.updated", subscription, before)


def _change_items(world: World, subscription: Document, given: list[dict[str, Any]], at: int) -> list[dict[str, Any]]:
    """Change the items; the lines that credit the old and charge the new for the rest of the period."""
    made: list[dict[str, Any]] = []
    for index, wish in enumerate(given):
        where = f"items[{index}]"
        if "id" not in wish:
            made += _add(world, subscription, wish, where, at)
            continue
        item = world.find(wish["id"], "subscription_item")
        if item is None or item.get("deleted") or item["subscription"] != subscription["id"]:
            text = f"The subscription `{subscription['id']}` has no item `{wish['id']}`."
            raise StripeError(text, code="resource_missing", param=f"{where}[id]")
        made += (
            _remove(world, subscription, item, at)
            if wish.get("deleted")
            else _alter(world, subscription, item, wish, where, at)
        )
    left = subscribing.items_of(world, subscription)
    if not left:
        raise StripeError("A subscription must have at least one active plan.", param="items")
    check_together(world, [{"price": item["price"]} for item in left], subscription["currency"])
    return made


def _alter(
    world: World, subscription: Document, item: Document, wish: dict[str, Any], where: str, at: int
) -> list[dict[str, Any]]:
    price = wish.get("price") or wish.get("plan")
    changes = checked_item(world, wish, where) if price else {}
    if "quantity" in wish:
        changes["quantity"] = checked_quantity(wish["quantity"], f"{where}[quantity]")
    changes["metadata"] = merge_metadata(item["metadata"], wish.get("metadata", {}))
    same = all(item[name] == changes[name] for name in ("price", "quantity") if name in changes)
    if same:
        item.update(changes)
        world.save(item)
        return []
    credit = _credit(world, subscription, item, at)
    old_end = item["current_period_end"]
    item.update(changes)
    item["current_period_end"] = _period_end(world, subscription, item, old_end)
    world.save(item)
    return [credit, _debit(world, subscription, item, at)]


def _add(world: World, subscription: Document, wish: dict[str, Any], where: str, at: int) -> list[dict[str, Any]]:
    first = subscribing.items_of(world, subscription)[0]
    checked = checked_item(world, wish, where)
    span = first["current_period_start"], first["current_period_end"]
    item = create_items(world, subscription, [checked], *span)[0]
    return [_debit(world, subscription, item, at)]


def _remove(world: World, subscription: Document, item: Document, at: int) -> list[dict[str, Any]]:
    credit = _credit(world, subscription, item, at)
    item["deleted"] = True
    world.save(item)
    return [credit]


def _credit(world: World, subscription: Document, item: Document, at: int) -> dict[str, Any]:
    share = _share(item, at)
    amount = -money.rounded(lines.amount_per_period(world, subscription, item) * share)
    credited = _debited_on(world, subscription, item) or {"invoice": "", "invoice_line_items": []}
    return lines.proration(world, subscription, item, amount, (at, item["current_period_end"]), credited=credited)


def _debit(world: World, subscription: Document, item: Document, at: int) -> dict[str, Any]:
    amount = money.rounded(lines.amount_per_period(world, subscription, item) * _share(item, at))
    return lines.proration(world, subscription, item, amount, (at, item["current_period_end"]))


def _share(item: Document, at: int) -> Decimal:
    """The part of the item's period that is left, to the second."""
    whole = item["current_period_end"] - item["current_period_start"]
    return Decimal(item["current_period_end"] - at) / Decimal(whole)


def _debited_on(world: World, subscription: Document, item: Document) -> dict[str, Any] | None:
    """Where the item's running period was charged: the newest invoice line for it."""
    mine = "subscription = ? AND status <> 'draft'"
    for invoice in world.select("invoice", mine, (subscription["id"],), tail="ORDER BY sequence DESC LIMIT 10"):
        found = [
            line["id"] for line in invoice["lines"] if line["subscription_item"] == item["id"] and line["amount"] > 0
        ]
        if found:
            return {"invoice": invoice["id"], "invoice_line_items": found}
    return None


def _period_end(world: World, subscription: Document, item: Document, old_end: int) -> int:
    """With another interval the period ends one such interval after its start; the anchor stays."""
    if subscription["status"] == "trialing":
        return old_end
    recurring = world.get("price", item["price"])["recurring"]
    return periods.next_end(
        subscription["billing_cycle_anchor"],
        recurring["interval"],
        recurring["interval_count"],
        item["current_period_start"],
    )


def _proration_date(world: World, subscription: Document, given: int | None, now: int) -> int:
    if given is None:
        return now
    for item in subscribing.items_of(world, subscription):
        if not item["current_period_start"] <= given <= item["current_period_end"]:
            text = "Cannot specify a proration_date outside of the subscription's current period"
            raise StripeError(text, param="proration_date")
    return given


def _invoice_now(world: World, subscription: Document, params: dict[str, Any], before: dict[str, Any]) -> None:
    """Put all that waits on an invoice of its own, and collect it."""
    now = world.now(subscription["customer"])
    waiting = world.select("invoiceitem", "subscription = ? AND status = 'pending'", (subscription["id"],))
    start = min(item["period"]["start"] for item in (i["line"] for i in waiting))
    period = min(start, *(i["current_period_start"] for i in subscribing.items_of(world, subscription))), now
    charged = [lines.for_pending(world, item) for item in waiting]
    invoice = invoicing.draft(world, subscription, charged, "subscription_update", period)
    for item in waiting:
        item.update(status="invoiced", invoice=invoice["id"])
        world.save(item)
    _tell_and_collect(world, subscription, invoice, params, before)


def _tell_and_collect(
    world: World, subscription: Document, invoice: Document, params: dict[str, Any], before: dict[str, Any]
) -> None:
    behaviour = params.get("payment_behavior", "allow_incomplete")
    subscription["latest_invoice"] = invoice["id"]
    world.save(subscription)
    world.emit("customer.subscription.updated", subscription, before)
    world.emit("invoice.created", invoice)
    invoicing.finalize(world, invoice)
    if invoice["status"] != "open" or behaviour == "default_incomplete":
        return
    invoicing.collect(world, invoice, automatic=False)
    if behaviour == "error_if_incomplete":
        subscribing.insist(world, invoice)


def _end_trial(world: World, subscription: Document, params: dict[str, Any], before: dict[str, Any], now: int) -> None:
    """The trial is over at once: a period begins now, charged now."""
    subscription.update(billing_cycle_anchor=now, status="active", trial_end=now)
    items = subscribing.items_of(world, subscription)
    period = min(item["current_period_start"] for item in items), now
    for item in items:
        item["current_period_start"] = now
        item["current_period_end"] = _period_end(world, subscription, item, now)
        world.save(item)
    world.unschedule(subscription, "warn_of_trial_end")
    subscribing.plan_next(world, subscription)
    charged = [lines.for_period(world, subscription, item) for item in items]
    invoice = invoicing.draft(world, subscription, charged, "subscription_cycle", period)
    _tell_and_collect(world, subscription, invoice, params, before)
