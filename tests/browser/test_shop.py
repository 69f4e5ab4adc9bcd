"""The main path in a real browser."""

import pytest
from playwright.sync_api import expect

import catalog
import config
from models import Subscription
from tests.browser.person import CHALLENGED, GOOD, POOR, Person

pytestmark = pytest.mark.browser


@pytest.fixture
def alice(page, shop):
    return Person(page, shop.url)


def test_register_choose_pay_and_read(alice, shop):
    """From the first page to the Premium page by clicking and typing a test card."""
    alice.register().choose("Premium").pay()

    alice.sees_welcome()
    alice.page.get_by_role("link", name="Start reading").click()
    expect(alice.page).to_have_url(shop.url + "/members/premium")
    assert [row["status"] for row in shop.rows(Subscription)] == ["active"]


def paid(shop):
    """The amounts that were charged."""
    return [charge.amount for charge in shop.sandbox.client.v1.charges.list().data if charge.paid]


def statuses(shop):
    return sorted(row["status"] for row in shop.rows(Subscription))


def test_the_bank_asks_and_the_challenge_is_completed(alice, shop):
    """4000 0025 0000 3155: 3D Secure."""
    alice.register().choose("Premium").pay(CHALLENGED).challenge("Complete")

    alice.sees_welcome()
    assert (paid(shop), statuses(shop)) == ([1500], ["active"])


def test_the_challenge_fails_and_another_card_pays_on_the_same_page(alice, shop):
    """The error stands beside the form."""
    alice.register().choose("Premium").pay(CHALLENGED).challenge("Fail")

    expect(alice.message).to_contain_text("We are unable to authenticate your payment method")
    assert paid(shop) == []
    alice.pay(GOOD)
    alice.sees_welcome()
    assert paid(shop) == [1500]


def test_a_declined_card_then_a_good_one_on_the_same_page(alice, shop):
    """4000 0000 0000 9995, then 4242."""
    alice.register().choose("Basic").pay(POOR)

    expect(alice.message).to_have_text("Your card has insufficient funds.")
    expect(alice.button).to_be_enabled()
    alice.pay(GOOD)
    alice.sees_welcome()
    assert (paid(shop), statuses(shop)) == ([500], ["active"])


def test_an_incomplete_card_is_told_beside_the_form(alice, shop):
    """Nothing is sent."""
    alice.register().choose("Basic")
    alice.button.click()

    expect(alice.message).to_contain_text("Your card number is incomplete.")
    assert paid(shop) == []


def test_a_reload_before_paying_goes_on_with_the_same_attempt(alice, shop):
    """One subscription, however often the page is loaded."""
    alice.register().choose("Premium").type_card()
    alice.page.reload()
    alice.wait_for_form().pay()

    alice.sees_welcome()
    assert (paid(shop), statuses(shop)) == ([1500], ["active"])


def test_a_reload_while_the_bank_is_asking_loses_nothing(alice, shop):
    """The challenge can be done again."""
    alice.register().choose("Premium").pay(CHALLENGED)
    alice.page.wait_for_selector('iframe[src*="3ds"]')
    alice.page.reload()
    alice.wait_for_form().pay(GOOD)

    alice.sees_welcome()
    assert (paid(shop), statuses(shop)) == ([1500], ["active"])


def test_the_back_button_after_paying_sells_nothing_again(alice, shop):
    """It leads to the account page."""
    alice.register().choose("Premium").pay()
    alice.sees_welcome()
    alice.page.go_back()

    alice.page.wait_for_url("**/account")
    assert paid(shop) == [1500]


def test_two_tabs_with_one_plan_are_one_charge(alice, page, shop):
    """Paid in one, the other says so."""
    alice.register().choose("Premium")
    other = Person(page.context.new_page(), shop.url).choose("Premium")
    alice.pay()
    alice.sees_welcome()
    other.pay()

    other.sees_welcome()
    assert (paid(shop), statuses(shop)) == ([1500], ["active"])


def test_two_tabs_with_two_plans_are_one_charge(alice, page, shop):
    """The first tab's order is gone; the later choice is paid."""
    alice.register().choose("Basic")
    later = Person(page.context.new_page(), shop.url).choose("Premium")
    alice.pay()

    expect(alice.message).to_contain_text("no longer open")
    later.pay()
    later.sees_welcome()
    assert paid(shop) == [1500]
    assert statuses(shop).count("active") == 1


def test_a_double_click_on_pay_is_one_charge(alice, shop):
    """The button waits."""
    alice.register().choose("Premium").type_card()
    alice.button.dblclick()

    alice.sees_welcome()
    assert paid(shop) == [1500]


def test_cancel_lose_access_and_subscribe_again(alice, shop):
    """From the account page, by clicking."""
    alice.register().choose("Basic").pay()
    alice.sees_welcome()
    alice.open("/account")
    alice.page.get_by_text("Cancel subscription").first.click()
    alice.page.get_by_label("Right now").check()
    alice.page.locator("form[action$='/cancel-subscription'] button:not([type=button])").click()

    expect(alice.page.get_by_role("heading", name="No subscription")).to_be_visible()
    alice.open("/members/basic")
    expect(alice.page.get_by_role("heading", name="isn’t open to you")).to_be_visible()
    alice.choose("Basic").pay()
    alice.sees_welcome()
    alice.open("/members/basic")
    expect(alice.page.get_by_role("heading", level=1)).not_to_contain_text("isn’t open")
    assert paid(shop) == [500, 500]


def test_cancel_at_the_period_end_and_keep_it_after_all(alice, shop):
    """The page preselects the period's end, says the date, and takes it back."""
    alice.register().choose("Premium").pay()
    alice.sees_welcome()
    alice.open("/account")
    alice.page.get_by_text("Cancel subscription").first.click()
    alice.page.locator("form[action$='/cancel-subscription'] button:not([type=button])").click()

    expect(alice.page.get_by_text("Ends on")).to_be_visible()
    alice.page.get_by_role("button", name="Keep my subscription").click()
    expect(alice.page.get_by_text("Renews on")).to_be_visible()


def test_the_return_page_without_an_order_sells_nothing(alice, shop):
    """Somebody opened the address by hand."""
    alice.register().open("/complete")

    expect(alice.page.get_by_role("heading", name="No subscription yet")).to_be_visible()


@pytest.mark.parametrize(
    ("number", "heading"),
    [(POOR, "The payment did not go through"), (CHALLENGED, "Your bank is waiting for you")],
)
def test_the_return_page_tells_what_is_not_paid(alice, shop, number, heading):
    """`requires_payment_method` and `requires_action`, as Stripe says; nothing is sold from here."""
    from tests.shop import pay

    alice.register().choose("Premium")
    secret = shop.sandbox.client.v1.payment_intents.list().data[0].client_secret
    pay(shop.sandbox, secret, number)
    alice.open(f"/complete?payment_intent_client_secret={secret}&redirect_status=succeeded")

    expect(alice.page.get_by_role("heading", name=heading)).to_be_visible()
    assert "secret" not in alice.page.url
    assert paid(shop) == []


def test_by_keyboard_alone(alice, shop):
    """From the plans to the Premium page without a mouse."""
    alice.register().open("/subscribe?price=premium_monthly&currency=usd").wait_for_form()
    keyboard = alice.page.keyboard
    alice.field("number").focus()
    for text in (GOOD, "1240", "123"):
        keyboard.type(text)
        keyboard.press("Tab")
    expect(alice.field("country")).to_be_focused()
    keyboard.type("United States")
    keyboard.press("Tab")
    keyboard.type("12345")
    alice.button.focus()
    keyboard.press("Enter")

    alice.sees_welcome()
    keyboard.press("Tab")
    keyboard.press("Enter")
    assert paid(shop) == [1500]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(new_context, shop, scheme):
    """320 pixels, light and dark."""
    page = new_context(viewport={"width": 320, "height": 640}, color_scheme=scheme).new_page()
    alice = Person(page, shop.url).register()

    for path in (
        "/",
        "/subscribe?price=premium_monthly&currency=usd",
        "/account",
        "/complete",
        "/privacy",
        "/members/basic",
    ):
        alice.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_the_payment_form_wears_the_sites_colours(new_context, shop):
    """Dark page, dark form."""
    page = new_context(viewport={"width": 900, "height": 900}, color_scheme="dark").new_page()
    alice = Person(page, shop.url).register().choose("Premium")

    background = alice.field("number").evaluate("input => getComputedStyle(input).backgroundColor")
    assert sum(int(part) for part in background.strip("rgba()").split(",")[:3]) < 200


def test_a_price_that_is_replaced_while_the_page_opens_is_told_and_not_sold(alice, shop, tmp_path):
    """The page showed $15.00; meanwhile Premium costs $25.00."""
    dearer = tmp_path / "catalog.toml"
    dearer.write_text((config.ROOT / "catalog.toml").read_text().replace("unit_amount = 1500", "unit_amount = 2500"))

    def replace_first(route):
        with shop.app.app_context():
            list(catalog.bring_in_line(catalog.load(dearer)))
        route.continue_()

    alice.register()
    alice.page.route("**/create-subscription", replace_first)
    alice.open("/subscribe?price=premium_monthly&currency=usd")

    expect(alice.message).to_contain_text("It may have been replaced")
    expect(alice.button).to_be_hidden()
    assert shop.rows(Subscription) == []
