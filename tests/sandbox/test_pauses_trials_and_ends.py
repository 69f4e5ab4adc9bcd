"""Pauses, trials and ends: what each gives back, charges and tells."""

from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly, previous, refused, types
from tests.sandbox_process import DAY, SandboxProcess

HOUR = 3600


def subscribed(stripe_api: Any, amount: int = 1000, **more: Any) -> Any:
    customer, price = customer_with(stripe_api), monthly(stripe_api, amount)
    params = {"customer": customer.id, "items": [{"price": price.id}], "expand": ["latest_invoice"]}
    return stripe_api.subscriptions.create(params | more)


def half_over(sandbox: SandboxProcess, subscription: Any) -> int:
    """Go to the middle of the running period."""
    item = subscription["items"].data[0]
    return sandbox.advance_to((item.current_period_start + item.current_period_end) // 2)


def pending(stripe_api: Any, subscription: Any) -> list[int]:
    found = stripe_api.invoice_items.list({"customer": subscription.customer, "pending": True}).data
    return [item.amount for item in found]


def test_paused_subscription_stands_still(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """No invoices and no periods; the unused half is credited, and a resumption begins anew."""
    subscription = subscribed(stripe_api)
    half_over(sandbox, subscription)
    before = sandbox.mark()
    paused = stripe_api.subscriptions.pause(subscription.id, {"type": "subscription"})
    assert (paused.status, paused.status_details.paused.subscription.type) == ("paused", "pause_requested")
    events = sandbox.events(since=before)
    assert types(events) == [
        "invoiceitem.created",
        "customer.subscription.updated",
        "customer.subscription.paused",
    ]
    assert pending(stripe_api, subscription) == [-500]
    before = sandbox.mark()
    sandbox.advance(days=90)
    assert sandbox.events(since=before) == []

    resumed = stripe_api.subscriptions.resume(subscription.id, {"expand": ["latest_invoice"]})
    assert resumed.status == "active"
    item = resumed["items"].data[0]
    assert resumed.billing_cycle_anchor == item.current_period_start >= paused.billing_cycle_anchor + 100 * DAY
    assert [line.amount for line in resumed.latest_invoice.lines.data] == [-500, 1000]
    assert types(sandbox.events(since=before)) == [
        "customer.subscription.updated",
        "customer.subscription.resumed",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
    ]
    sandbox.advance(hours=2)
    assert stripe_api.invoices.retrieve(resumed.latest_invoice.id).amount_paid == 500
    again = refused(stripe_api.subscriptions.resume, subscription.id)
    assert "status of `paused`" in again.user_message


def test_resumption_that_waits_for_its_payment(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api)
    stripe_api.subscriptions.pause(subscription.id, {"type": "subscription"})
    bad = stripe_api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    sandbox.advance(days=60)
    params = {"payment_behavior": "resume_on_payment_success", "expand": ["latest_invoice"]}
    waiting = stripe_api.subscriptions.resume(subscription.id, params)
    assert (waiting.status, waiting.latest_invoice.status) == ("active", "paid"), "the credit pays for the first period"
    subscription = subscribed(stripe_api)
    stripe_api.subscriptions.pause(subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    bad = stripe_api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    waiting = stripe_api.subscriptions.resume(subscription.id, params)
    assert (waiting.status, waiting.latest_invoice.status) == ("paused", "open")
    good = stripe_api.payment_methods.attach("pm_card_visa", {"customer": subscription.customer})
    stripe_api.invoices.pay(waiting.latest_invoice.id, {"payment_method": good.id})
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"


def paused_with(stripe_api: Any, card: str | None) -> Any:
    """A paused subscription, nothing given back, whose only method then is that card."""
    subscription = subscribed(stripe_api)
    stripe_api.subscriptions.pause(subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    for method in stripe_api.customers.payment_methods.list(subscription.customer).data:
        stripe_api.payment_methods.detach(method.id)
    if card:
        method = stripe_api.payment_methods.attach(card, {"customer": subscription.customer})
        stripe_api.subscriptions.update(subscription.id, {"default_payment_method": method.id})
    return subscription


def test_resumption_that_is_asked_for_twice_is_charged_once(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Until it is paid the subscription stays as it was; the second invoice takes the place of the first."""
    subscription = paused_with(stripe_api, "pm_card_chargeCustomerFail")
    sandbox.advance(days=40)
    wish = {"payment_behavior": "resume_on_payment_success"}
    first = stripe_api.subscriptions.resume(subscription.id, wish)
    assert (first.status, first.billing_cycle_anchor) == ("paused", subscription.billing_cycle_anchor)
    sandbox.advance(days=1)
    second = stripe_api.subscriptions.resume(subscription.id, wish)
    assert stripe_api.invoices.retrieve(first.latest_invoice).status == "void"
    good = stripe_api.payment_methods.attach("pm_card_visa", {"customer": subscription.customer})
    stripe_api.invoices.pay(second.latest_invoice, {"payment_method": good.id})
    resumed = stripe_api.subscriptions.retrieve(subscription.id)
    assert resumed.status == "active"
    assert resumed.billing_cycle_anchor == resumed["items"].data[0].current_period_start > first.billing_cycle_anchor
    assert len(stripe_api.charges.list({"customer": subscription.customer}).data) == 2 + 2, "two of them declined"


def test_resumption_that_waits_is_tried_again_or_voided(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """As a renewal is; after 23 hours when there is nothing to try."""
    wish = {"payment_behavior": "resume_on_payment_success"}
    failing, empty = paused_with(stripe_api, "pm_card_chargeCustomerFail"), paused_with(stripe_api, None)
    tried, idle = (stripe_api.subscriptions.resume(one.id, wish).latest_invoice for one in (failing, empty))
    sandbox.advance(days=4)
    assert [stripe_api.invoices.retrieve(id).status for id in (tried, idle)] == ["open", "void"]
    assert stripe_api.invoices.retrieve(tried).attempt_count == 2
    for one in (failing, empty):
        assert stripe_api.subscriptions.retrieve(one.id).status == "paused"
    stripe_api.invoices.mark_uncollectible(tried)
    assert stripe_api.subscriptions.retrieve(failing.id).status == "active"


def test_resumption_that_does_not_wait_is_tried_once(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paused_with(stripe_api, "pm_card_chargeCustomerFail")
    resumed = stripe_api.subscriptions.resume(subscription.id)
    invoice = stripe_api.invoices.retrieve(resumed.latest_invoice)
    assert (resumed.status, invoice.status, invoice.attempted) == ("active", "open", False)
    sandbox.advance(days=20)
    invoice = stripe_api.invoices.retrieve(resumed.latest_invoice)
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("open", 1, None)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "past_due"


def test_resumption_into_the_running_period_charges_the_rest(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api)
    stripe_api.subscriptions.pause(subscription.id, {"bill_for": {"unused_time_from": {"type": "none"}}})
    sandbox.advance(days=45)
    params = {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": "always_invoice"}
    resumed = stripe_api.subscriptions.resume(subscription.id, params | {"expand": ["latest_invoice"]})
    assert resumed.billing_cycle_anchor == subscription.billing_cycle_anchor
    line = resumed.latest_invoice.lines.data[0]
    assert (0 < line.amount < 1000, line.description.startswith("Remaining time on Basic")) == (True, True)


def test_resumption_prorates_within_the_running_period_only(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api)
    stripe_api.subscriptions.pause(subscription.id, {"type": "subscription"})
    params = {"billing_cycle_anchor": {"type": "unchanged"}, "proration_date": subscription.created - DAY}
    before = sandbox.mark()
    assert refused(stripe_api.subscriptions.resume, subscription.id, params).param == "proration_date"
    assert (stripe_api.subscriptions.retrieve(subscription.id).status, sandbox.events(since=before)) == ("paused", [])


def test_what_cannot_be_paused(sandbox: SandboxProcess, stripe_api: Any) -> None:
    classic = subscribed(stripe_api, billing_mode={"type": "classic"})
    assert refused(stripe_api.subscriptions.pause, classic.id).http_status == 400
    scheduled = subscribed(stripe_api)
    stripe_api.subscription_schedules.create({"from_subscription": scheduled.id})
    assert "schedule" in refused(stripe_api.subscriptions.pause, scheduled.id).user_message


@pytest.mark.parametrize(
    ("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
)
def test_paused_collection_makes_invoices_that_nobody_pays(
    sandbox: SandboxProcess, stripe_api: Any, behavior: str, status: str
) -> None:
    subscription = subscribed(stripe_api)
    end = subscription["items"].data[0].current_period_end
    resumes = end + 5 * DAY
    wish = {"behavior": behavior, "resumes_at": resumes}
    before = sandbox.mark()
    paused = stripe_api.subscriptions.update(subscription.id, {"pause_collection": wish})
    assert (paused.status, paused.pause_collection.to_dict()) == ("active", wish)
    assert types(sandbox.events(since=before)) == ["customer.subscription.updated"]
    sandbox.advance_to(end + 2 * HOUR)
    invoice = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (invoice.status, invoice.amount_paid) == (status, 0)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"
    sandbox.advance_to(resumes + 60)
    assert stripe_api.subscriptions.retrieve(subscription.id).pause_collection is None
    sandbox.advance(days=32)
    assert stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0].status == "paid"


def test_trial_is_added_moved_and_ended(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Unused time is credited when it begins; the anchor is its end."""
    subscription = subscribed(stripe_api)
    now = half_over(sandbox, subscription)
    end = now + 10 * DAY
    params = {"trial_end": end, "proration_date": now, "expand": ["latest_invoice"]}
    trial = stripe_api.subscriptions.update(subscription.id, params)
    item = trial["items"].data[0]
    assert (trial.status, trial.trial_end, trial.billing_cycle_anchor) == ("trialing", end, end)
    assert item.current_period_end == end
    assert [line.amount for line in trial.latest_invoice.lines.data] == [-500, 0]
    assert trial.latest_invoice.lines.data[1].description == "Free trial for 1 × Basic"
    assert stripe_api.customers.retrieve(subscription.customer).balance == -500

    moved = stripe_api.subscriptions.update(subscription.id, {"trial_end": end + 10 * DAY})
    assert (moved.trial_end, moved["items"].data[0].current_period_end) == (end + 10 * DAY, end + 10 * DAY)
    assert moved.latest_invoice == trial.latest_invoice.id
    before = sandbox.mark()
    sandbox.advance_to(end + 8 * DAY)
    assert types(sandbox.events(since=before)) == ["customer.subscription.trial_will_end"]
    before = sandbox.mark()
    ended = stripe_api.subscriptions.update(subscription.id, {"trial_end": "now", "expand": ["latest_invoice"]})
    assert (ended.status, ended.latest_invoice.total, ended.latest_invoice.amount_paid) == ("active", 1000, 500)
    told = types(sandbox.events(since=before))
    assert told[:3] == [
        "customer.subscription.updated",
        "customer.subscription.trial_will_end",
        "invoice.created",
    ]


@pytest.mark.parametrize("mode", ["flexible", "classic"])
def test_trials_of_the_two_billing_modes(sandbox: SandboxProcess, stripe_api: Any, mode: str) -> None:
    """Classic billing keeps the first trial's start, and ends a trial with the subscription; flexible does neither."""
    subscription = subscribed(stripe_api, billing_mode={"type": mode}, trial_period_days=10)
    first, cancel_at = subscription.trial_start, subscription.created + 8 * DAY
    ending = stripe_api.subscriptions.update(subscription.id, {"cancel_at": cancel_at})
    made = subscribed(stripe_api, billing_mode={"type": mode}, trial_period_days=10, cancel_at=cancel_at)
    expected = cancel_at if mode == "classic" else subscription.trial_end
    assert (ending.trial_end, ending["items"].data[0].current_period_end) == (expected, expected)
    assert made.trial_end <= expected if mode == "classic" else made.trial_end > cancel_at
    stripe_api.subscriptions.update(subscription.id, {"cancel_at": "", "trial_end": "now"})
    sandbox.advance(days=2)
    again = stripe_api.subscriptions.update(subscription.id, {"trial_end": sandbox.now() + 5 * DAY})
    assert (again.status, again.trial_start == first) == ("trialing", mode == "classic")


def test_trial_cannot_end_in_the_past_or_too_late(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, before = subscribed(stripe_api), sandbox.mark()
    for end in (1, sandbox.now() + 800 * DAY):
        assert refused(stripe_api.subscriptions.update, subscription.id, {"trial_end": end}).param == "trial_end"
    assert sandbox.events(since=before) == []


def test_short_trial_warns_at_once(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, trial_period_days=2)
    assert subscription.status == "trialing"
    assert len(sandbox.events("customer.subscription.trial_will_end")) == 1


def test_trial_of_the_price(stripe_api: Any) -> None:
    customer = customer_with(stripe_api)
    price = monthly(stripe_api, recurring={"interval": "month", "trial_period_days": 9})
    params = {"customer": customer.id, "items": [{"price": price.id}], "trial_from_plan": True}
    subscription = stripe_api.subscriptions.create(params)
    assert subscription.trial_end == subscription.created + 9 * DAY
    error = refused(stripe_api.subscriptions.create, params | {"trial_end": subscription.trial_end})
    assert error.http_status == 400


def test_trial_without_a_method_pauses_and_resumes(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = stripe_api.customers.create({}), monthly(stripe_api)
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    params = {"customer": customer.id, "items": [{"price": price.id}], "trial_period_days": 5}
    subscription = stripe_api.subscriptions.create(params | {"trial_settings": settings})
    sandbox.advance(days=6)
    paused = stripe_api.subscriptions.retrieve(subscription.id)
    why = paused.status_details.paused.subscription.type
    assert (paused.status, why) == ("paused", "trial_end_without_payment_method")
    method = stripe_api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    stripe_api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    stripe_api.subscriptions.resume(subscription.id, {"payment_behavior": "resume_on_payment_success"})
    resumed = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    assert (resumed.status, resumed.latest_invoice.amount_paid) == ("active", 500)


def test_end_inside_the_period_gives_the_rest_back(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The period ends then; taking it back charges the rest again."""
    subscription = subscribed(stripe_api)
    item = subscription["items"].data[0]
    half = (item.current_period_start + item.current_period_end) // 2
    ending = stripe_api.subscriptions.update(subscription.id, {"cancel_at": half})
    assert (ending.cancel_at, ending["items"].data[0].current_period_end) == (half, half)
    assert pending(stripe_api, subscription) == [-500]
    undone = stripe_api.subscriptions.update(subscription.id, {"cancel_at": ""})
    assert (undone.cancel_at, undone["items"].data[0].current_period_end) == (None, item.current_period_end)
    assert sum(pending(stripe_api, subscription)) == 0
    stripe_api.subscriptions.update(subscription.id, {"cancel_at": half, "proration_behavior": "none"})
    before = sandbox.mark()
    sandbox.advance_to(half + 60)
    assert "customer.subscription.deleted" in types(sandbox.events(since=before))
    assert stripe_api.subscriptions.retrieve(subscription.id).ended_at == half


def test_end_in_a_later_period_shortens_that_one(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api)
    end = subscription["items"].data[0].current_period_end
    stripe_api.subscriptions.update(subscription.id, {"cancel_at": end + 10 * DAY})
    assert pending(stripe_api, subscription) == []
    sandbox.advance_to(end + 2 * HOUR)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert 300 < renewal.total < 370
    assert renewal.lines.data[0].period.end == end + 10 * DAY
    sandbox.advance_to(end + 10 * DAY + 60)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "canceled"


@pytest.mark.parametrize("word", ["min_period_end", "max_period_end"])
def test_ends_by_name(stripe_api: Any, word: str) -> None:
    subscription = subscribed(stripe_api)
    end = subscription["items"].data[0].current_period_end
    ending = stripe_api.subscriptions.update(subscription.id, {"cancel_at": word})
    assert (ending.cancel_at, ending.cancel_at_period_end) == (end, False)


def test_end_now_with_credit_and_last_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The unused half is credited on a last invoice, whose negative total goes to the balance."""
    subscription = subscribed(stripe_api)
    half_over(sandbox, subscription)
    before = sandbox.mark()
    ended = stripe_api.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    assert ended.status == "canceled"
    assert types(sandbox.events(since=before)) == [
        "invoiceitem.created",
        "customer.subscription.deleted",
        "invoice.created",
        "invoice.finalized",
        "customer.updated",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    last = stripe_api.invoices.retrieve(ended.latest_invoice)
    assert (last.total, last.status) == (-500, "paid")
    assert stripe_api.customers.retrieve(subscription.customer).balance == -500
    kept = subscribed(stripe_api)
    half_over(sandbox, kept)
    stripe_api.subscriptions.cancel(kept.id, {"prorate": True})
    assert pending(stripe_api, kept) == [-500]


def test_waiting_prorations_are_invoiced_at_the_end(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api)
    item = subscription["items"].data[0]
    half_over(sandbox, subscription)
    stripe_api.subscriptions.update(subscription.id, {"items": [{"id": item.id, "quantity": 3}]})
    stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    sandbox.advance_to(item.current_period_end + 60)
    last = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (last.status, last.total) == ("paid", 1000)


def test_one_customer_credit_pays_for_the_next_renewals(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A balance is used up invoice by invoice."""
    subscription = subscribed(stripe_api)
    stripe_api.customers.update(subscription.customer, {"balance": -1500})
    sandbox.advance(days=63)
    found = stripe_api.invoices.list({"subscription": subscription.id}).data
    assert [(one.amount_due, one.starting_balance, one.ending_balance) for one in found[:2]] == [
        (500, -500, 0),
        (0, -1500, -500),
    ]
    assert previous(sandbox.events("customer.updated")[-1])["balance"] == -500
