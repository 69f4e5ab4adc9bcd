"""What the contract checks accept and refuse, on small examples."""

import pytest

from contract.stripe_requests import (
    STRIPE_JS_PARAMS,
    decode_form,
    find_route,
    request_violations,
    response_violations,
    routes,
)
from contract.stripe_types import Violation, violations

METER_EVENT = {
    "object": "billing.meter_event",
    "created": 1700000000,
    "event_name": "calls",
    "identifier": "id_1",
    "livemode": False,
    "payload": {"value": "5"},
    "timestamp": 1700000000,
}
PAGE = {"object": "list", "data": [], "has_more": False, "url": "/v1/subscriptions"}


def test_a_right_response_has_no_violations():
    assert violations(METER_EVENT) == []
    assert violations({"id": "cus_1", "object": "customer", "deleted": True}) == []
    assert violations({"error": {"type": "invalid_request_error", "message": "No"}}) == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"color": "red"}, "color: unknown field of MeterEvent"),
        ({"created": "1700000000"}, "created: expected int, got '1700000000'"),
        ({"created": True}, "created: expected int, got True"),
        ({"livemode": None}, "livemode: must not be null"),
        ({"payload": {"value": 5}}, "payload.value: expected str, got 5"),
    ],
)
def test_one_wrong_thing_is_one_violation(change, message):
    assert violations({**METER_EVENT, **change}) == [message]


def test_a_missing_field_is_a_violation_even_where_it_may_be_null():
    assert violations({k: v for k, v in METER_EVENT.items() if k != "created"}) == ["created: missing"]
    found = violations({"id": "cus_1", "object": "customer", "created": 1, "livemode": False})
    assert "email: missing" in found and "metadata: missing" in found
    assert "subscriptions: missing" not in found  # only when expanded


def test_enums_are_closed_unless_told():
    wrong = {"object": "subscription", "status": "actve"}
    assert any(v.startswith("status: 'actve' is not one of 'active'") for v in violations(wrong))
    assert not any(v.startswith("status") for v in violations(wrong, open_enums=True))


def test_a_response_is_held_against_its_route():
    assert response_violations("GET", "/v1/subscriptions", PAGE) == []
    assert response_violations("GET", "/v1/subscriptions", {**PAGE, "object": "lists"}) != []
    assert response_violations("GET", "/v1/subscriptions/sub_1", METER_EVENT) != []
    assert response_violations("GET", "/v1/nonsense", PAGE) != []


def test_routes_come_from_the_sdk():
    assert len(routes()) > 400
    preview, update = find_route("post", "/v1/invoices/create_preview"), find_route("POST", "/v1/invoices/in_1")
    assert preview and update
    assert preview.source == "InvoiceService.create_preview"
    assert update.source == "InvoiceService.update"


@pytest.mark.parametrize(
    "form, param, code",
    [
        ("customr=cus_1", "customr", "parameter_unknown"),
        ("items[0][prise]=p", "items[0][prise]", "parameter_unknown"),
        ("items[0][quantity]=two", "items[0][quantity]", "parameter_invalid_integer"),
        ("description=", "description", "parameter_invalid_empty"),
        ("billing_mode[flexible][proration_discounts]=included", "billing_mode[type]", "parameter_missing"),
        ("payment_behavior=default_incomplet", "payment_behavior", None),
        ("cancel_at_period_end=yes", "cancel_at_period_end", None),
        ("expand[0]=latest_invoice.payment_intent", "expand[0]", None),
    ],
)
def test_wrong_parameters(form, param, code):
    (found,) = request_violations("POST", "/v1/subscriptions", decode_form(form))
    assert isinstance(found, Violation)
    assert (found.param, found.code) == (param, code)


@pytest.mark.parametrize(
    "method, path, form",
    [
        (
            "POST",
            "/v1/subscriptions",
            "customer=cus_1&items[0][price]=p&items[0][quantity]=2&trial_end=now&expand[]=customer",
        ),
        (
            "POST",
            "/v1/subscriptions/sub_1",
            "pause_collection=&metadata[plan]=&items[0][deleted]=true&items[1][price]=p",
        ),
        ("GET", "/v1/prices", "lookup_keys[]=a&lookup_keys[]=b&active=true&created[gte]=1&expand[]=data.product"),
        (
            "GET",
            "/v1/subscriptions/sub_1",
            "expand[]=latest_invoice.confirmation_secret&expand[]=items.data.price.product",
        ),
        ("GET", "/v1/prices", "expand[]=data.currency_options"),
        ("GET", "/v1/invoices/in_1", "expand[]=payments.data.payment.payment_intent&expand[]=discounts.source.coupon"),
    ],
)
def test_right_parameters(method, path, form):
    assert request_violations(method, path, decode_form(form)) == []


def test_what_stripe_js_adds_can_be_allowed():
    params = decode_form("key=pk_test_x&client_secret=s&payment_method=pm_card_visa")
    assert request_violations("POST", "/v1/payment_intents/pi_1/confirm", params, allow=STRIPE_JS_PARAMS) == []
    assert len(request_violations("POST", "/v1/payment_intents/pi_1/confirm", params)) == 2
