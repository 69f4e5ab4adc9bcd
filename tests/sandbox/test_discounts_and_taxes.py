"""Coupons, promotion codes and tax rates, to the cent."""

from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly, previous, refused, types
from tests.sandbox_process import DAY, SandboxProcess


def subscribed(stripe_api: Any, *prices: Any, **more: Any) -> Any:
    customer = customer_with(stripe_api)
    items = [{"price": price.id} for price in prices]
    params = {"customer": customer.id, "items": items, "expand": ["latest_invoice"], **more}
    return stripe_api.subscriptions.create(params)


def months_paid(sandbox: SandboxProcess, subscription: Any, months: int) -> list[int]:
    """What each invoice came to, the first one first."""
    sandbox.advance(days=31 * months)
    stripe_api: Any = sandbox.client.v1
    found = stripe_api.invoices.list({"subscription": subscription.id, "status": "paid", "limit": 100}).data
    return [invoice.total for invoice in found][::-1][: months + 1]


def test_coupon_stands_on_subscription_and_invoice(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The line's amount stays whole; what comes off it is told beside it."""
    coupon = stripe_api.coupons.create({"percent_off": 10, "duration": "forever"})
    subscription = subscribed(stripe_api, monthly(stripe_api, 2500), discounts=[{"coupon": coupon.id}])
    invoice, line = subscription.latest_invoice, subscription.latest_invoice.lines.data[0]
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (2500, 2250, 2250)
    discount = subscription.discounts[0]
    assert invoice.discounts == subscription.discounts
    assert (line.amount, line.discount_amounts[0].amount, line.discount_amounts[0].discount) == (2500, 250, discount)
    assert (line.discounts, subscription["items"].data[0].discounts) == ([], [])
    assert [one.to_dict() for one in invoice.total_discount_amounts] == [{"amount": 250, "discount": discount}]
    shown = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["discounts.source.coupon"]}).discounts[0]
    assert (shown.subscription, shown.invoice, shown.end) == (subscription.id, None, None)
    assert (shown.source.coupon.percent_off, shown.source.coupon.times_redeemed) == (10, 1)
    assert "customer.discount.created" in types(sandbox.events())


@pytest.mark.parametrize(
    ("duration", "totals"),
    [
        ({"duration": "once"}, [375, 500, 500, 500]),
        ({"duration": "repeating", "duration_in_months": 2}, [375, 375, 500, 500]),
        ({"duration": "forever"}, [375, 375, 375, 375]),
    ],
)
def test_coupons_last_as_long_as_they_say(
    sandbox: SandboxProcess, stripe_api: Any, duration: dict[str, Any], totals: list[int]
) -> None:
    coupon = stripe_api.coupons.create({"amount_off": 125, "currency": "usd", **duration})
    subscription = subscribed(stripe_api, monthly(stripe_api), discounts=[{"coupon": coupon.id}])
    assert months_paid(sandbox, subscription, 3) == totals
    left = stripe_api.subscriptions.retrieve(subscription.id).discounts
    assert bool(left) is (duration["duration"] == "forever")


def test_discount_is_changed_and_taken_away_on_update(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A new list replaces the old one; changing only discounts prorates nothing."""
    subscription = subscribed(stripe_api, monthly(stripe_api))
    coupon = stripe_api.coupons.create({"percent_off": 50, "duration": "forever"})
    before = sandbox.mark()
    changed = stripe_api.subscriptions.update(subscription.id, {"discounts": [{"coupon": coupon.id}]})
    events = sandbox.events(since=before)
    assert types(events) == ["customer.discount.created", "customer.subscription.updated"]
    assert previous(events[1]) == {"discounts": []}
    same = stripe_api.subscriptions.update(subscription.id, {"discounts": [{"discount": changed.discounts[0]}]})
    assert same.discounts == changed.discounts
    before = sandbox.mark()
    gone = stripe_api.subscriptions.update(subscription.id, {"discounts": ""})
    assert gone.discounts == []
    assert types(sandbox.events(since=before)) == ["customer.discount.deleted", "customer.subscription.updated"]


@pytest.mark.stripe_verified
def test_discount_is_deleted(stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"percent_off": 50, "duration": "forever"})
    subscription = subscribed(stripe_api, monthly(stripe_api), discounts=[{"coupon": coupon.id}])
    assert stripe_api.subscriptions.delete_discount(subscription.id).deleted is True
    assert stripe_api.subscriptions.retrieve(subscription.id).discounts == []
    assert refused(stripe_api.subscriptions.delete_discount, subscription.id).http_status == 404


def test_deletion_of_a_discount_is_told(sandbox: SandboxProcess, stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"percent_off": 50, "duration": "forever"})
    subscription = subscribed(stripe_api, monthly(stripe_api), discounts=[{"coupon": coupon.id}])
    before = sandbox.mark()
    stripe_api.subscriptions.delete_discount(subscription.id)
    assert types(sandbox.events(since=before)) == ["customer.discount.deleted", "customer.subscription.updated"]


def test_part_of_a_first_period_is_discounted_too(sandbox: SandboxProcess, stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"percent_off": 50, "duration": "forever"})
    anchor = sandbox.now() + 10 * DAY
    more = {"discounts": [{"coupon": coupon.id}], "billing_cycle_anchor": anchor}
    invoice = subscribed(stripe_api, monthly(stripe_api, 3000), **more).latest_invoice
    assert 450 < invoice.total < 560


def test_order_of_discounts_matters(stripe_api: Any) -> None:
    """Half off and then a dollar is not a dollar off and then half."""
    half = stripe_api.coupons.create({"percent_off": 50, "duration": "forever"}).id
    dollar = stripe_api.coupons.create({"amount_off": 100, "currency": "usd", "duration": "forever"}).id
    price = monthly(stripe_api, 1000)
    first = subscribed(stripe_api, price, discounts=[{"coupon": half}, {"coupon": dollar}])
    second = subscribed(stripe_api, price, discounts=[{"coupon": dollar}, {"coupon": half}])
    assert (first.latest_invoice.total, second.latest_invoice.total) == (400, 450)


@pytest.mark.stripe_verified
def test_item_discount_is_in_the_subtotal_and_comes_first(stripe_api: Any) -> None:
    half = stripe_api.coupons.create({"percent_off": 50, "duration": "forever"}).id
    tenth = stripe_api.coupons.create({"percent_off": 10, "duration": "forever"}).id
    items = [{"price": monthly(stripe_api, 1900).id, "discounts": [{"coupon": half}]}]
    subscription = subscribed(stripe_api, items=items, discounts=[{"coupon": tenth}])
    invoice = subscription.latest_invoice
    line = invoice.lines.data[0]
    assert (line.amount, invoice.subtotal, invoice.total) == (1900, 950, 855)
    assert [one.amount for one in line.discount_amounts] == [950, 95]
    assert line.discounts == subscription["items"].data[0].discounts


@pytest.mark.stripe_verified
def test_amount_off_is_shared_in_proportion(stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"amount_off": 500, "currency": "usd", "duration": "forever"})
    prices = monthly(stripe_api, 1000), monthly(stripe_api, 2000, "Big")
    subscription = subscribed(stripe_api, *prices, discounts=[{"coupon": coupon.id}])
    shares = [line.discount_amounts[0].amount for line in subscription.latest_invoice.lines.data]
    assert (shares, subscription.latest_invoice.total) == ([167, 333], 2500)


@pytest.mark.stripe_verified
def test_coupon_for_a_product_leaves_the_others_alone(stripe_api: Any) -> None:
    one, other = monthly(stripe_api, 1000), monthly(stripe_api, 2000, "Big")
    terms = {"percent_off": 50, "duration": "forever", "applies_to": {"products": [one.product]}}
    coupon = stripe_api.coupons.create(terms)
    subscription = subscribed(stripe_api, one, other, discounts=[{"coupon": coupon.id}])
    assert subscription.latest_invoice.total == 2500


@pytest.mark.stripe_verified
def test_whole_discount_costs_nothing_and_asks_for_no_card(stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"percent_off": 100, "duration": "once"})
    customer, price = stripe_api.customers.create({}), monthly(stripe_api)
    params = {"customer": customer.id, "items": [{"price": price.id}], "discounts": [{"coupon": coupon.id}]}
    subscription = stripe_api.subscriptions.create(params | {"expand": ["latest_invoice"]})
    assert (subscription.status, subscription.latest_invoice.status, subscription.latest_invoice.total) == (
        "active",
        "paid",
        0,
    )
    assert subscription.pending_setup_intent is not None


def test_deleted_coupon_is_kept_by_those_who_have_it(sandbox: SandboxProcess, stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"percent_off": 50, "duration": "forever", "id": "HALF"})
    subscription = subscribed(stripe_api, monthly(stripe_api), discounts=[{"coupon": "HALF"}])
    assert stripe_api.coupons.delete(coupon.id).deleted is True
    assert months_paid(sandbox, subscription, 1) == [250, 250]
    params = {"customer": subscription.customer, "items": [{"price": monthly(stripe_api).id}]}
    error = refused(stripe_api.subscriptions.create, params | {"discounts": [{"coupon": "HALF"}]})
    assert (error.http_status, error.param) == (400, "discounts[0][coupon]")


def test_promotion_codes_are_found_and_restricted(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Found without regard to case; for first buyers only; used up for good."""
    coupon = stripe_api.coupons.create({"percent_off": 20, "duration": "forever"})
    code = stripe_api.promotion_codes.create(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "code": "WELCOME20",
            "max_redemptions": 1,
            "restrictions": {"first_time_transaction": True},
        }
    )
    assert [one.id for one in stripe_api.promotion_codes.list({"code": "welcome20", "active": True}).data] == [code.id]
    wish, price = {"discounts": [{"promotion_code": code.id}]}, monthly(stripe_api)
    again = {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "welcome20"}
    assert refused(stripe_api.promotion_codes.create, again).http_status == 400
    buyer = subscribed(stripe_api, price)
    error = refused(stripe_api.subscriptions.update, buyer.id, wish)
    assert "prior transactions" in error.user_message
    subscription = subscribed(stripe_api, price, **wish)
    assert subscription.latest_invoice.total == 400
    used = stripe_api.promotion_codes.retrieve(code.id)
    assert (used.times_redeemed, used.active) == (1, False)
    customer = customer_with(stripe_api)
    params = {"customer": customer.id, "items": [{"price": price.id}], **wish}
    assert refused(stripe_api.subscriptions.create, params).http_status == 400
    assert refused(stripe_api.promotion_codes.update, code.id, {"active": True}).param == "active"


def test_coupons_that_are_over_are_refused(sandbox: SandboxProcess, stripe_api: Any) -> None:
    coupon = stripe_api.coupons.create({"percent_off": 20, "duration": "once", "redeem_by": sandbox.now() + DAY})
    sandbox.advance(days=2)
    assert stripe_api.coupons.retrieve(coupon.id).valid is False
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    params = {"customer": customer.id, "items": [{"price": price.id}], "discounts": [{"coupon": coupon.id}]}
    error = refused(stripe_api.subscriptions.create, params)
    assert (error.http_status, error.code) == (400, "coupon_expired")


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 10, "amount_off": 10, "currency": "usd"}, "percent_off"),
        ({"percent_off": 110}, "percent_off"),
        ({"amount_off": 10}, "currency"),
        ({"amount_off": 0, "currency": "usd"}, "amount_off"),
        ({"percent_off": 10, "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": 10, "duration": "sometimes"}, "duration"),
    ],
)
def test_odd_coupons_are_refused(stripe_api: Any, params: dict[str, Any], param: str) -> None:
    error = refused(stripe_api.coupons.create, params)
    assert (error.http_status, error.param) == (400, param)


@pytest.mark.stripe_verified
def test_exclusive_tax_is_added_and_inclusive_tax_is_inside(stripe_api: Any) -> None:
    on_top = stripe_api.tax_rates.create({"display_name": "GST", "percentage": 10, "inclusive": False})
    inside = stripe_api.tax_rates.create({"display_name": "VAT", "percentage": 20, "inclusive": True})
    price = monthly(stripe_api, 1200)
    added = subscribed(stripe_api, price, default_tax_rates=[on_top.id]).latest_invoice
    assert (added.subtotal, added.total, added.total_excluding_tax, added.amount_paid) == (1200, 1320, 1200, 1320)
    tax = added.total_taxes[0]
    assert (tax.amount, tax.taxable_amount, tax.tax_behavior) == (120, 1200, "exclusive")
    assert tax.tax_rate_details.tax_rate == on_top.id
    contained = subscribed(stripe_api, price, default_tax_rates=[inside.id]).latest_invoice
    assert (contained.total, contained.total_excluding_tax, contained.total_taxes[0].amount) == (1200, 1000, 200)
    items = [{"price": price.id, "tax_rates": [inside.id]}]
    own = subscribed(stripe_api, items=items, default_tax_rates=[on_top.id]).latest_invoice
    assert own.total == 1200, "an item's own rates take the place of the default ones"


@pytest.mark.stripe_verified
def test_tax_is_reckoned_after_discounts(stripe_api: Any) -> None:
    rate = stripe_api.tax_rates.create({"display_name": "GST", "percentage": 8.25, "inclusive": False})
    coupon = stripe_api.coupons.create({"percent_off": 50, "duration": "forever"})
    more = {"default_tax_rates": [rate.id], "discounts": [{"coupon": coupon.id}]}
    invoice = subscribed(stripe_api, monthly(stripe_api, 1999), **more).latest_invoice
    assert (invoice.subtotal, invoice.total_excluding_tax, invoice.total) == (1999, 999, 1081)


def test_prorations_are_taxed_too(sandbox: SandboxProcess, stripe_api: Any) -> None:
    rate = stripe_api.tax_rates.create({"display_name": "GST", "percentage": 10, "inclusive": False})
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000), default_tax_rates=[rate.id])
    item = subscription["items"].data[0]
    half = (item.current_period_start + item.current_period_end) // 2
    sandbox.advance_to(half)
    premium = monthly(stripe_api, 2000, "Premium")
    params = {
        "items": [{"id": item.id, "price": premium.id}],
        "proration_behavior": "always_invoice",
        "proration_date": half,
        "expand": ["latest_invoice"],
    }
    invoice = stripe_api.subscriptions.update(subscription.id, params).latest_invoice
    assert [(line.amount, line.taxes[0].amount) for line in invoice.lines.data] == [(-500, -50), (1000, 100)]
    assert invoice.total == 550


@pytest.mark.parametrize(
    ("wish", "amounts", "off"), [("included", [-375, 750], [[], []]), ("itemized", [-500, 1000], [[-125], [250]])]
)
def test_prorations_are_net_of_discounts_or_show_them(
    sandbox: SandboxProcess, stripe_api: Any, wish: str, amounts: list[int], off: list[list[int]]
) -> None:
    """Either way the same is charged."""
    coupon = stripe_api.coupons.create({"percent_off": 25, "duration": "forever"})
    mode = {"type": "flexible", "flexible": {"proration_discounts": wish}}
    more = {"billing_mode": mode, "discounts": [{"coupon": coupon.id}]}
    subscription = subscribed(stripe_api, monthly(stripe_api, 1000), **more)
    item = subscription["items"].data[0]
    half = (item.current_period_start + item.current_period_end) // 2
    sandbox.advance_to(half)
    params = {
        "items": [{"id": item.id, "price": monthly(stripe_api, 2000, "Premium").id}],
        "proration_behavior": "always_invoice",
        "proration_date": half,
        "expand": ["latest_invoice"],
    }
    invoice = stripe_api.subscriptions.update(subscription.id, params).latest_invoice
    assert [line.amount for line in invoice.lines.data] == amounts
    assert [[one.amount for one in line.discount_amounts] for line in invoice.lines.data] == off
    assert invoice.total == 375
