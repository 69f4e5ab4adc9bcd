"""/v1/products"""

from typing import Any

from stripe.params import (
    ProductCreateParams,
    ProductDeleteParams,
    ProductListParams,
    ProductRetrieveParams,
    ProductUpdateParams,
)

from sandbox import lists
from sandbox.errors import StripeError
from sandbox.params import merge_metadata
from sandbox.resources import prices
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

FIELDS = (
    "active description images marketing_features name package_dimensions shippable statement_descriptor tax_code "
    "unit_label url"
)


@route("POST /v1/products", ProductCreateParams, f"id {FIELDS} metadata type default_price_data")
def create(world: World, params: dict[str, Any]) -> Document:
    given = dict.fromkeys(FIELDS.split()) | _fields(params)
    if params.get("id") and world.find(params["id"], "product"):
        raise StripeError("Product already exists.", code="resource_already_exists", param="id")
    product = world.create(
        "product",
        params.get("id") or "prod_",
        **given
        | {
            "active": params.get("active", True),
            "default_price": None,
            "metadata": merge_metadata({}, params.get("metadata")),
            "type": params.get("type", "service"),
            "updated": world.now(),
        },
    )
    world.emit("product.created", product)
    if "default_price_data" in params:
        price = prices.create(world, params["default_price_data"] | {"product": product["id"]})
        product["default_price"] = price["id"]
        world.save(product)
    return product


@route("GET /v1/products/<id>", ProductRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("product", id)


@route("POST /v1/products/<id>", ProductUpdateParams, f"{FIELDS} metadata default_price")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    product = world.get("product", id)
    if params.get("default_price"):
        world.get("price", params["default_price"], "default_price")
    changes = _fields(params) | {name: params[name] for name in ("default_price",) if name in params}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(product["metadata"], params["metadata"])
    if any(product[name] != value for name, value in changes.items()):
        world.update(product, "product.updated", **changes, updated=world.now())
    return product


@route("GET /v1/products", ProductListParams, "active created ending_before ids limit starting_after")
def list_products(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, "product", params, active=params.get("active"), id=params.get("ids"))


@route("DELETE /v1/products/<id>", ProductDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    product = world.get("product", id)
    if world.select("price", "product = ?", (id,), tail="LIMIT 1"):
        raise StripeError("This product cannot be deleted because it has one or more user-created prices.")
    world.emit("product.deleted", product)
    product["deleted"] = True
    world.save(product)
    return product


@formats("product")
def format_product(world: World, product: Document) -> dict[str, Any]:
    return {
        "id": product["id"],
        "object": "product",
        "active": product["active"],
        "created": product["created"],
        "default_price": product["default_price"],
        "description": product["description"],
        "images": product["images"] or [],
        "livemode": False,
        "marketing_features": product["marketing_features"] or [],
        "metadata": product["metadata"],
        "name": product["name"],
        "package_dimensions": product["package_dimensions"],
        "shippable": product["shippable"],
        "statement_descriptor": product["statement_descriptor"],
        "tax_code": product.get("tax_code"),
        "tax_details": None,
        "type": product["type"],
        "unit_label": product["unit_label"],
        "updated": product["updated"],
        "url": product["url"],
    }


def _fields(params: dict[str, Any]) -> dict[str, Any]:
    """What was given of the plain fields, as it is stored."""
    found = {name: params[name] for name in FIELDS.split() if name in params}
    if found.get("package_dimensions"):
        found["package_dimensions"] = {name: float(size) for name, size in found["package_dimensions"].items()}
    return found
