"""A year of a customer's life, clicked through with the sandbox's clock while the shop's pages follow."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import GOOD, Person

pytestmark = pytest.mark.browser
FAILS_AT_RENEWAL = "4000000000000341"


@pytest.fixture
def alice(page, shop):
    """Somebody at the shop."""
    return Person(page, shop.url)


@pytest.fixture
def clock(new_context, shop):
    """The sandbox's own page, in another window."""
    return Clock(new_context(viewport={"width": 1000, "height": 700}).new_page(), shop)


class Clock:
    """The control on the sandbox's page."""

    def __init__(self, page: Page, shop) -> None:
        self.page, self.shop = page, shop

    def begin_trial(self, subscription: str) -> None:
        self.page.goto(f"{self.shop.sandbox.url}/objects/{subscription}")
        self.page.get_by_label("A trial of").fill("14")
        self.page.get_by_role("button", name="Begin").click()
        expect(self.page.get_by_text('"status": "trialing"')).to_be_visible()
        self.shop.settle()

    def click(self, button: str) -> None:
        self.page.goto(self.shop.sandbox.url + "/")
        before = self.shop.sandbox.now()
        self.page.get_by_role("button", name=button, exact=True).click()
        self.page.wait_for_load_state()
        assert self.shop.sandbox.now() > before
        self.shop.settle()


def test_trial_renewal_decline_retry_new_card_upgrade_and_cancel(alice, clock, shop):
    """Each step is seen on the account page after the clock was moved by a click."""
    stripe = shop.sandbox.client.v1
    alice.register().choose("Basic").pay()
    alice.sees_welcome()
    account = alice.page
    subscription = stripe.subscriptions.list().data[0].id

    clock.begin_trial(subscription)
    alice.open("/account")
    expect(account.get_by_text("Trial until")).to_be_visible()

    clock.click("+ 1 month")
    alice.open("/account")
    expect(account.get_by_text("Renews on")).to_be_visible()
    expect(account.get_by_text("Trial until")).to_have_count(0)

    account.get_by_role("link", name="Replace it").click()
    alice.wait_for_form().pay(FAILS_AT_RENEWAL)
    expect(account.get_by_role("heading", name="Saved")).to_be_visible()
    for _week in range(3):
        clock.click("+ 7 days")
    alice.open("/account")
    expect(account.get_by_text("Payment due").first).to_be_visible()
    alice.open("/members/basic")
    expect(account.get_by_role("heading", level=1)).not_to_contain_text("isn’t open")

    alice.open("/pay")
    account.get_by_role("button", name="Use another payment method").click()
    alice.wait_for_form().pay(GOOD)
    expect(account.get_by_text("paid", exact=False).first).to_be_visible()
    shop.settle()
    alice.open("/account")
    expect(account.get_by_text("Payment due")).to_have_count(0)

    alice.open("/account/plan")
    account.get_by_role("button", name="Change to Premium and pay").click()
    account.wait_for_url("**/account")
    clock.click("+ 1 month")
    alice.open("/members/premium")
    expect(account.get_by_role("heading", level=1)).not_to_contain_text("isn’t open")

    alice.open("/account")
    account.get_by_text("Cancel subscription").first.click()
    account.locator("form[action$='/cancel-subscription'] button:not([type=button])").click()
    expect(account.get_by_text("Ends on")).to_be_visible()
    clock.click("+ 1 month")
    alice.open("/members/premium")
    expect(account.get_by_role("heading", name="isn’t open to you")).to_be_visible()
    assert stripe.subscriptions.retrieve(subscription).status == "canceled"
