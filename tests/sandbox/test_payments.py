"""Payment intents, setup intents, charges, refunds, invoices."""

from typing import Any

import pytest

from tests.sandbox.acts import (
    GOOD,
    NEEDS_3DS,
    NO_FUNDS,
    browser,
    challenge,
    client_secret,
    confirm,
    customer_with,
    monthly,
    paying_customer,
    refused,
    subscribe,
    types,
)
from tests.sandbox_process import SandboxProcess

DECLINES = [
    ("4000000000000002", "card_declined", "generic_decline", "01", "try_again_later", None),
    ("4000000000009995", "card_declined", "insufficient_funds", "51", "try_again_later", None),
    ("4000000000009987", "card_declined", "lost_card", "41", "do_not_try_again", None),
    ("4000000000009979", "card_declined", "stolen_card", "43", "do_not_try_again", None),
    ("4000000000006975", "card_declined", "card_velocity_exceeded", "61", "try_again_later", None),
    ("4000000000000069", "expired_card", "expired_card", "54", "confirm_card_data", "exp_month"),
    ("4000000000000127", "incorrect_cvc", "incorrect_cvc", "N7", "confirm_card_data", "cvc"),
    ("4000000000000119", "processing_error", "processing_error", "06", "try_again_later", None),
    ("4000000000000341", "card_declined", "generic_decline", "01", "try_again_later", None),
    ("4100000000000019", "card_declined", "fraudulent", "59", "do_not_try_again", None),
]


def intent_of(stripe_api: Any, **more: Any) -> Any:
    return stripe_api.payment_intents.create({"amount": 1200, "currency": "usd"} | more)


@pytest.mark.parametrize(("number", "code", "decline_code", "network", "advice", "param"), DECLINES)
def test_declines_say_what_stripe_says(
    sandbox: SandboxProcess,
    stripe_api: Any,
    number: str,
    code: str,
    decline_code: str,
    network: str,
    advice: str,
    param: str | None,
) -> None:
    intent = intent_of(stripe_api)
    status, body = confirm(sandbox, intent.client_secret, number)
    error = body["error"]
    assert (status, error["type"]) == (402, "card_error")
    found = tuple(error.get(n) for n in ("code", "decline_code", "network_decline_code", "advice_code", "param"))
    assert found == (code, decline_code, network, advice, param)
    after = stripe_api.payment_intents.retrieve(intent.id)
    assert (after.status, after.payment_method, after.amount_received) == ("requires_payment_method", None, 0)
    assert after.latest_charge == error["charge"] == after.last_payment_error.charge
    charge = stripe_api.charges.retrieve(error["charge"])
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)


def test_server_confirms_with_a_token(sandbox: SandboxProcess, stripe_api: Any) -> None:
    intent = intent_of(stripe_api, payment_method="pm_card_visa", confirm=True, expand=["latest_charge"])
    assert (intent.status, intent.amount_received, intent.latest_charge.paid) == ("succeeded", 1200, True)
    assert types(sandbox.events()) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    error = refused(stripe_api.payment_intents.confirm, intent.id)
    assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")
    assert error.json_body["error"]["payment_intent"]["id"] == intent.id
    assert refused(stripe_api.payment_intents.cancel, intent.id).code == "payment_intent_unexpected_state"


def test_server_is_sent_to_a_page_for_3d_secure(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A return_url without Stripe.js makes the next action a redirect."""
    params = {"payment_method": "pm_card_threeDSecure2Required", "confirm": True}
    intent = intent_of(stripe_api, **params, return_url="http://localhost:4242/complete")
    assert intent.next_action.type == "redirect_to_url"
    assert intent.next_action.redirect_to_url.url.startswith(sandbox.url + "/3ds/")


@pytest.mark.stripe_verified
def test_payment_without_the_cardholder_that_needs_them_is_declined(stripe_api: Any) -> None:
    customer = customer_with(stripe_api, "pm_card_authenticationRequired")
    method = customer.invoice_settings.default_payment_method
    params = {"customer": customer.id, "payment_method": method, "confirm": True, "off_session": True}
    error = refused(lambda: intent_of(stripe_api, **params))
    assert (error.http_status, error.code) == (402, "authentication_required")


def test_card_that_was_set_up_pays_without_the_cardholder(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """3155 asks once, when it is saved; afterwards only when the cardholder is there."""
    customer = stripe_api.customers.create({})
    setup = stripe_api.setup_intents.create({"customer": customer.id, "usage": "off_session"})
    assert (setup.status, setup.automatic_payment_methods.enabled) == ("requires_payment_method", True)
    status, asked = confirm(sandbox, setup.client_secret, NEEDS_3DS)
    assert (status, asked["status"]) == (200, "requires_action")
    challenge(sandbox, asked, "complete")
    done = stripe_api.setup_intents.retrieve(setup.id)
    assert done.status == "succeeded"
    assert types(sandbox.events())[1:] == [
        "setup_intent.created",
        "setup_intent.requires_action",
        "setup_intent.succeeded",
        "payment_method.attached",
    ]
    params = {"customer": customer.id, "payment_method": done.payment_method, "confirm": True}
    assert intent_of(stripe_api, **params, off_session=True).status == "succeeded"
    assert intent_of(stripe_api, **params).status == "requires_action"
    wish = {
        "customer": customer.id,
        "default_payment_method": done.payment_method,
        "items": [{"price": monthly(stripe_api).id}],
    }
    assert stripe_api.subscriptions.create(wish | {"off_session": True}).status == "active"
    asked = stripe_api.subscriptions.create(wish)
    assert asked.status == "incomplete"
    paid = stripe_api.subscriptions.create(wish | {"off_session": True})
    more = {"items": [{"id": paid["items"].data[0].id, "quantity": 3}], "proration_behavior": "always_invoice"}
    assert stripe_api.subscriptions.update(paid.id, more | {"off_session": True}).status == "active"


def test_setup_with_a_card_that_fails(sandbox: SandboxProcess, stripe_api: Any) -> None:
    setup = stripe_api.setup_intents.create({"customer": stripe_api.customers.create({}).id})
    status, body = confirm(sandbox, setup.client_secret, NO_FUNDS)
    assert (status, body["error"]["setup_intent"]["status"]) == (402, "requires_payment_method")
    _, asked = confirm(sandbox, setup.client_secret, NEEDS_3DS)
    challenge(sandbox, asked, "fail")
    after = stripe_api.setup_intents.retrieve(setup.id)
    assert after.last_setup_error.code == "setup_intent_authentication_failure"
    assert confirm(sandbox, setup.client_secret)[1]["status"] == "succeeded"
    assert confirm(sandbox, setup.client_secret)[1]["error"]["code"] == "setup_intent_unexpected_state"


def test_payment_is_authorized_first_and_captured_later(sandbox: SandboxProcess, stripe_api: Any) -> None:
    params = {"payment_method": "pm_card_visa", "capture_method": "manual"}
    intent = intent_of(stripe_api, **params)
    assert intent.status == "requires_confirmation"
    held = stripe_api.payment_intents.confirm(intent.id, {"expand": ["latest_charge"]})
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 1200, 0)
    assert (held.latest_charge.captured, held.latest_charge.amount_captured) == (False, 0)
    assert refused(stripe_api.payment_intents.capture, intent.id, {"amount_to_capture": 1201}).http_status == 400
    taken = stripe_api.payment_intents.capture(intent.id, {"amount_to_capture": 1000, "expand": ["latest_charge"]})
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 1000)
    assert (taken.latest_charge.amount_captured, taken.latest_charge.amount_refunded) == (1000, 200)
    assert types(sandbox.events())[1:] == [
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
    ]
    other = intent_of(stripe_api, **params, confirm=True)
    let_go = stripe_api.payment_intents.cancel(other.id, {"expand": ["latest_charge"]})
    assert (let_go.status, let_go.latest_charge.refunded) == ("canceled", True)
    assert refused(stripe_api.payment_intents.capture, other.id).code == "payment_intent_unexpected_state"


def test_intent_is_changed_and_canceled(sandbox: SandboxProcess, stripe_api: Any) -> None:
    intent = intent_of(stripe_api)
    assert stripe_api.payment_intents.update(intent.id, {"amount": 900, "metadata": {"a": "b"}}).amount == 900
    gone = stripe_api.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    assert confirm(sandbox, intent.client_secret)[1]["error"]["code"] == "payment_intent_unexpected_state"
    assert stripe_api.payment_intents.list({}).data[0].id == intent.id


@pytest.mark.stripe_verified
def test_intent_of_an_invoice_is_the_invoices(stripe_api: Any) -> None:
    subscription = subscribe(stripe_api, stripe_api.customers.create({}).id, monthly(stripe_api).id)
    id = client_secret(subscription).partition("_secret_")[0]
    assert refused(stripe_api.payment_intents.cancel, id).http_status == 400
    assert refused(stripe_api.payment_intents.update, id, {"amount": 1}).http_status == 400
    found = {"payment": {"type": "payment_intent", "payment_intent": id}}
    payments = stripe_api.invoice_payments.list(found).data
    assert [one.invoice for one in payments] == [subscription.latest_invoice.id]
    assert (payments[0].status, payments[0].amount_paid, payments[0].is_default) == ("open", None, True)
    assert stripe_api.invoice_payments.retrieve(payments[0].id).id == payments[0].id
    nothing = {"payment": {"type": "payment_intent", "payment_intent": "pi_nothing"}}
    assert stripe_api.invoice_payments.list(nothing).data == []


@pytest.mark.parametrize("amount", [0, 49, 100_000_000])
def test_amounts_that_cannot_be_charged(stripe_api: Any, amount: int) -> None:
    error = refused(lambda: intent_of(stripe_api, amount=amount))
    assert (error.http_status, error.param) == (400, "amount")


def test_card_that_is_no_test_card_is_declined(sandbox: SandboxProcess, stripe_api: Any) -> None:
    status, body = confirm(sandbox, intent_of(stripe_api).client_secret, "4111111111111111")
    assert (status, body["error"]["decline_code"]) == (402, "test_mode_live_card")
    status, body = confirm(sandbox, intent_of(stripe_api).client_secret, GOOD, exp_year="19")
    assert (status, body["error"]["code"]) == (402, "invalid_expiry_year")


def test_refund_of_a_part_then_of_the_rest(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The invoice stays paid and the subscription lives on."""
    subscription = paying_customer(sandbox)
    charge = stripe_api.charges.list({"customer": subscription.customer}).data[0]
    before = sandbox.mark()
    first = stripe_api.refunds.create({"charge": charge.id, "amount": 200, "reason": "requested_by_customer"})
    assert (first.status, first.amount) == ("succeeded", 200)
    assert stripe_api.charges.retrieve(charge.id).refunded is False
    too_much = refused(stripe_api.refunds.create, {"charge": charge.id, "amount": 301})
    assert "is greater than unrefunded amount" in too_much.user_message
    second = stripe_api.refunds.create({"payment_intent": charge.payment_intent})
    assert second.amount == 300
    after = stripe_api.charges.retrieve(charge.id, {"expand": ["refunds"]})
    assert (after.refunded, after.amount_refunded) == (True, 500)
    assert [one.id for one in after.refunds.data] == [second.id, first.id]
    again = refused(stripe_api.refunds.create, {"charge": charge.id})
    assert again.code == "charge_already_refunded"
    assert types(sandbox.events(since=before)) == ["refund.created", "charge.refunded"] * 2
    assert stripe_api.invoices.retrieve(subscription.latest_invoice).status == "paid"
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"


def test_refunds_that_take_their_time(sandbox: SandboxProcess, stripe_api: Any) -> None:
    ends = {}
    for card in ("pm_card_pendingRefund", "pm_card_refundFail"):
        intent = intent_of(stripe_api, payment_method=card, confirm=True)
        ends[card] = stripe_api.refunds.create({"payment_intent": intent.id})
    assert [one.status for one in ends.values()] == ["pending", "succeeded"]
    sandbox.advance(hours=1)
    statuses = [stripe_api.refunds.retrieve(one.id).status for one in ends.values()]
    assert statuses == ["succeeded", "failed"]
    assert len(sandbox.events("refund.failed")) == 1


def test_invoice_is_voided_or_paid_by_other_means(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = stripe_api.customers.create({}), monthly(stripe_api)
    subscription = subscribe(stripe_api, customer.id, price.id)
    invoice = subscription.latest_invoice.id
    assert refused(stripe_api.invoices.pay, invoice).http_status == 400, "there is no method"
    voided = stripe_api.invoices.void_invoice(invoice)
    assert (voided.status, voided.amount_due) == ("void", 500)
    assert refused(stripe_api.invoices.pay, invoice).http_status == 400
    assert refused(stripe_api.invoices.void_invoice, invoice).http_status == 400
    other = subscribe(stripe_api, customer.id, price.id)
    paid = stripe_api.invoices.pay(other.latest_invoice.id, {"paid_out_of_band": True})
    assert (paid.status, paid.attempt_count) == ("paid", 0)
    assert stripe_api.subscriptions.retrieve(other.id).status == "active"
    assert refused(stripe_api.invoices.pay, paid.id).user_message == "Invoice is already paid"
    assert stripe_api.invoices.list({"customer": customer.id, "status": "paid"}).data[0].id == paid.id


@pytest.mark.stripe_verified
def test_invoice_lines_are_listed(stripe_api: Any) -> None:
    product = stripe_api.products.create({"name": "Seats", "unit_label": "user"})
    recurring = {"interval": "year"}
    price = stripe_api.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 2500, "recurring": recurring}
    )
    subscription = stripe_api.subscriptions.create(
        {"customer": customer_with(stripe_api).id, "items": [{"price": price.id, "quantity": 10}]}
    )
    line = stripe_api.invoices.line_items.list(subscription.latest_invoice).data[0]
    assert (line.amount, line.quantity) == (25000, 10)
    assert line.description == "10 user × Seats (at $25.00 / year)"
    assert line.pricing.price_details.price == price.id
    assert str(line.pricing.unit_amount_decimal) == "2500"
    assert line.parent.subscription_item_details.subscription == subscription.id


def test_elements_session_tells_what_to_show(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribe(stripe_api, stripe_api.customers.create({}).id, monthly(stripe_api).id)
    secret = client_secret(subscription)
    status, body = browser(
        sandbox, "GET", "/v1/elements/sessions", type="payment_intent", client_secret=secret, locale="en"
    )
    assert (status, body["amount"], body["currency"]) == (200, 500, "usd")
    assert body["payment_method_preference"]["ordered_payment_method_types"] == ["card"]
    assert body["payment_intent"]["status"] == "requires_payment_method"
    assert "customer" not in body["payment_intent"]
    deferred = {"deferred_intent[mode]": "subscription", "deferred_intent[amount]": "500"}
    deferred |= {"deferred_intent[currency]": "eur", "type": "deferred_intent"}
    status, body = browser(sandbox, "GET", "/v1/elements/sessions", **deferred)
    assert (status, body["amount"], body["currency"]) == (200, 500, "eur")
    for bad in (
        {"type": "payment_intent"},
        {"type": "payment_intent", "client_secret": "pi_x_secret_y"},
        {"type": "x"},
    ):
        assert browser(sandbox, "GET", "/v1/elements/sessions", **bad)[0] == 400


def test_events_are_listed_by_type_and_time(sandbox: SandboxProcess, stripe_api: Any) -> None:
    paying_customer(sandbox)
    only = stripe_api.events.list({"type": "invoice.*", "limit": 100}).data
    assert {event.type.partition(".")[0] for event in only} == {"invoice"}
    both = stripe_api.events.list({"types": ["customer.created", "charge.succeeded"]}).data
    assert types(both) == ["charge.succeeded", "customer.created"]
    newest = stripe_api.events.list({"limit": 1}).data[0]
    assert stripe_api.events.list({"created": {"gt": newest.created}}).data == []
    assert refused(stripe_api.events.list, {"types": ["customer.created"] * 21}).param == "types"
    assert stripe_api.events.retrieve(newest.id).type == newest.type
    assert refused(stripe_api.events.retrieve, "evt_nothing").http_status == 404
