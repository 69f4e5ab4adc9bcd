"""Changing plan in a real browser."""

import pytest
from playwright.sync_api import expect

from models import Subscription
from tests.browser.person import Person

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(page, shop):
    """Somebody at the shop."""
    return Person(page, shop.url)


def has(alice, plan):
    alice.register().choose(plan).pay()
    alice.sees_welcome()
    alice.open("/account")
    return alice


def charges(shop):
    return [charge.amount for charge in shop.sandbox.client.v1.charges.list().data if charge.paid]


def save_card(shop, token):
    stripe = shop.sandbox.client.v1
    subscription = stripe.subscriptions.list().data[0]
    method = stripe.payment_methods.attach(token, {"customer": str(subscription.customer)})
    stripe.subscriptions.update(subscription.id, {"default_payment_method": method.id})
    shop.settle()


def test_upgrade_sees_each_line_and_pays_exactly_that(alice, shop):
    """From the account page to Premium, for the difference of a fresh month."""
    has(alice, "Basic")
    alice.page.get_by_role("link", name="Change your plan").click()
    expect(alice.page.get_by_text("Due today")).to_be_visible()
    expect(alice.page.get_by_text("Unused time on Basic")).to_be_visible()
    confirm = alice.page.get_by_role("button", name="Change to Premium and pay")
    expect(confirm).to_contain_text("$10.00")
    confirm.click()

    alice.page.wait_for_url("**/account")
    expect(alice.page.get_by_role("heading", name="Premium")).to_be_visible()
    assert charges(shop) == [1000, 500]


def test_an_upgrade_with_3d_secure_is_completed_on_the_page(alice, shop):
    """The bank asks, the old plan stays until it is satisfied; then the page knows, though no event came yet."""
    has(alice, "Basic")
    save_card(shop, "pm_card_authenticationRequired")
    alice.open("/account/plan")
    shop.sandbox.post("deliveries", {"mode": "hold"})
    alice.page.get_by_role("button", name="Change to Premium and pay").click()
    alice.challenge("Complete")

    alice.page.wait_for_url("**/account")
    expect(alice.page.get_by_role("heading", name="Premium")).to_be_visible()
    assert len(charges(shop)) == 2
    shop.sandbox.post("deliveries", {"mode": "deliver"})


@pytest.mark.parametrize("answer", ["Fail", None])
def test_an_upgrade_that_is_not_paid_leaves_the_old_plan_and_says_so(alice, shop, answer):
    """The challenge failed, or the card was declined."""
    has(alice, "Basic")
    save_card(shop, "pm_card_authenticationRequired" if answer else "pm_card_chargeCustomerFail")
    alice.open("/account/plan")
    alice.page.get_by_role("button", name="Change to Premium and pay").click()
    if answer:
        alice.challenge(answer)

    message = alice.page.locator("#plan-message")
    expect(message).to_contain_text("You keep your plan, and nothing was charged.")
    expect(alice.page.get_by_role("button", name="Change to Premium and pay")).to_be_enabled()
    expect(message.get_by_role("link")).to_have_attribute("href", "/payment-method")
    alice.open("/account")
    expect(alice.page.get_by_role("heading", name="Basic", exact=True)).to_be_visible()
    assert charges(shop) == [500]


def test_a_downgrade_is_shown_with_its_date_and_undone(alice, shop):
    """At the period's end, and taken back."""
    has(alice, "Premium")
    shop.sandbox.fault(path="create_preview", status=500, times=3)
    alice.open("/account/plan")
    alice.page.get_by_role("button", name="Try again").click()
    alice.page.get_by_role("button", name="Change to Basic on").click()
    alice.page.wait_for_url("**/account")
    expect(alice.page.get_by_text("Changes to Basic on")).to_be_visible()
    alice.page.get_by_text("Cancel subscription").first.click()
    expect(alice.page.get_by_text("Your change to Basic is dropped, too.")).to_be_visible()
    alice.page.get_by_role("button", name="Keep Premium").click()

    expect(alice.page.get_by_role("link", name="Change your plan")).to_be_visible()
    shop.sandbox.advance(days=32)
    shop.settle()
    assert charges(shop) == [1500, 1500]
    assert [row["status"] for row in shop.rows(Subscription)] == ["active"]
