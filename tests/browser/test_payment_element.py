"""The stand-in for Stripe.js in a real browser, against the sandbox's own API."""

import re
from collections.abc import Iterator
from math import ceil
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.element_shop import PaymentPage, running_shop
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.browser

GOOD, POOR, CHALLENGED = "4242424242424242", "4000000000009995", "4000002500003155"
NOT_AUTHENTICATED = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)


@pytest.fixture(scope="module")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.db", "--check") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """An empty world; every request and answer of the test must fit Stripe's own types."""
    sandbox_process.reset()
    yield sandbox_process
    assert sandbox_process.violations() == []


@pytest.fixture(scope="module")
def shop_url(sandbox_process: SandboxProcess) -> Iterator[str]:
    with running_shop(sandbox_process.url.replace("127.0.0.1", "localhost")) as url:
        yield url


@pytest.fixture
def shop(page: Page, shop_url: str, sandbox: SandboxProcess) -> PaymentPage:
    return PaymentPage(page, shop_url)


@pytest.fixture
def order(sandbox: SandboxProcess) -> SimpleNamespace:
    """A subscription that waits for its first payment, and the client secret of that payment."""
    return new_order(sandbox)


def new_order(sandbox: SandboxProcess, currency: str = "usd") -> SimpleNamespace:
    stripe = sandbox.client.v1
    customer = stripe.customers.create({"email": "alice@example.com"})
    product = stripe.products.create({"name": "Premium"})
    price = stripe.prices.create(
        {"product": product.id, "unit_amount": 1500, "currency": currency, "recurring": {"interval": "month"}}
    )
    subscription: Any = stripe.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "expand": ["latest_invoice.confirmation_secret"],
        }
    )
    secret = subscription.latest_invoice.confirmation_secret.client_secret
    return SimpleNamespace(
        secret=secret,
        intent=secret.partition("_secret_")[0],
        subscription=subscription.id,
        customer=customer.id,
        status=lambda: stripe.subscriptions.retrieve(subscription.id).status,
    )


def landed(shop: PaymentPage) -> dict[str, str]:
    """The parameters of the return page, once the browser is there."""
    shop.page.wait_for_url("**/done?**")
    return {name: values[0] for name, values in parse_qs(urlsplit(shop.page.url).query).items()}


def result(shop: PaymentPage) -> dict[str, Any]:
    found: dict[str, Any] = shop.page.evaluate("() => shop.result")
    return found


def rejection(shop: PaymentPage, call: str) -> str:
    """The message of what a call throws or rejects with, after its kind."""
    script = (
        f"async () => {{ try {{ await {call} }} catch (error) {{ return `${{error.name}}: ${{error.message}}` }} }}"
    )
    message: str = shop.page.evaluate(script)
    return message


def test_good_card_pays_and_goes_to_the_return_page(shop: PaymentPage, order: SimpleNamespace) -> None:
    """The shop's own query is kept; the subscription is active by the time the browser is back."""
    shop.open(order.secret).fill_card()
    shop.pay()
    assert landed(shop) == {
        "order": "7",
        "payment_intent": order.intent,
        "payment_intent_client_secret": order.secret,
        "redirect_status": "succeeded",
    }
    assert order.status() == "active"


def test_after_a_decline_a_good_card_pays_in_the_same_form(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card(POOR)
    shop.pay()
    expect(shop.message).to_have_text("Your card has insufficient funds.")
    error = result(shop)["error"]
    assert (error["type"], error["code"], error["decline_code"]) == (
        "card_error",
        "card_declined",
        "insufficient_funds",
    )
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert order.status() == "incomplete"
    shop.field("number").fill(GOOD)
    shop.pay()
    assert landed(shop)["redirect_status"] == "succeeded"
    assert order.status() == "active"


def test_wrong_security_code_is_shown_at_its_field(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card("4000000000000127")
    shop.pay()
    expect(shop.error_of("cvc")).to_have_text("Your card's security code is incorrect.")
    expect(shop.message).to_have_text("Your card's security code is incorrect.")


def test_completed_challenge_pays(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.pay()
    expect(shop.challenge.get_by_role("heading")).to_have_text("3D Secure 2 Test Page")
    expect(shop.challenge.locator("main")).to_contain_text("$15.00")
    assert order.status() == "incomplete"
    shop.challenge.get_by_role("button", name="Complete", exact=True).click()
    assert landed(shop)["redirect_status"] == "succeeded"
    assert order.status() == "active"


@pytest.mark.parametrize("way", ["button", "escape", "close"])
def test_failed_challenge_leaves_the_order_unpaid_and_the_form_usable(
    shop: PaymentPage, order: SimpleNamespace, way: str
) -> None:
    """Escape and the closing cross count as a failed authentication."""
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.pay()
    expect(shop.challenge.get_by_role("heading")).to_be_focused()
    if way == "escape":
        shop.page.keyboard.press("Escape")
    else:
        shop.challenge.get_by_role("button", name="Fail" if way == "button" else "Cancel authentication").click()
    expect(shop.message).to_have_text(NOT_AUTHENTICATED)
    assert result(shop)["error"]["code"] == "payment_intent_authentication_failure"
    assert result(shop)["error"]["payment_intent"]["id"] == order.intent
    expect(shop.page.locator("dialog")).to_have_count(0)
    assert order.status() == "incomplete"
    shop.field("number").fill(GOOD)
    shop.pay()
    assert landed(shop)["redirect_status"] == "succeeded"


def test_challenge_by_keyboard_alone(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.pay()
    expect(shop.challenge.get_by_role("heading")).to_be_focused()
    shop.page.keyboard.press("Tab")
    expect(shop.challenge.get_by_role("button", name="Complete", exact=True)).to_be_focused()
    shop.page.keyboard.press("Enter")
    assert landed(shop)["redirect_status"] == "succeeded"


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
    assert landed(shop)["redirect_status"] == "succeeded"


def test_empty_form_names_every_missing_field_and_focuses_the_first(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret)
    expect(shop.field("number")).to_be_visible()
    shop.pay()
    expect(shop.message).to_have_text("Your card number is incomplete.")
    assert result(shop)["error"] == {
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
    assert result(shop)["error"]["code"] == code
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
    assert landed(shop)["redirect_status"] == "succeeded"


def test_postal_code_is_asked_where_cards_use_one(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret, payment={"defaultValues": {"billingDetails": {"address": {"country": "GB"}}}})
    expect(shop.frame.get_by_label("Postal code")).to_be_visible()
    shop.field("country").select_option("US")
    expect(shop.frame.get_by_label("ZIP code")).to_be_visible()
    shop.field("country").select_option("DE")
    expect(shop.field("postalCode")).to_be_hidden()


def test_card_data_stays_out_of_the_shops_page(shop: PaymentPage, order: SimpleNamespace) -> None:
    """Neither messages, results, events nor the page's own requests carry the number; it goes to the API alone."""
    requests: list[Request] = []
    shop.page.on("request", lambda request: requests.append(request))
    shop.open(order.secret).fill_card(POOR)
    shop.pay()
    expect(shop.message).to_have_text("Your card has insufficient funds.")
    carrying = [request for request in requests if POOR in (request.post_data or "") or POOR in request.url]
    assert [urlsplit(request.url).path for request in carrying] == [f"/v1/payment_intents/{order.intent}/confirm"]
    assert carrying[0].frame != shop.page.main_frame
    known = shop.page.evaluate("() => JSON.stringify([shop.heard, shop.events, shop.result])")
    assert POOR not in known.replace(" ", "")


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


@pytest.mark.parametrize(("theme", "scheme"), [("stripe", "light"), ("flat", "light"), ("night", "dark")])
def test_theme_sets_the_frames_color_scheme(shop: PaymentPage, order: SimpleNamespace, theme: str, scheme: str) -> None:
    """Frame and document name the same scheme, without which a browser paints the frame's ground."""
    shop.open(order.secret, elements={"appearance": {"theme": theme}})
    expect(shop.frame.locator("html")).to_have_css("color-scheme", scheme)
    expect(shop.page.locator("#payment iframe")).to_have_css("color-scheme", scheme)


def test_if_required_resolves_without_leaving_the_page(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret, confirm={"redirect": "if_required"}).fill_card()
    shop.pay()
    expect(shop.message).to_have_text("succeeded")
    assert result(shop)["paymentIntent"]["id"] == order.intent
    assert urlsplit(shop.page.url).path == "/"


def test_second_confirmation_while_one_runs_is_refused(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.pay()
    expect(shop.challenge.get_by_role("heading")).to_be_visible()
    call = "shop.stripe.confirmPayment({elements: shop.elements, confirmParams: {return_url: 'http://localhost/'}})"
    assert rejection(shop, call) == (
        "IntegrationError: You have an in-flight confirmPayment! "
        "Please be sure to disable your form submit button when confirmPayment is called."
    )


def test_lost_connection_is_an_error_and_not_an_exception(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card()
    shop.page.route("**/confirm", lambda route: route.abort())
    shop.pay()
    expect(shop.message).to_contain_text("issues connecting to our payments provider")
    assert result(shop)["error"]["type"] == "api_connection_error"
    shop.page.unroute("**/confirm")
    shop.pay()
    assert landed(shop)["redirect_status"] == "succeeded"


def test_paid_intent_cannot_open_the_form(shop: PaymentPage, order: SimpleNamespace, sandbox: SandboxProcess) -> None:
    sandbox.client.v1.payment_intents.confirm(order.intent, {"payment_method": "pm_card_visa"})
    shop.open(order.secret)
    expect(shop.page.locator("body")).to_have_attribute("data-loaderror", "1")
    error = shop.events("loaderror")[0]["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "payment_intent_unexpected_state")
    assert shop.events("ready") == []


def test_unknown_secret_is_a_loaderror(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret[:-4] + "0000")
    expect(shop.page.locator("body")).to_have_attribute("data-loaderror", "1")
    assert shop.events("loaderror")[0]["error"]["type"] == "invalid_request_error"


def test_setup_intent_saves_a_card(shop: PaymentPage, sandbox: SandboxProcess) -> None:
    customer = sandbox.client.v1.customers.create({"email": "bob@example.com"})
    intent = sandbox.client.v1.setup_intents.create({"customer": customer.id, "usage": "off_session"})
    shop.open(intent.client_secret).fill_card()
    expect(shop.frame.locator(".TermsText")).to_contain_text("to charge your card for future payments")
    shop.pay()
    assert landed(shop) == {
        "order": "7",
        "setup_intent": intent.id,
        "setup_intent_client_secret": intent.client_secret,
        "redirect_status": "succeeded",
    }
    assert len(sandbox.client.v1.customers.payment_methods.list(customer.id).data) == 1


def test_failed_challenge_of_a_setup_is_told(shop: PaymentPage, sandbox: SandboxProcess) -> None:
    customer = sandbox.client.v1.customers.create({"email": "bob@example.com"})
    intent = sandbox.client.v1.setup_intents.create({"customer": customer.id})
    shop.open(intent.client_secret).fill_card(CHALLENGED)
    shop.pay()
    shop.challenge.get_by_role("button", name="Fail").click()
    expect(shop.message).to_have_text(NOT_AUTHENTICATED)
    assert result(shop)["error"]["code"] == "setup_intent_authentication_failure"


def test_next_action_of_a_payment_confirmed_by_the_server(
    shop: PaymentPage, order: SimpleNamespace, sandbox: SandboxProcess
) -> None:
    sandbox.client.v1.payment_intents.confirm(
        order.intent, {"payment_method": "pm_card_authenticationRequired", "use_stripe_sdk": True}
    )
    shop.open(order.secret)
    shop.page.evaluate(
        """secret => void shop.stripe.handleNextAction({clientSecret: secret}).then((result) => {
            shop.result = result;
            document.querySelector("#message").textContent = result.paymentIntent?.status;
        })""",
        order.secret,
    )
    shop.challenge.get_by_role("button", name="Complete", exact=True).click()
    expect(shop.message).to_have_text("succeeded")
    assert order.status() == "active"


def test_retrieved_intent_shows_only_what_a_browser_may_see(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret)
    intent = shop.page.evaluate("async s => (await shop.stripe.retrievePaymentIntent(s)).paymentIntent", order.secret)
    assert (intent["id"], intent["status"]) == (order.intent, "requires_payment_method")
    assert not {"customer", "metadata", "latest_charge"} & set(intent)
    wrong = order.secret[:-4] + "0000"
    error = shop.page.evaluate("async s => (await shop.stripe.retrievePaymentIntent(s)).error", wrong)
    assert error["type"] == "invalid_request_error"


def test_deferred_form_pays_an_intent_made_after_submit(shop: PaymentPage, order: SimpleNamespace) -> None:
    deferred = {"mode": "subscription", "amount": 1500, "currency": "usd"}
    shop.open(elements=deferred)
    expect(shop.field("number")).to_be_visible()
    pay = """async secret => shop.stripe.confirmPayment({
        elements: shop.elements, clientSecret: secret, confirmParams: {return_url: location.origin + "/done?order=7"},
    })"""
    early = rejection(shop, f"({pay})({order.secret!r})")
    assert early == "IntegrationError: elements.submit() must be called before stripe.confirmPayment()."
    assert shop.page.evaluate("() => shop.elements.submit()")["error"]["code"] == "incomplete_number"
    shop.fill_card()
    assert shop.page.evaluate("() => shop.elements.submit()") == {"selectedPaymentMethod": "card"}
    shop.page.evaluate(f"secret => void ({pay})(secret)", order.secret)
    assert landed(shop)["redirect_status"] == "succeeded"
    assert order.status() == "active"


def test_deferred_form_refuses_an_intent_of_another_amount(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(elements={"mode": "subscription", "amount": 500, "currency": "usd"}).fill_card()
    shop.page.evaluate("() => shop.elements.submit()")
    confirm = """async secret => (await shop.stripe.confirmPayment({
        elements: shop.elements, clientSecret: secret, redirect: "if_required",
    }))"""
    error = shop.page.evaluate(confirm, order.secret)["error"]
    assert error["type"] == "invalid_request_error"
    assert "is for 1500 usd, but the Elements group was created for 500 usd" in error["message"]
    shop.page.evaluate("() => shop.elements.update({amount: 1500})")
    shop.page.evaluate("() => shop.elements.submit()")
    assert shop.page.evaluate(confirm, order.secret)["paymentIntent"]["status"] == "succeeded"


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
    assert landed(shop)["redirect_status"] == "succeeded"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("Stripe()", "Missing value for Stripe(): apiKey should be a string."),
        ("Stripe('')", "Please call Stripe() with your publishable key. You used an empty string."),
        ("Stripe('sk_test_sandbox')", "You should not use your secret key with Stripe.js"),
        ("Stripe('pk_live_1')", "This stripe.js belongs to the sandbox"),
        ("shop.stripe.elements({clientSecret: 'pi_1'})", "Invalid value for elements(): clientSecret"),
        ("shop.elements.create('card')", "A valid Element name must be provided."),
        ("shop.elements.create('payment')", "Can only create one Element of type payment."),
        (
            "shop.elements.create('address', {mode: 'billing'}).mount('#nowhere')",
            "The selector you specified (#nowhere)",
        ),
        ("shop.elements.create('address', {mode: 'billing'}).mount(7)", "Invalid DOM element."),
        ("shop.elements.create('address')", "Missing value for elements.create('address')"),
        ("shop.stripe.confirmPayment({elements: shop.elements})", "You must provide confirmParams.return_url"),
        (
            "shop.stripe.confirmPayment({elements: shop.elements, confirmParams: {return_url: '/done'}})",
            "Invalid value for stripe.confirmPayment(): confirmParams.return_url should be an absolute URL.",
        ),
        ("shop.stripe.retrieveSetupIntent('pi_1_secret_2')", "should belong to a SetupIntent"),
        ("shop.stripe.elements({mode: 'payment', amount: 1.5, currency: 'usd'})", "amount should be a non-negative"),
    ],
)
def test_misuse_throws_an_integration_error(shop: PaymentPage, order: SimpleNamespace, call: str, message: str) -> None:
    shop.open(order.secret)
    thrown = rejection(shop, call)
    assert thrown.startswith("IntegrationError: ")
    assert message in thrown


def test_only_the_train_the_sandbox_speaks_is_served(page: Page, sandbox_process: SandboxProcess) -> None:
    answer = page.request.get(f"{sandbox_process.url}/basil/stripe.js")
    assert answer.status == 404
    assert "Load /endive/stripe.js" in answer.text()
    assert (
        page.request.get(f"{sandbox_process.url}/endive/stripe.js")
        .headers["content-type"]
        .startswith("text/javascript")
    )


def test_billing_address_element_adds_to_the_payment_method(
    shop: PaymentPage, order: SimpleNamespace, sandbox: SandboxProcess
) -> None:
    shop.open(
        order.secret, address={"mode": "billing", "defaultValues": {"name": "Ann Doe", "address": {"country": "US"}}}
    )
    address = shop.page.frame_locator('iframe[title="Secure address input frame"]')
    shop.fill_card()
    for name, text in [("line1", "1 Main St"), ("city", "Springfield"), ("state", "IL"), ("postalCode", "62701")]:
        address.locator(f'[name="{name}"]').fill(text)
    shop.pay()
    assert landed(shop)["redirect_status"] == "succeeded"
    intent: Any = sandbox.client.v1.payment_intents.retrieve(order.intent, {"expand": ["payment_method"]})
    details = intent.payment_method.billing_details
    assert (details.name, details.address.line1, details.address.city) == ("Ann Doe", "1 Main St", "Springfield")


@pytest.mark.parametrize(("button", "status"), [("Complete", "succeeded"), ("Fail", "failed")])
def test_customer_whom_the_server_sends_to_the_challenge_comes_back(
    shop: PaymentPage, order: SimpleNamespace, sandbox: SandboxProcess, button: str, status: str
) -> None:
    """Confirmed with a return_url and without Stripe.js, a payment has a page of its own for the challenge."""
    confirmed: Any = sandbox.client.v1.payment_intents.confirm(
        order.intent,
        {"payment_method": "pm_card_authenticationRequired", "return_url": f"{shop.shop_url}/done?order=7"},
    )
    shop.page.goto(confirmed.next_action.redirect_to_url.url)
    shop.page.get_by_role("button", name=button, exact=True).click()
    assert landed(shop) == {
        "order": "7",
        "payment_intent": order.intent,
        "payment_intent_client_secret": order.secret,
        "redirect_status": status,
    }
    assert order.status() == ("active" if status == "succeeded" else "incomplete")


def test_decline_after_a_completed_challenge_is_shown(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card("4000008260003178")
    shop.pay()
    shop.challenge.get_by_role("button", name="Complete", exact=True).click()
    expect(shop.message).to_have_text("Your card has insufficient funds.")
    assert result(shop)["error"]["decline_code"] == "insufficient_funds"
    assert order.status() == "incomplete"


def test_challenge_that_another_window_settled_ends_here_too(
    shop: PaymentPage, order: SimpleNamespace, sandbox: SandboxProcess
) -> None:
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.pay()
    expect(shop.challenge.get_by_role("heading")).to_be_focused()
    intent: Any = sandbox.client.v1.payment_intents.retrieve(order.intent)
    source = intent.next_action.use_stripe_sdk.three_d_secure_2_source
    form = {"key": "pk_test_sandbox", "source": source, "outcome": "complete"}
    assert shop.page.request.post(f"{sandbox.url}/v1/3ds2/authenticate", form=form).ok
    shop.challenge.get_by_role("button", name="Fail").click()
    assert landed(shop)["redirect_status"] == "succeeded"


def test_saved_method_is_confirmed_without_a_form(
    shop: PaymentPage, order: SimpleNamespace, sandbox: SandboxProcess
) -> None:
    saved = sandbox.client.v1.payment_methods.attach("pm_card_visa", {"customer": order.customer})
    shop.open(order.secret)
    call = """async ([secret, method]) => shop.stripe.confirmPayment({
        clientSecret: secret, confirmParams: {payment_method: method}, redirect: "if_required",
    })"""
    assert shop.page.evaluate(call, [order.secret, saved.id])["paymentIntent"]["status"] == "succeeded"


def test_payment_method_is_made_from_the_form(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card("5555555555554444")
    made = shop.page.evaluate("() => shop.stripe.createPaymentMethod({elements: shop.elements})")["paymentMethod"]
    assert (made["card"]["brand"], made["card"]["last4"]) == ("mastercard", "4444")
    assert made["billing_details"]["address"]["postal_code"] == "94103"


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
    assert landed(shop)["redirect_status"] == "succeeded"


def test_element_moved_in_the_page_starts_afresh(shop: PaymentPage, order: SimpleNamespace) -> None:
    """A browser loads a moved frame anew; the element must find its frame again."""
    shop.open(order.secret).field("number").fill("42")
    shop.page.evaluate("() => document.querySelector('#message').before(document.querySelector('#payment'))")
    expect(shop.field("number")).to_have_value("")
    shop.fill_card()
    shop.pay()
    assert landed(shop)["redirect_status"] == "succeeded"


@pytest.mark.parametrize("path", ["/elements/payment", "/elements/address", "/3ds/challenge"])
def test_frames_allow_nothing_unsafe_and_no_strangers(page: Page, sandbox_process: SandboxProcess, path: str) -> None:
    policy = page.request.get(sandbox_process.url + path).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    ancestors = re.search(r"frame-ancestors ([^;]*)", policy)
    assert ancestors
    assert {urlsplit(origin).hostname for origin in ancestors[1].split()} == {"localhost", "127.0.0.1"}
