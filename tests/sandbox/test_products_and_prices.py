"""Products and prices: the catalogue."""

from typing import Any

import pytest

from tests.sandbox.acts import monthly, previous, refused
from tests.sandbox_process import SandboxProcess


def test_product_is_made_changed_and_deleted(sandbox: SandboxProcess, stripe_api: Any) -> None:
    product = stripe_api.products.create({"name": "Basic", "description": "For one", "metadata": {"plan": "basic"}})
    assert product.id.startswith("prod_")
    assert (product.active, product.type, product.default_price) == (True, "service", None)
    sandbox.advance(seconds=60)
    changed = stripe_api.products.update(product.id, {"name": "Basic+", "active": False})
    assert (changed.name, changed.active, changed.description) == ("Basic+", False, "For one")
    assert changed.updated > product.updated
    assert [one.id for one in stripe_api.products.list({"active": True}).data] == []
    assert [one.id for one in stripe_api.products.list({"active": False}).data] == [product.id]
    stripe_api.products.delete(product.id)
    assert refused(stripe_api.products.retrieve, product.id).http_status == 404
    names = [event.type for event in sandbox.events()]
    assert names == ["product.created", "product.updated", "product.deleted"]
    assert previous(sandbox.events()[1]) == {"name": "Basic", "active": True, "updated": product.updated}


def test_product_has_a_size(stripe_api: Any) -> None:
    size = {"height": 1.5, "length": 2, "weight": 0, "width": 3}
    product = stripe_api.products.create({"name": "Box", "package_dimensions": size})
    assert product.package_dimensions.to_dict() == size
    assert stripe_api.products.update(product.id, {"package_dimensions": ""}).package_dimensions is None


def test_update_that_changes_nothing_tells_nothing(sandbox: SandboxProcess, stripe_api: Any) -> None:
    product = stripe_api.products.create({"name": "Basic", "tax_code": "txcd_10000000"})
    assert stripe_api.products.update(product.id, {"name": "Basic"}).tax_code == "txcd_10000000"
    assert sandbox.events("product.updated") == []


def test_product_may_bring_its_price_and_an_id_of_its_own(stripe_api: Any) -> None:
    price = {"currency": "usd", "unit_amount": 500, "recurring": {"interval": "year"}}
    product = stripe_api.products.create(
        {"id": "basic", "name": "Basic", "default_price_data": price, "expand": ["default_price"]}
    )
    assert (product.id, product.default_price.recurring.interval) == ("basic", "year")
    assert refused(stripe_api.products.create, {"id": "basic", "name": "Other"}).code == "resource_already_exists"
    assert refused(stripe_api.products.delete, "basic").http_status == 400, "it has a price"


@pytest.mark.stripe_verified
def test_price_has_stripes_defaults(stripe_api: Any) -> None:
    price = monthly(stripe_api)
    assert (price.active, price.billing_scheme, price.type, price.tax_behavior) == (
        True,
        "per_unit",
        "recurring",
        "unspecified",
    )
    assert price.recurring.to_dict() == {
        "interval": "month",
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    assert str(price.unit_amount_decimal) == "500"
    once = stripe_api.prices.create({"currency": "EUR", "unit_amount": 0, "product_data": {"name": "Set-up"}})
    assert (once.type, once.recurring, once.currency) == ("one_time", None, "eur")
    assert stripe_api.products.retrieve(once.product).name == "Set-up"


def test_currency_options_come_only_when_asked_for(stripe_api: Any) -> None:
    """And hold the price's own currency too."""
    price = monthly(stripe_api, currency_options={"eur": {"unit_amount": 450}, "aud": {"unit_amount": 800}})
    assert "currency_options" not in price
    listed = stripe_api.prices.list({"expand": ["data.currency_options"]}).data[0]
    amounts = {code: option["unit_amount"] for code, option in listed.currency_options.to_dict().items()}
    assert amounts == {"usd": 500, "eur": 450, "aud": 800}
    stripe_api.prices.update(price.id, {"currency_options": {"eur": {"unit_amount": 475}}})
    changed = stripe_api.prices.retrieve(price.id, {"expand": ["currency_options"]})
    assert changed.currency_options.to_dict()["eur"]["unit_amount"] == 475


def test_lookup_key_belongs_to_one_price_and_can_move(sandbox: SandboxProcess, stripe_api: Any) -> None:
    first = monthly(stripe_api, lookup_key="basic_monthly")
    params = {"product": first.product, "currency": "usd", "unit_amount": 600, "lookup_key": "basic_monthly"}
    error = refused(stripe_api.prices.create, params)
    assert error.user_message == f"A price (`{first.id}`) already uses that lookup key."
    second = stripe_api.prices.create(params | {"transfer_lookup_key": True})
    found = stripe_api.prices.list({"lookup_keys": ["basic_monthly", "unknown"]}).data
    assert [price.id for price in found] == [second.id]
    assert stripe_api.prices.retrieve(first.id).lookup_key is None
    events = sandbox.events("price.updated", "price.created")
    assert [event.type for event in events] == ["price.created", "price.updated", "price.created"]
    assert previous(events[1]) == {"lookup_key": "basic_monthly"}


def test_prices_are_listed_by_product_type_and_activity(stripe_api: Any) -> None:
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    once = stripe_api.prices.create({"product": basic.product, "currency": "usd", "unit_amount": 100})
    stripe_api.prices.update(premium.id, {"active": False})

    def listed(**params: Any) -> list[str]:
        return [price.id for price in stripe_api.prices.list(params).data]

    assert listed(product=basic.product) == [once.id, basic.id]
    assert listed(type="one_time") == [once.id]
    assert listed(type="recurring", active=True) == [basic.id]
    assert listed(active=False) == [premium.id]
    assert listed(recurring={"interval": "month"}) == [premium.id, basic.id]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"currency": "xyz"}, "currency"),
        ({"product": "prod_nothing"}, "product"),
        ({"unit_amount": -1}, "unit_amount"),
        ({"unit_amount": "five"}, "unit_amount"),
        ({"unit_amount_decimal": "500.5"}, "unit_amount"),
        ({"recurring": {"interval": "decade"}}, "recurring[interval]"),
        ({"recurring": {"interval": "year", "interval_count": 4}}, "recurring[interval_count]"),
        ({"currency_options": {"eur": {"tax_behavior": "inclusive"}}}, "currency_options[eur][unit_amount]"),
    ],
)
def test_bad_prices_are_refused(stripe_api: Any, change: dict[str, Any], param: str) -> None:
    product = stripe_api.products.create({"name": "Basic"})
    params = {"product": product.id, "currency": "usd", "unit_amount": 500, **change}
    error = refused(stripe_api.prices.create, params)
    assert (error.http_status, error.param) == (400, param)
    assert stripe_api.prices.list({}).data == []
