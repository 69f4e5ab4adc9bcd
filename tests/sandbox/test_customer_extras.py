"""Tax ids, the balance and its transactions, customer sessions."""

from typing import Any

import pytest

from tests.sandbox.acts import monthly, previous, refused, subscribe, types
from tests.sandbox_process import SandboxProcess


def test_a_tax_id_is_looked_up_in_its_register(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """It is pending until the register answers; the customer's own name and address come back."""
    address = {"country": "DE", "city": "Berlin", "line1": "Allee 1"}
    customer = stripe_api.customers.create({"name": "Carol", "address": address})
    made = stripe_api.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": "DE123456789"})
    assert (made.country, made.verification.status, made.owner.customer) == ("DE", "pending", customer.id)
    sandbox.advance(5)
    found = stripe_api.customers.tax_ids.retrieve(customer.id, made.id)
    assert (found.verification.status, found.verification.verified_name) == ("verified", "Carol")
    assert found.verification.verified_address == "Berlin, DE, Allee 1"
    events = sandbox.events("customer.tax_id.created", "customer.tax_id.updated")
    assert types(events) == ["customer.tax_id.created", "customer.tax_id.updated"]
    assert previous(events[1])["verification"]["status"] == "pending"


@pytest.mark.parametrize(
    ("value", "status"), [("000000000", "verified"), ("DE111111111", "unverified"), ("222222222", "pending")]
)
def test_stripes_values_for_tests_decide_the_answer(
    sandbox: SandboxProcess, stripe_api: Any, value: str, status: str
) -> None:
    """Three numbers that Stripe keeps for test mode."""
    customer = stripe_api.customers.create()
    made = stripe_api.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": value})
    sandbox.advance(hours=1)
    assert stripe_api.customers.tax_ids.retrieve(customer.id, made.id).verification.status == status


@pytest.mark.stripe_verified
def test_a_tax_id_without_a_register_is_never_verified(stripe_api: Any) -> None:
    """Its verification is unavailable; it may come with the customer and go by itself."""
    given = [{"type": "us_ein", "value": "12-3456789"}]
    customer = stripe_api.customers.create({"tax_id_data": given, "expand": ["tax_ids"]})
    tax_id = customer.tax_ids.data[0]
    assert (tax_id.verification.status, customer.tax_ids.total_count) == ("unavailable", 1)
    owner = {"type": "customer", "customer": customer.id}
    assert [one.id for one in stripe_api.tax_ids.list({"owner": owner})] == [tax_id.id]
    assert stripe_api.customers.tax_ids.delete(customer.id, tax_id.id).deleted
    assert stripe_api.customers.tax_ids.list(customer.id).data == []


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"type": "eu_vat", "value": "XX1"}, "tax_id_invalid", "value"),
        ({"type": "moon_vat", "value": "1"}, None, "type"),
        ({"type": "eu_vat"}, "parameter_missing", "value"),
    ],
)
def test_bad_tax_ids_are_refused_by_name(
    sandbox: SandboxProcess, stripe_api: Any, given: Any, code: str | None, param: str
) -> None:
    """Nothing is stored and nothing told."""
    customer, mark = stripe_api.customers.create(), sandbox.mark()
    error = refused(stripe_api.customers.tax_ids.create, customer.id, given)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert sandbox.events(since=mark) == []


@pytest.mark.stripe_verified
def test_another_customers_tax_id_is_not_found(stripe_api: Any) -> None:
    """The path's customer decides."""
    one, other = stripe_api.customers.create(), stripe_api.customers.create()
    tax_id = stripe_api.customers.tax_ids.create(one.id, {"type": "us_ein", "value": "12-3456789"})
    assert refused(stripe_api.customers.tax_ids.retrieve, other.id, tax_id.id).http_status == 404


def test_each_change_of_the_balance_leaves_a_transaction(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """At the start, by hand and by an update; the first one by hand fixes the currency."""
    customer = stripe_api.customers.create({"balance": -100})
    transactions = stripe_api.customers.balance_transactions
    made = transactions.create(customer.id, {"amount": -400, "currency": "usd", "description": "sorry"})
    assert (made.ending_balance, made.type) == (-500, "adjustment")
    changed = stripe_api.customers.update(customer.id, {"balance": 50})
    assert (changed.balance, changed.currency) == (50, "usd")
    shown = [(one.type, one.amount, one.ending_balance) for one in transactions.list(customer.id)]
    assert shown == [("adjustment", 550, 50), ("adjustment", -400, -500), ("initial", -100, -100)]
    assert [previous(event)["balance"] for event in sandbox.events("customer.updated")] == [-100, -500]
    assert transactions.update(customer.id, made.id, {"metadata": {"why": "delay"}}).metadata["why"] == "delay"


def test_invoices_that_use_the_balance_say_so(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """What is owed to the customer pays first; a void invoice gives it back."""
    customer = stripe_api.customers.create({"balance": -200})
    transactions = stripe_api.customers.balance_transactions
    subscription = subscribe(stripe_api, customer.id, monthly(stripe_api).id)
    invoice = stripe_api.invoices.retrieve(subscription.latest_invoice.id)
    assert (invoice.amount_due, invoice.starting_balance, invoice.ending_balance) == (300, -200, 0)
    stripe_api.invoices.void_invoice(invoice.id)
    shown = [(one.type, one.amount, one.ending_balance, one.invoice) for one in transactions.list(customer.id)]
    assert shown == [
        ("unapplied_from_invoice", -200, -200, invoice.id),
        ("applied_to_invoice", 200, 0, invoice.id),
        ("initial", -200, -200, None),
    ]
    assert transactions.list(customer.id, {"invoice": invoice.id, "limit": 1}).has_more
    small = subscribe(stripe_api, stripe_api.customers.create().id, monthly(stripe_api, 20).id)
    assert transactions.list(small.customer).data[0].type == "invoice_too_small"


def test_an_invoice_keeps_the_tax_ids_of_its_day(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Those that the customer had when it was finalized."""
    given = [{"type": "us_ein", "value": "12-3456789"}]
    customer = stripe_api.customers.create({"tax_id_data": given})
    first = subscribe(stripe_api, customer.id, monthly(stripe_api).id).latest_invoice
    tax_id = stripe_api.customers.tax_ids.list(customer.id).data[0]
    stripe_api.customers.tax_ids.delete(customer.id, tax_id.id)
    assert [one.to_dict() for one in stripe_api.invoices.retrieve(first.id).customer_tax_ids] == given
    second = subscribe(stripe_api, customer.id, monthly(stripe_api).id).latest_invoice
    assert second.customer_tax_ids == []


def test_a_balance_has_one_currency(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Another one is refused and changes nothing."""
    customer = stripe_api.customers.create()
    transactions = stripe_api.customers.balance_transactions
    transactions.create(customer.id, {"amount": -400, "currency": "usd"})
    assert refused(transactions.create, customer.id, {"amount": 1, "currency": "eur"}).param == "currency"
    assert refused(transactions.create, customer.id, {"currency": "usd"}).code == "parameter_missing"
    assert stripe_api.customers.retrieve(customer.id).balance == -400


def test_a_customer_session_says_what_a_browser_may_show(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """One component at least; what was not asked for is off; it lasts half an hour."""
    customer = stripe_api.customers.create()
    features = {"payment_method_redisplay": "enabled"}
    components = {"payment_element": {"enabled": True, "features": features}}
    session = stripe_api.customer_sessions.create({"customer": customer.id, "components": components})
    assert session.client_secret.startswith("cuss_secret_")
    assert session.expires_at == session.created + 1800
    assert session.components.payment_element.features.payment_method_redisplay == "enabled"
    assert (session.components.buy_button.enabled, session.components.customer_sheet.features) == (False, None)
    nothing = {"customer": customer.id, "components": {"buy_button": {"enabled": False}}}
    assert refused(stripe_api.customer_sessions.create, nothing).param == "components"


def test_what_invoices_of_a_customer_say_is_kept(stripe_api: Any) -> None:
    """Footer, custom fields, and a prefix of their own; a prefix of the wrong form is refused."""
    fields = [{"name": "Order", "value": "7"}]
    settings = {"footer": "Thanks", "custom_fields": fields}
    customer = stripe_api.customers.create(
        {"invoice_settings": settings, "invoice_prefix": "SHOP", "business_name": "B"}
    )
    assert customer.invoice_settings.footer == "Thanks"
    assert customer.invoice_settings.custom_fields[0].to_dict() == fields[0]
    assert (customer.invoice_prefix, customer.business_name) == ("SHOP", "B")
    assert refused(stripe_api.customers.create, {"invoice_prefix": "a b"}).param == "invoice_prefix"
