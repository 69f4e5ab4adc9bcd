"""The stand-in for Stripe.js as a shop's script sees it: results, refusals, deferred mode."""

import re
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.elements.shop import PaymentPage
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.browser


def test_paid_intent_cannot_open_the_form(shop: PaymentPage, order: SimpleNamespace, sandbox: SandboxProcess) -> None:
    sandbox.client.v1.payment_intents.confirm(order.intent, {"payment_method": "pm_card_visa"})
    shop.open(order.secret)
    expect(shop.page.locator("body")).to_have_attribute("data-loaderror", "1")
    error = shop.events("loaderror")[0]["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "payment_intent_unexpected_state")
    assert shop.events("ready") == []


def test_frame_that_does_not_load_is_a_loaderror(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.page.route("**/elements/payment", lambda route: route.abort())
    shop.open(order.secret)
    expect(shop.page.locator("body")).to_have_attribute("data-loaderror", "1", timeout=15_000)
    assert shop.events("loaderror")[0]["error"]["type"] == "api_connection_error"


def test_unknown_secret_is_a_loaderror(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret[:-4] + "0000")
    expect(shop.page.locator("body")).to_have_attribute("data-loaderror", "1")
    assert shop.events("loaderror")[0]["error"]["type"] == "invalid_request_error"


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
    early = shop.rejection(f"({pay})({order.secret!r})")
    assert early == "IntegrationError: elements.submit() must be called before stripe.confirmPayment()."
    assert shop.page.evaluate("() => shop.elements.submit()")["error"]["code"] == "incomplete_number"
    shop.fill_card()
    assert shop.page.evaluate("() => shop.elements.submit()") == {"selectedPaymentMethod": "card"}
    shop.page.evaluate(f"secret => void ({pay})(secret)", order.secret)
    assert shop.landed()["redirect_status"] == "succeeded"
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
    shop.page.evaluate("() => shop.elements.update({amount: 1500, mode: 'payment'})")
    shop.page.evaluate("() => shop.elements.submit()")
    error = shop.page.evaluate(confirm, order.secret)["error"]
    assert "has the setup_future_usage off_session, but the Elements group was created with null" in error["message"]
    shop.page.evaluate("() => shop.elements.update({mode: 'setup'})")
    shop.page.evaluate("() => shop.elements.submit()")
    error = shop.page.evaluate(confirm, order.secret)["error"]
    assert "created in setup mode, for a SetupIntent, not for a PaymentIntent" in error["message"]
    shop.page.evaluate("() => shop.elements.update({mode: 'payment', setup_future_usage: 'off_session'})")
    shop.page.evaluate("() => shop.elements.submit()")
    assert shop.page.evaluate(confirm, order.secret)["paymentIntent"]["status"] == "succeeded"


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
        ("shop.stripe.elements({mode: 'payment', amount: 5, currency: 'USD'})", "ISO code in lower case"),
        ("shop.stripe.elements({mode: 'rent'})", "mode should be one of the following strings: payment, subscription"),
        ("shop.stripe.elements('pi_1_secret_2')", "options should be an object. You specified: pi_1_secret_2."),
        ("shop.stripe.elements({clientSecret: 'pi_1_secret_2', mode: 'setup'})", "can't be given both"),
        ("shop.stripe.elements({appearance: {theme: 'dark'}})", "appearance.theme should be one of"),
        ("shop.stripe.elements({}).create('payment')", "you must pass a clientSecret or mode"),
        ("shop.elements.update({clientSecret: 'pi_1_secret_2'})", "clientSecret cannot be changed"),
        ("shop.payment.update({layout: 'rows'})", "layout should be one of the following strings: tabs, accordion"),
        ("shop.payment.update({layout: null})", "You specified: null."),
        ("shop.payment.on('ready')", "Event handlers must be functions."),
        (
            "shop.stripe.confirmPayment({elements: 7, clientSecret: 'pi_1_secret_2', redirect: 'never'})",
            "redirect should",
        ),
        (
            "shop.stripe.confirmPayment()",
            "Missing value for stripe.confirmPayment(): clientSecret should be a client secret",
        ),
        ("shop.stripe.confirmPayment({clientSecret: 'seti_1_secret_2'})", "should belong to a PaymentIntent"),
    ],
)
def test_misuse_throws_an_integration_error(shop: PaymentPage, order: SimpleNamespace, call: str, message: str) -> None:
    shop.open(order.secret)
    thrown = shop.rejection(call)
    assert thrown.startswith("IntegrationError: ")
    assert message in thrown


def test_form_that_nobody_listens_to_tells_the_console(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret)
    expect(shop.field("number")).to_be_visible()
    with shop.page.expect_console_message(lambda line: line.type == "error" and "Unhandled" in line.text) as told:
        shop.page.evaluate(
            """() => Stripe("pk_test_other").elements({mode: "setup"}).create("payment").mount("#address")"""
        )
    assert told.value.text.startswith("Unhandled payment Element loaderror")


def test_page_elsewhere_is_told_at_once(page: Page, sandbox: SandboxProcess) -> None:
    """A file, or a name of this machine that the sandbox does not answer."""
    stripe_js = page.request.get(f"{sandbox.url}/endive/stripe.js").text()
    page.route("http://shop.example/**", lambda route: route.fulfill(body="<script src='/s.js'></script>"))
    page.route("http://shop.example/s.js", lambda route: route.fulfill(body=stripe_js))
    page.goto("http://shop.example/")
    call = "() => { try { Stripe('pk_test_sandbox') } catch (error) { return error.message } }"
    assert "answers pages of http://localhost and http://127.0.0.1 only" in page.evaluate(call)


def test_only_the_train_the_sandbox_speaks_is_served(page: Page, sandbox_process: SandboxProcess) -> None:
    answer = page.request.get(f"{sandbox_process.url}/basil/stripe.js")
    assert answer.status == 404
    assert "Load /endive/stripe.js" in answer.text()
    assert (
        page.request.get(f"{sandbox_process.url}/endive/stripe.js")
        .headers["content-type"]
        .startswith("text/javascript")
    )


@pytest.mark.parametrize("path", ["/elements/payment", "/elements/address", "/3ds/challenge"])
def test_frames_allow_nothing_unsafe_and_no_strangers(page: Page, sandbox_process: SandboxProcess, path: str) -> None:
    policy = page.request.get(sandbox_process.url + path).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    ancestors = re.search(r"frame-ancestors ([^;]*)", policy)
    assert ancestors
    assert {urlsplit(origin).hostname for origin in ancestors[1].split()} == {"localhost", "127.0.0.1"}
