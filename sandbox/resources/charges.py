"""/v1/charges"""

from typing import Any

from stripe.params import ChargeListParams, ChargeRetrieveParams, ChargeUpdateParams

from sandbox import lists, methods
from sandbox.params import merge_metadata
from sandbox.resources.account import NAME
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats, includes


@route("GET /v1/charges/<id>", ChargeRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("charge", id)


@route("GET /v1/charges", ChargeListParams, "created customer ending_before limit payment_intent starting_after")
def list_charges(world: World, params: dict[str, Any]) -> lists.Page:
    equal = {name: params.get(name) for name in ("customer", "payment_intent")}
    return lists.page(world, "charge", params, **equal)


@route("POST /v1/charges/<id>", ChargeUpdateParams, "description metadata receipt_email")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    charge = world.get("charge", id)
    changes: dict[str, Any] = {name: params[name] for name in ("description", "receipt_email") if name in params}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(charge["metadata"], params["metadata"])
    world.update(charge, "charge.updated", **changes)
    return charge


def create(world: World, intent: Document, method: Document, status: str, **fields: Any) -> Document:
    """The outcome of asking the bank for the intent's amount, or, when pending, the wait for it. Emits nothing.

    fields: decline, authenticated (by 3D Secure), mandate, automatic (nobody asked for it), captured, where they
    differ from those of a good payment.
    """
    nothing = {"authenticated": False, "automatic": False, "captured": True, "decline": None, "mandate": None}
    given = nothing | fields
    return world.create(
        "charge",
        "ch_" if method["type"] == "card" else "py_",
        amount=intent["amount"],
        amount_refunded=0,
        balance_transaction=world.new_id("txn") if status == "succeeded" else None,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        disputed=False,
        metadata=intent["metadata"],
        payment_intent=intent["id"],
        payment_method=method["id"],
        receipt_email=intent["receipt_email"],
        status=status,
        **given,
    )


@formats("charge")
def format_charge(world: World, charge: Document) -> dict[str, Any]:
    method = world.get("payment_method", charge["payment_method"])
    paid = charge["status"] == "succeeded"
    captured = charge["status"] != "failed" and charge.get("captured", True)
    decline = charge["decline"] or {}
    return {
        "id": charge["id"],
        "object": "charge",
        "amount": charge["amount"],
        "amount_captured": charge.get("amount_captured", charge["amount"]) if paid and captured else 0,
        "amount_refunded": charge["amount_refunded"],
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": charge["balance_transaction"],
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": NAME.upper(),
        "captured": captured,
        "created": charge["created"],
        "currency": charge["currency"],
        "customer": charge["customer"],
        "description": charge["description"],
        "disputed": charge["disputed"],
        "failure_balance_transaction": None,
        "failure_code": decline.get("code" if method["type"] == "card" else "decline_code"),
        "failure_message": decline.get("message"),
        "fraud_details": {},
        "livemode": False,
        "metadata": charge["metadata"],
        "on_behalf_of": None,
        "outcome": _outcome(decline, method),
        "paid": paid,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "payment_method_details": {
            "type": method["type"],
            method["type"]: methods.kind_of(method).charge_details(world, charge, method),
        },
        "radar_options": {},
        "receipt_email": charge["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"https://pay.stripe.com/receipts/payment/{charge['id']}" if paid else None,
        "refunded": paid and charge["amount_refunded"] == charge["amount"],
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": charge["status"],
        "transfer_data": None,
        "transfer_group": None,
    }


@includes("charge", "refunds")
def refunds(world: World, id: str) -> dict[str, Any]:
    found = world.select("refund", "json_extract(document, '$.charge') = ?", (id,), tail="ORDER BY sequence DESC")
    return lists.embedded([world.wire(refund) for refund in found], f"/v1/charges/{id}/refunds")


def _outcome(decline: dict[str, Any], method: Document) -> dict[str, Any]:
    if method["type"] != "card":
        return _outcome_of_debit(decline)
    blocked = decline.get("decline_code") == "fraudulent"
    return {
        "advice_code": decline.get("advice_code"),
        "network_advice_code": decline.get("network_advice_code"),
        "network_decline_code": decline.get("network_decline_code"),
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": decline.get("decline_code"),
        "risk_level": "highest" if blocked else "normal",
        "risk_score": 90 if blocked else 20,
        "seller_message": "The bank did not return any further details with this decline."
        if decline
        else "Payment complete.",
        "type": "blocked" if blocked else "issuer_declined" if decline else "authorized",
    }


def _outcome_of_debit(decline: dict[str, Any]) -> dict[str, Any]:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": decline.get("decline_code"),
        "risk_level": "not_assessed",
        "seller_message": decline.get("message", "Payment complete."),
        "type": "issuer_declined" if decline else "authorized",
    }
