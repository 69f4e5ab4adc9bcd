"""/v1/mandates: the leave to debit a bank account."""

from typing import Any

from stripe.params import MandateRetrieveParams

from sandbox import methods
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats


@route("GET /v1/mandates/<id>", MandateRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("mandate", id)


def agreed(world: World, method: Document) -> Document | None:
    """The mandate of a method that needs one, given with its first use; cards need none."""
    if method["type"] == "card":
        return None
    if method["mandate"]:
        return world.get("mandate", method["mandate"])
    mandate = world.create(
        "mandate",
        "mandate_",
        customer=method["customer"],
        online=world.caller.publishable,
        payment_method=method["id"],
        status="active",
    )
    method["mandate"] = mandate["id"]
    world.save(method)
    world.emit("mandate.updated", mandate)
    return mandate


@formats("mandate")
def format_mandate(world: World, mandate: Document) -> dict[str, Any]:
    method = world.get("payment_method", mandate["payment_method"])
    online = {"ip_address": "127.0.0.1", "user_agent": "sandbox"}
    acceptance = {"type": "online", "online": online} if mandate["online"] else {"type": "offline", "offline": {}}
    return {
        "id": mandate["id"],
        "object": "mandate",
        "customer_acceptance": {"accepted_at": mandate["created"], **acceptance},
        "livemode": False,
        "multi_use": {},
        "payment_method": mandate["payment_method"],
        "payment_method_details": {
            "type": method["type"],
            method["type"]: methods.kind_of(method).mandate_details(mandate),
        },
        "status": mandate["status"],
        "type": "multi_use",
    }
