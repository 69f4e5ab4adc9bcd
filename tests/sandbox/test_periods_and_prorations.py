"""Periods to the second and prorations to the cent."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from sandbox import money
from sandbox.billing import periods
from tests.sandbox.acts import customer_with, monthly
from tests.sandbox_process import SandboxProcess


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("anchor", "interval", "count", "boundaries"),
    [
        ("2026-01-31", "month", 1, ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]),
        ("2028-01-31", "month", 1, ["2028-02-29", "2028-03-31"]),
        ("2026-11-30", "month", 3, ["2027-02-28", "2027-05-30"]),
        ("2028-02-29", "year", 1, ["2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]),
        ("2026-12-28", "week", 2, ["2027-01-11", "2027-01-25"]),
        ("2026-02-27", "day", 3, ["2026-03-02", "2026-03-05"]),
    ],
)
def test_periods_are_counted_from_the_anchor(anchor: str, interval: str, count: int, boundaries: list[str]) -> None:
    """The 31st comes back after a short month, and 29 February after a common year."""
    first = at(anchor + "T10:20:30")
    start = first
    for boundary in boundaries:
        end = periods.next_end(first, interval, count, start)
        assert datetime.fromtimestamp(end, UTC).isoformat() == f"{boundary}T10:20:30+00:00"
        start = end


@pytest.mark.parametrize("interval", ["day", "week", "month", "year"])
@pytest.mark.parametrize("instant", ["1999-02-28", "2019-12-31", "2026-01-31", "2026-03-01", "2043-07-04"])
def test_whole_periods_hold_their_instants_before_and_after_the_anchor(interval: str, instant: str) -> None:
    start, end = periods.around(at("2026-01-31"), interval, 1, at(instant))
    assert start <= at(instant) < end
    assert end - start <= {"day": 1, "week": 7, "month": 31, "year": 366}[interval] * 86400


@pytest.mark.parametrize(
    ("amount", "whole"), [("0.5", 1), ("1.5", 2), ("2.49", 2), ("-0.5", -1), ("-2.4999", -2), ("-2499.996", -2500)]
)
def test_amounts_are_rounded_to_the_nearest(amount: str, whole: int) -> None:
    assert money.rounded(Decimal(amount)) == whole


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"unit_amount": 90000, "recurring": {"interval": "month", "interval_count": 3}}, "$900.00 / every 3 months"),
        ({"unit_amount_decimal": "0.5"}, "$0.005 / month"),
        ({"unit_amount_decimal": "1250.5"}, "$12.505 / month"),
        ({"unit_amount": 1500, "currency": "jpy"}, "¥1,500 / month"),
        ({"unit_amount_decimal": "0.5", "currency": "jpy"}, "¥0.5 / month"),
    ],
)
def test_lines_say_what_one_costs(stripe_api: Any, more: dict[str, Any], text: str) -> None:
    given = {"product": stripe_api.products.create({"name": "Basic"}).id, "currency": "usd"}
    price = stripe_api.prices.create(given | {"recurring": {"interval": "month"}} | more)
    items = [{"price": price.id, "quantity": 200}]
    details = {"customer": customer_with(stripe_api).id, "subscription_details": {"items": items}}
    line = stripe_api.invoices.create_preview(details).lines.data[0]
    assert line.description == f"200 × Basic (at {text})"


def test_periods_keep_the_day_that_was_asked_for(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The 31st of each month, or its last day, though the first such day was the 28th."""
    sandbox.advance_to(at("2027-02-10T08:00:00"))
    customer = customer_with(stripe_api)
    config = {"day_of_month": 31, "hour": 9, "minute": 30, "second": 0}
    params = {"customer": customer.id, "items": [{"price": monthly(stripe_api).id}]}
    subscription = stripe_api.subscriptions.create(params | {"billing_cycle_anchor_config": config})
    ends = []
    for _ in range(4):
        end = stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end
        ends.append(datetime.fromtimestamp(end, UTC).isoformat())
        sandbox.advance_to(end)
    assert ends == [f"2027-{day}T09:30:00+00:00" for day in ("02-28", "03-31", "04-30", "05-31")]


def changed_at_mid_january(sandbox: SandboxProcess, quantity: int = 1) -> list[int]:
    """The amounts of the lines when 5.00 a month becomes 15.00 after 15 of 31 days."""
    stripe_api: Any = sandbox.client.v1
    sandbox.advance_to(at("2027-01-01"))
    customer = customer_with(stripe_api)
    items = [{"price": monthly(stripe_api).id, "quantity": quantity}]
    premium = monthly(stripe_api, 1500, "Premium")
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": items})
    item = subscription["items"].data[0]
    middle = item.current_period_start + 15 * 86400
    sandbox.advance_to(middle)
    change = {"id": item.id, "price": premium.id, "quantity": quantity}
    params = {"items": [change], "proration_behavior": "always_invoice", "proration_date": middle}
    changed = stripe_api.subscriptions.update(subscription.id, params | {"expand": ["latest_invoice"]})
    return [line.amount for line in changed.latest_invoice.lines.data]


def test_each_line_of_a_proration_is_rounded_on_its_own(sandbox: SandboxProcess) -> None:
    assert changed_at_mid_january(sandbox) == [-258, 774]


def test_quantity_is_multiplied_before_rounding(sandbox: SandboxProcess) -> None:
    assert changed_at_mid_january(sandbox, quantity=7) == [-1806, 5419]


def test_month_to_year_keeps_the_anchor(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The period then lasts a year from its start; the next invoice comes at its end."""
    customer, price = customer_with(stripe_api), monthly(stripe_api, 2500)
    product = stripe_api.products.create({"name": "Yearly"})
    recurring = {"interval": "year"}
    yearly = stripe_api.prices.create(
        {"product": product.id, "currency": "usd", "unit_amount": 25000, "recurring": recurring}
    )
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    item = subscription["items"].data[0]
    params = {"items": [{"id": item.id, "price": yearly.id}], "proration_behavior": "always_invoice"}
    changed = stripe_api.subscriptions.update(subscription.id, params | {"expand": ["latest_invoice"]})
    invoice, after = changed.latest_invoice, changed["items"].data[0]
    assert changed.billing_cycle_anchor == subscription.billing_cycle_anchor
    assert (after.id, after.current_period_start) == (item.id, item.current_period_start)
    assert after.current_period_end == periods.after(subscription.billing_cycle_anchor, "year", 1, 1)
    assert [line.amount for line in invoice.lines.data] == [-2500, 25000]
    assert invoice.period_start == item.current_period_start
    sandbox.advance(days=300)
    assert len(stripe_api.invoices.list({"subscription": subscription.id}).data) == 2
    sandbox.advance(days=67)
    assert len(stripe_api.invoices.list({"subscription": subscription.id}).data) == 3


def test_trial_that_is_ended_now_charges_now(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    params = {"customer": customer.id, "items": [{"price": price.id}], "trial_period_days": 30}
    trial = stripe_api.subscriptions.create(params)
    sandbox.advance(days=5)
    ended = stripe_api.subscriptions.update(trial.id, {"trial_end": "now", "expand": ["latest_invoice"]})
    assert (ended.status, ended.latest_invoice.status, ended.latest_invoice.amount_paid) == ("active", "paid", 500)
    assert ended.billing_cycle_anchor == ended.trial_end == ended["items"].data[0].current_period_start
    assert ended.trial_end >= trial.created + 5 * 86400
    sandbox.advance_to(ended["items"].data[0].current_period_end + 2 * 3600)
    assert len(stripe_api.invoices.list({"subscription": trial.id, "status": "paid"}).data) == 3


def test_items_are_added_and_removed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer, basic, extra = customer_with(stripe_api), monthly(stripe_api), monthly(stripe_api, 300, "Extra")
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": basic.id}]})
    params = {"items": [{"price": extra.id}], "proration_behavior": "none"}
    added = stripe_api.subscriptions.update(subscription.id, params)
    assert [item.price.id for item in added["items"].data] == [basic.id, extra.id]
    first = added["items"].data[0].id
    params = {"items": [{"id": first, "deleted": True}], "proration_behavior": "none"}
    removed = stripe_api.subscriptions.update(subscription.id, params)
    assert [item.price.id for item in removed["items"].data] == [extra.id]
    assert sandbox.events("invoiceitem.created") == []
