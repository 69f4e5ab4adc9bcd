"""Paying with the stand-in for Stripe.js in a real browser, against the sandbox's own API."""

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Request, expect

from tests.browser.elements.shop import PaymentPage
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.browser

GOOD, POOR, CHALLENGED = "4242424242424242", "4000000000009995", "4000002500003155"
NOT_AUTHENTICATED = (
    "We are unable to authenticate your payment method. Please choose a different payment method and try again."
)


def test_good_card_pays_and_goes_to_the_return_page(shop: PaymentPage, order: SimpleNamespace) -> None:
    """The shop's own query is kept; the subscription is active by the time the browser is back."""
    shop.open(order.secret).fill_card()
    shop.pay()
    assert shop.landed() == {
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
    error = shop.result()["error"]
    assert (error["type"], error["code"], error["decline_code"]) == (
        "card_error",
        "card_declined",
        "insufficient_funds",
    )
    assert error["payment_intent"]["status"] == "requires_payment_method"
    assert order.status() == "incomplete"
    shop.field("number").fill(GOOD)
    shop.pay()
    assert shop.landed()["redirect_status"] == "succeeded"
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
    assert shop.landed()["redirect_status"] == "succeeded"
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
    assert shop.result()["error"]["code"] == "payment_intent_authentication_failure"
    assert shop.result()["error"]["payment_intent"]["id"] == order.intent
    expect(shop.page.locator("dialog")).to_have_count(0)
    assert order.status() == "incomplete"
    shop.field("number").fill(GOOD)
    shop.pay()
    assert shop.landed()["redirect_status"] == "succeeded"


def test_challenge_by_keyboard_alone(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.pay()
    expect(shop.challenge.get_by_role("heading")).to_be_focused()
    shop.page.keyboard.press("Tab")
    expect(shop.challenge.get_by_role("button", name="Complete", exact=True)).to_be_focused()
    shop.page.keyboard.press("Enter")
    assert shop.landed()["redirect_status"] == "succeeded"


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


def test_if_required_resolves_without_leaving_the_page(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret, confirm={"redirect": "if_required"}).fill_card()
    shop.pay()
    expect(shop.message).to_have_text("succeeded")
    assert shop.result()["paymentIntent"]["id"] == order.intent
    assert urlsplit(shop.page.url).path == "/"


def test_second_confirmation_while_one_runs_is_refused(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.pay()
    expect(shop.challenge.get_by_role("heading")).to_be_visible()
    call = "shop.stripe.confirmPayment({elements: shop.elements, confirmParams: {return_url: 'http://localhost/'}})"
    assert shop.rejection(call) == (
        "IntegrationError: You have an in-flight confirmPayment! "
        "Please be sure to disable your form submit button when confirmPayment is called."
    )


def test_lost_connection_is_an_error_and_not_an_exception(shop: PaymentPage, order: SimpleNamespace) -> None:
    shop.open(order.secret).fill_card()
    shop.page.route("**/confirm", lambda route: route.abort())
    shop.pay()
    expect(shop.message).to_contain_text("issues connecting to our payments provider")
    assert shop.result()["error"]["type"] == "api_connection_error"
    shop.page.unroute("**/confirm")
    shop.pay()
    assert shop.landed()["redirect_status"] == "succeeded"


def test_setup_intent_saves_a_card(shop: PaymentPage, sandbox: SandboxProcess) -> None:
    customer = sandbox.client.v1.customers.create({"email": "bob@example.com"})
    intent = sandbox.client.v1.setup_intents.create({"customer": customer.id, "usage": "off_session"})
    shop.open(intent.client_secret).fill_card()
    expect(shop.frame.locator(".TermsText")).to_contain_text("to charge your card for future payments")
    shop.pay()
    assert shop.landed() == {
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
    assert shop.result()["error"]["code"] == "setup_intent_authentication_failure"


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
    assert shop.landed()["redirect_status"] == "succeeded"
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
    assert shop.landed() == {
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
    assert shop.result()["error"]["decline_code"] == "insufficient_funds"
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
    assert shop.landed()["redirect_status"] == "succeeded"


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


def test_challenge_that_does_not_load_is_an_error_and_can_be_tried_again(
    shop: PaymentPage, order: SimpleNamespace
) -> None:
    shop.open(order.secret).fill_card(CHALLENGED)
    shop.page.route("**/3ds/challenge?*", lambda route: route.abort())
    shop.pay()
    expect(shop.message).to_contain_text("could not be loaded", timeout=15_000)
    expect(shop.page.locator("dialog")).to_have_count(0)
    shop.page.unroute("**/3ds/challenge?*")
    shop.pay()
    shop.challenge.get_by_role("button", name="Complete", exact=True).click()
    assert shop.landed()["redirect_status"] == "succeeded"
