"""/v1/products/<product>/features: which features a product opens."""

from typing import Any

from stripe.params import (
    ProductFeatureCreateParams,
    ProductFeatureDeleteParams,
    ProductFeatureListParams,
    ProductFeatureRetrieveParams,
)

from sandbox import lists
from sandbox.errors import StripeError, no_such
from sandbox.resources import entitlements, features
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND = "product_feature"


@route("POST /v1/products/<product>/features", ProductFeatureCreateParams, "entitlement_feature")
def create(world: World, params: dict[str, Any], product: str) -> Document:
    """Whoever has the product is entitled from now on."""
    world.get("product", product)
    feature = world.get(features.KIND, params["entitlement_feature"], "entitlement_feature")
    if not feature["active"]:
        raise StripeError(f"The feature `{feature['id']}` is not active.", param="entitlement_feature")
    if any(one["feature"] == feature["id"] for one in world.select(KIND, "product = ?", (product,))):
        text = f"The feature `{feature['id']}` is already attached to this product."
        raise StripeError(text, param="entitlement_feature")
    attached = world.create(KIND, "prodft_", feature=feature["id"], product=product)
    entitlements.reconsider_product(world, product)
    return attached


@route("GET /v1/products/<product>/features", ProductFeatureListParams, "ending_before limit starting_after")
def list_features(world: World, params: dict[str, Any], product: str) -> lists.Page:
    world.get("product", product)
    return lists.page(world, KIND, params, product=product)


@route("GET /v1/products/<product>/features/<id>", ProductFeatureRetrieveParams)
def retrieve(world: World, params: dict[str, Any], product: str, id: str) -> Document:
    attached = world.get(KIND, id)
    if attached["product"] != product:
        raise no_such(KIND, id)
    return attached


@route("DELETE /v1/products/<product>/features/<id>", ProductFeatureDeleteParams)
def delete(world: World, params: dict[str, Any], product: str, id: str) -> Document:
    """Nobody is entitled by this product any more."""
    attached = retrieve(world, params, product, id)
    attached["deleted"] = True
    world.save(attached)
    entitlements.reconsider_product(world, product)
    return attached


@formats(KIND)
def format_product_feature(world: World, attached: Document) -> dict[str, Any]:
    feature = world.wire(world.get(features.KIND, attached["feature"]))
    return {"id": attached["id"], "object": KIND, "entitlement_feature": feature, "livemode": False}
