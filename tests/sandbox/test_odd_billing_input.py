"""Odd wishes about billing are refused by name, and leave no trace."""

from typing import Any

import pytest

from tests.sandbox.acts import FORM, customer_with, monthly, refused
from tests.sandbox_process import SECRET_KEY, SandboxProcess

FAR = 99_999_999_999_999_999


def test_a_length_has_an_end(sandbox: SandboxProcess) -> None:
    """Infinity is no JSON, and broke every list of products."""
    form = "name=x&" + "&".join(f"package_dimensions[{n}]=1e9999" for n in ("height", "length", "weight", "width"))
    status, _, said = sandbox.request("POST", "/v1/products", form, {"Authorization": f"Bearer {SECRET_KEY}", **FORM})
    assert (status, "package_dimensions[" in said) == (400, True), said


def test_a_name_of_ones_own_makes_no_decimal(sandbox: SandboxProcess) -> None:
    """What a payload's values are called says nothing of what they are."""
    form = "event_name=calls&payload[value_decimal]=abc"
    headers = {"Authorization": f"Bearer {SECRET_KEY}", **FORM}
    status, _, said = sandbox.request("POST", "/v1/billing/meter_events", form, headers)
    assert status == 400, said


@pytest.mark.parametrize("amount", ["1e9999", "1e4000", "1e41", "0." + "0" * 12 + "1", "1e-9999"])
@pytest.mark.parametrize("where", ["", "currency_options[eur]", "tiers[0]"])
def test_a_decimal_has_12_places_at_most_and_an_end(sandbox: SandboxProcess, where: str, amount: str) -> None:
    """One that is too long to be written down broke the page that shows it."""
    tiers = "&billing_scheme=tiered&tiers_mode=volume&tiers[0][up_to]=inf&recurring[interval]=month"
    name = f"{where}[unit_amount_decimal]" if where else "unit_amount_decimal"
    form = f"currency=usd&product_data[name]=x&{name}={amount}" + (tiers if "tiers" in where else "")
    status, _, said = sandbox.request("POST", "/v1/prices", form, {"Authorization": f"Bearer {SECRET_KEY}", **FORM})
    assert (status, f'"param": "{name}"' in said) == (400, True), said


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"backdate_start_date": 1}, "backdate_start_date"),
        ({"backdate_start_date": -5}, "backdate_start_date"),
        ({"cancel_at": FAR}, "cancel_at"),
        ({"trial_end": FAR}, "trial_end"),
        ({"billing_cycle_anchor": 5}, "billing_cycle_anchor"),
        ({"billing_cycle_anchor_config": {"day_of_month": 99}}, "billing_cycle_anchor_config[day_of_month]"),
        ({"billing_cycle_anchor_config": {"day_of_month": 3, "hour": 77}}, "billing_cycle_anchor_config[hour]"),
        ({"add_invoice_items": [{"quantity": 2}]}, "add_invoice_items[0][amount]"),
        ({"default_tax_rates": ["txr_none"]}, "default_tax_rates[0]"),
        ({"discounts": [{"coupon": "NONE"}]}, "discounts[0][coupon]"),
        ({"days_until_due": 5}, "days_until_due"),
        ({"items": [{"price": "PRICE", "quantity": 200_000}]}, "items"),  # of $5.00: more than can be charged
        ({"add_invoice_items": [{"price": "p", "metadata": {"k" * 41: "v"}}]}, "add_invoice_items[0][metadata]"),
        ({"add_invoice_items": [{"price": "p", "metadata": {"k": "v" * 501}}]}, "add_invoice_items[0][metadata][k]"),
    ],
)
def test_of_new_subscriptions(sandbox: SandboxProcess, stripe_api: Any, more: dict[str, Any], param: str) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    before = sandbox.mark()
    params = {"customer": customer.id, "items": [{"price": price.id}], **more}
    params["items"][0]["price"] = price.id
    error = refused(stripe_api.subscriptions.create, params)
    assert (error.http_status, error.param) == (400, param)
    assert sandbox.events(since=before) == []


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"pause_collection": {"behavior": "void", "resumes_at": 1}}, "pause_collection[resumes_at]"),
        ({"proration_date": 5, "items": [{"id": "si_none", "quantity": 2}]}, "proration_date"),
        ({"items": [{"id": "si_none", "quantity": 2}]}, "items[0][id]"),
        ({"discounts": [{"discount": "di_none"}]}, "discounts[0][discount]"),
        ({"trial_end": FAR}, "trial_end"),
        ({"billing_cycle_anchor": {"type": "later"}}, "billing_cycle_anchor[type]"),
        ({"days_until_due": 5}, "days_until_due"),
        ({"collection_method": "send_invoice"}, "days_until_due"),
        ({"collection_method": "send_invoice", "days_until_due": -1}, "days_until_due"),
    ],
)
def test_of_updates(sandbox: SandboxProcess, stripe_api: Any, params: dict[str, Any], param: str) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    before = sandbox.mark()
    error = refused(stripe_api.subscriptions.update, subscription.id, params)
    assert (error.http_status, error.param) == (400, param)
    assert sandbox.events(since=before) == []
    euros = {"product": price.product, "currency": "eur", "recurring": {"interval": "month"}, "unit_amount": 5}
    error = refused(stripe_api.subscriptions.update, subscription.id, {"items": [{"price_data": euros}]})
    assert "only supports `eur`" in error.user_message
    seats = {"items": [{"id": subscription["items"].data[0].id, "quantity": 200_000}], "proration_behavior": "none"}
    assert refused(stripe_api.subscriptions.update, subscription.id, seats).code == "amount_too_large"


def test_exactly_now_is_not_in_the_future(stripe_api: Any) -> None:
    """On a test clock, which stands still."""
    now = 1_800_000_000
    clock = stripe_api.test_helpers.test_clocks.create({"frozen_time": now})
    customer = stripe_api.customers.create({"test_clock": clock.id})
    items, later = [{"price": monthly(stripe_api).id}], now + 86_400
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": items, "trial_end": later})

    def pause(at: int) -> None:
        wish = {"behavior": "void", "resumes_at": at}
        stripe_api.subscriptions.update(subscription.id, {"pause_collection": wish})

    def bill(at: int) -> None:
        params = {"customer": customer.id, "collection_method": "send_invoice", "due_date": at}
        stripe_api.invoices.create(params)

    for act, param in ((pause, "pause_collection[resumes_at]"), (bill, "due_date")):
        for at in (0, now - 1, now):
            error = refused(act, at)
            assert (error.http_status, error.param) == (400, param)
            assert "in the future" in error.user_message
        act(now + 1)


@pytest.mark.parametrize(
    ("phase", "start", "param"),
    [
        ({}, FAR, "start_date"),
        ({"end_date": FAR}, "now", "phases[0][end_date]"),
        (
            {"duration": {"interval": "month", "interval_count": 99_999_999}},
            "now",
            "phases[0][duration][interval_count]",
        ),
        ({"add_invoice_items": [{"quantity": 1}]}, "now", "phases[0][add_invoice_items][0][price]"),
    ],
)
def test_of_schedules(stripe_api: Any, phase: dict[str, Any], start: Any, param: str) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    phases = [{"items": [{"price": price.id}], **phase}]
    params = {"customer": customer.id, "start_date": start, "phases": phases}
    error = refused(stripe_api.subscription_schedules.create, params)
    assert (error.http_status, error.param) == (400, param)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"amount": -99_999_999_999}, "amount"),
        ({"unit_amount_decimal": "1e999"}, "unit_amount_decimal"),
        ({"unit_amount_decimal": "1e9999999999999999999"}, "unit_amount_decimal"),
        ({"amount": 5, "period": {"start": 1, "end": FAR}}, "period[end]"),
    ],
)
def test_of_invoice_items(stripe_api: Any, params: dict[str, Any], param: str) -> None:
    customer = stripe_api.customers.create({})
    error = refused(stripe_api.invoice_items.create, {"customer": customer.id, "currency": "usd", **params})
    assert (error.http_status, error.param) == (400, param)
