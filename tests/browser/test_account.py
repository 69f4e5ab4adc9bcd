"""The account in a real browser: another card, an invoice that waits, a bank that asks."""

from typing import Any

import pytest
from playwright.sync_api import expect

from models import Subscription
from tests.behind import ASKS, REFUSED, fall_behind
from tests.browser.person import CHALLENGED, GOOD, POOR, Person
from tests.shop import PASSWORD

pytestmark = pytest.mark.browser
MASTERCARD = "5555555555554444"


@pytest.fixture
def alice(page, shop):
    """Alice has Premium, paid with Visa 4242 in her browser."""
    return subscriber(page, shop)


def subscriber(page, shop):
    alice: Any = Person(page, shop.url).register().choose("Premium").pay()
    alice.sees_welcome()
    shop.settle()
    (row,) = shop.rows(Subscription)
    alice.subscription, alice.customer = row["id"], row["customer_id"]
    return alice


def paid(shop):
    return [charge.amount for charge in shop.sandbox.client.v1.charges.list().data if charge.paid]


def replace_with(alice, number):
    alice.open("/account").page.get_by_role("link", name="Replace it").click()
    alice.wait_for_form().pay(number)


def heading(alice, name):
    return alice.page.get_by_role("heading", name=name)


def banner(alice):
    return alice.page.get_by_text("Your last payment did not go through")


# --- the payment method


def test_another_card_is_taken_and_shown(alice, shop):
    """From the account page and back to it."""
    replace_with(alice, MASTERCARD)

    expect(heading(alice, "Saved")).to_be_visible()
    expect(alice.page.get_by_text("Mastercard •••• 4444 pays from now on.", exact=True)).to_be_visible()
    alice.page.get_by_role("link", name="Back to your account").click()
    expect(alice.page.get_by_text("Mastercard •••• 4444")).to_be_visible()
    assert paid(shop) == [1500]


def test_a_declined_card_is_told_beside_the_form_and_the_next_one_taken(alice):
    """On the same page."""
    replace_with(alice, POOR)

    expect(alice.message).to_have_text("Your card has insufficient funds.")
    alice.pay(MASTERCARD)
    expect(heading(alice, "Saved")).to_be_visible()


@pytest.mark.parametrize("answer", ["Complete", "Fail"])
def test_the_bank_asks_before_a_card_is_taken(alice, answer):
    """3D Secure, completed or failed."""
    replace_with(alice, CHALLENGED)
    alice.challenge(answer)

    if answer == "Complete":
        expect(heading(alice, "Saved")).to_be_visible()
    else:
        expect(alice.message).to_contain_text("We are unable to authenticate your payment method")
        expect(alice.button).to_be_enabled()


def test_a_card_is_taken_though_the_browser_is_gone(alice, shop):
    """The shop's own request never arrives: the webhook does it."""
    lost = lambda route: route.abort() if route.request.method == "POST" else route.continue_()  # noqa: E731
    alice.page.route("**/payment-method", lost)
    replace_with(alice, MASTERCARD)
    expect(alice.message).to_contain_text("We can’t be reached right now")
    shop.settle()

    alice.open("/account")
    expect(alice.page.get_by_text("Mastercard •••• 4444")).to_be_visible()


# --- an invoice that waits


def test_past_due_is_told_on_every_page_and_paid_with_another_card(alice, shop):
    """Banner, saved card refused, another card, banner gone."""
    fall_behind(shop, alice)
    for path in ("/", "/members/premium", "/account"):
        alice.open(path)
        expect(banner(alice)).to_be_visible()
    alice.page.get_by_role("link", name="Pay now").click()
    alice.page.get_by_role("button", name="Pay $15.00 with Visa •••• 0341").click()
    expect(alice.message).to_contain_text("Your card was declined.")
    alice.wait_for_form().pay(MASTERCARD)

    expect(alice.page.get_by_text("This invoice is paid")).to_be_visible()
    alice.open("/account")
    expect(banner(alice)).to_have_count(0)
    expect(alice.page.get_by_text("Mastercard •••• 4444")).to_be_visible()
    assert paid(shop) == [1500, 1500]


def test_another_method_without_trying_the_saved_one(alice, shop):
    """One click to the form."""
    fall_behind(shop, alice, REFUSED)
    alice.open("/pay").page.get_by_role("button", name="Use another payment method").click()
    alice.wait_for_form().pay(POOR)
    expect(alice.message).to_have_text("Your card has insufficient funds.")
    alice.pay(GOOD)

    expect(alice.page.get_by_text("This invoice is paid")).to_be_visible()
    assert paid(shop) == [1500, 1500]


def test_a_new_card_and_then_the_open_invoice_with_it(alice, shop):
    """One leads to the other."""
    fall_behind(shop, alice)
    replace_with(alice, MASTERCARD)
    expect(heading(alice, "Saved, and one invoice is still open")).to_be_visible()
    alice.page.get_by_role("link", name="Pay the open invoice").click()
    alice.page.get_by_role("button", name="Pay $15.00 with Mastercard •••• 4444").click()

    expect(alice.page.get_by_text("This invoice is paid")).to_be_visible()
    assert paid(shop) == [1500, 1500]


def test_the_bank_asks_at_renewal_and_is_answered_on_the_page(alice, shop):
    """Failed first, completed then."""
    fall_behind(shop, alice, ASKS)
    alice.open("/pay")
    pay = alice.page.get_by_role("button", name="Pay $15.00 with Visa •••• 3184")
    pay.click()
    alice.challenge("Fail")
    expect(alice.message).to_contain_text("We are unable to authenticate your payment method")
    pay.click()
    alice.challenge("Complete")

    expect(alice.page.get_by_text("This invoice is paid")).to_be_visible()
    assert paid(shop) == [1500, 1500]


def test_a_double_click_on_pay_is_one_charge(alice, shop):
    """The button waits."""
    fall_behind(shop, alice, ASKS)
    alice.open("/pay").page.get_by_role("button", name="Pay $15.00").dblclick()
    alice.challenge("Complete")

    expect(alice.page.get_by_text("This invoice is paid")).to_be_visible()
    assert paid(shop) == [1500, 1500]


def test_two_tabs_with_one_invoice_are_one_charge(alice, shop):
    """Paid in one, the other says so."""
    fall_behind(shop, alice)
    other = Person(alice.page.context.new_page(), shop.url)
    for tab in (alice, other):
        tab.open("/pay").page.get_by_role("button", name="Use another payment method").click()
        tab.wait_for_form()
    alice.pay(GOOD)
    expect(alice.page.get_by_text("This invoice is paid")).to_be_visible()
    other.pay(GOOD)

    expect(other.page.get_by_text("This invoice is paid")).to_be_visible()
    assert paid(shop) == [1500, 1500]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(new_context, shop, scheme):
    """320 pixels, light and dark."""
    page = new_context(viewport={"width": 320, "height": 640}, color_scheme=scheme).new_page()
    alice = subscriber(page, shop)
    fall_behind(shop, alice)

    for path in ("/account", "/payment-method", "/pay", "/account/invoices", "/account/details", "/account/delete"):
        alice.open(path)
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_coming_back_from_the_banks_page_finishes_it(alice, shop):
    """Stripe names the setup intent in the address; its secret does not stay there."""
    customer = shop.sandbox.client.v1.setup_intents
    alice.open("/payment-method").wait_for_form()
    (setup, *_) = customer.list().data
    customer.confirm(setup.id, {"payment_method": "pm_card_mastercard", "return_url": shop.url})
    query = f"?setup_intent={setup.id}&setup_intent_client_secret={setup.client_secret}&redirect_status=succeeded"
    alice.open("/payment-method" + query)

    expect(heading(alice, "Saved")).to_be_visible()
    assert "secret" not in alice.page.url


# --- one's own data


def test_billing_details_are_typed_and_shown(alice, shop):
    """Saved, said so, and there after a reload."""
    page = alice.open("/account").page
    page.get_by_role("link", name="Billing details").click()
    page.get_by_label("Name or company").fill("Ada Ltd")
    page.get_by_label("Address", exact=True).fill("Hauptstraße 1")
    page.get_by_label("City").fill("Berlin")
    page.get_by_label("Country").select_option("DE")
    page.get_by_label("Kind").select_option("eu_vat")
    page.get_by_label("Number").fill("nonsense")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("is not a valid VAT number")
    page.get_by_label("Number").fill("DE123456789")
    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("Coming invoices carry these details")).to_be_visible()
    expect(page.get_by_label("Name or company")).to_have_value("Ada Ltd")
    expect(page.get_by_label("Country")).to_have_value("DE")
    expect(page.get_by_label("Number")).to_have_value("DE123456789")


def test_the_data_are_a_file_to_keep(alice):
    """One click."""
    with alice.open("/account").page.expect_download() as download:
        alice.page.get_by_role("link", name="Download your data").click()

    assert download.value.suggested_filename == "my-data.json"


def test_the_portal_is_one_click_away(alice, shop):
    """And leads back to the account."""
    alice.open("/account").page.get_by_role("button", name="Stripe’s billing portal").click()

    alice.page.wait_for_url(lambda url: not url.startswith(shop.url))


def test_an_account_is_deleted_with_its_password(alice, shop):
    """What runs ends; the log-in is gone."""
    page = alice.open("/account").page
    page.get_by_role("link", name="Delete your account").click()
    expect(page.get_by_text("Premium ends at once.")).to_be_visible()
    page.get_by_label("Your password").fill("guessed it")
    page.get_by_role("button", name="Delete my account").click()
    expect(page.get_by_role("alert")).to_have_text("That is not your password.")
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Delete my account").click()

    expect(page.get_by_text("Your account is deleted.")).to_be_visible()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    assert shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription).status == "canceled"
