"""What the people in these stories do: the shop's server with its secret key, the customer in a browser."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
import stripe

from tests.sandbox_process import PUBLISHABLE_KEY, SandboxProcess

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PATIENCE = 30  # seconds of wall time
GOOD, NO_FUNDS, NEEDS_3DS = "4242424242424242", "4000000000009995", "4000002500003155"


def advance_clock(stripe_api: Any, id: str, to: int) -> Any:
    """Advance a test clock as a client does: ask until it is ready."""
    clock = stripe_api.test_helpers.test_clocks.advance(id, {"frozen_time": to})
    assert clock.status == "advancing"
    return arrived(stripe_api, clock)


def arrived(stripe_api: Any, clock: Any) -> Any:
    """The test clock, once all has happened that it is being advanced for."""
    deadline = time.monotonic() + PATIENCE
    while clock.status == "advancing" and time.monotonic() < deadline:
        clock = stripe_api.test_helpers.test_clocks.retrieve(clock.id)
    return clock


def monthly(stripe_api: Any, amount: int = 500, name: str = "Basic", **more: Any) -> Any:
    """A price per month, of a product of its own."""
    product = stripe_api.products.create({"name": name})
    recurring = {"interval": "month"}
    return stripe_api.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": amount, "recurring": recurring} | more
    )


def customer_with(stripe_api: Any, card: str = "pm_card_visa") -> Any:
    """A customer whose default method is a clone of that test card."""
    customer = stripe_api.customers.create({"email": "carol@example.com", "name": "Carol"})
    method = stripe_api.payment_methods.attach(card, {"customer": customer.id})
    return stripe_api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})


def subscribe(stripe_api: Any, customer: str, price: str, **more: Any) -> Any:
    """As a shop with the Payment Element does: incomplete until the browser has confirmed."""
    params = {
        "customer": customer,
        "items": [{"price": price}],
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "expand": ["latest_invoice.confirmation_secret", "pending_setup_intent"],
    }
    return stripe_api.subscriptions.create(params | more)


def client_secret(subscription: stripe.Subscription) -> str:
    invoice: Any = subscription.latest_invoice
    return str(invoice.confirmation_secret.client_secret)


def browser(
    sandbox: SandboxProcess, method: str, path: str, key: str = PUBLISHABLE_KEY, **fields: str
) -> tuple[int, dict[str, Any]]:
    """What Stripe.js sends: a form with the publishable key in it."""
    form = urlencode({"key": key, **fields})
    if method == "GET":
        status, _, body = sandbox.request("GET", f"{path}?{form}")
    else:
        status, _, body = sandbox.request(method, path, form, FORM)
    return status, json.loads(body)


def card_fields(number: str, *, exp_month: str = "12", exp_year: str = "40", cvc: str = "123") -> dict[str, str]:
    card = {"number": number, "exp_month": exp_month, "exp_year": exp_year, "cvc": cvc}
    fields = {f"payment_method_data[card][{name}]": value for name, value in card.items()}
    return {
        "payment_method_data[type]": "card",
        "payment_method_data[billing_details][address][country]": "US",
        "payment_method_data[payment_user_agent]": "stripe.js/endive",
        **fields,
    }


def confirm(sandbox: SandboxProcess, secret: str, number: str = GOOD, **card: str) -> tuple[int, dict[str, Any]]:
    """The customer types a card and presses the button."""
    id = secret.partition("_secret_")[0]
    kind = "setup_intents" if id.startswith("seti_") else "payment_intents"
    return browser(
        sandbox,
        "POST",
        f"/v1/{kind}/{id}/confirm",
        client_secret=secret,
        return_url="http://localhost:4242/complete",
        use_stripe_sdk="true",
        expected_payment_method_type="card",
        **card_fields(number, **card),
    )


def challenge(sandbox: SandboxProcess, intent: dict[str, Any], outcome: str) -> tuple[int, dict[str, Any]]:
    """The customer completes or fails 3D Secure."""
    source = intent["next_action"]["use_stripe_sdk"]["three_d_secure_2_source"]
    return browser(sandbox, "POST", "/v1/3ds2/authenticate", source=source, outcome=outcome)


def paying_customer(sandbox: SandboxProcess, number: str = GOOD, **more: Any) -> stripe.Subscription:
    """A subscription whose first invoice was paid with that card, in the browser."""
    stripe_api = sandbox.client.v1
    customer = stripe_api.customers.create({"email": "carol@example.com"})
    subscription = subscribe(stripe_api, customer.id, monthly(stripe_api).id, **more)
    status, body = confirm(sandbox, client_secret(subscription), number)
    assert status == 200, body
    return stripe_api.subscriptions.retrieve(subscription.id)


def refused(call: Any, *args: Any) -> Any:
    """The error of a call that Stripe must refuse, as stripe-python raises it."""
    with pytest.raises(stripe.StripeError) as caught:
        call(*args)
    error: Any = caught.value
    return error


def types(events: list[Any]) -> list[str]:
    return [event.type for event in events]


def previous(event: Any) -> Any:
    return event.data.to_dict().get("previous_attributes")
