"""/v1/tax_rates"""

from typing import Any

from stripe.params import TaxRateCreateParams, TaxRateListParams, TaxRateRetrieveParams, TaxRateUpdateParams

from sandbox import lists
from sandbox.errors import StripeError, not_built
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

FIELDS = "active country description display_name jurisdiction state tax_type"


@route("POST /v1/tax_rates", TaxRateCreateParams, f"{FIELDS} inclusive metadata percentage")
def create(world: World, params: dict[str, Any]) -> Document:
    if not 0 <= params["percentage"] <= 100:
        raise StripeError("Invalid percentage: must be between 0 and 100.", param="percentage")
    nothing: dict[str, Any] = dict.fromkeys(FIELDS.split())
    rate = world.create(
        "tax_rate",
        "txr_",
        inclusive=params["inclusive"],
        metadata=merge_metadata({}, params.get("metadata")),
        percentage=float(params["percentage"]),
        **nothing | {"active": True} | {name: params[name] for name in FIELDS.split() if name in params},
    )
    world.emit("tax_rate.created", rate)
    return rate


@route("GET /v1/tax_rates/<id>", TaxRateRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("tax_rate", id)


@route("POST /v1/tax_rates/<id>", TaxRateUpdateParams, f"{FIELDS} metadata")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    rate = world.get("tax_rate", id)
    changes: dict[str, Any] = {name: params[name] for name in FIELDS.split() if name in params}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(rate["metadata"], params["metadata"])
    world.update(rate, "tax_rate.updated", **changes)
    return rate


@route("GET /v1/tax_rates", TaxRateListParams, "active created ending_before inclusive limit starting_after")
def list_tax_rates(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, "tax_rate", params, active=params.get("active"), inclusive=params.get("inclusive"))


def checked(world: World, ids: list[str] | None, param: str) -> list[str]:
    """The ids of tax rates that a parameter names. Raises Stripe's error for unknown and inactive ones."""
    for index, id in enumerate(ids or []):
        if not world.get("tax_rate", id, f"{param}[{index}]")["active"]:
            raise StripeError(f"The tax rate {id} is inactive.", param=f"{param}[{index}]")
    return ids or []


def wires(world: World, ids: list[str]) -> list[dict[str, Any]]:
    """Tax rates as they are sent inside what they are for: whole."""
    return [world.wire(world.get("tax_rate", id)) for id in ids]


@formats("tax_rate")
def format_tax_rate(world: World, rate: Document) -> dict[str, Any]:
    return {
        "id": rate["id"],
        "object": "tax_rate",
        "active": rate["active"],
        "country": rate["country"],
        "created": rate["created"],
        "description": rate["description"],
        "display_name": rate["display_name"],
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": rate["inclusive"],
        "jurisdiction": rate["jurisdiction"],
        "jurisdiction_level": None,
        "livemode": False,
        "metadata": rate["metadata"],
        "percentage": rate["percentage"],
        "rate_type": "percentage",
        "state": rate["state"],
        "tax_type": rate["tax_type"],
    }


def refuse_automatic(params: dict[str, Any]) -> None:
    """Raises an honest error for Stripe Tax, which may be declined by name."""
    if (params.get("automatic_tax") or {}).get("enabled"):
        raise not_built("automatic tax")
