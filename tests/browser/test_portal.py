"""The sandbox's billing portal in a real browser."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import ELEMENT
from tests.sandbox.acts import paying_customer
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.browser
FEATURES: Any = {
    "invoice_history": {"enabled": True},
    "payment_method_update": {"enabled": True},
    "subscription_cancel": {"enabled": True},
}


def open_portal(page: Page, sandbox: SandboxProcess, customer: Any) -> None:
    portal = sandbox.client.v1.billing_portal
    configuration = portal.configurations.create({"features": FEATURES})
    session = portal.sessions.create({"customer": customer, "configuration": configuration.id})
    page.goto(session.url)


def test_a_new_card_is_the_one_that_is_charged(page: Page, sandbox: SandboxProcess) -> None:
    """The Payment Element takes it; the customer's default changes, and the subscription's own method with it."""
    subscription = paying_customer(sandbox)
    open_portal(page, sandbox, subscription.customer)
    mark = sandbox.mark()
    page.get_by_role("link", name="Add payment method").click()
    frame = page.frame_locator(ELEMENT).first
    for name, value in {"number": "5555555555554444", "expiry": "1240", "cvc": "123"}.items():
        frame.locator(f'[name="{name}"]').fill(value)
    frame.locator('[name="country"]').select_option("US")
    frame.locator('[name="postalCode"]').fill("12345")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_have_text("Your payment method has been updated")
    expect(page.get_by_text("Mastercard •••• 4444")).to_be_visible()
    types = [event.type for event in sandbox.events(since=mark)]
    assert types == [
        "setup_intent.created",
        "setup_intent.succeeded",
        "payment_method.attached",
        "customer.updated",
        "customer.subscription.updated",
    ]
    method = sandbox.client.v1.subscriptions.retrieve(subscription.id).default_payment_method
    assert sandbox.client.v1.payment_methods.retrieve(str(method)).card.last4 == "4444"  # type: ignore[union-attr]


def test_canceling_and_going_on_by_hand(page: Page, sandbox: SandboxProcess) -> None:
    """Two clicks end it, one takes that back; the page says which."""
    open_portal(page, sandbox, paying_customer(sandbox).customer)
    page.get_by_role("link", name="Cancel subscription").click()
    page.get_by_role("button", name="Cancel subscription").click()
    expect(page.get_by_text("Your subscription will be canceled on")).to_be_visible()
    page.get_by_role("button", name="Don’t cancel subscription").click()
    expect(page.get_by_text("Your subscription renews on")).to_be_visible()
