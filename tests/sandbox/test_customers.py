"""Customers and their payment methods."""

from typing import Any

import pytest

from tests.sandbox.acts import browser, customer_with, monthly, paying_customer, previous, refused
from tests.sandbox_process import SandboxProcess


@pytest.mark.stripe_verified
def test_new_customer_has_stripes_defaults(stripe_api: Any) -> None:
    address = {"line1": "1 Main St", "city": "Town", "country": "US", "postal_code": "94103"}
    shipping = {"name": "Ann", "address": address}
    made = stripe_api.customers.create({"email": "ann@example.com", "address": address, "shipping": shipping})
    assert (made.balance, made.currency, made.delinquent, made.tax_exempt) == (0, None, False, "none")
    assert (made.next_invoice_sequence, made.preferred_locales, made.metadata.to_dict()) == (1, [], {})
    assert len(made.invoice_prefix) == 8
    assert made.address.line2 is None
    assert made.shipping.address.city == "Town"
    assert "subscriptions" not in made
    expanded = stripe_api.customers.retrieve(made.id, {"expand": ["subscriptions", "tax"]})
    assert expanded.subscriptions.data == []
    assert expanded.tax.automatic_tax == "unrecognized_location"


def test_update_tells_what_was_before(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer = stripe_api.customers.create({"email": "ann@example.com"})
    address = {"country": "DE", "city": "Bonn"}
    stripe_api.customers.update(customer.id, {"email": "eve@example.com", "address": address})
    event = sandbox.events("customer.updated")[0]
    assert previous(event) == {"email": "ann@example.com", "address": None}
    assert event.data.object.address.city == "Bonn"


def test_deleting_a_customer_ends_their_subscriptions(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """What is left is a stub; the customer can't be used again, and their cards are free."""
    subscription = paying_customer(sandbox)
    customer = str(subscription.customer)
    assert stripe_api.customers.delete(customer).deleted is True
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "canceled"
    stub = stripe_api.customers.retrieve(customer)
    assert stub.to_dict() == {"id": customer, "object": "customer", "deleted": True}
    assert refused(stripe_api.customers.update, customer, {"name": "x"}).http_status == 404
    params = {"customer": customer, "items": [{"price": monthly(stripe_api).id}]}
    assert refused(stripe_api.subscriptions.create, params).param == "customer"
    assert [event.type for event in sandbox.events()][-4:-2] == ["payment_method.detached", "customer.deleted"]
    assert stripe_api.customers.list({}).data == []


def test_attaching_a_token_makes_a_new_method_each_time(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer = stripe_api.customers.create({})
    first = stripe_api.payment_methods.attach("pm_card_mastercard", {"customer": customer.id})
    second = stripe_api.payment_methods.attach("pm_card_mastercard", {"customer": customer.id})
    assert first.id != second.id
    assert (first.card.brand, first.card.last4, first.card.checks.cvc_check) == ("mastercard", "4444", "pass")
    assert first.card.fingerprint == second.card.fingerprint
    listed = stripe_api.customers.payment_methods.list(customer.id, {"type": "card"}).data
    assert [one.id for one in listed] == [second.id, first.id]
    assert stripe_api.payment_methods.retrieve("pm_card_amex").card.display_brand == "american_express"
    assert len(sandbox.events("payment_method.attached")) == 2


def test_detached_method_cannot_be_used_again(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Where it was a default there is none any more."""
    subscription = paying_customer(sandbox)
    method, customer = str(subscription.default_payment_method), str(subscription.customer)
    stripe_api.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    assert stripe_api.payment_methods.detach(method).customer is None
    assert stripe_api.customers.retrieve(customer).invoice_settings.default_payment_method is None
    assert stripe_api.subscriptions.retrieve(subscription.id).default_payment_method is None
    assert previous(sandbox.events("payment_method.detached")[0]) == {"customer": customer}
    error = refused(stripe_api.payment_methods.attach, method, {"customer": customer})
    assert "may not be used again" in error.user_message
    assert refused(stripe_api.payment_methods.detach, method).http_status == 400


@pytest.mark.stripe_verified
def test_method_of_another_customer_is_refused(stripe_api: Any) -> None:
    first, second = customer_with(stripe_api), customer_with(stripe_api)
    method = first.invoice_settings.default_payment_method
    error = refused(stripe_api.payment_methods.attach, method, {"customer": second.id})
    assert error.user_message == "The payment method you provided has already been attached to a customer."
    settings = {"invoice_settings": {"default_payment_method": method}}
    assert refused(stripe_api.customers.update, second.id, settings).code == "resource_missing"
    params = {"customer": second.id, "items": [{"price": monthly(stripe_api).id}], "default_payment_method": method}
    assert refused(stripe_api.subscriptions.create, params).param == "default_payment_method"
    assert refused(stripe_api.customers.payment_methods.retrieve, second.id, method).http_status == 404


@pytest.mark.stripe_verified
def test_declined_card_cannot_even_be_attached(stripe_api: Any) -> None:
    customer = stripe_api.customers.create({})
    error = refused(stripe_api.payment_methods.attach, "pm_card_chargeDeclined", {"customer": customer.id})
    body = error.json_body["error"]
    assert error.http_status == 402
    assert body.pop("request_log_url").endswith(f"?object={error.request_id}")
    assert body == {
        "advice_code": "try_again_later",
        "code": "card_declined",
        "decline_code": "generic_decline",
        "doc_url": "https://stripe.com/docs/error-codes/card-declined",
        "message": "Your card was declined.",
        "network_decline_code": "01",
        "param": "",
        "type": "card_error",
    }
    assert stripe_api.customers.payment_methods.list(customer.id, {}).data == []


@pytest.mark.stripe_verified
def test_servers_send_no_card_numbers(stripe_api: Any) -> None:
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    error = refused(stripe_api.payment_methods.create, {"type": "card", "card": card})
    assert error.http_status == 402
    assert "generally unsafe" in error.user_message
    assert stripe_api.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}}).card.last4 == "4242"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"card[number]": "4242424242424241"}, "incorrect_number"),
        ({"card[number]": "4242"}, "incorrect_number"),
        ({"card[number]": "４２４２４２４２４２４２４２４２"}, "incorrect_number"),
        ({"card[exp_month]": "13"}, "invalid_expiry_month"),
        ({"card[exp_year]": "2019"}, "invalid_expiry_year"),
        ({"card[cvc]": "12"}, "invalid_cvc"),
    ],
)
def test_card_data_that_cannot_be_are_a_card_error(sandbox: SandboxProcess, change: dict[str, str], code: str) -> None:
    card = {"card[number]": "4242 4242 4242 4242", "card[exp_month]": "12", "card[exp_year]": "40", "card[cvc]": "123"}
    status, body = browser(sandbox, "POST", "/v1/payment_methods", type="card", **card)
    assert (status, body["card"]["exp_year"]) == (200, 2040)
    status, body = browser(sandbox, "POST", "/v1/payment_methods", type="card", **card | change)
    assert (status, body["error"]["type"], body["error"]["code"]) == (402, "card_error", code)
