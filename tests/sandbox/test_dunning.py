"""What follows when a renewal can't be charged, as the account has set it."""

import json
from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly, previous, types
from tests.sandbox.conftest import Receiver
from tests.sandbox_process import DAY, SandboxProcess

HOUR = 3600


def failing(stripe_api: Any, card: str = "pm_card_chargeCustomerFail") -> Any:
    """An active subscription whose renewals will fail."""
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    method = stripe_api.payment_methods.attach(card, {"customer": customer.id})
    return stripe_api.subscriptions.update(subscription.id, {"default_payment_method": method.id})


@pytest.mark.parametrize(
    ("setting", "status"), [("cancel", "canceled"), ("unpaid", "unpaid"), ("leave", "past_due"), ("pause", "paused")]
)
def test_end_of_retries_is_a_setting(sandbox: SandboxProcess, stripe_api: Any, setting: str, status: str) -> None:
    assert sandbox.post("settings", {"dunning": setting})["dunning"] == setting
    subscription = failing(stripe_api)
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 16 * DAY)
    ended = stripe_api.subscriptions.retrieve(subscription.id)
    assert ended.status == status
    assert (getattr(ended, "status_details", None) is not None) is (status == "paused")
    invoice = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (invoice.status, invoice.attempt_count, invoice.next_payment_attempt) == ("open", 4, None)


def test_unpaid_subscription_drafts_and_comes_back_when_paid(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Its new invoices stay drafts that nobody collects."""
    sandbox.post("settings", {"dunning": "unpaid"})
    subscription = failing(stripe_api)
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 33 * DAY)
    draft, unpaid = stripe_api.invoices.list({"subscription": subscription.id, "limit": 2}).data
    assert (draft.status, draft.auto_advance, unpaid.status) == ("draft", False, "open")
    good = stripe_api.payment_methods.attach("pm_card_visa", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": good.id})
    stripe_api.invoices.pay(unpaid.id)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"


def test_pause_after_the_first_failure(sandbox: SandboxProcess, stripe_api: Any) -> None:
    sandbox.post("settings", {"first_failure": "pause"})
    subscription = failing(stripe_api)
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * HOUR)
    paused = stripe_api.subscriptions.retrieve(subscription.id)
    assert (paused.status, paused.status_details.paused.subscription.type) == ("paused", "first_payment_failure")


def test_hopeless_card_is_not_tried_again(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A card that always wants 3D Secure can't pay without its owner: retries pass by until there is another card."""
    subscription = failing(stripe_api, "pm_card_authenticationRequired")
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * HOUR)
    invoice = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    before = sandbox.mark()
    sandbox.advance(days=3)
    events = sandbox.events(since=before)
    assert types(events) == ["invoice.updated"]
    assert sorted(previous(events[0])) == ["next_payment_attempt"]
    good = stripe_api.payment_methods.attach("pm_card_visa", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": good.id})
    sandbox.advance(days=5, hours=1)
    paid = stripe_api.invoices.retrieve(invoice.id)
    assert (paid.status, paid.attempt_count) == ("paid", 2)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"


def test_giving_up_the_money_makes_it_active_again(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = failing(stripe_api)
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * HOUR)
    invoice = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert stripe_api.customers.retrieve(subscription.customer).delinquent is True
    stripe_api.invoices.mark_uncollectible(invoice.id)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"
    assert stripe_api.customers.retrieve(subscription.customer).delinquent is False
    before = sandbox.mark()
    sandbox.advance(days=4)
    assert sandbox.events(since=before) == []


@pytest.mark.usefixtures("endpoint")
def test_endpoint_that_does_not_take_the_draft_holds_it_up(
    sandbox: SandboxProcess, stripe_api: Any, receiver: Receiver
) -> None:
    """The renewal's draft waits while `invoice.created` is refused, and no longer than three days."""
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    sandbox.idle()
    end = subscription["items"].data[0].current_period_end
    receiver.answers = [500] * 1000
    sandbox.advance_to(end + 60)
    sandbox.idle()
    for hours in (1, 5):
        sandbox.advance(hours=hours)
        sandbox.idle()
    draft = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (draft.status, draft.automatically_finalizes_at > end + 6 * HOUR) == ("draft", True)
    sandbox.advance_to(end + 73 * HOUR)
    assert stripe_api.invoices.retrieve(draft.id).status == "paid"


def test_renewal_is_announced_a_week_before(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The invoice to come has no id yet, and is the one that comes."""
    sandbox.post("settings", {"upcoming_days": "7"})
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    end = subscription["items"].data[0].current_period_end
    before = sandbox.mark()
    sandbox.advance_to(end - 6 * DAY)
    (event,) = sandbox.events(since=before)
    shown = event.data.object
    assert (event.type, event.created, hasattr(shown, "id")) == ("invoice.upcoming", end - 7 * DAY, False)
    assert (shown.billing_reason, shown.total, shown.next_payment_attempt) == ("upcoming", 500, end + HOUR)


def test_unknown_settings_are_refused(sandbox: SandboxProcess) -> None:
    for wish in ({"dunning": "forget"}, {"colour": "blue"}):
        status, _, _ = sandbox.request(
            "POST", "/_sandbox/settings", json.dumps(wish), {"Content-Type": "application/json"}
        )
        assert status == 400
    assert sandbox.get("settings")["dunning"] == "cancel"
