"""Meters, the events they count, and what is billed for them when a period is over."""

from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly, refused, types
from tests.sandbox_process import SandboxProcess

HOUR = 3600


def meter(stripe_api: Any, formula: str = "sum", **more: Any) -> Any:
    """Counts `calls`."""
    aggregation = {"formula": formula}
    params = {"display_name": "Calls", "event_name": "calls", "default_aggregation": aggregation}
    return stripe_api.billing.meters.create(params | more)


def use(stripe_api: Any, customer: str, value: object, **more: Any) -> Any:
    payload = {"stripe_customer_id": customer, "value": str(value)}
    return stripe_api.billing.meter_events.create({"event_name": "calls", "payload": payload} | more)


def used(stripe_api: Any, meter: str, customer: str, start: int, end: int, **more: Any) -> list[float]:
    params = {"customer": customer, "start_time": start, "end_time": end}
    found = stripe_api.billing.meters.event_summaries.list(meter, params | more)
    return [summary.aggregated_value for summary in found.auto_paging_iter()]


def metered(stripe_api: Any, counted_by: str, **more: Any) -> Any:
    recurring = {"interval": "month", "usage_type": "metered", "meter": counted_by}
    return monthly(stripe_api, 3, "Calls", recurring=recurring, **more)


@pytest.fixture
def hour(sandbox: SandboxProcess) -> int:
    """The start of an hour that is over, though not for long."""
    return sandbox.now() // HOUR * HOUR - HOUR


@pytest.mark.parametrize(("formula", "total"), [("sum", 12.0), ("count", 3.0), ("last", 3.0)])
def test_a_meter_adds_counts_or_keeps_the_last(stripe_api: Any, hour: int, formula: str, total: float) -> None:
    """By the events' own times, not by when they came; others' usage does not count."""
    made = meter(stripe_api, formula)
    customer, other = (stripe_api.customers.create().id for _ in range(2))
    for value, minute in ((3, 40), (4, 10), (5, 20)):
        use(stripe_api, customer, value, timestamp=hour + minute * 60)
    use(stripe_api, other, 100, timestamp=hour)
    assert used(stripe_api, made.id, customer, hour, hour + HOUR) == [total]
    assert used(stripe_api, made.id, customer, hour, hour + 600) == [0.0]


def test_summaries_by_the_hour(stripe_api: Any, hour: int) -> None:
    """The newest first, the end not included, a page at a time in both directions."""
    made, customer = meter(stripe_api), stripe_api.customers.create().id
    for back in range(3):
        use(stripe_api, customer, back + 1, timestamp=hour - back * HOUR)
    grouped = {"value_grouping_window": "hour"}
    assert used(stripe_api, made.id, customer, hour - 2 * HOUR, hour, **grouped) == [2.0, 3.0]
    assert used(stripe_api, made.id, customer, hour - 9 * HOUR, hour + HOUR, limit=1, **grouped) == [1.0, 2.0, 3.0]
    params = {"customer": customer, "start_time": hour - 9 * HOUR, "end_time": hour + HOUR, **grouped}
    summaries = stripe_api.billing.meters.event_summaries
    last = summaries.list(made.id, params).data[-1].id
    before = summaries.list(made.id, params | {"ending_before": last, "limit": 1})
    assert ([one.aggregated_value for one in before], before.has_more) == ([2.0], True)


def test_usage_is_billed_when_its_period_is_over(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The first invoice has nothing to charge; the renewal's has last month's usage, in tiers if the price has them."""
    made = meter(stripe_api)
    customer = customer_with(stripe_api).id
    tiers = [{"up_to": 10, "unit_amount": 0}, {"up_to": "inf", "unit_amount": 7}]
    more = {"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": tiers}
    product = stripe_api.products.create({"name": "Calls"})
    recurring = {"interval": "month", "usage_type": "metered", "meter": made.id}
    price = stripe_api.prices.create({"product": product.id, "currency": "usd", "recurring": recurring} | more)
    subscription = stripe_api.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    item = subscription["items"].data[0]
    assert (subscription.status, "quantity" in item) == ("active", False)
    use(stripe_api, customer, 8)
    sandbox.advance(days=10)
    use(stripe_api, customer, 6)
    sandbox.advance_to(item.current_period_end)
    use(stripe_api, customer, 1000)
    sandbox.advance(hours=2)
    invoice = stripe_api.invoices.list({"subscription": subscription.id}).data[0]
    assert (invoice.billing_reason, invoice.status, invoice.total) == ("subscription_cycle", "paid", 4 * 7)
    charged = [(line.amount, line.quantity) for line in invoice.lines]
    assert sorted(charged) == [(0, 10), (28, 4)]
    assert {(line.period.start, line.period.end) for line in invoice.lines} == {
        (item.current_period_start, item.current_period_end)
    }


@pytest.mark.parametrize(("mode", "first"), [("flexible", None), ("classic", [(0, 0)])])
def test_metered_items_alone_begin_with_nothing_to_charge(
    stripe_api: Any, mode: str, first: list[tuple[int, int]] | None
) -> None:
    """Flexible billing then makes no invoice; classic billing one with a line of nothing."""
    price = metered(stripe_api, meter(stripe_api).id)
    params = {"customer": customer_with(stripe_api).id, "items": [{"price": price.id}], "billing_mode": {"type": mode}}
    subscription = stripe_api.subscriptions.create(params | {"expand": ["latest_invoice"]})
    assert subscription.status == "active"
    invoice: Any = subscription.latest_invoice
    assert (invoice and [(line.amount, line.quantity) for line in invoice.lines]) == first
    beside = {"items": [{"price": price.id}, {"price": monthly(stripe_api).id}], "expand": ["latest_invoice"]}
    both: Any = stripe_api.subscriptions.create(params | beside).latest_invoice
    assert sorted(line.amount for line in both.lines) == [0, 500][mode == "flexible" :]


@pytest.mark.parametrize(("mode", "total"), [("flexible", 10 * 3 + 4 * 8), ("classic", 4 * 8)])
@pytest.mark.parametrize("behaviour", ["create_prorations", "none"])
def test_usage_before_a_change_of_price(
    sandbox: SandboxProcess, stripe_api: Any, mode: str, total: int, behaviour: str
) -> None:
    """In flexible billing it costs what it did when it was used; in classic billing it is let go."""
    counts, customer = meter(stripe_api), customer_with(stripe_api).id
    items = [{"price": metered(stripe_api, counts.id).id}]
    params = {"customer": customer, "items": items, "billing_mode": {"type": mode}}
    subscription = stripe_api.subscriptions.create(params)
    item, dearer = subscription["items"].data[0], metered(stripe_api, counts.id, unit_amount=8)
    use(stripe_api, customer, 10)
    sandbox.advance(days=5)
    change = {"items": [{"id": item.id, "price": dearer.id}], "proration_behavior": behaviour}
    stripe_api.subscriptions.update(subscription.id, change)
    use(stripe_api, customer, 4, timestamp=sandbox.now() + 60)
    sandbox.advance_to(item.current_period_end + 2 * HOUR)
    renewal = stripe_api.invoices.list({"subscription": subscription.id}).data[0]
    assert (renewal.billing_reason, renewal.total) == ("subscription_cycle", total)
    use(stripe_api, customer, 1)
    sandbox.advance(days=31)
    assert stripe_api.invoices.list({"subscription": subscription.id}).data[0].total == 8


@pytest.mark.parametrize(
    ("mode", "behaviour", "waiting"),
    [("flexible", "create_prorations", [30]), ("flexible", "none", []), ("classic", "create_prorations", [])],
)
def test_usage_of_an_item_that_is_removed(
    sandbox: SandboxProcess, stripe_api: Any, mode: str, behaviour: str, waiting: list[int]
) -> None:
    """Flexible billing charges it with the next invoice unless nothing is prorated; classic billing lets it go."""
    counts, customer = meter(stripe_api), customer_with(stripe_api).id
    prices = metered(stripe_api, counts.id), monthly(stripe_api)
    items = [{"price": price.id} for price in prices]
    params = {"customer": customer, "items": items, "billing_mode": {"type": mode}}
    subscription = stripe_api.subscriptions.create(params)
    use(stripe_api, customer, 10)
    sandbox.advance(days=5)
    gone = next(item for item in subscription["items"].data if item.price.id == prices[0].id)
    stripe_api.subscription_items.delete(gone.id, {"proration_behavior": behaviour})
    pending = stripe_api.invoice_items.list({"customer": customer, "pending": True})
    assert [item.amount for item in pending] == waiting


@pytest.mark.parametrize(("through", "at_pause", "later"), [("now", [15], 6), ("none", [], 15 + 6)])
def test_usage_before_a_pause(
    sandbox: SandboxProcess, stripe_api: Any, through: str, at_pause: list[int], later: int
) -> None:
    """Is charged with it unless it is to wait; never twice."""
    counts, customer = meter(stripe_api), customer_with(stripe_api).id
    price = metered(stripe_api, counts.id)
    subscription = stripe_api.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    use(stripe_api, customer, 5)
    sandbox.advance(days=5)
    wish: Any = {} if through == "now" else {"bill_for": {"outstanding_usage_through": {"type": through}}}
    stripe_api.subscriptions.pause(subscription.id, {"type": "subscription", **wish})
    pending = stripe_api.invoice_items.list({"customer": customer, "pending": True})
    assert [item.amount for item in pending] == at_pause
    sandbox.advance(days=2)
    stripe_api.subscriptions.resume(subscription.id, {"billing_cycle_anchor": {"type": "unchanged"}})
    use(stripe_api, customer, 2)
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 2 * HOUR)
    renewal = stripe_api.invoices.list({"subscription": subscription.id}).data[0]
    assert renewal.total == sum(at_pause) + later


def test_an_event_taken_back_is_not_billed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Within a day, by its identifier."""
    made, customer = meter(stripe_api), customer_with(stripe_api).id
    price = metered(stripe_api, made.id)
    stripe_api.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    use(stripe_api, customer, 5, identifier="good")
    use(stripe_api, customer, 100, identifier="bad")
    cancel: dict[str, Any] = {"event_name": "calls", "type": "cancel", "cancel": {"identifier": "bad"}}
    assert stripe_api.billing.meter_event_adjustments.create(cancel).cancel.identifier == "bad"
    sandbox.advance(days=2)
    cancel["cancel"]["identifier"] = "good"
    assert refused(stripe_api.billing.meter_event_adjustments.create, cancel).param == "cancel[identifier]"
    sandbox.advance(days=30)
    assert stripe_api.invoices.list({"customer": customer}).data[0].total == 5 * 3


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"event_name": "nothing"}, "resource_missing", "event_name"),
        ({"payload": {"value": "1"}}, "meter_event_no_customer_defined", "payload[stripe_customer_id]"),
        (
            {"payload": {"value": "1", "stripe_customer_id": "cus_none"}},
            "meter_event_customer_not_found",
            "payload[stripe_customer_id]",
        ),
        ({"value": "lots"}, "meter_event_invalid_value", "payload[value]"),
        ({"value": "9" * 16}, "meter_event_value_too_many_digits", "payload[value]"),
        ({"timestamp": -36 * 86400}, None, "timestamp"),
        ({"timestamp": 600}, None, "timestamp"),
        ({"identifier": "once"}, None, "identifier"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    sandbox: SandboxProcess, stripe_api: Any, hour: int, given: dict[str, Any], code: str | None, param: str
) -> None:
    """By name, and it counts for nothing."""
    made, customer = meter(stripe_api), stripe_api.customers.create().id
    use(stripe_api, customer, 1, identifier="once", timestamp=hour)
    if "timestamp" in given:
        given = {"timestamp": sandbox.now() + given["timestamp"]}
    payload = {"stripe_customer_id": customer, "value": given.get("value", "1")}
    params = {"event_name": "calls", "payload": payload} | {n: v for n, v in given.items() if n != "value"}
    error = refused(stripe_api.billing.meter_events.create, params)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert used(stripe_api, made.id, customer, hour, hour + 3 * HOUR) == [1.0]


def test_a_meter_has_a_life(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Made, renamed, switched off and on again; while it is off nothing is counted and no price can use it."""
    meters = stripe_api.billing.meters
    made = meter(stripe_api)
    assert refused(meter, stripe_api).param == "event_name"
    assert meters.update(made.id, {"display_name": "Requests"}).display_name == "Requests"
    assert meters.deactivate(made.id).status_transitions.deactivated_at
    customer = stripe_api.customers.create().id
    assert refused(use, stripe_api, customer, 1).param == "event_name"
    assert refused(metered, stripe_api, made.id).param == "recurring[meter]"
    assert [one.id for one in meters.list({"status": "inactive"})] == [made.id]
    assert meters.reactivate(made.id).status == "active"
    told = types(sandbox.events())
    assert [type for type in told if "meter" in type] == [
        "billing.meter.created",
        "billing.meter.updated",
        "billing.meter.deactivated",
        "billing.meter.reactivated",
    ]


def test_a_metered_price_needs_a_meter_and_takes_no_quantity(stripe_api: Any) -> None:
    """And a licensed one has none."""
    counts, customer = meter(stripe_api), customer_with(stripe_api).id
    price = metered(stripe_api, counts.id)
    assert (price.recurring.usage_type, price.recurring.meter) == ("metered", counts.id)
    item = {"price": price.id, "quantity": 2}
    error = refused(stripe_api.subscriptions.create, {"customer": customer, "items": [item]})
    assert error.param == "items[0][quantity]"
    made = stripe_api.subscriptions.create({"customer": customer, "items": [{"price": price.id}]})
    own = made["items"].data[0].id
    for call, id, params in (
        (stripe_api.subscriptions.update, made.id, {"items": [{"id": own, "quantity": 2}]}),
        (stripe_api.subscription_items.update, own, {"quantity": 2}),
    ):
        assert refused(call, id, params).param == "items[0][quantity]"
    for recurring, code in (({"usage_type": "metered"}, "parameter_missing"), ({"meter": counts.id}, None)):
        error = refused(lambda r: monthly(stripe_api, recurring={"interval": "month", **r}), recurring)
        assert (error.code, error.param) == (code, "recurring[meter]")


@pytest.mark.parametrize(
    ("start", "end", "window", "param"),
    [
        (30, 3600, None, "start_time"),
        (0, 90, None, "end_time"),
        (60, 3600, "hour", "start_time"),
        (60, 60, None, "end_time"),
    ],
)
def test_summaries_begin_and_end_on_the_minute_or_window(
    stripe_api: Any, hour: int, start: int, end: int, window: str | None, param: str
) -> None:
    """Other times are refused by name."""
    made, customer = meter(stripe_api), stripe_api.customers.create().id
    params = {"customer": customer, "start_time": hour + start, "end_time": hour + end}
    params |= {"value_grouping_window": window} if window else {}
    assert refused(stripe_api.billing.meters.event_summaries.list, made.id, params).param == param
