"""Features, the products that open them, and what customers are entitled to."""

from typing import Any

import pytest

from tests.sandbox.acts import (
    client_secret,
    confirm,
    customer_with,
    monthly,
    paying_customer,
    refused,
    subscribe,
    types,
)
from tests.sandbox_process import SandboxProcess

SUMMARY = "entitlements.active_entitlement_summary.updated"


def feature(stripe_api: Any, key: str, *products: str) -> Any:
    """A feature that those products open."""
    made = stripe_api.entitlements.features.create({"name": key.title(), "lookup_key": key})
    for product in products:
        stripe_api.products.features.create(product, {"entitlement_feature": made.id})
    return made


def keys(stripe_api: Any, customer: Any) -> set[str]:
    return {one.lookup_key for one in stripe_api.entitlements.active_entitlements.list({"customer": customer})}


def told(event: Any) -> tuple[list[str], list[str]]:
    """The entitlements that an event says there are, and which there were."""
    data = event.data.to_dict()
    lists = (data["object"]["entitlements"]["data"], data["previous_attributes"]["entitlements"]["data"])
    now, before = ([one["lookup_key"] for one in found] for found in lists)
    return now, before


def test_paying_entitles_and_the_end_takes_it_back(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Not while the first payment is open; each summary has the whole set and the one before."""
    price = monthly(stripe_api)
    feature(stripe_api, "videos", price.product)
    customer = stripe_api.customers.create()
    subscription = subscribe(stripe_api, customer.id, price.id)
    assert keys(stripe_api, customer.id) == set()
    confirm(sandbox, client_secret(subscription))
    assert keys(stripe_api, customer.id) == {"videos"}
    stripe_api.subscriptions.cancel(subscription.id)
    assert keys(stripe_api, customer.id) == set()
    events = sandbox.events(SUMMARY, "customer.subscription.updated", "customer.subscription.deleted")
    assert types(events) == ["customer.subscription.updated", SUMMARY, "customer.subscription.deleted", SUMMARY]
    assert [told(event) for event in events[1::2]] == [(["videos"], []), ([], ["videos"])]
    assert events[1].data.object.customer == customer.id


def test_another_plan_opens_other_features(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """What both plans open stays the same entitlement."""
    basic, premium = monthly(stripe_api), monthly(stripe_api, 1500, "Premium")
    feature(stripe_api, "videos", basic.product, premium.product)
    feature(stripe_api, "calls", premium.product)
    customer = customer_with(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": basic.id}]})
    kept = stripe_api.entitlements.active_entitlements.list({"customer": customer.id}).data[0]
    item = {"id": subscription["items"].data[0].id, "price": premium.id}
    stripe_api.subscriptions.update(subscription.id, {"items": [item]})
    assert keys(stripe_api, customer.id) == {"videos", "calls"}
    assert stripe_api.entitlements.active_entitlements.retrieve(kept.id).lookup_key == "videos"
    assert told(sandbox.events(SUMMARY)[-1]) == (["calls", "videos"], ["videos"])


def test_a_product_that_opens_more_opens_it_for_all_who_have_it(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """And taking a feature off a product ends what it gave."""
    subscription = paying_customer(sandbox)
    customer, product = subscription.customer, subscription["items"].data[0].price.product
    made = feature(stripe_api, "videos", product)
    assert keys(stripe_api, customer) == {"videos"}
    attached = stripe_api.products.features.list(product).data[0]
    assert attached.entitlement_feature.id == made.id
    assert stripe_api.products.features.delete(product, attached.id).deleted
    assert keys(stripe_api, customer) == set()
    assert types(sandbox.events(SUMMARY)) == [SUMMARY] * 2


def test_a_summary_shows_ten_and_says_that_there_are_more(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The list has them all."""
    price = monthly(stripe_api)
    for number in range(12):
        feature(stripe_api, f"feature-{number}", price.product)
    customer = customer_with(stripe_api)
    stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    [event] = sandbox.events(SUMMARY)
    assert (len(event.data.object.entitlements.data), event.data.object.entitlements.has_more) == (10, True)
    params = {"customer": customer.id, "limit": 5, "expand": ["data.feature"]}
    found = list(stripe_api.entitlements.active_entitlements.list(params).auto_paging_iter())
    assert {one.feature.name for one in found} == {f"Feature-{number}" for number in range(12)}


@pytest.mark.parametrize(
    ("how", "still"),
    [("trial", {"videos"}), ("unpaid renewal", {"videos"}), ("incomplete", set())],
)
def test_what_keeps_entitlements_alive(sandbox: SandboxProcess, stripe_api: Any, how: str, still: set[str]) -> None:
    """A trial and a payment that is being retried do; a first payment that never came does not."""
    price = monthly(stripe_api)
    feature(stripe_api, "videos", price.product)
    card = "pm_card_chargeCustomerFail" if how == "unpaid renewal" else "pm_card_visa"
    customer = customer_with(stripe_api, card)
    trial = {} if how == "incomplete" else {"trial_period_days": 7}
    subscribe(stripe_api, customer.id, price.id, **trial)
    if how == "unpaid renewal":
        sandbox.advance(days=7, hours=2)
        assert stripe_api.subscriptions.list({"customer": customer.id}).data[0].status == "past_due"
    assert keys(stripe_api, customer.id) == still


def test_features_are_found_by_key_and_archived(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A key is given once; an archived feature leaves the list and can't be attached any more."""
    features = stripe_api.entitlements.features
    made = feature(stripe_api, "videos")
    assert [one.id for one in features.list({"lookup_key": "videos"})] == [made.id]
    assert refused(features.create, {"name": "Again", "lookup_key": "videos"}).param == "lookup_key"
    assert refused(features.create, {"name": "Long", "lookup_key": "x" * 81}).param == "lookup_key"
    assert features.update(made.id, {"active": False, "metadata": {"a": "b"}}).metadata["a"] == "b"
    assert (features.list().data, len(features.list({"archived": True}).data)) == ([], 1)
    product = stripe_api.products.create({"name": "Basic"})
    error = refused(stripe_api.products.features.create, product.id, {"entitlement_feature": made.id})
    assert error.param == "entitlement_feature"
    error = refused(stripe_api.products.features.create, product.id, {"entitlement_feature": "feat_none"})
    assert (error.code, error.http_status) == ("resource_missing", 400)
