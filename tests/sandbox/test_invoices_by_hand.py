"""Invoices that somebody makes: drafts, items, payment, and the other ways in which they end."""

from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly, previous, refused, types
from tests.sandbox_process import DAY, SandboxProcess

HOUR = 3600


def draft(stripe_api: Any, *amounts: int, card: str = "pm_card_visa", **more: Any) -> Any:
    """A draft on which items of those amounts stand."""
    customer = customer_with(stripe_api, card)
    for amount in amounts:
        params = {"customer": customer.id, "amount": amount, "currency": "usd", "description": f"Work for {amount}"}
        stripe_api.invoice_items.create(params)
    params = {"customer": customer.id, "pending_invoice_items_behavior": "include", **more}
    return stripe_api.invoices.create(params)


@pytest.mark.stripe_verified
def test_draft_takes_what_waits_only_if_asked(stripe_api: Any) -> None:
    customer = customer_with(stripe_api)
    stripe_api.invoice_items.create({"customer": customer.id, "amount": 2000, "currency": "usd"})
    empty = stripe_api.invoices.create({"customer": customer.id})
    assert (empty.status, empty.billing_reason, empty.auto_advance, empty.parent) == ("draft", "manual", False, None)
    assert (empty.number, empty.hosted_invoice_url, empty.ending_balance, empty.lines.data) == (None, None, None, [])
    full = stripe_api.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    assert (full.total, len(full.lines.data)) == (2000, 1)


def test_draft_is_edited_finalized_and_paid(sandbox: SandboxProcess, stripe_api: Any) -> None:
    invoice = draft(stripe_api, 2000, 1500)
    edited = stripe_api.invoices.update(
        invoice.id, {"description": "May", "metadata": {"job": "7"}, "footer": "Thanks"}
    )
    assert (edited.description, edited.metadata["job"], edited.footer) == ("May", "7", "Thanks")
    before = sandbox.mark()
    finalized = stripe_api.invoices.finalize_invoice(invoice.id)
    assert (finalized.status, finalized.number[-5:], finalized.amount_due) == ("open", "-0001", 3500)
    assert "invoice.finalized" in types(sandbox.events(since=before))
    error = refused(stripe_api.invoices.update, invoice.id, {"description": "June"})
    assert (error.http_status, error.code) == (400, "invoice_not_editable")
    assert stripe_api.invoices.update(invoice.id, {"metadata": {"job": "8"}}).metadata["job"] == "8"
    paid = stripe_api.invoices.pay(invoice.id)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 3500, 1)
    payment = stripe_api.invoice_payments.list({"invoice": invoice.id}).data[0]
    intent = stripe_api.payment_intents.retrieve(payment.payment.payment_intent)
    assert (intent.description, intent.setup_future_usage) == ("Payment for Invoice", None)
    assert "already paid" in refused(stripe_api.invoices.pay, invoice.id).user_message


@pytest.mark.stripe_verified
def test_paying_a_draft_finalizes_it(stripe_api: Any) -> None:
    assert stripe_api.invoices.pay(draft(stripe_api, 900).id).status == "paid"
    nothing = stripe_api.invoices.pay(draft(stripe_api).id)
    assert (nothing.status, nothing.total, nothing.attempt_count) == ("paid", 0, 0)


@pytest.mark.stripe_verified
def test_declined_payment_leaves_it_open_until_another_card_pays(stripe_api: Any) -> None:
    invoice = draft(stripe_api, 900, card="pm_card_chargeCustomerFail")
    assert refused(stripe_api.invoices.pay, invoice.id).http_status == 402
    assert stripe_api.invoices.retrieve(invoice.id).status == "open"
    good = stripe_api.payment_methods.attach("pm_card_visa", {"customer": invoice.customer})
    assert stripe_api.invoices.pay(invoice.id, {"payment_method": good.id}).status == "paid"


@pytest.mark.stripe_verified
def test_payment_by_other_means(stripe_api: Any) -> None:
    invoice = draft(stripe_api, 900)
    paid = stripe_api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert (paid.status, paid.amount_remaining) == ("paid", 0)
    assert stripe_api.charges.list({"customer": invoice.customer}).data == []


def test_uncollectible_invoices_can_still_be_paid_or_voided(sandbox: SandboxProcess, stripe_api: Any) -> None:
    invoices = [stripe_api.invoices.finalize_invoice(draft(stripe_api, 900).id) for _ in range(2)]
    before = sandbox.mark()
    for invoice in invoices:
        given_up = stripe_api.invoices.mark_uncollectible(invoice.id)
        assert (given_up.status, given_up.status_details.uncollectible.reason) == ("uncollectible", "user_forgiven")
        assert given_up.status_transitions.marked_uncollectible_at is not None
    assert types(sandbox.events(since=before)) == ["invoice.updated", "invoice.marked_uncollectible"] * 2
    assert stripe_api.invoices.pay(invoices[0].id).status == "paid"
    assert stripe_api.invoices.void_invoice(invoices[1].id).status == "void"
    assert refused(stripe_api.invoices.mark_uncollectible, invoices[1].id).http_status == 400


def test_drafts_made_by_hand_can_be_deleted(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """What stood on it waits again; a finalized invoice stays."""
    invoice = draft(stripe_api, 900)
    assert stripe_api.invoices.delete(invoice.id).deleted is True
    assert refused(stripe_api.invoices.retrieve, invoice.id).http_status == 404
    waiting = stripe_api.invoice_items.list({"customer": invoice.customer, "pending": True}).data
    assert [item.amount for item in waiting] == [900]
    finalized = stripe_api.invoices.finalize_invoice(draft(stripe_api, 900).id)
    assert refused(stripe_api.invoices.delete, finalized.id).code == "invoice_not_editable"
    assert [event.data.object.id for event in sandbox.events("invoice.deleted")] == [invoice.id]


def test_items_are_edited_and_taken_off_a_draft(sandbox: SandboxProcess, stripe_api: Any) -> None:
    invoice = draft(stripe_api, 900)
    params = {"customer": invoice.customer, "invoice": invoice.id, "unit_amount_decimal": "150", "quantity": 4}
    item = stripe_api.invoice_items.create(params | {"currency": "usd"})
    assert stripe_api.invoices.retrieve(invoice.id).total == 1500
    stripe_api.invoice_items.update(item.id, {"quantity": 2, "description": "Hours"})
    changed = stripe_api.invoices.retrieve(invoice.id)
    assert (changed.total, changed.lines.data[0].description) == (1200, "Hours")
    assert stripe_api.invoice_items.delete(item.id).deleted is True
    assert stripe_api.invoices.retrieve(invoice.id).total == 900
    stripe_api.invoices.finalize_invoice(invoice.id)
    left = stripe_api.invoice_items.list({"invoice": invoice.id}).data[0]
    assert refused(stripe_api.invoice_items.delete, left.id).code == "invoice_not_editable"


def test_lines_are_listed_a_page_at_a_time(stripe_api: Any) -> None:
    invoice = draft(stripe_api, 100, 200, 300)
    first = stripe_api.invoices.line_items.list(invoice.id, {"limit": 2})
    rest = stripe_api.invoices.line_items.list(invoice.id, {"limit": 2, "starting_after": first.data[-1].id})
    assert (first.has_more, rest.has_more) == (True, False)
    assert [line.amount for line in [*first.data, *rest.data]] == [300, 200, 100]
    before = stripe_api.invoices.line_items.list(invoice.id, {"limit": 1, "ending_before": rest.data[0].id})
    assert ([line.amount for line in before.data], before.has_more) == ([200], True)
    error = refused(stripe_api.invoices.line_items.list, invoice.id, {"starting_after": "il_none"})
    assert (error.http_status, error.param) == (400, "starting_after")


def test_draft_that_advances_by_itself_is_collected_after_an_hour(sandbox: SandboxProcess, stripe_api: Any) -> None:
    invoice = draft(stripe_api, 900, auto_advance=True)
    assert invoice.automatically_finalizes_at == invoice.created + HOUR
    sandbox.advance(hours=2)
    assert stripe_api.invoices.retrieve(invoice.id).status == "paid"
    still = draft(stripe_api, 900)
    sandbox.advance(days=3)
    assert stripe_api.invoices.retrieve(still.id).status == "draft"


def test_invoice_sent_by_mail_is_due_some_days_later(sandbox: SandboxProcess, stripe_api: Any) -> None:
    invoice = draft(stripe_api, 900, collection_method="send_invoice", days_until_due=5)
    before = sandbox.mark()
    sent = stripe_api.invoices.send_invoice(invoice.id)
    assert (sent.status, sent.due_date) == ("open", sent.effective_at + 5 * DAY)
    assert types(sandbox.events(since=before))[-1] == "invoice.sent"
    before = sandbox.mark()
    sandbox.advance(days=6)
    events = sandbox.events(since=before)
    assert types(events) == ["invoice.overdue", "customer.updated"]
    assert previous(events[1]) == {"delinquent": False}
    stripe_api.invoices.pay(invoice.id)
    assert stripe_api.customers.retrieve(invoice.customer).delinquent is False


def test_subscription_that_is_paid_by_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Active at once; the first invoice can be edited for an hour, then it is sent; past due when overdue."""
    customer, price = stripe_api.customers.create({"email": "c@example.com"}), monthly(stripe_api)
    params = {"collection_method": "send_invoice", "days_until_due": 7, "expand": ["latest_invoice"]}
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}], **params})
    invoice = subscription.latest_invoice
    assert (subscription.status, subscription.days_until_due, invoice.status) == ("active", 7, "draft")
    sandbox.advance(hours=2)
    sent = stripe_api.invoices.retrieve(invoice.id)
    assert (sent.status, sent.due_date - sent.effective_at) == ("open", 7 * DAY)
    sandbox.advance(days=8)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "past_due"
    before = sandbox.mark()
    stripe_api.invoices.pay(invoice.id, {"paid_out_of_band": True})
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"
    told = types(sandbox.events(since=before))
    assert "invoice.paid" in told and "invoice.payment_succeeded" not in told, "no payment was tried"
    later = stripe_api.subscriptions.update(subscription.id, {"days_until_due": 30})
    assert (later.collection_method, later.days_until_due) == ("send_invoice", 30)
    automatic = stripe_api.subscriptions.update(subscription.id, {"collection_method": "charge_automatically"})
    assert automatic.days_until_due is None


@pytest.mark.stripe_verified
def test_discount_on_an_invoice(stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"percent_off": 25, "duration": "once"})
    invoice = draft(stripe_api, 1000, discounts=[{"coupon": coupon.id}])
    assert (invoice.subtotal, invoice.total, len(invoice.discounts)) == (1000, 750, 1)


def test_invoices_have_the_customers_footer_and_fields_unless_told(stripe_api: Any) -> None:
    """And automatic tax may be declined, as it is anyway."""
    texts = {"footer": "Thanks", "custom_fields": [{"name": "PO", "value": "17"}]}
    customer = stripe_api.customers.create({"invoice_settings": texts}).id
    params = {"customer": customer, "automatic_tax": {"enabled": False}}
    plain = stripe_api.invoices.create(params)
    own = stripe_api.invoices.create(params | {"footer": "Bye", "custom_fields": [{"name": "Ref", "value": "A"}]})
    assert (plain.footer, plain.custom_fields[0].value) == ("Thanks", "17")
    assert (own.footer, own.custom_fields[0].value) == ("Bye", "A")
    assert stripe_api.invoices.update(own.id, {"custom_fields": ""}).custom_fields is None
    many = [{"name": str(number), "value": "x"} for number in range(5)]
    assert refused(stripe_api.invoices.create, params | {"custom_fields": many}).param == "custom_fields"
    error = refused(stripe_api.invoices.create, params | {"automatic_tax": {"enabled": True}})
    assert error.code == "sandbox_not_built"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameter_missing", "customer"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"subscription": "sub_none"}, "resource_missing", "subscription"),
        ({"customer": "cus_x", "collection_method": "pigeon"}, None, "collection_method"),
    ],
)
def test_bad_input_is_refused(stripe_api: Any, params: dict[str, Any], code: str | None, param: str) -> None:
    error = refused(stripe_api.invoices.create, params)
    assert (error.http_status, error.code, error.param) == (400, code, param)
