"""Bank debits in a real browser, from the form to the bank's answer days later."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.elements.shop import PaymentPage
from tests.sandbox.acts import client_secret, monthly, subscribe
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.browser

LATER = 181  # seconds, after which a delayed debit has been answered


def order(sandbox: SandboxProcess, currency: str) -> Any:
    """A subscription in that currency that waits for its first payment."""
    stripe = sandbox.client.v1
    customer = stripe.customers.create({"email": "anna@example.com"})
    return subscribe(stripe, customer.id, monthly(stripe, currency=currency).id)


def owner(shop: PaymentPage) -> None:
    shop.field("name").fill("Anna Doe")
    shop.field("email").fill("anna@example.com")


def test_tabs_follow_the_currency(shop: PaymentPage, sandbox: SandboxProcess) -> None:
    for currency, tabs in {"eur": ["Card", "SEPA Debit"], "aud": ["Card", "BECS Direct Debit"]}.items():
        shop.open(client_secret(order(sandbox, currency)))
        expect(shop.frame.get_by_role("tab")).to_have_text(tabs)
    for currency, allowed, count in (("eur", None, 2), ("aud", None, 2), ("usd", None, 0), ("eur", ["card"], 0)):
        named = {"allowedPaymentMethodTypes": allowed} if allowed else {}
        shop.open(elements={"mode": "subscription", "amount": 500, "currency": currency} | named)
        expect(shop.field("number")).to_be_visible()
        expect(shop.frame.get_by_role("tab")).to_have_count(count)
    shop.open(client_secret(order(sandbox, "usd")))
    expect(shop.field("number")).to_be_visible()
    expect(shop.frame.get_by_role("tab")).to_have_count(0)


def test_subscription_is_paid_by_sepa_three_minutes_later(shop: PaymentPage, sandbox: SandboxProcess) -> None:
    made = order(sandbox, "eur")
    shop.open(client_secret(made))
    shop.frame.get_by_role("tab", name="SEPA Debit").click()
    owner(shop)
    shop.field("iban").fill("AT321904300235473204")
    shop.pay()
    assert shop.landed()["payment_intent"] == client_secret(made).partition("_secret_")[0]
    stripe = sandbox.client.v1
    assert stripe.payment_intents.retrieve(shop.landed()["payment_intent"]).status == "processing"
    assert stripe.subscriptions.retrieve(made.id).status == "active"
    sandbox.advance(seconds=LATER)
    assert stripe.invoices.retrieve(made.latest_invoice.id).status == "paid"


def test_becs_account_that_is_closed_voids_the_first_invoice(shop: PaymentPage, sandbox: SandboxProcess) -> None:
    made = order(sandbox, "aud")
    shop.open(client_secret(made))
    shop.frame.get_by_role("tab", name="BECS Direct Debit").click()
    owner(shop)
    shop.field("bsb").fill("000000")
    shop.field("accountNumber").fill("111111113")
    shop.pay()
    shop.landed()
    sandbox.advance(seconds=LATER)
    stripe = sandbox.client.v1
    assert stripe.invoices.retrieve(made.latest_invoice.id).status == "void"
    assert stripe.subscriptions.retrieve(made.id).status == "active"
    assert stripe.charges.list({"customer": str(made.customer)}).data[0].failure_code == "account_closed"
