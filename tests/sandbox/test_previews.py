"""What a preview shows is what the invoice then charges, to the cent."""

from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly, refused
from tests.sandbox_process import SandboxProcess


def subscribed(stripe_api: Any, *prices: Any, **more: Any) -> Any:
    """A subscription to those prices, paid by the customer's card."""
    customer = customer_with(stripe_api)
    items = [{"price": price.id} for price in prices]
    return stripe_api.subscriptions.create({"customer": customer.id, "items": items, **more})


def amounts(invoice: Any) -> list[Any]:
    return [(line.description, line.amount, line.period.to_dict()) for line in invoice.lines.data]


def test_preview_of_an_upgrade_is_what_the_upgrade_charges(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """With the same proration date: the same lines, amounts and total, and nothing changed by looking."""
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    subscription = subscribed(stripe_api, basic)
    item = subscription["items"].data[0]
    sandbox.advance(days=11, hours=7)
    before, at = sandbox.mark(), sandbox.now()
    change = {
        "items": [{"id": item.id, "price": premium.id}],
        "proration_behavior": "always_invoice",
        "proration_date": at,
    }
    params = {"subscription": subscription.id, "subscription_details": change}
    shown = stripe_api.invoices.create_preview(params)
    assert (shown.billing_reason, shown.status, shown.number) == ("upcoming", "draft", None)
    assert shown.id.startswith("upcoming_in_")
    assert sandbox.events(since=before) == []
    assert stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].price.id == basic.id
    assert stripe_api.invoice_items.list({"customer": subscription.customer}).data == []

    sandbox.advance(hours=1)
    changed = stripe_api.subscriptions.update(subscription.id, change | {"expand": ["latest_invoice"]})
    assert amounts(changed.latest_invoice) == amounts(shown)
    assert (changed.latest_invoice.total, changed.latest_invoice.amount_paid) == (shown.total, shown.amount_due)
    assert 0 < shown.total < 1000
    assert refused(stripe_api.invoices.retrieve, shown.id).http_status == 404


def test_preview_of_a_waiting_proration_is_the_next_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """With create_prorations the preview is the renewal, with the prorations on it."""
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    subscription = subscribed(stripe_api, basic)
    item = subscription["items"].data[0]
    sandbox.advance(days=10)
    change = {"items": [{"id": item.id, "price": premium.id}], "proration_date": sandbox.now()}
    shown = stripe_api.invoices.create_preview({"subscription": subscription.id, "subscription_details": change})
    prorated = [line for line in shown.lines.data if line.parent.subscription_item_details.proration]
    assert [line.amount < 0 for line in prorated] == [False, True]
    assert (shown.lines.data[-1].amount, shown.created) == (1500, item.current_period_end)
    assert shown.next_payment_attempt == item.current_period_end + 3600
    stripe_api.subscriptions.update(subscription.id, change)
    sandbox.advance_to(item.current_period_end + 2 * 3600)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert amounts(renewal) == amounts(shown)
    assert (renewal.amount_paid, renewal.period_start) == (shown.amount_due, shown.period_start)


def test_preview_without_a_change_is_the_renewal(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api))
    for params in ({"subscription": subscription.id}, {"customer": subscription.customer}):
        shown = stripe_api.invoices.create_preview(params)
        assert (shown.total, shown.period_end) == (500, subscription["items"].data[0].current_period_end)
        assert shown.parent.subscription_details.subscription == subscription.id


def test_preview_of_a_new_subscription(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    params = {"customer": customer.id, "subscription_details": {"items": [{"price": price.id, "quantity": 3}]}}
    shown = stripe_api.invoices.create_preview(params)
    assert (shown.total, shown.lines.data[0].description) == (1500, "3 × Basic (at $5.00 / month)")
    assert stripe_api.subscriptions.list({"customer": customer.id}).data == []


def test_recurring_preview_has_no_prorations(sandbox: SandboxProcess, stripe_api: Any) -> None:
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    subscription = subscribed(stripe_api, basic)
    sandbox.advance(days=10)
    change = {"items": [{"id": subscription["items"].data[0].id, "price": premium.id}]}
    params = {"subscription": subscription.id, "subscription_details": change, "preview_mode": "recurring"}
    assert [line.amount for line in stripe_api.invoices.create_preview(params).lines.data] == [1500]


def test_no_preview_of_what_will_not_come(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api))
    stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    error = refused(stripe_api.invoices.create_preview, {"subscription": subscription.id})
    assert (error.http_status, error.code) == (404, "invoice_upcoming_none")
    stripe_api.subscriptions.cancel(subscription.id)
    error = refused(stripe_api.invoices.create_preview, {"subscription": subscription.id})
    assert (error.http_status, error.code) == (404, "invoice_upcoming_none")


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameter_missing", "customer"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"subscription": "sub_none"}, "resource_missing", "subscription"),
        ({"subscription_details": {"itemz": "x"}}, "parameter_unknown", "subscription_details[itemz]"),
        ({"automatic_tax": {"enabled": True}}, "sandbox_not_built", None),
    ],
)
def test_bad_input_is_refused(stripe_api: Any, params: dict[str, Any], code: str, param: str | None) -> None:
    error = refused(stripe_api.invoices.create_preview, params)
    assert (error.http_status, error.code, error.param) == (400, code, param)
