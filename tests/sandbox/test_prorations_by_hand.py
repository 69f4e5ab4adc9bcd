"""Prorations against figures that were worked out with paper and pencil.

January 2027 has 2,678,400 seconds. Everything changes 1,000,003 seconds into it, when 1,678,397 of them are left:
a share of 0.62664165. The year has 31,536,000 seconds, of which 0.96829005 are left.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.sandbox.acts import customer_with, monthly
from tests.sandbox_process import SandboxProcess

JANUARY = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
CHANGE = 1_000_003
TIERS = {
    "billing_scheme": "tiered",
    "tiers_mode": "graduated",
    "tiers": [{"up_to": 5, "unit_amount": 100}, {"up_to": "inf", "unit_amount": 50}],
}
YEARLY = {"recurring": {"interval": "year"}}
FLEXIBLE, CLASSIC, BOTH = ["flexible"], ["classic"], ["flexible", "classic"]


def changed(sandbox: SandboxProcess, mode: str, old: Any, new: Any, more: dict[str, Any]) -> Any:
    """The invoice of a change from the old price and quantity to the new ones; each is an amount, or more than that."""
    stripe_api: Any = sandbox.client.v1
    sandbox.advance_to(JANUARY)
    (price, count), (next_price, next_count) = (_priced(stripe_api, one) for one in (old, new))
    params = {"customer": customer_with(stripe_api).id, "billing_mode": {"type": mode}}
    if "coupon" in more:
        coupon = stripe_api.coupons.create({"duration": "forever", **more["coupon"]})
        params["discounts"] = [{"coupon": coupon.id}]
    subscription = stripe_api.subscriptions.create(params | {"items": [{"price": price, "quantity": count}]})
    item = subscription["items"].data[0]
    at = item.current_period_start + CHANGE
    sandbox.advance_to(at)
    wish = {"items": [{"id": item.id, "price": next_price, "quantity": next_count}], **more.get("wish", {})}
    if old == new:
        wish["items"] = []
    params = {"proration_behavior": "always_invoice", "proration_date": at, "expand": ["latest_invoice"]}
    return stripe_api.subscriptions.update(subscription.id, params | wish).latest_invoice


def _priced(stripe_api: Any, one: Any) -> tuple[str, int]:
    amount, count, more = one if isinstance(one, tuple) else (one, 1, {})
    if "tiers" not in more:
        return monthly(stripe_api, amount, "Seat", **more).id, count
    product = stripe_api.products.create({"name": "Seat"})
    recurring = {"interval": "month"}
    price = stripe_api.prices.create({"product": product.id, "currency": "usd", "recurring": recurring, **more})
    return price.id, count


@pytest.mark.parametrize(
    ("modes", "old", "new", "more", "amounts"),
    [
        pytest.param(BOTH, 500, 1500, {}, [-313, 940], id="dearer: 313.32, 939.96"),
        pytest.param(BOTH, 1500, 500, {}, [-940, 313], id="cheaper"),
        pytest.param(BOTH, (999, 3, {}), (999, 5, {}), {}, [-1878, 3130], id="seats: 1878.05, 3130.08"),
        pytest.param(
            BOTH, (1200, 1, {"currency": "jpy"}), (3456, 1, {"currency": "jpy"}), {}, [-752, 2166], id="yen: 751.97"
        ),
        pytest.param(BOTH, 500, 1500, {"coupon": {"percent_off": 15}}, [-266, 799], id="15% off: 266.32, 798.97"),
        pytest.param(
            BOTH, 500, 1500, {"coupon": {"amount_off": 100, "currency": "usd"}}, [-251, 877], id="1 off: 250.66, 877.30"
        ),
        pytest.param(FLEXIBLE, (0, 8, TIERS), (0, 12, TIERS), {}, [-313, -94, 533], id="two tiers were debited"),
        pytest.param(CLASSIC, (0, 8, TIERS), (0, 12, TIERS), {}, [-407, 533], id="650 is what it costs: 407.32"),
        pytest.param(FLEXIBLE, 500, (5000, 1, YEARLY), {}, [-313, 4841], id="what is left of the anchor's year"),
        pytest.param(CLASSIC, 500, (5000, 1, YEARLY), {}, [-313, 5000], id="a year from now"),
        pytest.param(
            BOTH, 500, 500, {"wish": {"billing_cycle_anchor": {"type": "now"}}}, [-313, 500], id="anchor moved to now"
        ),
    ],
)
def test_the_lines_are_those_of_the_pencil(
    sandbox: SandboxProcess, modes: list[str], old: Any, new: Any, more: dict[str, Any], amounts: list[int]
) -> None:
    for mode in modes:
        sandbox.reset()
        sandbox.post("settings", {"upcoming_days": "0"})
        invoice = changed(sandbox, mode, old, new, more)
        assert sorted(line.amount for line in invoice.lines.data) == sorted(amounts), mode
        total = sum(amounts)
        assert (invoice.total, invoice.amount_due, invoice.status) == (total, max(total, 0), "paid")
        balance = sandbox.client.v1.customers.retrieve(invoice.customer).balance
        assert balance == min(total, 0), "what is too much stays as a credit"


def test_lines_say_what_they_are_for(sandbox: SandboxProcess) -> None:
    credit, debit = changed(sandbox, "flexible", (999, 3, {}), (999, 5, {}), {}).lines.data
    assert credit.description == "Unused time on 3 × Seat after 12 Jan 2027"
    assert debit.description == "Remaining time on 5 × Seat after 12 Jan 2027"
    assert (debit.period.end - debit.period.start, debit.discountable) == (2_678_400 - CHANGE, False)
    assert (credit.pricing.unit_amount_decimal, credit.quantity, debit.quantity) == (None, 3, 5)
