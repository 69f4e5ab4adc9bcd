"""Subscription schedules: what is to change later, changes then."""

from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly, previous, refused, types
from tests.sandbox_process import DAY, SandboxProcess


def subscribed(stripe_api: Any, price: Any) -> Any:
    customer = customer_with(stripe_api)
    return stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})


def downgrade_later(stripe_api: Any, subscription: Any, price: Any) -> Any:
    """What a shop does to have another price from the next period on."""
    schedule = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
    now = schedule.phases[0]
    kept = {"items": [{"price": now["items"][0].price, "quantity": 1}], "start_date": now.start_date}
    new = {"items": [{"price": price.id, "quantity": 1}], "metadata": {"plan": "basic"}}
    phases = [{**kept, "end_date": now.end_date}, {**new, "proration_behavior": "none"}]
    return stripe_api.subscription_schedules.update(schedule.id, {"phases": phases, "end_behavior": "release"})


def test_adopted_subscription_has_one_phase_as_it_is(sandbox: SandboxProcess, stripe_api: Any) -> None:
    price = monthly(stripe_api)
    subscription = subscribed(stripe_api, price)
    before = sandbox.mark()
    schedule = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
    item = subscription["items"].data[0]
    assert (schedule.status, schedule.end_behavior, schedule.subscription) == ("active", "release", subscription.id)
    phase = schedule.phases[0]
    assert (phase.start_date, phase.end_date) == (item.current_period_start, item.current_period_end)
    assert (phase["items"][0].price, phase["items"][0].quantity) == (price.id, 1)
    assert (schedule.current_phase.start_date, schedule.current_phase.end_date) == (phase.start_date, phase.end_date)
    assert stripe_api.subscriptions.retrieve(subscription.id).schedule == schedule.id
    events = sandbox.events(since=before)
    assert types(events) == ["subscription_schedule.created", "customer.subscription.updated"]
    assert previous(events[1]) == {"schedule": None}


def test_schedule_that_begins_with_nothing_to_charge_waits_for_its_first_payment(
    sandbox: SandboxProcess, stripe_api: Any
) -> None:
    """Nobody is there to be refused."""
    customer = stripe_api.customers.create({})
    phases = [{"items": [{"price": monthly(stripe_api).id}]}]
    start = sandbox.now() + DAY
    params = {"customer": customer.id, "start_date": start, "phases": phases}
    schedule = stripe_api.subscription_schedules.create(params)
    sandbox.advance_to(start)
    schedule = stripe_api.subscription_schedules.retrieve(schedule.id, {"expand": ["subscription.latest_invoice"]})
    subscription = schedule.subscription
    assert (schedule.status, subscription.status) == ("active", "incomplete")
    assert (subscription.latest_invoice.status, subscription.latest_invoice.amount_due) == ("open", 500)


def test_downgrade_takes_place_at_the_periods_end(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Nothing changes before; the renewal charges the new price, and then the schedule lets go."""
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    subscription = subscribed(stripe_api, premium)
    schedule = downgrade_later(stripe_api, subscription, basic)
    item = subscription["items"].data[0]
    assert schedule.phases[1].start_date == item.current_period_end
    unchanged = stripe_api.subscriptions.retrieve(subscription.id)
    assert (unchanged["items"].data[0].price.id, unchanged.status) == (premium.id, "active")
    shown = stripe_api.invoices.create_preview({"subscription": subscription.id})
    assert [line.amount for line in shown.lines.data] == [500]

    before = sandbox.mark()
    sandbox.advance_to(item.current_period_end + 60)
    events = sandbox.events(since=before)
    assert types(events) == [
        "customer.subscription.updated",
        "subscription_schedule.updated",
        "customer.subscription.updated",
        "invoice.created",
    ]
    assert sorted(previous(events[0])) == ["items", "metadata"]
    assert sorted(previous(events[1])) == ["current_phase"]
    changed = stripe_api.subscriptions.retrieve(subscription.id)
    assert (changed["items"].data[0].id, changed["items"].data[0].price.id) == (item.id, basic.id)
    assert changed.metadata["plan"] == "basic"
    sandbox.advance(hours=2)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert ([line.amount for line in renewal.lines.data], renewal.status) == ([500], "paid")

    end = schedule.phases[1].end_date
    before = sandbox.mark()
    sandbox.advance_to(end + 60)
    events = sandbox.events(since=before)
    assert types(events) == [
        "subscription_schedule.expiring",
        "subscription_schedule.released",
        "customer.subscription.updated",
        "customer.subscription.updated",
        "invoice.created",
    ]
    assert events[0].created == end - 7 * DAY
    released = stripe_api.subscription_schedules.retrieve(schedule.id)
    assert (released.status, released.subscription, released.released_subscription) == (
        "released",
        None,
        subscription.id,
    )
    assert stripe_api.subscriptions.retrieve(subscription.id).schedule is None


def test_cancelling_is_refused_while_a_schedule_is_attached(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api))
    schedule = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
    for change in ({"cancel_at_period_end": True}, {"cancel_at": sandbox.now() + 5 * DAY}):
        error = refused(stripe_api.subscriptions.update, subscription.id, change)
        assert error.http_status == 400
        assert f"managed by the subscription schedule `{schedule.id}`" in error.user_message
    assert stripe_api.subscriptions.retrieve(subscription.id).cancel_at is None
    stripe_api.subscription_schedules.release(schedule.id)
    assert stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": True}).cancel_at is not None


def test_released_schedule_leaves_the_subscription_as_it_is(sandbox: SandboxProcess, stripe_api: Any) -> None:
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    subscription = subscribed(stripe_api, premium)
    schedule = downgrade_later(stripe_api, subscription, basic)
    before = sandbox.mark()
    released = stripe_api.subscription_schedules.release(schedule.id)
    assert (released.status, released.current_phase) == ("released", None)
    assert types(sandbox.events(since=before)) == ["subscription_schedule.released", "customer.subscription.updated"]
    sandbox.advance(days=33)
    assert stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == premium.id
    for keep in (True, False):
        ending = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
        stripe_api.subscription_schedules.update(ending.id, {"end_behavior": "cancel"})
        stripe_api.subscription_schedules.release(ending.id, {"preserve_cancel_date": keep})
        ends = stripe_api.subscriptions.retrieve(subscription.id)
        assert ends.cancel_at == (ending.phases[0].end_date if keep else None)
        stripe_api.subscriptions.update(subscription.id, {"cancel_at": ""})
    assert "It must be in one of these" in refused(stripe_api.subscription_schedules.release, schedule.id).user_message


def test_canceled_schedule_ends_its_subscription(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api))
    schedule = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
    canceled = stripe_api.subscription_schedules.cancel(schedule.id, {"prorate": False, "invoice_now": False})
    assert canceled.status == "canceled"
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "canceled"


def test_schedule_that_starts_later_makes_its_subscription_then(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """It completes with its last phase, and the subscription ends as asked."""
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    start = sandbox.now() + 5 * DAY
    duration = {"interval": "month", "interval_count": 2}
    params = {
        "customer": customer.id,
        "start_date": start,
        "end_behavior": "cancel",
        "phases": [{"items": [{"price": price.id}], "duration": duration}],
    }
    schedule = stripe_api.subscription_schedules.create(params)
    assert (schedule.status, schedule.subscription, schedule.current_phase) == ("not_started", None, None)
    before = sandbox.mark()
    sandbox.advance(days=6)
    assert "customer.subscription.created" in types(sandbox.events(since=before))
    active = stripe_api.subscription_schedules.retrieve(schedule.id)
    subscription = stripe_api.subscriptions.retrieve(active.subscription)
    assert (active.status, subscription.status, subscription.start_date) == ("active", "active", start)
    sandbox.advance(days=62)
    assert stripe_api.subscription_schedules.retrieve(schedule.id).status == "completed"
    ended = stripe_api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", active.phases[0].end_date)
    paid = stripe_api.invoices.list({"subscription": subscription.id, "status": "paid"}).data
    assert [invoice.amount_paid for invoice in paid] == [500, 500]


def test_change_of_the_running_phase_takes_place_now(sandbox: SandboxProcess, stripe_api: Any) -> None:
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    subscription = subscribed(stripe_api, basic)
    schedule = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
    now = schedule.phases[0]
    sandbox.advance(days=10)
    phases = [{"items": [{"price": premium.id}], "start_date": now.start_date, "end_date": now.end_date}]
    stripe_api.subscription_schedules.update(schedule.id, {"phases": phases, "proration_behavior": "always_invoice"})
    changed = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    assert changed["items"].data[0].price.id == premium.id
    assert [line.amount > 0 for line in changed.latest_invoice.lines.data] == [False, True]


def test_subscription_that_dies_of_non_payment_aborts_its_schedule(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api))
    schedule = downgrade_later(stripe_api, subscription, monthly(stripe_api, 300, "Small"))
    bad = stripe_api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    sandbox.advance(days=48)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "canceled"
    assert stripe_api.subscription_schedules.retrieve(schedule.id).status == "canceled"
    assert len(sandbox.events("subscription_schedule.aborted")) == 1


def test_list_by_customer_and_start(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api))
    schedule = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
    found = stripe_api.subscription_schedules.list({"customer": subscription.customer}).data
    assert [one.id for one in found] == [schedule.id]
    assert stripe_api.subscription_schedules.list({"scheduled": True}).data == []


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"from_subscription": "sub_none"}, "resource_missing", "from_subscription"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"end_behavior": "release"}, "parameter_missing", "customer"),
        ({"phases": [{"items": [{"price": "price_none"}]}], "from_subscription": "sub_x"}, None, "phases"),
    ],
)
def test_bad_input_is_refused(stripe_api: Any, params: dict[str, Any], code: str | None, param: str) -> None:
    error = refused(stripe_api.subscription_schedules.create, params)
    assert (error.http_status, error.code, error.param) == (400, code, param)


def test_phases_must_follow_each_other(sandbox: SandboxProcess, stripe_api: Any) -> None:
    price = monthly(stripe_api)
    subscription = subscribed(stripe_api, price)
    schedule = stripe_api.subscription_schedules.create({"from_subscription": subscription.id})
    end, items = schedule.phases[0].end_date, [{"price": price.id}]
    start = schedule.phases[0].start_date
    for phases, param in (
        ([{"items": items}], "phases[0][start_date]"),
        ([{"items": items, "start_date": start + 9, "end_date": end}], "phases[0][start_date]"),
        ([{"items": items, "start_date": start}, {"items": items}], "phases[0][end_date]"),
        ([{"items": items, "start_date": start, "end_date": start - 5}], "phases[0][end_date]"),
        (
            [{"items": items, "start_date": start, "end_date": end}, {"items": items, "start_date": end + 1}],
            "phases[1][start_date]",
        ),
    ):
        error = refused(stripe_api.subscription_schedules.update, schedule.id, {"phases": phases})
        assert (error.http_status, error.param) == (400, param)
    assert len(stripe_api.subscription_schedules.retrieve(schedule.id).phases) == 1
