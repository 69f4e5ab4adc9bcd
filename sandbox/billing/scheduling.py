"""Subscription schedules: phases that a subscription enters at their time, and what follows the last."""

from typing import Any

from sandbox.billing import adding, changing, discounting, ending, invoicing, opening, periods, phases, subscribing
from sandbox.billing.phases import Phase
from sandbox.errors import StripeError, missing
from sandbox.jobs import job
from sandbox.params import merge_metadata
from sandbox.store import Document
from sandbox.world import World

EXPIRING = 7 * periods.DAY  # seconds before the last phase ends


def start(world: World, schedule: Document, *, asked: bool) -> None:
    """Begin: the first phase makes the subscription.

    asked: somebody is there to be told that there is nothing to charge; else it waits for its first payment.
    """
    first = schedule["phases"][0]
    params: dict[str, Any] = {
        "backdate_start_date": first["start_date"],
        "billing_mode": {"type": schedule["billing_mode"]["type"]},
        "customer": schedule["customer"],
        "items": [{name: value for name, value in item.items() if value} for item in first["items"]],
        **{name: first[name] for name in ("metadata", "trial_end") if first[name]},
        **{name: first[name] for name in ("collection_method", "currency", "default_payment_method", "discounts")},
        **{name: first[name] for name in ("default_tax_rates", "description", "proration_behavior")},
        "days_until_due": (first["invoice_settings"] or {}).get("days_until_due"),
    }
    params = {name: value for name, value in params.items() if value is not None}
    subscription = opening.make(world, params)
    subscription["schedule"] = schedule["id"]
    world.save(subscription)
    schedule.update(status="active", subscription=subscription["id"], current=0)
    world.save(schedule)
    if not asked and invoicing.default_method(world, subscription, subscription["customer"]) is None:
        params["payment_behavior"] = "default_incomplete"
    subscribing.start(world, subscription, params)
    plan(world, schedule)


def replace(world: World, schedule: Document, params: dict[str, Any]) -> None:
    """Keep what is over, let the rest be as asked; what changes of the running phase changes the subscription now."""
    now, given, old = world.now(schedule["customer"]), params["phases"] or [], schedule["phases"]
    first = (given[0].get("start_date") if given else None) or None
    if first is None:
        raise missing("phases[0][start_date]")
    start = now if first == "now" else first
    mode, currency = schedule["billing_mode"]["type"], old[0]["currency"]
    made = phases.checked(world, given, start, now, mode, currency)
    if schedule["status"] == "not_started":
        schedule.update(phases=made, warned=False)
        world.save(schedule)
        return
    running = old[schedule["current"]]
    over = [phase for phase in old[: schedule["current"]] if phase["end_date"] <= start]
    if first == "now" and running["start_date"] < now:
        over.append({**running, "end_date": now})
    elif start not in [phase["start_date"] for phase in old[: schedule["current"] + 1]]:
        text = "You can not modify the start date of the current phase."
        raise StripeError(text, param="phases[0][start_date]")
    whole = over + made
    current = next((i for i, phase in enumerate(whole) if phase["start_date"] <= now < phase["end_date"]), None)
    if current is None:
        text = "The current phase must end in the future: its `end_date` has passed."
        raise StripeError(text, param="phases[0][end_date]")
    schedule.update(phases=whole, current=current, warned=False)
    world.save(schedule)
    subscription = world.get("subscription", schedule["subscription"])
    behaviour = params.get("proration_behavior", "create_prorations")
    phase = whole[current]
    change(
        world, subscription, {**phase, "billing_cycle_anchor": None}, behaviour, world.wire(subscription), renews=False
    )


def plan(world: World, schedule: Document) -> None:
    """Schedule what comes next of itself."""
    world.unschedule(schedule, "enter_phase", "warn_of_schedule_end")
    if schedule["status"] == "not_started":
        world.schedule(schedule["phases"][0]["start_date"], "enter_phase", schedule)
    elif schedule["status"] == "active":
        world.schedule(schedule["phases"][schedule["current"]]["end_date"], "enter_phase", schedule)
        warning = schedule["phases"][-1]["end_date"] - EXPIRING
        if not schedule["warned"]:
            world.schedule(max(warning, world.now(schedule["customer"])), "warn_of_schedule_end", schedule)


@job("warn_of_schedule_end")
def warn(world: World, schedule: Document) -> None:
    if schedule["status"] == "active" and not schedule["warned"]:
        schedule["warned"] = True
        world.save(schedule)
        world.emit("subscription_schedule.expiring", schedule)


@job("enter_phase")
def enter_phase(world: World, schedule: Document) -> None:
    """A phase begins, or the last one is over."""
    if schedule["status"] == "not_started" and schedule["phases"][0]["start_date"] <= world.now(schedule["customer"]):
        before = world.wire(schedule)
        start(world, schedule, asked=False)
        world.emit("subscription_schedule.updated", schedule, before)
        return
    subscription = world.find(schedule["subscription"], "subscription")
    if subscription is not None:
        enter_due_phase(world, subscription)


def enter_due_phase(world: World, subscription: Document) -> None:
    """Enter the phase that is due, if one is, so that a renewal charges what is new."""
    schedule = world.find(subscription["schedule"], "subscription_schedule")
    if schedule is None or schedule["status"] != "active":
        return
    now = world.now(subscription["customer"])
    while schedule["status"] == "active" and schedule["phases"][schedule["current"]]["end_date"] <= now:
        before = world.wire(schedule)
        if schedule["current"] + 1 < len(schedule["phases"]):
            schedule["current"] += 1
            world.save(schedule)
            _enter(world, subscription, schedule["phases"][schedule["current"]])
            world.emit("subscription_schedule.updated", schedule, before)
        else:
            _finish(world, schedule, subscription)
    plan(world, schedule)


def _enter(world: World, subscription: Document, phase: Phase) -> None:
    """Make the subscription what the phase says. At a period's end nothing is prorated: the renewal comes next."""
    before, now = world.wire(subscription), world.now(subscription["customer"])
    customer = world.get("customer", subscription["customer"])
    items = subscribing.items_of(world, subscription)
    for name in ("collection_method", "default_payment_method", "description"):
        subscription[name] = phase[name] or subscription[name]
    if phase["discounts"]:
        old, on = subscription["discounts"], {"subscription": subscription["id"]}
        subscription["discounts"] = discounting.redeem(world, phase["discounts"], customer, old, **on)
    subscription["default_tax_rates"] = phase["default_tax_rates"] or subscription["default_tax_rates"]
    subscription["metadata"] = merge_metadata(subscription["metadata"], phase["metadata"])
    world.save(subscription)
    adding.to_subscription(world, subscription, phase["add_invoice_items"])
    change(world, subscription, phase, phase["proration_behavior"], before, renews=_all_over(items, now))


def change(
    world: World, subscription: Document, phase: Phase, proration_behavior: str, before: dict[str, Any], *, renews: bool
) -> None:
    """Give the subscription the phase's items, anchor and trial, charged as told.

    renews: its periods are over and the next ones are about to begin.
    """
    items = subscribing.items_of(world, subscription)
    params: dict[str, Any] = {"proration_behavior": proration_behavior}
    if phases.differs(world, phase, items):
        params["items"] = phases.wishes(phase, items)
    if phase["trial_end"] and phase["trial_end"] != subscription["trial_end"]:
        params["trial_end"] = phase["trial_end"]
    if phase["billing_cycle_anchor"] == "phase_start" or _other_interval(world, phase, items):
        if renews:
            changing.set_anchor(subscription, world.now(subscription["customer"]))
        else:
            params["billing_cycle_anchor"] = {"type": "now"}
    bill = changing.carry_out(world, subscription, params)
    invoice = changing.draft(world, subscription, bill)
    subscription["latest_invoice"] = invoice["id"] if invoice else subscription["latest_invoice"]
    world.save(subscription)
    if not renews:
        subscribing.plan_next(world, subscription)
    if world.wire(subscription) != before:
        world.emit("customer.subscription.updated", subscription, before)
    if invoice:
        world.emit("invoice.created", invoice)
        invoicing.finalize(world, invoice)
        if invoice["status"] == "open":
            invoicing.collect(world, invoice, automatic=True)


def _all_over(items: list[Document], now: int) -> bool:
    return all(item["current_period_end"] <= now for item in items)


def _other_interval(world: World, phase: Phase, items: list[Document]) -> bool:
    def intervals(of: Any) -> set[tuple[str, int]]:
        found = [world.get("price", item["price"])["recurring"] for item in of]
        return {(recurring["interval"], recurring["interval_count"]) for recurring in found}

    return intervals(phase["items"]) != intervals(items)


def _finish(world: World, schedule: Document, subscription: Document) -> None:
    """The last phase is over."""
    if schedule["end_behavior"] == "cancel":
        _end(world, schedule, "completed")
        subscribing.cancel(world, subscription, at_period_end=True)
        ending.settle(world, subscription)
    else:
        release(world, schedule)


def release(world: World, schedule: Document, *, keep_end: bool = False) -> None:
    """Let the subscription go on by itself; keep_end: until the end that the schedule would have brought."""
    subscription = world.find(schedule["subscription"], "subscription")
    schedule["released_subscription"], schedule["subscription"] = schedule["subscription"], None
    _end(world, schedule, "released")
    if subscription is None:
        return
    before = world.wire(subscription)
    subscription["schedule"] = None
    if keep_end and schedule["end_behavior"] == "cancel":
        ending.plan_end(world, subscription, {"cancel_at": schedule["phases"][-1]["end_date"]})
    world.save(subscription)
    world.emit("customer.subscription.updated", subscription, before)


def cancel(world: World, schedule: Document, params: dict[str, Any]) -> None:
    """End the schedule and, at once, its subscription."""
    subscription = world.find(schedule["subscription"], "subscription")
    _end(world, schedule, "canceled")
    if subscription and subscription["status"] not in subscribing.ENDED:
        wish = {"invoice_now": params.get("invoice_now", True), "prorate": params.get("prorate", True)}
        ending.cancel_now(world, subscription, wish)


def subscription_ended(world: World, subscription: Document, reason: str) -> None:
    """A subscription came to its end by other ways: its schedule ends with it."""
    schedule = world.find(subscription["schedule"], "subscription_schedule")
    if schedule and schedule["status"] in ("active", "not_started"):
        _end(world, schedule, "canceled", "aborted" if reason == "payment_failed" else "canceled")


def _end(world: World, schedule: Document, status: str, event: str | None = None) -> None:
    world.unschedule(schedule, "enter_phase", "warn_of_schedule_end")
    schedule.update({"status": status, f"{status}_at": world.now(schedule["customer"]), "current": None})
    world.save(schedule)
    world.emit(f"subscription_schedule.{event or status}", schedule)
