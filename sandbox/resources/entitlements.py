"""/v1/entitlements/active_entitlements: what customers are entitled to now, by what they have subscribed to."""

from typing import Any

from stripe.params.entitlements import ActiveEntitlementListParams, ActiveEntitlementRetrieveParams

from sandbox import events, lists
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND = "entitlements.active_entitlement"
SUMMARY = "entitlements.active_entitlement_summary"
ENTITLING = ("trialing", "active", "past_due")
SHOWN = 10  # entitlements inside a summary


@route(
    "GET /v1/entitlements/active_entitlements",
    ActiveEntitlementListParams,
    "customer ending_before limit starting_after",
)
def list_entitlements(world: World, params: dict[str, Any]) -> lists.Page:
    world.get("customer", params["customer"], "customer")
    return lists.page(world, KIND, params, customer=params["customer"])


@route("GET /v1/entitlements/active_entitlements/<id>", ActiveEntitlementRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get(KIND, id)


@formats(KIND)
def format_entitlement(world: World, entitlement: Document) -> dict[str, Any]:
    names = "id object feature lookup_key"
    return {name: entitlement[name] for name in names.split()} | {"livemode": False}


@events.follows(
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.updated",
)
def reconsider_subscriber(world: World, subscription: dict[str, Any]) -> None:
    if _any_features(world):
        reconsider(world, subscription["customer"])


def reconsider_product(world: World, product: str) -> None:
    """Other features of a product: so for all who have it."""
    query = """
        SELECT DISTINCT item.subscription FROM objects AS price JOIN objects AS item
          ON item.type = 'subscription_item' AND NOT item.deleted
          AND json_extract(item.document, '$.price') = price.id
        WHERE price.type = 'price' AND price.product = ?"""
    found = [world.find(row["subscription"], "subscription") for row in world.store.db.execute(query, (product,))]
    for customer in dict.fromkeys(subscription["customer"] for subscription in found if subscription):
        reconsider(world, customer)


def reconsider(world: World, customer: str) -> None:
    """Bring a customer's entitlements in line with their subscriptions; if that changes them, tell the whole set."""
    has = {one["feature"]: one for one in world.select(KIND, "customer = ?", (customer,))}
    due = _features_due(world, customer)
    if has.keys() == due.keys():
        return
    before = _summary(world, customer)
    for feature in has.keys() - due.keys():
        has[feature]["deleted"] = True
        world.save(has[feature])
    for feature in sorted(due.keys() - has.keys()):
        world.create(KIND, "ent_", customer=customer, feature=feature, lookup_key=due[feature])
    events.record(world, f"{SUMMARY}.updated", _summary(world, customer), before)


def _any_features(world: World) -> bool:
    """Most worlds have none, and should not pay for them."""
    query = "SELECT 1 FROM objects WHERE type = 'product_feature' LIMIT 1"
    return world.store.db.execute(query).fetchone() is not None


def _features_due(world: World, customer: str) -> dict[str, str]:
    """The features of what a customer subscribes to, with their lookup keys."""
    products: dict[str, None] = {}
    for subscription in world.select("subscription", "customer = ?", (customer,)):
        if subscription["status"] in ENTITLING:
            for item in world.select("subscription_item", "subscription = ?", (subscription["id"],)):
                products[world.get("price", item["price"])["product"]] = None
    due: dict[str, str] = {}
    for product in products:
        for attached in world.select("product_feature", "product = ?", (product,)):
            due[attached["feature"]] = world.get("entitlements.feature", attached["feature"])["lookup_key"]
    return due


def _summary(world: World, customer: str) -> dict[str, Any]:
    found = world.select(KIND, "customer = ?", (customer,), tail=f"ORDER BY sequence DESC LIMIT {SHOWN + 1}")
    data = [world.wire(entitlement) for entitlement in found[:SHOWN]]
    url = f"/v1/customer/{customer}/entitlements"
    entitlements = {"object": "list", "data": data, "has_more": len(found) > SHOWN, "url": url}
    return {"object": SUMMARY, "customer": customer, "entitlements": entitlements, "livemode": False}
