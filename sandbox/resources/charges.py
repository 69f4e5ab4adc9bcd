"""/v1/charges"""

from typing import Any

from stripe.params import ChargeListParams, ChargeRetrieveParams

from sandbox import cards, lists
from sandbox.resources import payment_methods
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


def create(
    world: World, intent: Document, method: Document, decline: cards.Decline | None, *, by_3ds: bool
) -> Document:
    """The outcome of asking the bank for the intent's amount. Emits nothing."""
    return world.create(
        "charge",
        "ch_",
        amount=intent["amount"],
        amount_refunded=0,
        authenticated=by_3ds,
        balance_transaction=None if decline else world.new_id("txn"),
        currency=intent["currency"],
        customer=intent["customer"],
        decline=decline.details() if decline else None,
        description=intent["description"],
        metadata=intent["metadata"],
        payment_intent=intent["id"],
        payment_method=method["id"],
        receipt_email=intent["receipt_email"],
        status="failed" if decline else "succeeded",
    )


@formats("charge")
def format_charge(world: World, charge: Document) -> dict[str, Any]:
    method = world.get("payment_method", charge["payment_method"])
    paid = charge["status"] == "succeeded"
    decline = charge["decline"] or {}
    return {
        "id": charge["id"],
        "object": "charge",
        "amount": charge["amount"],
        "amount_captured": charge["amount"] if paid else 0,
        "amount_refunded": charge["amount_refunded"],
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": charge["balance_transaction"],
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": NAME.upper(),
        "captured": paid,
        "created": charge["created"],
        "currency": charge["currency"],
        "customer": charge["customer"],
        "description": charge["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.get("code"),
        "failure_message": decline.get("message"),
        "fraud_details": {},
        "livemode": False,
        "metadata": charge["metadata"],
        "on_behalf_of": None,
        "outcome": _outcome(decline),
        "paid": paid,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "payment_method_details": {"card": _card_details(world, charge, method), "type": "card"},
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


def _outcome(decline: dict[str, Any]) -> dict[str, Any]:
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


def _card_details(world: World, charge: Document, method: Document) -> dict[str, Any]:
    card = cards.card_of(method["number"])
    three_d_secure = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": charge["id"].replace("ch_", "3ds_"),
        "version": "2.2.0",
    }
    return {
        "amount_authorized": charge["amount"] if not charge["decline"] else None,
        "authorization_code": None if charge["decline"] else charge["id"][-6:].upper(),
        "brand": card.brand,
        "checks": payment_methods.checks(method, card),
        "country": card.country,
        "electronic_commerce_indicator": None,
        "exp_month": method["exp_month"],
        "exp_year": method["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": payment_methods.fingerprint(world, card),
        "funding": card.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": charge["id"][-15:],
        "overcapture": {"maximum_amount_capturable": charge["amount"], "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": three_d_secure if charge["authenticated"] else None,
        "transaction_link_id": None,
        "wallet": None,
    }
