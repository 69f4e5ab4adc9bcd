"""What happens as months pass: renewals, failures and their end."""

from datetime import UTC, datetime
from typing import Any

from tests.sandbox.acts import (
    customer_with,
    monthly,
    paying_customer,
    previous,
    refused,
    subscribe,
    types,
)
from tests.sandbox_process import DAY, SandboxProcess

RENEWED = ["customer.subscription.updated", "invoice.created"]
COLLECTED = [
    "invoice.finalized",
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
]
FAILED = ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed", "invoice.updated"]


def failing_later(sandbox: SandboxProcess) -> Any:
    """An active subscription whose card will be declined at renewal."""
    subscription = paying_customer(sandbox)
    stripe_api = sandbox.client.v1
    bad = stripe_api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": str(subscription.customer)})
    return stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad.id})


def test_renewal_is_drafted_then_charged_an_hour_later(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """At the period's end comes a draft; it is collected after an hour, by nobody's request."""
    subscription = paying_customer(sandbox)
    item = subscription["items"].data[0]
    before = sandbox.mark()
    sandbox.advance_to(item.current_period_end + 60)
    events = sandbox.events(since=before)
    assert types(events) == RENEWED
    assert sorted(previous(events[0])) == ["items", "latest_invoice"]
    draft = events[1].data.object
    assert (draft.status, draft.billing_reason, draft.number) == ("draft", "subscription_cycle", None)
    assert draft.automatically_finalizes_at == item.current_period_end + 3600
    assert (draft.period_start, draft.period_end) == (item.current_period_start, item.current_period_end)

    sandbox.advance(hours=1)
    events = sandbox.events(since=before)[2:]
    assert types(events) == COLLECTED
    assert {event.request.id for event in events} == {None}
    assert events[0].created == item.current_period_end + 3600
    invoice = stripe_api.invoices.retrieve(draft.id)
    assert (invoice.status, invoice.attempt_count, invoice.amount_paid) == ("paid", 1, 500)
    assert invoice.number.endswith("-0002")
    now = stripe_api.subscriptions.retrieve(subscription.id)
    assert now.status == "active"
    assert now["items"].data[0].current_period_start == item.current_period_end


def test_a_year_of_months_keeps_the_day(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Every period begins on the anchor's day and second, or on the last day of a shorter month."""
    subscription = paying_customer(sandbox)
    sandbox.advance(days=366)
    anchor = datetime.fromtimestamp(subscription.billing_cycle_anchor, UTC)
    invoices = list(stripe_api.invoices.list({"subscription": subscription.id, "limit": 100}).auto_paging_iter())
    assert [invoice.status for invoice in invoices].count("paid") == len(invoices) == 13
    for invoice in invoices:
        start = datetime.fromtimestamp(invoice.lines.data[0].period.start, UTC)
        assert start.day == anchor.day or (start.day >= 28 and (start.timestamp() + DAY) % DAY >= 0)
        assert start.time() == anchor.time()


def test_failed_renewal_is_retried_after_3_5_and_7_days_then_ends(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The first failure makes it past due; the fourth cancels it."""
    subscription = failing_later(sandbox)
    end = subscription["items"].data[0].current_period_end
    before = sandbox.mark()
    sandbox.advance_to(end + 2 * 3600)
    events = sandbox.events(since=before)[2:]
    assert types(events) == [
        "invoice.finalized",
        "payment_intent.created",
        *FAILED,
        "customer.subscription.updated",
        "customer.updated",
    ]
    invoice = events[4].data.object
    assert (invoice.attempt_count, invoice.next_payment_attempt) == (1, end + 3600 + 3 * DAY)
    assert previous(events[6]) == {"status": "active"}
    assert previous(events[7]) == {"delinquent": False}
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "past_due"

    for attempt, days in ((2, 3), (3, 5)):
        before = sandbox.mark()
        sandbox.advance(days=days)
        events = sandbox.events(since=before)
        assert types(events) == FAILED
        assert events[2].data.object.attempt_count == attempt

    before = sandbox.mark()
    sandbox.advance(days=7)
    events = sandbox.events(since=before)
    assert types(events) == [*FAILED, "customer.subscription.deleted", "invoice.updated"]
    assert events[2].data.object.next_payment_attempt is None
    ended = events[4].data.object
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    assert events[5].data.object.auto_advance is False
    last = sandbox.mark()
    sandbox.advance(days=60)
    assert sandbox.events(since=last) == [], "nothing happens to it any more"


def test_new_card_and_payment_end_the_dunning(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Paying the open invoice makes a past due subscription active again and takes the retry away."""
    subscription = failing_later(sandbox)
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * 3600)
    good = stripe_api.payment_methods.attach("pm_card_visa", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": good.id})
    open_invoice = stripe_api.invoices.list({"subscription": subscription.id, "status": "open"}).data[0]
    before = sandbox.mark()
    paid = stripe_api.invoices.pay(open_invoice.id)
    assert (paid.status, paid.attempt_count, paid.next_payment_attempt) == ("paid", 1, None)
    events = sandbox.events(since=before)
    assert types(events) == [
        *COLLECTED[2:7],
        "customer.subscription.updated",
        "invoice_payment.paid",
        "customer.updated",
    ]
    assert previous(events[5]) == {"status": "past_due"}
    assert previous(events[7]) == {"delinquent": True}
    before = sandbox.mark()
    sandbox.advance(days=8)
    assert sandbox.events(since=before) == []


def test_declined_manual_payment_is_a_402_and_leaves_the_plan_of_retries(
    sandbox: SandboxProcess, stripe_api: Any
) -> None:
    subscription = failing_later(sandbox)
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * 3600)
    invoice = stripe_api.invoices.list({"subscription": subscription.id, "status": "open"}).data[0]
    error = refused(stripe_api.invoices.pay, invoice.id)
    assert (error.http_status, error.code) == (402, "card_declined")
    after = stripe_api.invoices.retrieve(invoice.id)
    assert (after.attempt_count, after.next_payment_attempt) == (1, invoice.next_payment_attempt)


def test_card_that_always_wants_3d_secure_falls_behind_at_renewal(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Nobody is there to authenticate: the intent waits for action and the subscription is past due."""
    subscription = paying_customer(sandbox)
    method = stripe_api.payment_methods.attach("pm_card_authenticationRequired", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": method.id})
    before = sandbox.mark()
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * 3600)
    assert types(sandbox.events(since=before)[4:]) == [
        "payment_intent.requires_action",
        "invoice.payment_action_required",
        "invoice.payment_failed",
        "invoice.updated",
        "customer.subscription.updated",
        "customer.updated",
    ]
    invoice = stripe_api.invoices.list({"subscription": subscription.id, "status": "open"}).data[0]
    error = refused(stripe_api.invoices.pay, invoice.id)
    assert (error.http_status, error.code) == (402, "invoice_payment_intent_requires_action")


def test_trial_end_begins_a_paid_period(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A warning three days before, then active with a draft that is charged an hour later."""
    customer = customer_with(stripe_api)
    subscription = subscribe(stripe_api, customer.id, monthly(stripe_api).id, trial_period_days=14)
    assert subscription.pending_setup_intent is None, "the customer's card will do"
    before = sandbox.mark()
    sandbox.advance(days=11)
    assert types(sandbox.events(since=before)) == ["customer.subscription.trial_will_end"]
    sandbox.advance(days=3, hours=2)
    events = sandbox.events(since=before)[1:]
    saved = ["customer.subscription.updated"]  # the card that paid becomes the subscription's own
    assert types(events) == [*RENEWED, *COLLECTED[:-1], *saved, COLLECTED[-1]]
    assert previous(events[0])["status"] == "trialing"


def test_trial_without_a_method_ends_as_asked(sandbox: SandboxProcess, stripe_api: Any) -> None:
    price = monthly(stripe_api)
    ends = {}
    for wish in ("cancel", "pause", "create_invoice"):
        settings = {"end_behavior": {"missing_payment_method": wish}}
        customer = stripe_api.customers.create({})
        subscription = subscribe(stripe_api, customer.id, price.id, trial_period_days=1, trial_settings=settings)
        ends[wish] = subscription.id
    sandbox.advance(days=1, hours=2)
    status = {wish: stripe_api.subscriptions.retrieve(id).status for wish, id in ends.items()}
    assert status == {"cancel": "canceled", "pause": "paused", "create_invoice": "past_due"}
