"""The card form of the Payment Element: what it asks, says and looks like."""

import re
from math import ceil
from types import SimpleNamespace

import pytest
from playwright.sync_api import Request, expect

from tests.browser.elements.shop import PaymentPage
from tests.sandbox_process import ROOT, SandboxProcess

pytestmark = pytest.mark.browser

GOOD = "4242424242424242"


def test_form_by_keyboard_alone(shop: PaymentPage, order: SimpleNamespace) -> None:
    """Tab visits the fields in reading order and leaves for the shop's button."""
    shop.open(order.secret)
    expect(shop.field("number")).to_be_visible()
    shop.page.evaluate("() => shop.payment.focus()")
    for name, typed in [
        ("number", GOOD),
        ("expiry", "1244"),
        ("cvc", "123"),
        ("country", "U"),
        ("postalCode", "94103"),
    ]:
        expect(shop.field(name)).to_be_focused()
        shop.page.keyboard.type(typed) if name != "country" else None
        shop.page.keyboard.press("Tab")
    expect(shop.page.locator("#pay")).to_be_focused()
    shop.page.keyboard.press("Enter")
    assert shop.landed()["redirect_status"] == "succeeded"


def test_empty_form_names_every_missing_field_and_focuses_the_first(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret)
    expect(shop.field("number")).to_be_visible()
    shop.pay()
    expect(shop.message).to_have_text("Your card number is incomplete.")
    assert shop.result()["error"] == {
        "type": "validation_error",
        "code": "incomplete_number",
        "message": "Your card number is incomplete.",
    }
    expect(shop.error_of("expiry")).to_have_text("Your card's expiration date is incomplete.")
    expect(shop.error_of("cvc")).to_have_text("Your card's security code is incomplete.")
    expect(shop.error_of("postalCode")).to_have_text("Your postal code is incomplete.")
    expect(shop.field("number")).to_be_focused()
    expect(shop.field("number")).to_have_attribute("aria-invalid", "true")
    expect(shop.field("number")).to_have_attribute("aria-describedby", "Field-numberError")


@pytest.mark.parametrize(
    ("name", "typed", "code", "message"),
    [
        ("number", "4242", "incomplete_number", "Your card number is incomplete."),
        ("number", "4242424242424241", "invalid_number", "Your card number is invalid."),
        ("number", "378282246310004", "invalid_number", "Your card number is invalid."),
        ("expiry", "12", "incomplete_expiry", "Your card's expiration date is incomplete."),
        ("expiry", "1221", "invalid_expiry_year_past", "Your card's expiration year is in the past."),
        ("expiry", "0044", "invalid_expiry_month", "Your card's expiration month is invalid."),
        ("cvc", "12", "incomplete_cvc", "Your card's security code is incomplete."),
        ("postalCode", "941", "incomplete_zip", "Your postal code is incomplete."),
    ],
)
def test_wrong_field_stops_the_payment_before_the_api(
    shop: PaymentPage, order: SimpleNamespace, name: str, typed: str, code: str, message: str
) -> None:
    shop.open(order.secret).fill_card()
    asked: list[Request] = []
    shop.page.on("request", lambda request: asked.append(request))
    shop.field(name).fill("")
    shop.field(name).press_sequentially(typed)
    shop.pay()
    expect(shop.message).to_have_text(message)
    expect(shop.error_of(name)).to_have_text(message)
    assert shop.result()["error"]["code"] == code
    assert asked == []


@pytest.mark.parametrize(
    ("name", "typed", "shown"),
    [
        ("number", "4242424242424242", "4242 4242 4242 4242"),
        ("number", "378282246310005", "3782 822463 10005"),
        ("number", "36227206271667", "3622 720627 1667"),
        ("number", "6205500000000000004", "6205 5000 0000 0000 004"),
        ("number", "4242-4242x42424242999", "4242 4242 4242 4242"),
        ("expiry", "1", "1"),
        ("expiry", "5", "05 / "),
        ("expiry", "1230", "12 / 30"),
        ("expiry", "1/30", "01 / 30"),
        ("expiry", "12/2031", "12 / 31"),
        ("cvc", "12345", "123"),
    ],
)
def test_fields_format_while_typing(
    shop: PaymentPage, order: SimpleNamespace, name: str, typed: str, shown: str
) -> None:
    shop.open(order.secret).field(name).press_sequentially(typed)
    expect(shop.field(name)).to_have_value(shown)


def test_correcting_a_digit_keeps_the_caret_beside_it(shop: PaymentPage, order: SimpleNamespace) -> None:
    number = shop.open(order.secret).field("number")
    number.press_sequentially("42425")
    for key in ("ArrowLeft", "Backspace", "9"):
        shop.page.keyboard.press(key)
    expect(number).to_have_value("4249 5")


def test_amex_asks_for_four_digits(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card("378282246310005")
    shop.field("cvc").fill("1234")
    shop.pay()
    assert shop.landed()["redirect_status"] == "succeeded"


def test_postal_code_is_asked_where_cards_use_one(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret, payment={"defaultValues": {"billingDetails": {"address": {"country": "GB"}}}})
    expect(shop.frame.get_by_label("Postal code")).to_be_visible()
    shop.field("country").select_option("US")
    expect(shop.frame.get_by_label("ZIP code")).to_be_visible()
    shop.field("country").select_option("DE")
    expect(shop.field("postalCode")).to_be_hidden()


def test_element_looks_like_stripes_from_outside(shop: PaymentPage, order: SimpleNamespace) -> None:
    """Frame name and title, wrapper and state classes: what a shop's styles and tests hold on to."""
    shop.open(order.secret)
    container = shop.page.locator("#payment")
    frame = container.locator("div.__PrivateStripeElement > iframe")
    expect(frame).to_have_attribute("name", re.compile(r"^__privateStripeFrame\d+$"))
    expect(frame).to_have_attribute("title", "Secure payment input frame")
    expect(container).to_have_class("StripeElement StripeElement--empty")
    shop.field("number").click()
    expect(container).to_have_class(re.compile("StripeElement--focus"))
    shop.fill_card()
    expect(container).to_have_class("StripeElement StripeElement--focus StripeElement--complete")
    shop.field("number").fill("4242424242424241")
    expect(container).to_have_class("StripeElement StripeElement--focus StripeElement--invalid")
    shop.page.evaluate("() => shop.payment.unmount()")
    expect(container).to_be_empty()
    expect(container).to_have_class("")


def test_events_tell_how_the_form_stands(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret)
    expect(shop.page.locator("body")).to_have_attribute("data-ready", "1")
    assert shop.events("loaderstart") == [{"name": "loaderstart", "elementType": "payment"}]
    assert shop.events("change") == []
    shop.fill_card()
    shop.field("postalCode").press("Escape")
    expect(shop.page.locator("body")).to_have_attribute("data-escape", "1")
    last = shop.events("change")[-1]
    assert last == {
        "name": "change",
        "elementType": "payment",
        "empty": False,
        "complete": True,
        "collapsed": False,
        "value": {"type": "card", "billingDetails": {"address": {"country": "US", "postalCode": "94103"}}},
    }
    shop.page.locator("#pay").focus()
    expect(shop.page.locator("body")).to_have_attribute("data-blur", "1")
    assert len(shop.events("focus")) == 1


def test_frame_is_as_high_as_its_form(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret)
    frame = shop.page.locator("#payment iframe")
    expect(shop.field("number")).to_be_visible()
    form = shop.frame.locator("main")
    before = form.bounding_box()
    assert before is not None
    expect(frame).to_have_css("height", f"{ceil(before['height'])}px")
    shop.pay()
    expect(shop.error_of("number")).to_be_visible()
    after = form.bounding_box()
    assert after is not None
    assert after["height"] > before["height"]
    expect(frame).to_have_css("height", f"{ceil(after['height'])}px")


def test_appearance_reaches_the_fields_and_follows_updates(shop: PaymentPage, order: SimpleNamespace) -> None:
    appearance = {
        "variables": {"colorBackground": "rgb(250, 240, 230)", "colorPrimary": "rgb(1, 2, 3)", "borderRadius": "13px"},
        "rules": {
            ".Label": {"fontWeight": "700"},
            ".Input:focus": {"borderColor": "rgb(9, 8, 7)", "transition": "none"},
            ".Form": {"display": "var(--x)"},
            "html, .Input": {"color": "red"},
        },
    }
    shop.open(order.secret, elements={"appearance": appearance})
    number = shop.field("number")
    expect(number).to_have_css("background-color", "rgb(250, 240, 230)")
    expect(number).to_have_css("border-radius", "13px")
    expect(shop.frame.locator("label").first).to_have_css("font-weight", "700")
    number.focus()
    expect(number).to_have_css("border-top-color", "rgb(9, 8, 7)")
    expect(number).not_to_have_css("color", "rgb(255, 0, 0)")
    shop.page.evaluate("() => shop.elements.update({appearance: {variables: {borderRadius: '2px'}}})")
    expect(number).to_have_css("border-radius", "2px")
    expect(shop.frame.locator("label").first).to_have_css("font-weight", "400")


def test_every_appearance_variable_is_honoured_or_passed_over_knowingly(
    shop: PaymentPage, sandbox: SandboxProcess
) -> None:
    """Of those that Stripe's types name, the style sheets use what is said to be used; an unknown one is told."""
    shop.page.goto(f"{sandbox.url}/elements/payment")
    names = "async () => { const { HONOURED, WITHOUT_USE } = await import('/elements/static/variables.js'); "
    honoured, without_use = shop.page.evaluate(names + "return [HONOURED, WITHOUT_USE] }")
    static = ROOT / "sandbox" / "browser" / "static"
    used = set(re.findall(r"var\(\s*--(\w+)", "".join(sheet.read_text() for sheet in static.glob("*.css"))))
    assert set(honoured) <= used
    assert not set(without_use) & used
    types = ROOT / "node_modules" / "@stripe" / "stripe-js" / "dist" / "stripe-js" / "elements-group.d.ts"
    if types.exists():
        variables = (
            types.read_text().partition("interface Appearance")[2].partition("variables?: {")[2].partition("};")[0]
        )
        assert set(re.findall(r"^\s+(\w+)\?:", variables, re.MULTILINE)) == {*honoured, *without_use}


def test_names_that_nobody_knows_are_told_to_the_console(shop: PaymentPage, order: SimpleNamespace) -> None:
    """As a typing mistake would be: the form works, the console says what was passed over."""
    told: list[str] = []
    shop.page.on("console", lambda line: told.append(line.text))
    appearance = {"variables": {"colorPrimry": "red"}, "rules": {"input": {"color": "red"}}}
    shop.open(order.secret, elements={"apperance": {}, "appearance": appearance}, payment={"layuot": "tabs"})
    expect(shop.field("number")).to_be_visible()
    assert [text.partition(" This may")[0] for text in told] == [
        "Unrecognized elements() parameter: apperance is not a recognized parameter.",
        "Unrecognized elements.create('payment') parameter: layuot is not a recognized parameter.",
        'elements: the appearance variable "colorPrimry" is not one that there is.',
        'elements: the appearance rule for "input" is not a selector that can be styled.',
    ]


@pytest.mark.parametrize(("theme", "scheme"), [("stripe", "light"), ("flat", "light"), ("night", "dark")])
def test_theme_sets_the_frames_color_scheme(shop: PaymentPage, order: SimpleNamespace, theme: str, scheme: str) -> None:
    """Frame and document name the same scheme, without which a browser paints the frame's ground."""
    shop.open(order.secret, elements={"appearance": {"theme": theme}})
    expect(shop.frame.locator("html")).to_have_css("color-scheme", scheme)
    expect(shop.page.locator("#payment iframe")).to_have_css("color-scheme", scheme)


def test_details_the_shop_opted_out_of_must_come_with_the_confirmation(
    shop: PaymentPage, order: SimpleNamespace
) -> None:
    never = {"fields": {"billingDetails": {"address": {"country": "never", "postalCode": "never"}}}}
    shop.open(order.secret, payment=never)
    expect(shop.field("number")).to_be_visible()
    expect(shop.field("country")).to_have_count(0)
    shop.field("number").fill(GOOD)
    shop.field("expiry").fill("1244")
    shop.field("cvc").fill("123")
    shop.pay()
    expect(shop.message).to_contain_text('You specified "never" for fields.billing_details.address.country')
    address = {"billing_details": {"address": {"country": "US", "postal_code": "94103"}}}
    shop.open(order.secret, payment=never, params={"payment_method_data": address})
    shop.field("number").fill(GOOD)
    shop.field("expiry").fill("1244")
    shop.field("cvc").fill("123")
    shop.pay()
    assert shop.landed()["redirect_status"] == "succeeded"


def test_terms_say_that_the_card_will_be_charged_again(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret, payment={"business": {"name": "Maple Books"}})
    expect(shop.frame.locator(".TermsText")).to_have_text(
        "By providing your card information, you allow Maple Books to charge your card for future payments in "
        "accordance with their terms."
    )
    shop.open(order.secret, payment={"terms": {"card": "never"}})
    expect(shop.field("number")).to_be_visible()
    expect(shop.frame.locator(".TermsText")).to_have_count(0)


def test_what_was_typed_survives_an_update(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card()
    assert shop.page.evaluate("() => shop.elements.fetchUpdates()") == {}
    shop.page.evaluate("() => void shop.payment.update({readOnly: true})")
    expect(shop.field("number")).to_be_disabled()
    expect(shop.field("number")).to_have_value("4242 4242 4242 4242")
    shop.page.evaluate("() => void shop.payment.update({readOnly: false})")
    expect(shop.field("number")).to_be_enabled()
    shop.pay()
    assert shop.landed()["redirect_status"] == "succeeded"


def test_element_moved_in_the_page_starts_afresh(shop: PaymentPage, order: SimpleNamespace) -> None:
    """A browser loads a moved frame anew; the element must find its frame again."""
    shop.open(order.secret).field("number").fill("42")
    shop.page.evaluate("() => document.querySelector('#message').before(document.querySelector('#payment'))")
    expect(shop.field("number")).to_have_value("")
    shop.fill_card()
    shop.pay()
    assert shop.landed()["redirect_status"] == "succeeded"
