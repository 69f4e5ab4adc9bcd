"""/v1/radar/early_fraud_warnings: a card's bank suspects fraud, before any dispute."""

from typing import Any

from stripe.params.radar import EarlyFraudWarningListParams, EarlyFraudWarningRetrieveParams

from sandbox import lists
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats


@route("GET /v1/radar/early_fraud_warnings/<id>", EarlyFraudWarningRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("radar.early_fraud_warning", id)


@route(
    "GET /v1/radar/early_fraud_warnings",
    EarlyFraudWarningListParams,
    "charge created ending_before limit payment_intent starting_after",
)
def list_warnings(world: World, params: dict[str, Any]) -> lists.Page:
    where, values = lists.created_range(params.get("created"))
    for name in ("charge", "payment_intent"):
        if name in params:
            where.append(f"json_extract(document, '$.{name}') = ?")
            values.append(params[name])
    return lists.cut(world, "radar.early_fraud_warning", params, where, values)


def raise_for(world: World, charge: Document) -> None:
    warning = world.create(
        "radar.early_fraud_warning",
        "issfr_",
        charge=charge["id"],
        customer=charge["customer"],
        payment_intent=charge["payment_intent"],
    )
    world.emit("radar.early_fraud_warning.created", warning)


@formats("radar.early_fraud_warning")
def format_warning(world: World, warning: Document) -> dict[str, Any]:
    charge = world.get("charge", warning["charge"])
    return {
        "id": warning["id"],
        "object": "radar.early_fraud_warning",
        "actionable": charge["amount_refunded"] == 0 and not charge["disputed"],
        "charge": warning["charge"],
        "created": warning["created"],
        "fraud_type": "misc",
        "livemode": False,
        "payment_intent": warning["payment_intent"],
    }
