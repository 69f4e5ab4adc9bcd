"""The first payment: the events of a sign-up, in the order in which they come to pass."""

from typing import Any

import pytest

from tests.sandbox.acts import (
    NEEDS_3DS,
    NO_FUNDS,
    challenge,
    client_secret,
    confirm,
    customer_with,
    monthly,
    previous,
    refused,
    subscribe,
    types,
)
from tests.sandbox_process import SandboxProcess

INCOMPLETE = [
    "customer.subscription.created",
    "invoice.created",
    "invoice.finalized",
    "payment_intent.created",
    "customer.updated",
]
PAID = [
    "payment_method.attached",
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
    "customer.subscription.updated",
    "invoice_payment.paid",
]


def new_attempt(sandbox: SandboxProcess) -> tuple[Any, str, str]:
    """An incomplete subscription, its client secret, and the mark before it."""
    stripe_api = sandbox.client.v1
    customer, price = stripe_api.customers.create({"email": "carol@example.com"}), monthly(stripe_api)
    before = sandbox.mark()
    subscription = subscribe(stripe_api, customer.id, price.id)
    return subscription, client_secret(subscription), before


def test_sign_up_with_a_card_that_works(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The subscription is incomplete until the browser confirms, then active with the card as its default."""
    subscription, secret, before = new_attempt(sandbox)
    assert subscription.status == "incomplete"
    assert subscription.latest_invoice.status == "open"
    assert subscription.latest_invoice.billing_reason == "subscription_create"
    assert subscription.latest_invoice.number.endswith("-0001")
    assert subscription.billing_mode.type == "flexible"
    events = sandbox.events(since=before)
    assert types(events) == INCOMPLETE
    assert [event.request.id is not None for event in events] == [True] * 5
    assert events[0].data.object.latest_invoice == subscription.latest_invoice.id
    assert events[3].data.object.payment_details.order_reference == subscription.latest_invoice.id
    assert previous(events[4]) == {"currency": None}

    status, intent = confirm(sandbox, secret)
    assert (status, intent["status"]) == (200, "succeeded")
    paid = sandbox.events(since=before)[5:]
    assert types(paid) == PAID
    assert previous(paid[6]) == {"status": "incomplete", "default_payment_method": None}
    assert paid[7].data.object.is_default is True

    after = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["default_payment_method", "latest_invoice"]})
    assert after.status == "active"
    assert after.default_payment_method.card.last4 == "4242"
    assert after.default_payment_method.card.checks.cvc_check == "pass"
    invoice = after.latest_invoice
    assert (invoice.status, invoice.amount_paid, invoice.attempt_count, invoice.auto_advance) == ("paid", 500, 1, False)
    assert after.items.data[0].current_period_start == subscription.created


def test_sign_up_with_3d_secure_completed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The challenge leaves the subscription incomplete; completing it pays."""
    subscription, secret, before = new_attempt(sandbox)
    status, intent = confirm(sandbox, secret, NEEDS_3DS)
    assert (status, intent["status"]) == (200, "requires_action")
    assert intent["next_action"]["type"] == "use_stripe_sdk"
    asked = sandbox.events(since=before)[5:]
    assert types(asked) == ["payment_intent.requires_action", "invoice.payment_action_required", "invoice.updated"]
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "incomplete"
    invoice = stripe_api.invoices.retrieve(subscription.latest_invoice.id)
    assert (invoice.attempted, invoice.attempt_count) == (True, 0)

    status, answer = challenge(sandbox, intent, "complete")
    assert (status, answer["state"]) == (200, "succeeded")
    assert types(sandbox.events(since=before)[8:]) == PAID
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"
    charge = stripe_api.charges.list({"customer": subscription.customer}).data[0]
    assert charge.payment_method_details.card.three_d_secure.result == "authenticated"


def test_sign_up_with_3d_secure_failed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A failed challenge takes the intent back to choosing a method; the same secret then takes another card."""
    subscription, secret, before = new_attempt(sandbox)
    _, intent = confirm(sandbox, secret, NEEDS_3DS)
    status, answer = challenge(sandbox, intent, "fail")
    assert (status, answer["state"]) == (200, "failed")
    failed = sandbox.events(since=before)[8:]
    assert types(failed) == ["payment_intent.payment_failed", "invoice.payment_failed", "invoice.updated"]
    now = stripe_api.payment_intents.retrieve(intent["id"])
    assert now.status == "requires_payment_method"
    assert now.last_payment_error.code == "payment_intent_authentication_failure"
    assert now.payment_method is None
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "incomplete"
    assert challenge(sandbox, intent, "complete")[0] == 400, "a challenge is answered once"

    assert confirm(sandbox, secret)[0] == 200
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"


def test_sign_up_with_a_declined_card_then_a_good_one(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A decline is a 402 with the whole intent; nothing but the attempt is recorded, and the next card may pay."""
    subscription, secret, before = new_attempt(sandbox)
    status, body = confirm(sandbox, secret, NO_FUNDS)
    error = body["error"]
    assert status == 402
    assert (error["code"], error["decline_code"]) == ("card_declined", "insufficient_funds")
    assert error["message"] == "Your card has insufficient funds."
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert "customer" not in error["payment_intent"], "a browser sees no customer"
    assert error["payment_method"]["customer"] is None
    failed = sandbox.events(since=before)[5:]
    assert types(failed) == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "invoice.updated",
    ]
    assert failed[0].data.object.outcome.type == "issuer_declined"
    assert failed[2].data.object.attempted is True
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "incomplete"

    status, intent = confirm(sandbox, secret)
    assert (status, intent["id"]) == (200, error["payment_intent"]["id"])
    assert types(sandbox.events(since=before)[9:]) == PAID
    invoice = stripe_api.invoices.retrieve(subscription.latest_invoice.id)
    assert (invoice.status, invoice.attempt_count) == ("paid", 1)


def test_first_payment_that_never_comes(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """After 23 hours the invoice is void, the intent canceled and the subscription expired, by nobody's request."""
    subscription, secret, before = new_attempt(sandbox)
    sandbox.advance(hours=22)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "incomplete"
    sandbox.advance(hours=2)
    events = sandbox.events(since=before)[5:]
    assert types(events) == [
        "invoice.updated",
        "invoice.voided",
        "payment_intent.canceled",
        "customer.subscription.updated",
    ]
    assert {event.request.id for event in events} == {None}
    assert events[0].created == subscription.created + 23 * 3600
    assert previous(events[3]) == {"status": "incomplete", "ended_at": None}
    status, body = confirm(sandbox, secret)
    assert (status, body["error"]["code"]) == (400, "payment_intent_unexpected_state")
    assert body["error"]["payment_intent"]["cancellation_reason"] == "void_invoice"


def test_default_method_is_charged_at_once(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Without a payment behaviour a customer with a good card is active when the call returns."""
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    subscription = stripe_api.subscriptions.create(
        {"customer": customer.id, "items": [{"price": price.id}], "expand": ["latest_invoice.payments"]}
    )
    assert subscription.status == "active"
    assert subscription.default_payment_method is None
    invoice: Any = subscription.latest_invoice
    assert (invoice.status, invoice.attempt_count, invoice.period_start) == ("paid", 1, invoice.period_end)
    assert invoice.lines.data[0].description == "1 × Basic (at $5.00 / month)"
    assert invoice.payments.data[0].status == "paid"
    assert invoice.payments.data[0].amount_paid == 500


@pytest.mark.stripe_verified
def test_declined_default_method_leaves_it_incomplete(stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api, "pm_card_chargeCustomerFail"), monthly(stripe_api)
    items = [{"price": price.id}]
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": items})
    assert subscription.status == "incomplete"
    invoice = stripe_api.invoices.retrieve(subscription.latest_invoice, {"expand": ["payments"]})
    intent = stripe_api.payment_intents.retrieve(invoice.payments.data[0].payment.payment_intent)
    assert (invoice.status, intent.status) == ("open", "requires_payment_method")


def test_error_if_incomplete_leaves_nothing_behind(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The decline is a 402 and there is no subscription, invoice or event of it."""
    customer, price = customer_with(stripe_api, "pm_card_chargeCustomerFail"), monthly(stripe_api)
    before = sandbox.mark()
    params = {"customer": customer.id, "items": [{"price": price.id}], "payment_behavior": "error_if_incomplete"}
    error = refused(stripe_api.subscriptions.create, params)
    assert (error.http_status, error.code) == (402, "card_declined")
    assert stripe_api.subscriptions.list({"customer": customer.id, "status": "all"}).data == []
    assert stripe_api.invoices.list({"customer": customer.id}).data == []
    assert sandbox.events(since=before) == []


@pytest.mark.stripe_verified
def test_customer_without_any_method_cannot_be_charged_at_once(stripe_api: Any) -> None:
    customer, price = stripe_api.customers.create({}), monthly(stripe_api)
    error = refused(stripe_api.subscriptions.create, {"customer": customer.id, "items": [{"price": price.id}]})
    assert (error.http_status, error.code, error.param) == (400, "resource_missing", None)
    assert error.user_message.startswith("This customer has no attached payment source or default payment method.")


def test_trial_asks_for_a_method_for_later(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Nothing is due: the invoice is paid at 0 and a setup intent takes the card, which becomes the default."""
    customer, price = stripe_api.customers.create({}), monthly(stripe_api)
    before = sandbox.mark()
    subscription = subscribe(stripe_api, customer.id, price.id, trial_period_days=14)
    assert subscription.status == "trialing"
    assert subscription.trial_end == subscription.created + 14 * 86400 == subscription.billing_cycle_anchor
    invoice: Any = subscription.latest_invoice
    assert (invoice.status, invoice.total, invoice.attempt_count, invoice.attempted) == ("paid", 0, 0, True)
    assert invoice.confirmation_secret is None
    assert invoice.lines.data[0].description == "Free trial for 1 × Basic"
    assert types(sandbox.events(since=before)) == [
        "customer.subscription.created",
        "setup_intent.created",
        "invoice.created",
        "invoice.finalized",
        "customer.updated",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]
    setup: Any = subscription.pending_setup_intent
    status, body = confirm(sandbox, setup.client_secret)
    assert (status, body["status"]) == (200, "succeeded")
    after = stripe_api.subscriptions.retrieve(subscription.id)
    assert after.pending_setup_intent is None
    assert after.default_payment_method is not None
