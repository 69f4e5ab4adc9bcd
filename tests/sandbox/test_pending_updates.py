"""Changes that have to be paid: they stick, are refused, or wait for their payment, as asked."""

from typing import Any

import pytest

from tests.sandbox.acts import GOOD, challenge, client_secret, confirm, customer_with, monthly, previous, refused, types
from tests.sandbox_process import DAY, SandboxProcess

HOUR = 3600
FAILS, NEEDS_3DS = "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"


def upgrade(stripe_api: Any, card: str, amount: int = 1500, **more: Any) -> tuple[Any, Any, dict[str, Any]]:
    """A monthly subscription whose card then is `card`, the dearer price, and the update that goes to it."""
    customer, premium = customer_with(stripe_api), monthly(stripe_api, amount, "Premium")
    items = [{"price": monthly(stripe_api).id}]
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": items})
    method = stripe_api.payment_methods.attach(card, {"customer": customer.id})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": method.id})
    change = {"id": subscription["items"].data[0].id, "price": premium.id}
    params = {
        "items": [change],
        "proration_behavior": "always_invoice",
        "expand": ["latest_invoice.confirmation_secret"],
    }
    return subscription, premium, params | more


def price_of(stripe_api: Any, subscription: Any) -> str:
    return str(stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].price.id)


def test_update_waits_for_its_payment_and_is_applied_then(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The subscription stays what it was, and active, until the invoice is paid with a better card."""
    subscription, premium, params = upgrade(stripe_api, FAILS, payment_behavior="pending_if_incomplete")
    sandbox.advance(days=10)
    before, asked = sandbox.mark(), sandbox.now()
    held = stripe_api.subscriptions.update(subscription.id, params)
    assert (held.status, held["items"].data[0].price.unit_amount) == ("active", 500)
    assert asked + 23 * HOUR <= held.pending_update.expires_at <= asked + 23 * HOUR + 5
    assert held.pending_update.subscription_items[0].price.id == premium.id
    assert (held.latest_invoice.status, held.latest_invoice.billing_reason) == ("open", "subscription_update")
    events = sandbox.events(since=before)
    assert types(events) == [
        "invoiceitem.created",
        "invoiceitem.created",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "invoice.updated",
        "customer.subscription.updated",
    ]
    assert sorted(previous(events[-1])) == ["latest_invoice", "pending_update"]

    sandbox.advance(hours=3)
    before = sandbox.mark()
    assert confirm(sandbox, client_secret(held), GOOD)[0] == 200
    applied = stripe_api.subscriptions.retrieve(subscription.id)
    assert (applied.status, applied["items"].data[0].price.id, applied.pending_update) == ("active", premium.id, None)
    assert applied["items"].data[0].id == subscription["items"].data[0].id
    assert types(sandbox.events(since=before))[-4:] == [
        "invoice.payment_succeeded",
        "customer.subscription.pending_update_applied",
        "customer.subscription.updated",
        "invoice_payment.paid",
    ]
    sandbox.advance_to(applied["items"].data[0].current_period_end + 2 * HOUR)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert [line.amount for line in renewal.lines.data] == [1500]


def test_what_changes_while_an_update_waits_stays_changed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, premium, params = upgrade(stripe_api, FAILS, payment_behavior="pending_if_incomplete")
    sandbox.advance(days=10)
    held = stripe_api.subscriptions.update(subscription.id, params)
    stripe_api.subscriptions.update(subscription.id, {"metadata": {"a": "b"}, "description": "Gold"})
    stripe_api.subscription_items.update(subscription["items"].data[0].id, {"metadata": {"seat": "1"}})
    assert confirm(sandbox, client_secret(held), GOOD)[0] == 200
    applied = stripe_api.subscriptions.retrieve(subscription.id)
    item = applied["items"].data[0]
    assert (applied.description, applied.metadata.to_dict(), applied.pending_update) == ("Gold", {"a": "b"}, None)
    assert (item.price.id, item.metadata.to_dict()) == (premium.id, {"seat": "1"})


def test_trial_ends_with_the_update_that_waited(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    params = {"customer": customer.id, "items": [{"price": price.id}], "trial_period_days": 9}
    trial = stripe_api.subscriptions.create(params)
    bad = stripe_api.payment_methods.attach(FAILS, {"customer": customer.id})
    stripe_api.subscriptions.update(trial.id, {"default_payment_method": bad.id})
    wish = {"trial_end": "now", "payment_behavior": "pending_if_incomplete", "expand": ["latest_invoice.payments"]}
    held = stripe_api.subscriptions.update(trial.id, wish)
    assert (held.status, held.trial_end, held.pending_update is None) == ("trialing", trial.trial_end, False)
    good = stripe_api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    stripe_api.invoices.pay(held.latest_invoice.id, {"payment_method": good.id})
    applied = stripe_api.subscriptions.retrieve(trial.id)
    assert (applied.status, applied.pending_update) == ("active", None)
    assert applied.trial_end < trial.trial_end


def test_update_that_is_not_paid_in_23_hours_is_dropped(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, _, params = upgrade(stripe_api, NEEDS_3DS, payment_behavior="pending_if_incomplete")
    sandbox.advance(days=10)
    held = stripe_api.subscriptions.update(subscription.id, params)
    before = sandbox.mark()
    sandbox.advance(hours=24)
    events = sandbox.events(since=before)
    assert types(events) == [
        "invoice.updated",
        "invoice.voided",
        "payment_intent.canceled",
        "customer.subscription.pending_update_expired",
        "customer.subscription.updated",
    ]
    assert events[3].created == held.pending_update.expires_at
    now = stripe_api.subscriptions.retrieve(subscription.id)
    assert (now.status, now.pending_update, now["items"].data[0].price.unit_amount) == ("active", None, 500)
    assert confirm(sandbox, client_secret(held), GOOD)[0] == 400


def test_update_waits_no_longer_than_the_period(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, _, params = upgrade(stripe_api, FAILS, 90000, payment_behavior="pending_if_incomplete")
    end = subscription["items"].data[0].current_period_end
    sandbox.advance_to(end - 10 * HOUR)
    held = stripe_api.subscriptions.update(subscription.id, params)
    assert held.pending_update.expires_at == end
    sandbox.advance_to(end + 60)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (renewal.billing_reason, [line.amount for line in renewal.lines.data]) == ("subscription_cycle", [500])
    assert stripe_api.invoices.retrieve(held.latest_invoice.id).status == "void"


def test_update_that_is_paid_at_once_does_not_wait(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, premium, params = upgrade(stripe_api, "pm_card_visa", payment_behavior="pending_if_incomplete")
    sandbox.advance(days=10)
    changed = stripe_api.subscriptions.update(subscription.id, params)
    assert (changed.pending_update, changed["items"].data[0].price.id) == (None, premium.id)
    assert changed.latest_invoice.status == "paid"


def test_3d_secure_finishes_a_waiting_update(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, premium, params = upgrade(stripe_api, NEEDS_3DS, payment_behavior="pending_if_incomplete")
    sandbox.advance(days=10)
    held = stripe_api.subscriptions.update(subscription.id, params)
    id = client_secret(held).partition("_secret_")[0]
    intent = stripe_api.payment_intents.retrieve(id).to_dict()
    assert intent["status"] == "requires_action"
    challenge(sandbox, intent, "complete")
    assert price_of(stripe_api, subscription) == premium.id


def test_only_some_things_can_wait(stripe_api: Any) -> None:
    subscription, _, params = upgrade(stripe_api, FAILS, payment_behavior="pending_if_incomplete")
    error = refused(stripe_api.subscriptions.update, subscription.id, params | {"description": "x"})
    assert (error.http_status, error.param) == (400, "description")
    assert "you can only pass supported params" in error.user_message


def test_default_incomplete_leaves_the_invoice_to_be_confirmed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The change sticks at once, past due until the browser has paid."""
    subscription, premium, params = upgrade(stripe_api, "pm_card_visa", payment_behavior="default_incomplete")
    sandbox.advance(days=10)
    changed = stripe_api.subscriptions.update(subscription.id, params)
    assert (changed.status, changed["items"].data[0].price.id) == ("past_due", premium.id)
    assert changed.latest_invoice.status == "open"
    assert confirm(sandbox, client_secret(changed), GOOD)[0] == 200
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"


def test_error_if_incomplete_without_any_method(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, _, params = upgrade(stripe_api, "pm_card_visa", payment_behavior="error_if_incomplete")
    for method in stripe_api.customers.payment_methods.list(subscription.customer).data:
        stripe_api.payment_methods.detach(method.id)
    before, old = sandbox.mark(), price_of(stripe_api, subscription)
    error = refused(stripe_api.subscriptions.update, subscription.id, params)
    assert (error.http_status, error.code) == (400, "resource_missing")
    assert (price_of(stripe_api, subscription), sandbox.events(since=before)) == (old, [])


@pytest.mark.parametrize("card", [FAILS, NEEDS_3DS])
def test_allow_incomplete_sticks_and_falls_behind(sandbox: SandboxProcess, stripe_api: Any, card: str) -> None:
    subscription, premium, params = upgrade(stripe_api, card)
    sandbox.advance(days=10)
    changed = stripe_api.subscriptions.update(subscription.id, params)
    assert (changed.status, changed["items"].data[0].price.id) == ("past_due", premium.id)


@pytest.mark.parametrize("card", [FAILS, NEEDS_3DS])
def test_error_if_incomplete_undoes_everything(sandbox: SandboxProcess, stripe_api: Any, card: str) -> None:
    subscription, _, params = upgrade(stripe_api, card, payment_behavior="error_if_incomplete")
    sandbox.advance(days=10)
    before, old = sandbox.mark(), price_of(stripe_api, subscription)
    assert refused(stripe_api.subscriptions.update, subscription.id, params).http_status == 402
    assert (price_of(stripe_api, subscription), sandbox.events(since=before)) == (old, [])
    assert len(stripe_api.invoices.list({"subscription": subscription.id}).data) == 1
    assert stripe_api.invoice_items.list({"customer": subscription.customer}).data == []


def test_amount_below_the_least_that_can_be_charged_goes_to_the_balance(
    sandbox: SandboxProcess, stripe_api: Any
) -> None:
    """Half a period of a dollar is 50 cents, less is owed with the next invoice."""
    customer, price = customer_with(stripe_api), monthly(stripe_api, 500)
    dearer = monthly(stripe_api, 530, "Dearer")
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    item = subscription["items"].data[0]
    params = {"items": [{"id": item.id, "price": dearer.id}], "proration_behavior": "always_invoice"}
    changed = stripe_api.subscriptions.update(subscription.id, params | {"expand": ["latest_invoice"]})
    invoice = changed.latest_invoice
    assert (invoice.total, invoice.amount_due, invoice.status, invoice.ending_balance) == (30, 0, "paid", 30)
    assert stripe_api.customers.retrieve(customer.id).balance == 30
    sandbox.advance_to(item.current_period_end + 2 * HOUR)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (renewal.total, renewal.amount_paid, renewal.ending_balance) == (530, 560, 0)
    assert sandbox.now() - item.current_period_end < DAY
