"""/v1/entitlements/features: what a product may open."""

from typing import Any

from stripe.params.entitlements import (
    FeatureCreateParams,
    FeatureListParams,
    FeatureRetrieveParams,
    FeatureUpdateParams,
)

from sandbox import lists
from sandbox.errors import StripeError
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND = "entitlements.feature"
LONGEST_KEY = LONGEST_NAME = 80


@route("POST /v1/entitlements/features", FeatureCreateParams, "lookup_key metadata name")
def create(world: World, params: dict[str, Any]) -> Document:
    key = params["lookup_key"]
    _check_length(key, LONGEST_KEY, "lookup_key")
    _check_length(params["name"], LONGEST_NAME, "name")
    if world.select(KIND, "lookup_key = ?", (key,)):
        raise StripeError(f"A feature with the lookup key `{key}` already exists.", param="lookup_key")
    return world.create(
        KIND,
        "feat_",
        active=True,
        lookup_key=key,
        metadata=merge_metadata({}, params.get("metadata")),
        name=params["name"],
    )


@route("GET /v1/entitlements/features/<id>", FeatureRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get(KIND, id)


@route("POST /v1/entitlements/features/<id>", FeatureUpdateParams, "active metadata name")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    feature = world.get(KIND, id)
    changes: dict[str, Any] = {name: params[name] for name in ("active", "name") if name in params}
    _check_length(changes.get("name", ""), LONGEST_NAME, "name")
    if "metadata" in params:
        changes["metadata"] = merge_metadata(feature["metadata"], params["metadata"])
    world.update(feature, **changes)
    return feature


@route("GET /v1/entitlements/features", FeatureListParams, "archived ending_before limit lookup_key starting_after")
def list_features(world: World, params: dict[str, Any]) -> lists.Page:
    active = not params.get("archived", False)
    return lists.page(world, KIND, params, active=active, lookup_key=params.get("lookup_key"))


@formats(KIND)
def format_feature(world: World, feature: Document) -> dict[str, Any]:
    names = "id object active lookup_key metadata name"
    return {name: feature[name] for name in names.split()} | {"livemode": False}


def _check_length(text: str, longest: int, param: str) -> None:
    if len(text) > longest:
        raise StripeError(f"Invalid string: {text[:20]}...; must be at most {longest} characters", param=param)
