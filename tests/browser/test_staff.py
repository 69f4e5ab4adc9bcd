"""Staff at work in a real browser: finding, reading, acting by keyboard, on a phone, without JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from models import StaffAction
from tests.shop import pay
from tests.staff.people import staff_member, user_id


@pytest.fixture
def alice(shop):
    """Alice has Premium."""
    alice = shop.member()
    attempt = alice.subscribe("premium_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    alice.id, alice.subscription = user_id(shop, "alice@example.com"), attempt["subscriptionId"]
    return alice


@pytest.fixture
def sams_password(shop):
    return staff_member(shop).password


def log_in(page: Page, shop, password: str, path: str = "/staff/customers") -> None:
    """From a staff page that asks who it is to that page."""
    page.goto(shop.url + path)
    page.get_by_label("E-mail").fill("staff@example.com")
    page.locator("input[name=password]").fill(password)
    page.locator("main form button:not([type=button])").click()
    page.wait_for_url(f"**{path}")


def overflow(page: Page) -> int:
    found: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return found


def test_staff_find_a_customer_and_cancel_by_keyboard_alone(shop, alice, sams_password, page):
    """Search, open, choose, say why: without a mouse."""
    log_in(page, shop, sams_password)
    page.get_by_label("Find somebody").focus()
    page.keyboard.type("alice")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Found for “alice”")).to_be_visible()
    page.get_by_role("link", name="alice@example.com").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Who you act for")).to_contain_text("alice@example.com")

    page.get_by_text("Cancel for them").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="At the end of the paid period")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Right now")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("She wrote to us.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_contain_text("The subscription has ended.")
    expect(page.locator("#history")).to_contain_text("“She wrote to us.”")
    expect(page.get_by_role("heading", name="No subscription")).to_be_visible()
    assert not alice.may_see("premium")


def test_a_cancellation_without_a_reason_is_not_sent(shop, alice, sams_password, page):
    """The browser says what is missing."""
    log_in(page, shop, sams_password, f"/staff/customers/{alice.id}")
    page.get_by_text("Cancel for them").click()
    page.get_by_role("button", name="Cancel the subscription").click()

    expect(page.get_by_label("Why?")).to_be_focused()
    assert page.get_by_label("Why?").evaluate("field => field.validity.valueMissing")
    assert shop.rows(StaffAction) == []


def test_staff_pages_work_without_javascript(shop, alice, sams_password, new_context):
    """Log in, cancel at the period's end, take it back, copy anew."""
    page = new_context(java_script_enabled=False).new_page()
    log_in(page, shop, sams_password, f"/staff/customers/{alice.id}")

    page.get_by_text("Cancel for them").click()
    page.get_by_label("Why?").fill("By phone.")
    page.get_by_role("button", name="Cancel the subscription").click()
    expect(page.get_by_role("status")).to_contain_text("ends with the period that is paid for")
    page.get_by_role("button", name="Take the cancellation back").click()
    expect(page.get_by_role("status")).to_contain_text("renews again")
    page.get_by_role("button", name="Copy anew from Stripe").click()
    expect(page.get_by_role("status")).to_contain_text("as Stripe has it now")

    assert sorted(row["kind"] for row in shop.rows(StaffAction)) == ["cancel_at_period_end", "resume", "resync"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_narrow_phone_nothing_sticks_out_and_the_bar_stays_in_view(
    shop, alice, sams_password, new_context, scheme
):
    """320 pixels; whom one acts for is seen wherever one has scrolled to."""
    page = new_context(viewport={"width": 320, "height": 640}, color_scheme=scheme).new_page()
    log_in(page, shop, sams_password)
    assert overflow(page) == 0
    page.goto(f"{shop.url}/staff/events")
    assert overflow(page) == 0
    page.goto(f"{shop.url}/staff/customers/{alice.id}")
    page.get_by_text("Cancel for them").click()
    assert overflow(page) == 0
    bar = page.get_by_role("region", name="Who you act for")

    for target in (page.get_by_role("heading", name="History"), page.locator(".site-footer")):
        target.scroll_into_view_if_needed()
        expect(bar).to_be_in_viewport(ratio=1)


def test_what_is_jumped_to_is_not_hidden_behind_the_bar(shop, alice, sams_password, page):
    """The tabs of the history lead to it, below the bar."""
    log_in(page, shop, sams_password, f"/staff/customers/{alice.id}")
    page.locator("#history").get_by_role("link", name="Invoices").click()
    page.wait_for_url("**show=invoices#history")

    bar = page.get_by_role("region", name="Who you act for").bounding_box()
    heading = page.get_by_role("heading", name="History").bounding_box()

    assert bar
    assert heading
    assert heading["y"] >= bar["y"] + bar["height"]
