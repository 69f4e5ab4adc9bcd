"""What Stripe cuts off in events and answers is fetched whole."""

import billing
from models import Entitlements, SubscriptionItem
from tests.shop import pay

MANY = 13  # events show ten


def test_a_subscription_with_many_items_is_copied_with_all_of_them(shop, monkeypatch):
    """However many pages they fill."""
    monkeypatch.setattr(billing, "PAGE", 5)
    v1 = shop.sandbox.client.v1
    customer = shop.member().send("/create-customer").json()["customer"]["id"]
    product = v1.products.create({"name": "Parts"}).id
    price = {"product": product, "currency": "usd", "unit_amount": 100, "recurring": {"interval": "month"}}
    prices = [v1.prices.create(price).id for _ in range(MANY)]

    items = [{"price": one} for one in prices]
    v1.subscriptions.create({"customer": customer, "items": items, "payment_behavior": "default_incomplete"})
    shop.settle()

    assert sorted(row["price_id"] for row in shop.rows(SubscriptionItem)) == sorted(prices)


def test_a_customer_with_many_entitlements_has_all_of_them(shop, monkeypatch):
    """However many pages they fill."""
    monkeypatch.setattr(billing, "PAGE", 5)
    v1 = shop.sandbox.client.v1
    (price,) = v1.prices.list({"lookup_keys": ["basic_monthly"]}).data
    for number in range(MANY):
        feature = v1.entitlements.features.create({"name": str(number), "lookup_key": f"feature_{number}"})
        v1.products.features.create(str(price.product), {"entitlement_feature": feature.id})

    pay(shop.sandbox, shop.member().subscribe("basic_monthly")["clientSecret"])
    shop.settle()

    (row,) = shop.rows(Entitlements)
    assert row["lookup_keys"] == sorted(f"feature_{number}" for number in range(MANY))
