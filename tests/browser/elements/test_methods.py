"""Tabs and bank debits of the Payment Element: what the form asks, checks and sends."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from playwright.sync_api import Request, Route, expect

from tests.browser.elements.shop import PaymentPage, running_shop
from tests.sandbox.test_test_methods import CHALLENGED, GOOD_CARDS, IBANS
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.browser

ALL = ["card", "link", "sepa_debit", "au_becs_debit"]


@pytest.fixture(scope="module")
def shop_url(sandbox_process: SandboxProcess) -> Iterator[str]:
    """A shop on localhost that loads stripe.js from 127.0.0.1: for a browser, another site."""
    with running_shop(sandbox_process.url) as url:
        yield url


@pytest.fixture
def shop(shop: PaymentPage) -> PaymentPage:
    """A shop whose account has all these methods on, in any currency."""

    def offer_all(route: Route) -> None:
        session = route.fetch().json()
        session["payment_method_preference"]["ordered_payment_method_types"] = ALL
        route.fulfill(json=session)

    shop.page.route("**/v1/elements/sessions?*", offer_all)
    return shop


def deferred(shop: PaymentPage, **options: Any) -> PaymentPage:
    return shop.open(elements={"mode": "subscription", "amount": 500, "currency": "eur"}, **options)


def payment_method_sent(shop: PaymentPage) -> dict[str, str]:
    """What is sent when the form becomes a payment method."""
    sent: list[Request] = []
    shop.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    shop.page.evaluate("() => shop.stripe.createPaymentMethod({elements: shop.elements})")
    assert [request.url.partition("/v1/")[2] for request in sent] == ["payment_methods"]
    return {name: values[0] for name, values in parse_qs(sent[0].post_data or "").items()}


def test_tabs_follow_the_session_and_pass_over_link(shop: PaymentPage) -> None:
    deferred(shop)
    expect(shop.frame.get_by_role("tab")).to_have_text(["Card", "SEPA Debit", "BECS Direct Debit"])
    expect(shop.frame.get_by_role("tab", selected=True)).to_have_text("Card")
    deferred(shop, payment={"paymentMethodOrder": ["sepa_debit", "card"]})
    expect(shop.frame.get_by_role("tab")).to_have_text(["SEPA Debit", "Card", "BECS Direct Debit"])


def test_arrow_keys_move_between_tabs(shop: PaymentPage) -> None:
    deferred(shop).frame.get_by_role("tab", name="Card").focus()
    for key, tab in [("ArrowRight", "SEPA Debit"), ("ArrowLeft", "Card"), ("ArrowLeft", "BECS Direct Debit")]:
        shop.page.keyboard.press(key)
        expect(shop.frame.get_by_role("tab", selected=True)).to_have_text(tab)
        expect(shop.frame.get_by_role("tab", name=tab)).to_be_focused()
    expect(shop.field("bsb")).to_be_visible()


def test_what_was_typed_in_a_tab_is_there_on_return(shop: PaymentPage) -> None:
    deferred(shop).field("number").fill("4242")
    shop.frame.get_by_role("tab", name="SEPA Debit").click()
    expect(shop.field("number")).to_have_count(0)
    shop.frame.get_by_role("tab", name="Card").click()
    expect(shop.field("number")).to_have_value("4242")


def test_accordion_opens_one_method_at_a_time(shop: PaymentPage) -> None:
    deferred(shop, payment={"layout": {"type": "accordion", "defaultCollapsed": True}})
    heads = shop.frame.locator("button[aria-expanded]")
    expect(heads).to_have_text(["Card", "SEPA Debit", "BECS Direct Debit"])
    expect(shop.field("number")).to_have_count(0)
    assert shop.page.evaluate("() => shop.elements.submit()")["error"]["type"] == "validation_error"
    heads.nth(1).click()
    expect(shop.field("iban")).to_be_visible()
    heads.nth(0).click()
    expect(shop.field("number")).to_be_visible()
    expect(shop.field("iban")).to_have_count(0)
    shop.page.evaluate("() => void shop.payment.collapse()")
    expect(shop.field("number")).to_have_count(0)


def test_sepa_form_sends_iban_and_its_owner(shop: PaymentPage) -> None:
    deferred(shop, payment={"business": {"name": "Maple Books"}})
    shop.frame.get_by_role("tab", name="SEPA Debit").click()
    shop.field("name").fill("Anna Doe")
    shop.field("email").fill("anna@example.com")
    shop.field("iban").press_sequentially("at611904300234573201")
    expect(shop.field("iban")).to_have_value("AT61 1904 3002 3457 3201")
    expect(shop.field("line1")).to_be_hidden()
    expect(shop.frame.locator(".TermsText")).to_contain_text("you authorise (A) Maple Books and Stripe")
    assert shop.page.evaluate("() => shop.elements.submit()") == {"selectedPaymentMethod": "sepa_debit"}
    assert payment_method_sent(shop) == {
        "type": "sepa_debit",
        "sepa_debit[iban]": "AT611904300234573201",
        "billing_details[name]": "Anna Doe",
        "billing_details[email]": "anna@example.com",
        "key": "pk_test_sandbox",
    }


def test_account_outside_the_eea_needs_an_address(shop: PaymentPage) -> None:
    deferred(shop).frame.get_by_role("tab", name="SEPA Debit").click()
    shop.field("name").fill("Bob Doe")
    shop.field("email").fill("bob@example.com")
    shop.field("iban").fill("GB82 WEST 1234 5698 7654 32")
    expect(shop.field("line1")).to_be_visible()
    assert shop.page.evaluate("() => shop.elements.submit()")["error"]["message"] == "Your address is incomplete."
    for name, text in [("line1", "1 High St"), ("city", "London"), ("postalCode", "N1 1AA")]:
        shop.field(name).fill(text)
    sent = payment_method_sent(shop)
    assert {name: text for name, text in sent.items() if "address" in name} == {
        "billing_details[address][line1]": "1 High St",
        "billing_details[address][city]": "London",
        "billing_details[address][postal_code]": "N1 1AA",
        "billing_details[address][country]": "GB",
    }


@pytest.mark.parametrize(
    ("iban", "code", "message"),
    [
        ("", "incomplete_iban", "The IBAN you entered is incomplete."),
        ("AT61190430023457", "incomplete_iban", "The IBAN you entered is incomplete."),
        ("AT621904300234573201", "invalid_iban", "The IBAN you entered is invalid."),
        (
            "US611904300234573201",
            "invalid_iban_country_code",
            "The IBAN you entered is invalid, “US” is not a supported country code.",
        ),
    ],
)
def test_wrong_iban_is_named(shop: PaymentPage, iban: str, code: str, message: str) -> None:
    details = {"name": "Anna Doe", "email": "anna@example.com"}
    deferred(shop, payment={"defaultValues": {"billingDetails": details}})
    shop.frame.get_by_role("tab", name="SEPA Debit").click()
    shop.field("iban").fill(iban)
    assert shop.page.evaluate("() => shop.elements.submit()") == {
        "error": {"type": "validation_error", "code": code, "message": message}
    }
    expect(shop.error_of("iban")).to_have_text(message)


def test_becs_form_sends_bsb_and_account(shop: PaymentPage) -> None:
    deferred(shop).frame.get_by_role("tab", name="BECS").click()
    assert shop.page.evaluate("() => shop.elements.submit()")["error"]["code"] == "incomplete_name"
    expect(shop.error_of("bsb")).to_have_text("The BSB you entered is incomplete.")
    expect(shop.error_of("accountNumber")).to_have_text("The account number you entered is incomplete.")
    shop.field("name").fill("Matt Doe")
    shop.field("email").fill("matt@example.com")
    shop.field("bsb").press_sequentially("000000")
    expect(shop.field("bsb")).to_have_value("000-000")
    shop.field("accountNumber").fill("900123456")
    expect(shop.frame.locator(".TermsText")).to_contain_text("Direct Debit Request service agreement")
    assert payment_method_sent(shop) == {
        "type": "au_becs_debit",
        "au_becs_debit[bsb_number]": "000000",
        "au_becs_debit[account_number]": "900123456",
        "billing_details[name]": "Matt Doe",
        "billing_details[email]": "matt@example.com",
        "key": "pk_test_sandbox",
    }


def test_form_takes_every_test_number(shop: PaymentPage, sandbox: SandboxProcess) -> None:
    """None of Stripe's test cards or IBANs is stopped before the API."""
    shop.page.goto(f"{sandbox.url}/elements/payment")
    cards = [row[0] for row in (*GOOD_CARDS, *CHALLENGED)]
    stopped = """async ([cards, ibans]) => {
        const { checkNumber, formatNumber, brandOf } = await import("/elements/static/card.js");
        const { checkIban, formatIban } = await import("/elements/static/bank.js");
        return [
            ...cards.filter((number) => checkNumber(formatNumber(number)) || brandOf(number).name === "unknown"),
            ...ibans.filter((iban) => checkIban(formatIban(iban))),
        ];
    }"""
    assert shop.page.evaluate(stopped, [cards, [row[0] for row in IBANS]]) == []
    assert shop.page.evaluate(stopped, [["4242424242424241"], ["AT611904300234573202"]]) != []


def test_address_element_tells_its_value(shop: PaymentPage) -> None:
    """Fields follow the country; `complete` waits for all that it needs."""
    deferred(shop, address={"mode": "shipping", "allowedCountries": ["US", "DE"], "fields": {"phone": "always"}})
    frame = shop.page.frame_locator('iframe[title="Secure address input frame"]')
    expect(frame.get_by_label("State")).to_be_visible()
    assert frame.locator("select option").all_text_contents() == ["Germany", "United States"]
    frame.locator("select").select_option("DE")
    expect(frame.locator('[name="state"]')).to_be_hidden()
    values = {"name": "Ann", "line1": "Weg 1", "city": "Ulm", "postalCode": "89073"}
    for name, text in values.items():
        frame.locator(f'[name="{name}"]').fill(text)
    value = "async () => (await shop.elements.getElement('address').getValue())"
    assert shop.page.evaluate(value)["complete"] is False
    frame.get_by_label("Phone number").fill("+49 731 1")
    assert shop.page.evaluate(value) == {
        "complete": True,
        "isNewAddress": True,
        "value": {
            "name": "Ann",
            "address": {
                "line1": "Weg 1",
                "line2": None,
                "city": "Ulm",
                "state": "",
                "postal_code": "89073",
                "country": "DE",
            },
            "phone": "+49 731 1",
        },
    }
