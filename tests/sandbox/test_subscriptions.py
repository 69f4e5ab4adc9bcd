"""Subscriptions as a resource: changing, canceling, listing, refusing."""

from typing import Any

import pytest

from tests.sandbox.acts import (
    client_secret,
    confirm,
    customer_with,
    monthly,
    paying_customer,
    previous,
    refused,
    subscribe,
    types,
)
from tests.sandbox_process import SandboxProcess


def test_cancel_now_ends_it_at_once(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The period and the last invoice stay as they were; nothing is refunded."""
    subscription = paying_customer(sandbox)
    before = sandbox.mark()
    details = {"comment": "Too dear", "feedback": "too_expensive"}
    ended = stripe_api.subscriptions.cancel(subscription.id, {"cancellation_details": details})
    assert ended.status == "canceled"
    assert ended.ended_at == ended.canceled_at >= subscription.created
    assert ended.cancellation_details.reason == "cancellation_requested"
    assert ended.cancellation_details.feedback == "too_expensive"
    assert ended.latest_invoice == subscription.latest_invoice
    assert types(sandbox.events(since=before)) == ["customer.subscription.deleted"]
    error = refused(stripe_api.subscriptions.cancel, subscription.id)
    assert (error.http_status, error.code) == (404, "resource_missing")
    assert stripe_api.subscriptions.update(subscription.id, {"metadata": {"a": "b"}}).metadata.a == "b"
    assert refused(stripe_api.subscriptions.update, subscription.id, {"cancel_at_period_end": True}).http_status == 400


def test_cancel_at_period_end_and_its_undoing(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paying_customer(sandbox)
    end = subscription["items"].data[0].current_period_end
    before = sandbox.mark()
    ending = stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (ending.status, ending.cancel_at_period_end, ending.cancel_at) == ("active", True, end)
    assert ending.canceled_at is not None
    undone = stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (undone.cancel_at_period_end, undone.cancel_at, undone.canceled_at) == (False, None, None)
    assert undone.cancellation_details.reason is None
    stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert types(sandbox.events(since=before)) == ["customer.subscription.updated"] * 3

    before = sandbox.mark()
    sandbox.advance_to(end + 60)
    events = sandbox.events(since=before)
    assert types(events) == ["customer.subscription.deleted"]
    gone = events[0].data.object
    assert (gone.status, gone.cancel_at_period_end, gone.ended_at) == ("canceled", True, end)
    assert len(stripe_api.invoices.list({"subscription": subscription.id}).data) == 1


def test_delete_after_cancel_at_period_end_keeps_the_time_of_the_request(
    sandbox: SandboxProcess, stripe_api: Any
) -> None:
    subscription = paying_customer(sandbox)
    asked = stripe_api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    sandbox.advance(days=3)
    ended = stripe_api.subscriptions.cancel(subscription.id)
    assert (ended.canceled_at, ended.cancel_at, ended.cancel_at_period_end) == (asked.canceled_at, None, False)
    assert ended.ended_at >= asked.canceled_at + 3 * 86400


def test_cancel_at_an_instant_inside_the_period(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paying_customer(sandbox)
    at = subscription.created + 10 * 86400
    params = {"cancel_at": at, "proration_behavior": "none"}
    assert stripe_api.subscriptions.update(subscription.id, params).cancel_at == at
    sandbox.advance(days=11)
    ended = stripe_api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", at)


def test_canceling_an_incomplete_one_voids_its_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Its client secret is dead afterwards, so that no browser can pay for what is gone."""
    customer, price = stripe_api.customers.create({}), monthly(stripe_api)
    subscription = subscribe(stripe_api, customer.id, price.id)
    ended = stripe_api.subscriptions.cancel(subscription.id, {"expand": ["latest_invoice"]})
    assert ended.status == "incomplete_expired"
    invoice: Any = ended.latest_invoice
    assert invoice.status == "void"
    status, body = confirm(sandbox, client_secret(subscription))
    assert (status, body["error"]["code"]) == (400, "payment_intent_unexpected_state")


def test_metadata_is_merged_and_an_empty_value_removes(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paying_customer(sandbox, metadata={"user_id": "7", "plan": "basic"})
    changed = stripe_api.subscriptions.update(subscription.id, {"metadata": {"plan": "", "team": "red"}})
    assert changed.metadata.to_dict() == {"user_id": "7", "team": "red"}
    event = sandbox.events("customer.subscription.updated")[-1]
    assert previous(event) == {"metadata": {"plan": "basic", "team": None}}


def test_upgrade_charged_at_once(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Half a period later: half of the old price back, half of the new one charged, to the second."""
    subscription = paying_customer(sandbox)
    premium = monthly(stripe_api, 1500, "Premium")
    item = subscription["items"].data[0]
    half = (item.current_period_start + item.current_period_end) // 2
    sandbox.advance_to(half - 5)
    before = sandbox.mark()
    changed = stripe_api.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item.id, "price": premium.id}],
            "proration_behavior": "always_invoice",
            "proration_date": half - 5,
            "expand": ["latest_invoice"],
        },
    )
    invoice: Any = changed.latest_invoice
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    credit, debit = invoice.lines.data
    assert (credit.amount, debit.amount, invoice.total) == (-250, 750, 500)
    assert credit.description.startswith("Unused time on Basic after ")
    assert debit.description.startswith("Remaining time on Premium after ")
    details = credit.parent.subscription_item_details
    assert details.proration is True
    assert details.proration_details.credited_items.invoice == subscription.latest_invoice
    assert details.invoice_item.startswith("ii_")
    assert changed["items"].data[0].id == item.id
    assert changed["items"].data[0].price.id == premium.id
    assert changed["items"].data[0].current_period_end == item.current_period_end
    assert types(sandbox.events(since=before)) == [
        "invoiceitem.created",
        "invoiceitem.created",
        "customer.subscription.updated",
        "invoice.created",
        "invoice.finalized",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
    ]


def test_upgrade_with_a_failing_card_sticks_or_is_refused_as_asked(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paying_customer(sandbox)
    premium = monthly(stripe_api, 1500, "Premium")
    bad = stripe_api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    item = subscription["items"].data[0]
    params = {"items": [{"id": item.id, "price": premium.id}], "proration_behavior": "always_invoice"}
    error = refused(
        stripe_api.subscriptions.update, subscription.id, params | {"payment_behavior": "error_if_incomplete"}
    )
    assert error.http_status == 402
    unchanged = stripe_api.subscriptions.retrieve(subscription.id)
    assert (unchanged["items"].data[0].price.id, unchanged.status) == (item.price.id, "active")
    changed = stripe_api.subscriptions.update(subscription.id, params)
    assert (changed["items"].data[0].price.id, changed.status) == (premium.id, "past_due")


def test_prorations_wait_for_the_next_invoice_by_default(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paying_customer(sandbox)
    item = subscription["items"].data[0]
    params = {"items": [{"id": item.id, "quantity": 3}]}
    changed = stripe_api.subscriptions.update(subscription.id, params)
    assert changed.latest_invoice == subscription.latest_invoice
    pending = stripe_api.invoice_items.list({"customer": subscription.customer, "pending": True}).data
    assert sorted(one.amount for one in pending) == [-500, 1500]
    sandbox.advance_to(item.current_period_end + 2 * 3600)
    invoice = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert [line.amount for line in invoice.lines.data] == [1500, -500, 1500]
    assert (invoice.total, invoice.status) == (2500, "paid")


def test_downgrade_charged_at_once_becomes_a_credit(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A negative total costs nothing now and lowers the customer's balance."""
    premium, basic = monthly(stripe_api, 1500, "Premium"), monthly(stripe_api)
    customer = customer_with(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": premium.id}]})
    item = subscription["items"].data[0]
    changed = stripe_api.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item.id, "price": basic.id}],
            "proration_behavior": "always_invoice",
            "expand": ["latest_invoice"],
        },
    )
    invoice: Any = changed.latest_invoice
    assert (invoice.total, invoice.amount_due, invoice.status) == (-1000, 0, "paid")
    assert stripe_api.customers.retrieve(customer.id).balance == -1000 == invoice.ending_balance
    sandbox.advance_to(item.current_period_end + 2 * 3600)
    next_invoice = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (next_invoice.total, next_invoice.amount_due, next_invoice.ending_balance) == (500, 0, -500)


def test_change_without_proration_costs_nothing_now(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paying_customer(sandbox)
    premium = monthly(stripe_api, 1500, "Premium")
    item = subscription["items"].data[0]
    params = {"items": [{"id": item.id, "price": premium.id}], "proration_behavior": "none"}
    changed = stripe_api.subscriptions.update(subscription.id, params)
    assert changed["items"].data[0].price.id == premium.id
    assert stripe_api.invoice_items.list({"customer": subscription.customer}).data == []


def test_list_by_customer_status_and_price(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Canceled ones are shown only when asked for."""
    live = paying_customer(sandbox)
    gone = stripe_api.subscriptions.cancel(paying_customer(sandbox).id)
    assert [one.id for one in stripe_api.subscriptions.list({}).data] == [live.id]
    assert [one.id for one in stripe_api.subscriptions.list({"status": "all"}).data] == [gone.id, live.id]
    assert [one.id for one in stripe_api.subscriptions.list({"status": "ended"}).data] == [gone.id]
    assert [one.id for one in stripe_api.subscriptions.list({"customer": live.customer}).data] == [live.id]
    price = gone["items"].data[0].price.id
    assert [one.id for one in stripe_api.subscriptions.list({"price": price, "status": "all"}).data] == [gone.id]
    assert [one.id for one in stripe_api.subscriptions.list({"plan": price, "status": "all"}).data] == [gone.id]


def test_lists_by_time(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Of periods, of due dates, of a schedule's end."""
    first = paying_customer(sandbox)
    sandbox.advance(days=3)
    second = paying_customer(sandbox)
    ends = [one["items"].data[0].current_period_end for one in (first, second)]
    for filter, found in (
        ({"current_period_end": {"lt": ends[1]}}, [first.id]),
        ({"current_period_end": ends[1]}, [second.id]),
        ({"current_period_start": {"gt": first.created}}, [second.id]),
        ({"current_period_start": {"gt": second.created}}, []),
    ):
        assert [one.id for one in stripe_api.subscriptions.list(filter).data] == found
    params = {"customer": first.customer, "collection_method": "send_invoice", "days_until_due": 5}
    invoice = stripe_api.invoices.finalize_invoice(stripe_api.invoices.create(params).id)
    assert [one.id for one in stripe_api.invoices.list({"due_date": {"gte": invoice.due_date}}).data] == [invoice.id]
    assert stripe_api.invoices.list({"due_date": {"gt": invoice.due_date}}).data == []
    schedule = stripe_api.subscription_schedules.create({"from_subscription": first.id})
    at = stripe_api.subscription_schedules.release(schedule.id).released_at
    assert [one.id for one in stripe_api.subscription_schedules.list({"released_at": at}).data] == [schedule.id]
    assert stripe_api.subscription_schedules.list({"released_at": {"lt": at}}).data == []


def test_items_are_a_resource(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = paying_customer(sandbox)
    item = stripe_api.subscription_items.list({"subscription": subscription.id}).data[0]
    assert stripe_api.subscription_items.retrieve(item.id).price.unit_amount == 500
    assert item.current_period_end > item.current_period_start


@pytest.mark.stripe_verified
def test_currency_is_the_prices_unless_asked_and_then_fixed(stripe_api: Any) -> None:
    customer = stripe_api.customers.create({})
    price = monthly(stripe_api, currency_options={"eur": {"unit_amount": 450}})
    subscription = subscribe(stripe_api, customer.id, price.id, currency="eur")
    invoice: Any = subscription.latest_invoice
    assert (subscription.currency, invoice.amount_due) == ("eur", 450)
    assert stripe_api.customers.retrieve(customer.id).currency == "eur"
    params = {"customer": customer.id, "items": [{"price": price.id}]}
    assert refused(stripe_api.subscriptions.create, params).http_status == 400
    only_usd = monthly(stripe_api)
    params = {"customer": customer.id, "items": [{"price": only_usd.id}], "currency": "eur"}
    assert "only supports `usd`" in refused(stripe_api.subscriptions.create, params).user_message


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"customer": "cus_nobody"}, 400, "resource_missing", "customer"),
        ({"items": [{"price": "price_nothing"}]}, 400, "resource_missing", "items[0][price]"),
        ({"items": [{"quantity": 2}]}, 400, "parameter_missing", "items[0][price]"),
        ({"items": [{"prise": "price_x"}]}, 400, "parameter_unknown", "items[0][prise]"),
        ({"items": []}, 400, "parameter_missing", "items"),
        ({"payment_behavior": "hope"}, 400, None, "payment_behavior"),
        ({"trial_period_days": "a week"}, 400, "parameter_invalid_integer", "trial_period_days"),
        ({"trial_period_days": 1000}, 400, "parameter_invalid_integer", "trial_period_days"),
        ({"trial_end": 1}, 400, None, "trial_end"),
        ({"default_payment_method": "pm_nothing"}, 400, "resource_missing", "default_payment_method"),
        ({"expand": ["latest_invoice.nothing"]}, 400, None, "expand"),
        ({"collection_method": "send_invoice"}, 400, "parameter_missing", "days_until_due"),
        ({"automatic_tax": {"enabled": True}}, 400, "sandbox_not_built", None),
        (
            {"payment_settings": {"payment_method_options": {"card": {"request_three_d_secure": "any"}}}},
            400,
            "sandbox_not_built",
            None,
        ),
    ],
)
def test_bad_input_is_refused_and_makes_nothing(
    sandbox: SandboxProcess, stripe_api: Any, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    before = sandbox.mark()
    error = refused(
        stripe_api.subscriptions.create, {"customer": customer.id, "items": [{"price": price.id}], **change}
    )
    assert (error.http_status, error.code, error.param) == (status, code, param)
    assert sandbox.events(since=before) == []
    assert stripe_api.subscriptions.list({"status": "all"}).data == []


@pytest.mark.stripe_verified
def test_one_time_and_inactive_prices_cannot_be_subscribed_to(stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    once = stripe_api.prices.create({"product": price.product, "currency": "usd", "unit_amount": 100})
    params = {"customer": customer.id, "items": [{"price": once.id}]}
    assert "type=one_time" in refused(stripe_api.subscriptions.create, params).user_message
    stripe_api.prices.update(price.id, {"active": False})
    params = {"customer": customer.id, "items": [{"price": price.id}]}
    assert "inactive" in refused(stripe_api.subscriptions.create, params).user_message
