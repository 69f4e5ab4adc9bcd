"""/v1/refunds"""

from typing import Any

from stripe.params import RefundCreateParams, RefundListParams, RefundRetrieveParams, RefundUpdateParams

from sandbox import lists, methods, money
from sandbox.errors import StripeError, missing, too_small
from sandbox.jobs import job
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

SETTLES_AFTER = 60  # seconds until a pending refund succeeds, or one that will fail does


@route("POST /v1/refunds", RefundCreateParams, "amount charge metadata payment_intent reason")
def create(world: World, params: dict[str, Any]) -> Document:
    """Give money back, all that is left unless an amount is named."""
    charge = _charge(world, params)
    amount = _amount(world, charge, params.get("amount"))
    method = world.get("payment_method", charge["payment_method"])
    behaviour = methods.instrument_of(method).refund
    refund = world.create(
        "refund",
        "re_",
        amount=amount,
        balance_transaction=world.new_id("txn"),
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        failure_reason=None,
        metadata=merge_metadata({}, params.get("metadata")),
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=params.get("reason"),
        status="pending" if behaviour == "pending" else "succeeded",
    )
    if behaviour != "succeeded":
        world.schedule(world.now(charge["customer"]) + SETTLES_AFTER, "settle_refund", refund)
    world.emit("refund.created", refund)
    world.update(charge, "charge.refunded", amount_refunded=charge["amount_refunded"] + amount)
    return refund


@route("GET /v1/refunds/<id>", RefundRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("refund", id)


@route("POST /v1/refunds/<id>", RefundUpdateParams, "metadata")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    refund = world.get("refund", id)
    if "metadata" in params:
        metadata = merge_metadata(refund["metadata"], params["metadata"])
        world.update(refund, "refund.updated", metadata=metadata)
    return refund


@route("GET /v1/refunds", RefundListParams, "charge created ending_before limit payment_intent starting_after")
def list_refunds(world: World, params: dict[str, Any]) -> lists.Page:
    equal = {name: params.get(name) for name in ("charge", "payment_intent")}
    return lists.page(world, "refund", params, **equal)


@job("settle_refund")
def settle(world: World, refund: Document) -> None:
    if refund["status"] == "pending":
        world.update(refund, "refund.updated", status="succeeded")
        world.emit("charge.refund.updated", refund)
        return
    charge = world.get("charge", refund["charge"])
    world.update(charge, "charge.updated", amount_refunded=charge["amount_refunded"] - refund["amount"])
    world.update(refund, "refund.updated", status="failed", failure_reason="expired_or_canceled_card")
    world.emit("charge.refund.updated", refund)
    world.emit("refund.failed", refund)


@formats("refund")
def format_refund(world: World, refund: Document) -> dict[str, Any]:
    wire = {
        "id": refund["id"],
        "object": "refund",
        "amount": refund["amount"],
        "balance_transaction": refund["balance_transaction"],
        "charge": refund["charge"],
        "created": refund["created"],
        "currency": refund["currency"],
        "customer": refund["customer"],
        "customer_account": None,
        "destination_details": _destination(refund),
        "metadata": refund["metadata"],
        "payment_intent": refund["payment_intent"],
        "payment_method": refund["payment_method"],
        "reason": refund["reason"],
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund["status"],
        "transfer_reversal": None,
    }
    return wire | ({"failure_reason": refund["failure_reason"]} if refund["failure_reason"] else {})


def _destination(refund: Document) -> dict[str, Any]:
    if refund["charge"].startswith("ch_"):
        card = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
        return {"card": card, "type": "card"}
    kind = "eu_bank_transfer" if refund["currency"] == "eur" else "au_bank_transfer"
    return {kind: {"reference": None, "reference_status": "pending"} if kind[:2] == "eu" else {}, "type": kind}


def _charge(world: World, params: dict[str, Any]) -> Document:
    if "charge" in params:
        return world.get("charge", params["charge"], "charge")
    if "payment_intent" not in params:
        raise missing("charge")
    intent = world.get("payment_intent", params["payment_intent"], "payment_intent")
    charge = world.find(intent["latest_charge"], "charge")
    if charge is None or charge["status"] != "succeeded":
        text = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise StripeError(text, code="payment_intent_unexpected_state", param="payment_intent")
    return charge


def _amount(world: World, charge: Document, wanted: int | None) -> int:
    left: int = charge["amount"] - charge["amount_refunded"]
    if charge["status"] != "succeeded":
        raise StripeError("This charge has failed and cannot be refunded.", param="charge")
    if charge["disputed"] and not _is_inquiry(world, charge):
        text = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise StripeError(text, code="charge_disputed")
    if left == 0:
        text = f"Charge {charge['id']} has already been refunded."
        raise StripeError(text, code="charge_already_refunded", param=None)
    if wanted is None:
        return left
    if wanted < 1:
        raise too_small(1, "amount")
    if wanted > left:
        amounts = money.shown(wanted, charge["currency"]), money.shown(left, charge["currency"])
        raise StripeError(
            "Refund amount ({}) is greater than unrefunded amount on charge ({})".format(*amounts), param="amount"
        )
    return wanted


def _is_inquiry(world: World, charge: Document) -> bool:
    """Whether nobody has taken the money back yet."""
    found = world.select("dispute", "payment_intent = ?", (charge["payment_intent"],))
    return all(dispute["inquiry"] for dispute in found)
