"""Other prices or quantities, another anchor or trial in the life of a subscription, and what that costs."""

from typing import Any

from sandbox.billing import (
    drafting,
    ending,
    invoicing,
    lines,
    modes,
    opening,
    prorating,
    renewing,
    subscribing,
    usage,
    waiting,
)
from sandbox.billing.bills import Bill
from sandbox.billing.lines import Line
from sandbox.errors import StripeError
from sandbox.params import merge_metadata
from sandbox.resources import invoice_items
from sandbox.resources.subscription_items import (
    check_currency,
    check_together,
    checked_item,
    checked_quantity,
    create_items,
    set_extras,
)
from sandbox.store import Document
from sandbox.world import World


def change(world: World, subscription: Document, params: dict[str, Any], before: dict[str, Any]) -> None:
    """Carry out what an update asks for, charge or credit it as asked, and tell what changed.

    before: the subscription's wire form before the request.
    Raises CardError for error_if_incomplete and a payment that fails.
    """
    trial_ends = params.get("trial_end") == "now" and subscription["status"] == "trialing"
    if trial_ends:
        subscription["trial_end"] = world.now(subscription["customer"])
        if renewing.trial_ends_without_method(world, subscription):
            return
    bill = carry_out(world, subscription, params)
    ending.plan_end(world, subscription, params)
    bill.add(ending.fit_periods(world, subscription, params))
    subscribing.plan_next(world, subscription)
    invoice = draft(world, subscription, bill)
    if invoice:
        subscription["latest_invoice"] = invoice["id"]
        world.save(subscription)
    if world.wire(subscription) != before:
        world.emit("customer.subscription.updated", subscription, before)
    if trial_ends:
        world.emit("customer.subscription.trial_will_end", subscription)
    if invoice:
        _collect(world, invoice, params)


def carry_out(world: World, subscription: Document, params: dict[str, Any]) -> Bill:
    """Change the subscription and its items as asked, and say what that is to cost. Tells and charges nothing."""
    now = world.now(subscription["customer"])
    at = proration_date(world, subscription, params.get("proration_date"), now)
    behaviour = params.get("proration_behavior", "create_prorations")
    prorated = behaviour != "none" and subscription["status"] not in ("trialing", "incomplete", "paused")
    if isinstance(params.get("trial_end"), int):
        opening.check_trial_end(params["trial_end"], now)
    if _begins_anew(world, subscription, params):
        return _begin_anew(world, subscription, params, at, prorated=prorated)
    made = _change_items(world, subscription, params.get("items") or [], at)
    if isinstance(params.get("trial_end"), int):
        move_trial_end(world, subscription, params["trial_end"])
    if not prorated:
        return Bill()
    return Bill(prorations=made, at_once=behaviour == "always_invoice" and bool(made))


def draft(world: World, subscription: Document, bill: Bill) -> Document | None:
    """Let the prorations wait, or draft the invoice on which they stand with all that waited."""
    for line in bill.prorations:
        invoice_items.create(world, subscription, line)
    if not bill.at_once:
        return None
    now = world.now(subscription["customer"])
    pending = waiting.items(world, subscription)
    starts = [item["current_period_start"] for item in subscribing.items_of(world, subscription)]
    span = min([now, *starts]), now
    charged = waiting.take(world, pending) + bill.charges
    invoice = drafting.draft(world, subscription, charged, bill.reason, span)
    waiting.put_on(world, pending, invoice)
    return invoice


def _begins_anew(world: World, subscription: Document, params: dict[str, Any]) -> bool:
    """Whether new periods begin with the change."""
    trialing, trial_end = subscription["status"] == "trialing", params.get("trial_end")
    if trial_end == "now":
        return trialing
    if trial_end is not None:
        return not trialing
    if (params.get("billing_cycle_anchor") or {}).get("type") == "now":
        return True
    return modes.is_classic(subscription) and not trialing and _resets_by_itself(world, params)


def _resets_by_itself(world: World, params: dict[str, Any]) -> bool:
    """Classic billing begins anew with another interval, and when what was free is not any more."""
    for wish in params.get("items") or []:
        price = world.find(wish.get("price") or wish.get("plan"), "price")
        item = world.find(wish.get("id"), "subscription_item")
        if price is None or item is None or price["recurring"] is None:
            continue
        old = world.get("price", item["price"])
        if any(old["recurring"][name] != price["recurring"][name] for name in ("interval", "interval_count")):
            return True
        if old["unit_amount"] == 0 and price["unit_amount"] != 0:
            return True
    return False


def _begin_anew(world: World, subscription: Document, params: dict[str, Any], at: int, *, prorated: bool) -> Bill:
    """Give back what is left of the running periods, and begin new ones now: of a trial, or charged."""
    now, trial_end = world.now(subscription["customer"]), params.get("trial_end")
    items = subscribing.items_of(world, subscription)
    credited = [line for item in items for line in prorating.credits(world, subscription, item, at)] if prorated else []
    credited += [line for item in items for line in renewing.usage_until(world, subscription, item, now)]
    _change_items(world, subscription, params.get("items") or [], at)
    if trial_end == "now":
        subscription.update(status="active", trial_end=now)
        world.unschedule(subscription, "warn_of_trial_end")
    elif trial_end:
        first = subscription["trial_start"] if modes.is_classic(subscription) else None
        subscription.update(status="trialing", trial_start=first or now)
        move_trial_end(world, subscription, trial_end)
    elif subscription["status"] == "trialing":
        subscription.update(status="active", trial_end=now)
    set_anchor(subscription, trial_end if isinstance(trial_end, int) else now)
    world.save(subscription)
    charges = new_periods(world, subscription)
    reason = "subscription_cycle" if trial_end == "now" else "subscription_update"
    return Bill(prorations=credited, charges=charges, at_once=True, reason=reason)


def new_periods(world: World, subscription: Document) -> list[Line]:
    """Begin a period of each item now; the lines that charge them."""
    charges: list[Line] = []
    for item in subscribing.items_of(world, subscription):
        renewing.begin_period(world, subscription, item, world.now(subscription["customer"]))
        charges += subscribing.lines_for(world, subscription, item)
    return charges


def move_trial_end(world: World, subscription: Document, end: int) -> None:
    """Let the trial, and with it the period, end then."""
    set_anchor(subscription, end)
    subscription["trial_end"] = end
    world.save(subscription)
    for item in subscribing.items_of(world, subscription):
        item["current_period_end"] = end
        world.save(item)
    world.unschedule(subscription, "warn_of_trial_end")
    subscribing.plan_trial_end(world, subscription)


def set_anchor(subscription: Document, at: int) -> None:
    """Count periods from then on from that instant."""
    subscription.update(billing_cycle_anchor=at, billing_cycle_anchor_config=None)


def _change_items(world: World, subscription: Document, given: list[dict[str, Any]], at: int) -> list[Line]:
    """Change the items; the lines that credit the old and charge the new for the rest of the period."""
    made: list[Line] = []
    for index, wish in enumerate(given):
        where = f"items[{index}]"
        if "id" not in wish:
            made += _add(world, subscription, wish, where, at)
            continue
        item = world.find(wish["id"], "subscription_item")
        if item is None or item.get("deleted") or item["subscription"] != subscription["id"]:
            text = f"The subscription `{subscription['id']}` has no item `{wish['id']}`."
            raise StripeError(text, code="resource_missing", param=f"{where}[id]")
        if wish.get("deleted"):
            made += _remove(world, subscription, item, at)
        else:
            made += _alter(world, subscription, item, wish, where, at)
    if given:
        left = subscribing.items_of(world, subscription)
        if not left:
            raise StripeError("A subscription must have at least one active plan.", param="items")
        check_together(world, left, subscription["currency"], subscription["billing_mode"]["type"])
    return made


def _alter(
    world: World, subscription: Document, item: Document, wish: dict[str, Any], where: str, at: int
) -> list[Line]:
    price = wish.get("price") or wish.get("plan") or wish.get("price_data")
    changes = checked_item(world, wish, where) if price else {}
    if changes:
        check_currency(world.get("price", changes["price"]), subscription["currency"], where)
    elif "quantity" in wish:
        param = f"{where}[quantity]"
        changes["quantity"] = checked_quantity(world.get("price", item["price"]), wish["quantity"], param)
    changes["metadata"] = merge_metadata(item["metadata"], wish.get("metadata", {}))
    same = all(item[name] == changes[name] for name in ("price", "quantity") if name in changes)
    made = [] if same else prorating.credits(world, subscription, item, at)
    if changes.get("price", item["price"]) != item["price"]:
        keep = not modes.is_classic(subscription)
        usage.price_changes(item, world.now(subscription["customer"]), keep=keep)
    item.update(changes)
    set_extras(world, subscription, item, wish, where)
    if same:
        world.save(item)
        return []
    _fit_period(world, subscription, item, at)
    return made + prorating.debit(world, subscription, item, at)


def _add(world: World, subscription: Document, wish: dict[str, Any], where: str, at: int) -> list[Line]:
    checked = checked_item(world, wish, where)
    check_currency(world.get("price", checked["price"]), subscription["currency"], where)
    over = any(item["current_period_end"] <= at for item in subscribing.items_of(world, subscription))
    item = create_items(world, subscription, [checked], at, at)[0]
    set_extras(world, subscription, item, wish, where)
    if over:  # the new item's first period begins with the others' next
        return []
    _fit_period(world, subscription, item, at)
    return prorating.debit(world, subscription, item, at)


def _remove(world: World, subscription: Document, item: Document, at: int) -> list[Line]:
    made = prorating.credits(world, subscription, item, at)
    if not modes.is_classic(subscription):
        made += renewing.usage_until(world, subscription, item, world.now(subscription["customer"]))
    item["deleted"] = True
    world.save(item)
    return made


def _fit_period(world: World, subscription: Document, item: Document, at: int) -> None:
    """With another interval the period ends at that interval's next boundary; the anchor stays."""
    if subscription["status"] == "trialing":
        item["current_period_end"] = subscription["trial_end"]
    elif at < item["current_period_end"] or item["current_period_start"] == item["current_period_end"]:
        start, end = lines.natural_period(world, subscription, item, at)
        cut = subscription["cancel_at"] if not subscription["cancel_at_period_end"] else None
        item["current_period_start"] = max(item["current_period_start"], start)
        item["current_period_end"] = min(end, cut or end)
    world.save(item)


def proration_date(world: World, subscription: Document, given: int | None, now: int) -> int:
    """The instant to prorate at: now unless told. Raises Stripe's error for one outside of the running period."""
    if given is None:
        return now
    for item in subscribing.items_of(world, subscription):
        if not item["current_period_start"] <= given <= item["current_period_end"]:
            text = "Cannot specify a proration_date outside of the subscription's current period"
            raise StripeError(text, param="proration_date")
    return given


def _collect(world: World, invoice: Document, params: dict[str, Any]) -> None:
    behaviour = params.get("payment_behavior", "allow_incomplete")
    world.emit("invoice.created", invoice)
    if invoice["collection_method"] == "send_invoice":
        invoicing.wait(world, invoice)
        return
    invoicing.finalize(world, invoice)
    if invoice["status"] != "open":
        return
    if behaviour == "default_incomplete":
        subscribing.fall_behind(world, invoice)
        return
    invoicing.collect(world, invoice, automatic=False, off_session=params.get("off_session", False))
    if behaviour == "error_if_incomplete":
        subscribing.insist(world, invoice)
