"""Flexible and classic billing, anchors, backdating, several items and intervals, price models."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.billing import periods
from tests.sandbox.acts import customer_with, monthly, refused, types
from tests.sandbox_process import DAY, SandboxProcess


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def subscribed(stripe_api: Any, *prices: Any, mode: str = "flexible", **more: Any) -> Any:
    customer = customer_with(stripe_api)
    items = [{"price": price.id} for price in prices]
    params = {"customer": customer.id, "items": items, "billing_mode": {"type": mode}, "expand": ["latest_invoice"]}
    return stripe_api.subscriptions.create(params | more)


def yearly(stripe_api: Any, amount: int = 5000, name: str = "Yearly") -> Any:
    return monthly(stripe_api, amount, name, recurring={"interval": "year"})


def change(stripe_api: Any, subscription: Any, price: Any, **more: Any) -> Any:
    items = [{"id": subscription["items"].data[0].id, "price": price.id}]
    return stripe_api.subscriptions.update(subscription.id, {"items": items, "expand": ["latest_invoice"], **more})


@pytest.mark.parametrize(("mode", "amounts"), [("flexible", [-333, 333]), ("classic", [-667, 333])])
def test_credit_is_what_was_debited_or_the_price_of_now(
    sandbox: SandboxProcess, stripe_api: Any, mode: str, amounts: list[int]
) -> None:
    """10 a month; to 20 on day 10 without proration; back to 10 on day 20."""
    sandbox.advance_to(at("2027-04-01"))
    ten, twenty = monthly(stripe_api, 1000), monthly(stripe_api, 2000, "Twenty")
    subscription = subscribed(stripe_api, ten, mode=mode)
    start = subscription["items"].data[0].current_period_start
    sandbox.advance_to(start + 10 * DAY)
    change(stripe_api, subscription, twenty, proration_behavior="none")
    sandbox.advance_to(start + 20 * DAY)
    more = {"proration_behavior": "always_invoice", "proration_date": start + 20 * DAY}
    invoice = change(stripe_api, subscription, ten, **more).latest_invoice
    assert [line.amount for line in invoice.lines.data] == amounts


@pytest.mark.parametrize(("mode", "credit"), [("flexible", -417), ("classic", -250)])
def test_discount_of_a_removed_item(sandbox: SandboxProcess, stripe_api: Any, mode: str, credit: int) -> None:
    """10 and 20 a month, 5 off in total; the first is removed after half the period."""
    coupon = stripe_api.coupons.create({"amount_off": 500, "currency": "usd", "duration": "forever"})
    prices = monthly(stripe_api, 1000), monthly(stripe_api, 2000, "Twenty")
    subscription = subscribed(stripe_api, *prices, mode=mode, discounts=[{"coupon": coupon.id}])
    item = subscription["items"].data[0]
    half = (item.current_period_start + item.current_period_end) // 2
    sandbox.advance_to(half)
    params = {"items": [{"id": item.id, "deleted": True}], "proration_date": half}
    stripe_api.subscriptions.update(subscription.id, params)
    pending = stripe_api.invoice_items.list({"customer": subscription.customer, "pending": True}).data
    assert [one.amount for one in pending] == [credit]


def test_several_debits_are_credited_one_by_one(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Seats added twice in a period: each debit is given back by a line of its own, which names it."""
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000))
    item, first = subscription["items"].data[0], subscription.latest_invoice
    length = item.current_period_end - item.current_period_start
    for part, quantity in ((4, 2), (2, 3)):
        moment = item.current_period_start + length // part
        sandbox.advance_to(moment)
        changed = stripe_api.subscriptions.update(
            subscription.id,
            {
                "items": [{"id": item.id, "quantity": quantity}],
                "proration_behavior": "always_invoice",
                "proration_date": moment,
                "expand": ["latest_invoice"],
            },
        )
        lines = changed.latest_invoice.lines.data
        credited = lines[0].parent.subscription_item_details.proration_details.credited_items
        if quantity == 2:
            assert [line.amount for line in lines] == [-750, 1500]
            assert credited.invoice == first.id
            second = changed.latest_invoice
        else:
            assert [line.amount for line in lines] == [-1000, 1500]
            assert credited.invoice == second.id
            assert lines[1].description.startswith("Remaining time on 3 × Basic after ")


def test_pending_debit_is_credited_before_it_is_invoiced(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Up and down again in one breath cancels out."""
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000))
    item = subscription["items"].data[0]
    sandbox.advance(days=10)
    now = sandbox.now()
    for quantity in (4, 1):
        params = {"items": [{"id": item.id, "quantity": quantity}], "proration_date": now}
        stripe_api.subscriptions.update(subscription.id, params)
    pending = stripe_api.invoice_items.list({"customer": subscription.customer, "pending": True}).data
    amounts = [one.amount for one in pending]
    assert (len(amounts), sum(amounts)) == (4, 0)
    details = pending[1].proration_details.credited_items
    assert (details.type, details.invoice_item) == ("invoice_item", pending[2].id)


def test_interval_change_resets_the_anchor_only_in_classic(sandbox: SandboxProcess, stripe_api: Any) -> None:
    for mode in ("flexible", "classic"):
        subscription = subscribed(stripe_api, monthly(stripe_api, 1000), mode=mode)
        sandbox.advance(days=10)
        changed = change(stripe_api, subscription, yearly(stripe_api), proration_behavior="always_invoice")
        lines = changed.latest_invoice.lines.data
        assert lines[0].amount < 0
        if mode == "flexible":
            assert changed.billing_cycle_anchor == subscription.billing_cycle_anchor
            assert lines[1].description.startswith("Remaining time on Yearly")
            assert 0 < lines[1].amount < 5000
        else:
            assert changed.billing_cycle_anchor >= subscription.billing_cycle_anchor + 10 * DAY
            assert (lines[1].description, lines[1].amount) == ("1 × Yearly (at $50.00 / year)", 5000)


def test_monthly_to_yearly_in_a_later_month_charges_what_is_left_of_the_anchors_year(
    sandbox: SandboxProcess, stripe_api: Any
) -> None:
    """After three months the anchor's year has nine left, and no more is charged."""
    sandbox.advance_to(at("2027-01-01"))
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000))
    sandbox.advance(days=95)
    now = sandbox.now()
    more = {"proration_behavior": "always_invoice", "proration_date": now}
    changed = change(stripe_api, subscription, yearly(stripe_api, 12000), **more)
    end = periods.after(subscription.billing_cycle_anchor, "year", 1, 1)
    assert changed["items"].data[0].current_period_end == end
    debit = changed.latest_invoice.lines.data[1].amount
    assert debit == round(12000 * (end - now) / (365 * DAY))


def test_anchor_is_set_to_now(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A credit for what is left, an ordinary line for the new period, one invoice at once."""
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000))
    sandbox.advance(days=10)
    changed = stripe_api.subscriptions.update(
        subscription.id, {"billing_cycle_anchor": {"type": "now"}, "expand": ["latest_invoice"]}
    )
    item, invoice = changed["items"].data[0], changed.latest_invoice
    assert changed.billing_cycle_anchor == item.current_period_start >= subscription.billing_cycle_anchor + 10 * DAY
    credit, charge = invoice.lines.data
    assert (credit.amount < 0, charge.amount, charge.description) == (True, 1000, "1 × Basic (at $10.00 / month)")
    assert charge.parent.subscription_item_details.proration is False
    assert (invoice.period_start, invoice.period_end) == (item.current_period_start, item.current_period_start)
    assert refused(stripe_api.subscriptions.update, subscription.id, {"billing_cycle_anchor": "now"}).http_status == 400


def test_anchor_in_the_future_charges_the_part_until_then(sandbox: SandboxProcess, stripe_api: Any) -> None:
    sandbox.advance_to(at("2027-04-01T12:00:00"))
    price, anchor = monthly(stripe_api, 3000), at("2027-04-16T12:00:00")
    subscription = subscribed(stripe_api, price, billing_cycle_anchor=anchor)
    line = subscription.latest_invoice.lines.data[0]
    assert subscription["items"].data[0].current_period_end == anchor == subscription.billing_cycle_anchor
    assert line.amount in (1451, 1452), "15 of the 31 days from 16 March"
    sandbox.advance_to(anchor + 7200)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert (renewal.total, renewal.lines.data[0].period.end) == (3000, at("2027-05-16T12:00:00"))
    free = subscribed(stripe_api, price, billing_cycle_anchor=at("2027-05-01"), proration_behavior="none")
    assert (free.status, free.latest_invoice) == ("active", None)
    sandbox.advance_to(at("2027-05-01T02:00:00"))
    assert [one.total for one in stripe_api.invoices.list({"subscription": free.id}).data] == [3000]
    customer = customer_with(stripe_api)
    params = {"customer": customer.id, "items": [{"price": price.id}], "billing_cycle_anchor": at("2027-09-01")}
    error = refused(stripe_api.subscriptions.create, params)
    assert (error.param, "later than next natural billing date" in error.user_message) == ("billing_cycle_anchor", True)


def test_anchor_config_names_the_day(sandbox: SandboxProcess, stripe_api: Any) -> None:
    sandbox.advance_to(at("2027-04-10T09:30:00"))
    config = {"day_of_month": 31, "hour": 6, "minute": 0, "second": 0}
    subscription = subscribed(stripe_api, monthly(stripe_api, 3000), billing_cycle_anchor_config=config)
    assert subscription.billing_cycle_anchor == at("2027-04-30T06:00:00")
    assert subscription.billing_cycle_anchor_config.day_of_month == 31


def test_backdated_subscription_pays_for_the_time_that_is_over(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A line for each period in flexible billing, one in classic; nothing without prorations."""
    sandbox.advance_to(at("2027-04-01T00:00:00"))
    now, price = sandbox.now(), monthly(stripe_api, 1000)
    start = at("2027-02-15")
    flexible = subscribed(stripe_api, price, backdate_start_date=start)
    lines = flexible.latest_invoice.lines.data
    assert [line.amount for line in lines] == [500, 1000, 1000]
    assert (flexible.start_date, lines[0].period.start) == (start, start)
    assert flexible["items"].data[0].current_period_start >= now
    classic = subscribed(stripe_api, price, mode="classic", backdate_start_date=start)
    assert [line.amount for line in classic.latest_invoice.lines.data] == [1500, 1000]
    free = subscribed(stripe_api, price, backdate_start_date=start, proration_behavior="none")
    assert [line.amount for line in free.latest_invoice.lines.data] == [1000]


def test_items_have_intervals_of_their_own(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Each renews in its own time; classic billing does not have that."""
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000), yearly(stripe_api))
    month, year = subscription["items"].data
    assert month.current_period_end < year.current_period_end
    assert subscription.latest_invoice.total == 6000
    sandbox.advance_to(month.current_period_end + 7200)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert renewal.total == 1000
    sandbox.advance_to(year.current_period_end + 7200)
    both = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert both.total == 6000
    customer, prices = customer_with(stripe_api), [monthly(stripe_api), yearly(stripe_api)]
    params = {"customer": customer.id, "items": [{"price": price.id} for price in prices]}
    error = refused(stripe_api.subscriptions.create, params | {"billing_mode": {"type": "classic"}})
    assert (error.http_status, error.param) == (400, "items")


def test_classic_becomes_flexible_and_stays_so(stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api), mode="classic")
    assert subscription.billing_mode.type == "classic"
    migrated = stripe_api.subscriptions.migrate(subscription.id, {"billing_mode": {"type": "flexible"}})
    assert migrated.billing_mode.type == "flexible"
    error = refused(stripe_api.subscriptions.migrate, subscription.id, {"billing_mode": {"type": "flexible"}})
    assert error.http_status == 400


def test_things_charged_once_come_first_on_the_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    shirt = stripe_api.products.create({"name": "T-Shirt"})
    price = stripe_api.prices.create({"product": shirt.id, "currency": "usd", "unit_amount": 900})
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000), add_invoice_items=[{"price": price.id}])
    once, plan = subscription.latest_invoice.lines.data
    assert (once.description, once.amount, once.parent.type) == ("T-Shirt", 900, "invoice_item_details")
    assert once.period.to_dict() == plan.period.to_dict()
    assert len(subscription["items"].data) == 1
    stripe_api.subscriptions.update(subscription.id, {"add_invoice_items": [{"price": price.id, "quantity": 2}]})
    sandbox.advance_to(subscription["items"].data[0].current_period_end + 7200)
    renewal = stripe_api.invoices.list({"subscription": subscription.id, "limit": 1}).data[0]
    assert [line.amount for line in renewal.lines.data] == [1800, 1000]


TIERS = [{"up_to": 5, "unit_amount": 500}, {"up_to": 10, "unit_amount": 400}, {"up_to": "inf", "unit_amount": 300}]


@pytest.mark.parametrize(
    ("model", "quantity", "amounts"),
    [
        ({"unit_amount": 500}, 3, [1500]),
        ({"unit_amount_decimal": "0.35"}, 330, [116]),
        ({"unit_amount": 1000, "transform_quantity": {"divide_by": 5, "round": "up"}}, 11, [3000]),
        ({"unit_amount": 1000, "transform_quantity": {"divide_by": 5, "round": "down"}}, 11, [2000]),
        ({"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, 12, [2500, 2000, 600]),
        ({"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": TIERS}, 4, [2000]),
        ({"billing_scheme": "tiered", "tiers_mode": "volume", "tiers": TIERS}, 12, [3600]),
        (
            {
                "billing_scheme": "tiered",
                "tiers_mode": "volume",
                "tiers": [{"up_to": 5, "flat_amount": 700}, {"up_to": "inf", "unit_amount": 100, "flat_amount": 900}],
            },
            7,
            [700, 900],
        ),
    ],
)
def test_price_models(stripe_api: Any, model: dict[str, Any], quantity: int, amounts: list[int]) -> None:
    product, customer = stripe_api.products.create({"name": "Seats"}), customer_with(stripe_api)
    price = stripe_api.prices.create(
        {"product": product.id, "currency": "usd", "recurring": {"interval": "month"}, **model}
    )
    items = [{"price": price.id, "quantity": quantity}]
    params = {"customer": customer.id, "items": items, "expand": ["latest_invoice"]}
    invoice = stripe_api.subscriptions.create(params).latest_invoice
    assert [line.amount for line in invoice.lines.data] == amounts
    assert invoice.total == sum(amounts)


def test_price_can_be_described_where_it_is_used(stripe_api: Any) -> None:
    product, customer = stripe_api.products.create({"name": "Made to measure"}), customer_with(stripe_api)
    data = {"currency": "usd", "product": product.id, "recurring": {"interval": "month"}, "unit_amount": 1234}
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price_data": data}]})
    price = subscription["items"].data[0].price
    assert (price.unit_amount, price.active) == (1234, False)


def test_items_are_added_changed_and_removed_by_themselves(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000))
    extra = monthly(stripe_api, 300, "Extra")
    params = {"subscription": subscription.id, "price": extra.id, "proration_behavior": "none"}
    item = stripe_api.subscription_items.create(params)
    assert (item.price.id, item.quantity) == (extra.id, 1)
    before = sandbox.mark()
    assert stripe_api.subscription_items.update(item.id, {"quantity": 4}).quantity == 4
    assert types(sandbox.events(since=before)) == ["invoiceitem.created", "customer.subscription.updated"]
    assert stripe_api.subscription_items.delete(item.id, {"proration_behavior": "none"}).deleted is True
    assert len(stripe_api.subscriptions.retrieve(subscription.id)["items"].data) == 1
    last = subscription["items"].data[0].id
    assert refused(stripe_api.subscription_items.delete, last).http_status == 400
