"""What a shop hears, event by event: the scenarios whose whole lists stand nowhere else.

first payment: by card, 3D Secure, declined, never      test_signing_up
first payment and renewal by bank debit                 test_bank_debits
renewal, its failure, retries, recovery                 test_renewing; announced beforehand: test_dunning
upgrade charged at once; held back until it is paid     test_subscriptions, test_pending_updates
pauses and resumptions                                  test_pauses_trials_and_ends
coupons, entitlements, schedules                        test_discounts_and_taxes, test_entitlements, test_schedules
doubled and shuffled deliveries                         test_deliveries
"""

import re
from typing import Any

import pytest
from stripe.params import WebhookEndpointCreateParams

from tests.sandbox.acts import client_secret, confirm, customer_with, monthly, paying_customer, previous, types
from tests.sandbox.conftest import Receiver
from tests.sandbox_process import DAY, ROOT, SandboxProcess

HOUR = 3600
INVOICED = ["invoice.created", "invoice.finalized"]
CHARGED = ["charge.succeeded", "payment_intent.succeeded"]
SETTLED = ["invoice.updated", "invoice.paid", "invoice.payment_succeeded"]
FAILED = ["charge.failed", "payment_intent.payment_failed", "invoice.payment_failed", "invoice.updated"]
DELETED, UPDATED = "customer.subscription.deleted", "customer.subscription.updated"


def subscribed(stripe_api: Any, **more: Any) -> Any:
    """A monthly subscription that a good default card has paid."""
    items = [{"price": monthly(stripe_api, 1000).id}]
    return stripe_api.subscriptions.create({"customer": customer_with(stripe_api).id, "items": items, **more})


def attached(stripe_api: Any, subscription: Any, card: str) -> str:
    return str(stripe_api.payment_methods.attach(card, {"customer": subscription.customer}).id)


def test_sign_up_with_a_card_on_file(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    before = sandbox.mark()
    params = {"customer": customer.id, "items": [{"price": price.id}]}
    stripe_api.subscriptions.create(params, {"idempotency_key": "sign-up"})
    events = sandbox.events(since=before)
    assert types(events) == [
        "customer.subscription.created",
        *INVOICED,
        "payment_intent.created",
        "customer.updated",
        *CHARGED,
        *SETTLED,
        UPDATED,
        "invoice_payment.paid",
    ]
    assert events[0].data.object.status == "incomplete"
    assert previous(events[4]) == {"currency": None}
    assert previous(events[10]) == {"status": "incomplete"}
    assert {event.request.idempotency_key for event in events} == {"sign-up"}
    assert len({event.request.id for event in events}) == 1


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("cancel", [DELETED, "invoice.updated"]),
        ("unpaid", [UPDATED]),
        ("leave", []),
        ("pause", [UPDATED, "customer.subscription.paused"]),
    ],
)
def test_last_retry_fails(sandbox: SandboxProcess, stripe_api: Any, end: str, told: list[str]) -> None:
    """Fifteen days after the first failure; what follows is the account's setting."""
    sandbox.post("settings", {"dunning": end})
    subscription = subscribed(stripe_api)
    bad = attached(stripe_api, subscription, "pm_card_chargeCustomerFail")
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad})
    sandbox.advance_to(subscription["items"].data[0].current_period_end + HOUR + 14 * DAY)
    before = sandbox.mark()
    sandbox.advance(days=1)
    events = sandbox.events(since=before)
    assert types(events) == [*FAILED, *told]
    assert (events[2].data.object.attempt_count, events[2].data.object.next_payment_attempt) == (4, None)
    assert {event.request.id for event in events} == {event.request.idempotency_key for event in events} == {None}
    status = {"cancel": "canceled", "unpaid": "unpaid", "leave": "past_due", "pause": "paused"}[end]
    assert stripe_api.subscriptions.retrieve(subscription.id).status == status


def test_upgrade_that_waits_for_the_next_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription, premium = subscribed(stripe_api), monthly(stripe_api, 3000, "Premium")
    before = sandbox.mark()
    items = [{"id": subscription["items"].data[0].id, "price": premium.id}]
    stripe_api.subscriptions.update(subscription.id, {"items": items})
    events = sandbox.events(since=before)
    assert types(events) == ["invoiceitem.created", "invoiceitem.created", UPDATED]
    assert [event.data.object.proration for event in events[:2]] == [True, True]
    assert previous(events[2])["items"]["data"][0]["price"]["unit_amount"] == 1000


def test_downgrade_at_once(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """More is given back than charged: nothing is paid, and the customer has a credit."""
    subscription, lite = subscribed(stripe_api), monthly(stripe_api, 400, "Lite")
    before = sandbox.mark()
    items = [{"id": subscription["items"].data[0].id, "price": lite.id}]
    stripe_api.subscriptions.update(subscription.id, {"items": items, "proration_behavior": "always_invoice"})
    events = sandbox.events(since=before)
    created = ["invoiceitem.created", "invoiceitem.created", UPDATED, *INVOICED]
    assert types(events) == [*created, "customer.updated", *SETTLED]
    assert (previous(events[5]), events[5].data.object.balance) == ({"balance": 0}, -600)
    paid = events[-2].data.object
    assert (paid.total, paid.amount_due, paid.amount_paid, paid.ending_balance) == (-600, 0, 0, -600)


def test_cancel_with_an_invoice_still_open(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Nobody pursues it any more."""
    subscription = subscribed(stripe_api)
    bad = attached(stripe_api, subscription, "pm_card_chargeCustomerFail")
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad})
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * HOUR)
    before = sandbox.mark()
    stripe_api.subscriptions.cancel(subscription.id)
    events = sandbox.events(since=before)
    assert types(events) == [DELETED, "invoice.updated"]
    assert sorted(previous(events[1])) == ["auto_advance", "next_payment_attempt"]
    assert events[0].data.object.status == "canceled"


def test_cancel_with_a_last_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Half of the month is given back."""
    subscription = subscribed(stripe_api)
    item = subscription["items"].data[0]
    sandbox.advance_to((item.current_period_start + item.current_period_end) // 2)
    before = sandbox.mark()
    stripe_api.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})
    told = types(sandbox.events(since=before))
    assert told == ["invoiceitem.created", DELETED, *INVOICED, "customer.updated", *SETTLED]


def test_cancel_at_the_periods_end_and_undo(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api)
    before = sandbox.mark()
    stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    asked, undone = sandbox.events(since=before)
    assert types([asked, undone]) == [UPDATED] * 2
    assert previous(asked) == {
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"reason": None},
    }
    assert sorted(previous(undone)) == sorted(previous(asked))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ("cancel", [DELETED]),
        ("pause", [UPDATED, "customer.subscription.paused"]),
        ("create_invoice", [UPDATED, "invoice.created"]),
    ],
)
def test_trial_ends_without_a_method(sandbox: SandboxProcess, stripe_api: Any, wish: str, told: list[str]) -> None:
    settings = {"end_behavior": {"missing_payment_method": wish}}
    customer, items = stripe_api.customers.create({}).id, [{"price": monthly(stripe_api).id}]
    params = {"customer": customer, "items": items, "trial_period_days": 10, "trial_settings": settings}
    trial = stripe_api.subscriptions.create(params)
    before = sandbox.mark()
    sandbox.advance_to(trial.trial_end)
    events = sandbox.events(since=before)
    warned, *rest = events
    gone = ["setup_intent.canceled"] if wish == "cancel" else []
    assert (warned.type, warned.created) == ("customer.subscription.trial_will_end", trial.trial_end - 3 * DAY)
    assert types(rest) == [*told, *gone]
    assert {event.request.id for event in events} == {None}
    if wish == "create_invoice":
        sandbox.advance(hours=1)
        assert types(sandbox.events(since=rest[-1].id)) == [
            "invoice.finalized",
            "payment_intent.created",
            *FAILED[2:],
            UPDATED,
            "customer.updated",
        ]


def test_another_card_is_set_up(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """In the browser; the shop then makes it the default of customer and subscription, and lets the old one go."""
    subscription = paying_customer(sandbox)
    customer, old = str(subscription.customer), str(subscription.default_payment_method)
    before = sandbox.mark()
    setup = stripe_api.setup_intents.create({"customer": customer, "usage": "off_session"})
    confirm(sandbox, setup.client_secret)
    new = stripe_api.setup_intents.retrieve(setup.id).payment_method
    stripe_api.customers.update(customer, {"invoice_settings": {"default_payment_method": new}})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": new})
    stripe_api.payment_methods.detach(old)
    events = sandbox.events(since=before)
    assert sorted(types(events[:3])) == ["payment_method.attached", "setup_intent.created", "setup_intent.succeeded"]
    assert types(events[3:]) == ["customer.updated", UPDATED, "payment_method.detached"]
    assert previous(events[3]) == {"invoice_settings": {"default_payment_method": None}}
    assert previous(events[4]) == {"default_payment_method": old}
    assert previous(events[5]) == {"customer": customer}


@pytest.mark.parametrize(
    ("card", "later"),
    [
        ("pm_card_visa", []),
        ("pm_card_pendingRefund", ["refund.updated", "charge.refund.updated"]),
        ("pm_card_refundFail", ["charge.updated", "refund.updated", "charge.refund.updated", "refund.failed"]),
    ],
)
def test_refund(sandbox: SandboxProcess, stripe_api: Any, card: str, later: list[str]) -> None:
    params = {"amount": 500, "currency": "usd", "payment_method": card, "confirm": True}
    intent = stripe_api.payment_intents.create(params | {"return_url": "http://localhost/"})
    before = sandbox.mark()
    stripe_api.refunds.create({"payment_intent": intent.id})
    asked = sandbox.events(since=before)
    assert types(asked) == ["refund.created", "charge.refunded"]
    sandbox.advance(hours=1)
    assert types(sandbox.events(since=asked[-1].id)) == later


def test_every_event_is_one_that_stripe_has() -> None:
    """By the list of those that a webhook endpoint can ask for."""
    names = set(re.findall(r"'([a-z_0-9.]+)'", str(WebhookEndpointCreateParams.__annotations__["enabled_events"])))
    assert {"invoice.paid", "customer.subscription.updated"} <= names
    for file in (ROOT / "sandbox").rglob("*.py"):
        sent = re.findall(
            r"""(?:emit|update)\(\s*(?:world, |\w+, )?"([a-z_0-9]+(?:\.[a-z_0-9]+)+)\"""", file.read_text()
        )
        assert set(sent) <= names, file.name


def test_quote_from_draft_to_subscription(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    before = sandbox.mark()
    quote = stripe_api.quotes.create({"customer": customer.id, "line_items": [{"price": price.id}]})
    stripe_api.quotes.finalize_quote(quote.id)
    accepted = stripe_api.quotes.accept(quote.id)
    told = types(sandbox.events(since=before))
    assert told[:3] == ["quote.created", "quote.finalized", "customer.subscription.created"]
    assert told[-1] == "quote.accepted"
    assert accepted.subscription


def test_events_name_the_request_that_caused_them_and_who_still_waits(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    """A request's id and key; none when time alone passed. Two endpoints want them."""
    stripe_api.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.subscription.updated"]})
    sandbox.post("deliveries", {"mode": "hold"})
    subscription, before = subscribed(stripe_api), sandbox.mark()
    changed = stripe_api.subscriptions.update(subscription.id, {"metadata": {"a": "b"}}, {"idempotency_key": "mine"})
    (asked,) = sandbox.events(since=before)
    sandbox.advance_to(subscription["items"].data[0].current_period_end)
    automatic = sandbox.events(since=asked.id)
    request_id = changed.last_response.request_id
    assert (asked.type, asked.request.id, asked.request.idempotency_key) == (UPDATED, request_id, "mine")
    assert asked.pending_webhooks == 2
    assert [(event.type, event.pending_webhooks) for event in automatic] == [(UPDATED, 2), ("invoice.created", 1)]
    assert {(event.request.id, event.request.idempotency_key) for event in automatic} == {(None, None)}


def test_first_invoice_secret_is_one_and_the_same(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """After a decline, too: the browser goes on with what it has."""
    customer, price = stripe_api.customers.create({}), monthly(stripe_api)
    params = {"customer": customer.id, "items": [{"price": price.id}], "payment_behavior": "default_incomplete"}
    subscription = stripe_api.subscriptions.create(params | {"expand": ["latest_invoice.confirmation_secret"]})
    secret = client_secret(subscription)
    assert confirm(sandbox, secret, "4000000000000002")[0] == 402
    invoice = stripe_api.invoices.retrieve(subscription.latest_invoice.id, {"expand": ["confirmation_secret"]})
    assert invoice.confirmation_secret.client_secret == secret
