"""/v1/disputes: a payment that the holder of the card or account wants back."""

from typing import Any

from stripe.params import (
    DisputeCloseParams,
    DisputeListParams,
    DisputeRetrieveParams,
    DisputeUpdateParams,
    DisputeUpdateParamsEvidence,
)

from sandbox import lists, methods
from sandbox.billing import periods
from sandbox.errors import StripeError
from sandbox.jobs import job
from sandbox.params import merge_metadata
from sandbox.resources import early_fraud_warnings
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

RAISED_AFTER = 5  # seconds from the payment
DUE_AFTER = 7 * periods.DAY
FEE = 1500
REASONS = {"inquiry": ("fraudulent",), "several": ("fraudulent", "product_not_received")}
NETWORK_CODES = {"fraudulent": "10.4", "product_not_received": "13.1"}
OPEN = ("needs_response", "under_review", "warning_needs_response", "warning_under_review")
EVIDENCE = set(DisputeUpdateParamsEvidence.__annotations__) - {"enhanced_evidence"}
# What decides a dispute in test mode, given as uncategorized_text.
OUTCOMES = {"winning_evidence": "won", "losing_evidence": "lost"}


@route("GET /v1/disputes/<id>", DisputeRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("dispute", id)


@route("POST /v1/disputes/<id>", DisputeUpdateParams, "evidence metadata submit")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    """Put evidence on record, and hand it in unless told to wait. What it says decides, at once."""
    dispute = world.get("dispute", id)
    evidence = {**dispute["evidence"], **(params.get("evidence") or {})}
    if params.get("evidence") and dispute["status"] not in OPEN:
        raise StripeError("This dispute is already closed", code="dispute_already_closed", param="evidence")
    handed_in = bool(params.get("submit", True) and params.get("evidence"))
    changes: dict[str, Any] = {"evidence": evidence}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(dispute["metadata"], params["metadata"])
    if handed_in:
        changes |= {
            "status": "warning_under_review" if dispute["inquiry"] else "under_review",
            "submissions": dispute["submissions"] + 1,
        }
    world.update(dispute, "charge.dispute.updated", **changes)
    outcome = OUTCOMES.get(evidence.get("uncategorized_text") or "")
    if handed_in and outcome:
        _close(world, dispute, "warning_closed" if dispute["inquiry"] else outcome)
    return dispute


@route("POST /v1/disputes/<id>/close", DisputeCloseParams)
def close(world: World, params: dict[str, Any], id: str) -> Document:
    """Give in."""
    dispute = world.get("dispute", id)
    if dispute["status"] not in OPEN:
        raise StripeError("This dispute is already closed", code="dispute_already_closed")
    _close(world, dispute, "lost")
    return dispute


@route("GET /v1/disputes", DisputeListParams, "charge created ending_before limit payment_intent starting_after")
def list_disputes(world: World, params: dict[str, Any]) -> lists.Page:
    where, values = lists.created_range(params.get("created"))
    for name in ("charge", "payment_intent"):
        if name in params:
            where.append(f"json_extract(document, '$.{name}') = ?")
            values.append(params[name])
    return lists.cut(world, "dispute", params, where, values)


def plan(world: World, charge: Document) -> None:
    """After a payment: have it disputed, or warned of, if that is what its test card or account is for."""
    instrument = methods.instrument_of(world.get("payment_method", charge["payment_method"]))
    at = world.now(charge["customer"]) + RAISED_AFTER
    if instrument.dispute:
        world.schedule(at, "raise_dispute", charge)
    if instrument.early_fraud_warning:
        world.schedule(at, "warn_of_fraud", charge)


@job("warn_of_fraud")
def warn(world: World, charge: Document) -> None:
    early_fraud_warnings.raise_for(world, charge)


@job("raise_dispute")
def raise_for(world: World, charge: Document) -> None:
    method = world.get("payment_method", charge["payment_method"])
    wish = methods.instrument_of(method).dispute
    world.update(charge, "charge.updated", disputed=True)
    for reason in REASONS.get(wish, (wish,)):
        _raise(world, charge, method, reason, inquiry=wish == "inquiry")


def _raise(world: World, charge: Document, method: Document, reason: str, *, inquiry: bool) -> None:
    final = method["type"] != "card"  # a bank gives the money back without asking
    now = world.now(charge["customer"])
    dispute = world.create(
        "dispute",
        "du_",
        amount=charge["amount"] - charge["amount_refunded"],
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        due_by=None if final else now + DUE_AFTER,
        evidence={},
        inquiry=inquiry,
        metadata={},
        movements=[],
        payment_intent=charge["payment_intent"],
        payment_method=method["id"],
        reason=reason,
        status="warning_needs_response" if inquiry else "lost" if final else "needs_response",
        submissions=0,
    )
    if not inquiry:
        _move_funds(world, dispute, -1)
    world.emit("charge.dispute.created", dispute)
    if not inquiry:
        world.emit("charge.dispute.funds_withdrawn", dispute)
    if final:
        world.emit("charge.dispute.closed", dispute)
    else:
        world.schedule(now + DUE_AFTER, "dispute_due", dispute)


@job("dispute_due")
def due(world: World, dispute: Document) -> None:
    """Nobody has answered in time, or the review is over."""
    if dispute["status"] in OPEN:
        _close(world, dispute, "warning_closed" if dispute["inquiry"] else "lost")


def _close(world: World, dispute: Document, status: str) -> None:
    dispute["status"] = status
    if status == "won":
        _move_funds(world, dispute, 1)
    world.save(dispute)
    world.unschedule(dispute, "dispute_due")
    world.emit("charge.dispute.closed", dispute)
    if status == "won":
        world.emit("charge.dispute.funds_reinstated", dispute)


def _move_funds(world: World, dispute: Document, sign: int) -> None:
    moved = {"id": world.new_id("txn"), "created": world.now(dispute["customer"]), "sign": sign}
    dispute["movements"] = [*dispute["movements"], moved]
    world.save(dispute)


@formats("dispute")
def format_dispute(world: World, dispute: Document) -> dict[str, Any]:
    due_by = dispute["due_by"]
    wire = {
        "id": dispute["id"],
        "object": "dispute",
        "amount": dispute["amount"],
        "balance_transactions": [_balance_transaction(dispute, moved) for moved in dispute["movements"]],
        "charge": dispute["charge"],
        "created": dispute["created"],
        "currency": dispute["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(EVIDENCE) | {"enhanced_evidence": {}} | dispute["evidence"],
        "evidence_details": {
            "due_by": due_by,
            "enhanced_eligibility": {},
            "has_evidence": bool(dispute["evidence"]),
            "past_due": due_by is not None and world.now(dispute["customer"]) > due_by,
            "submission_count": dispute["submissions"],
            "submission_method": "manual" if dispute["submissions"] else "not_submitted",
        },
        "is_charge_refundable": dispute["inquiry"] and dispute["status"] in OPEN,
        "livemode": False,
        "metadata": dispute["metadata"],
        "payment_intent": dispute["payment_intent"],
        "reason": dispute["reason"],
        "status": dispute["status"],
    }
    method = world.get("payment_method", dispute["payment_method"])
    if method["type"] == "card":
        brand = methods.instrument_of(method).brand
        card = {
            "brand": brand,
            "case_type": "inquiry" if dispute["inquiry"] else "chargeback",
            "network": brand,
            "network_reason_code": NETWORK_CODES.get(dispute["reason"]),
        }
        wire["payment_method_details"] = {"card": card, "type": "card"}
    return wire


def _balance_transaction(dispute: Document, moved: dict[str, Any]) -> dict[str, Any]:
    fee = FEE if moved["sign"] < 0 else -FEE
    amount = moved["sign"] * dispute["amount"]
    detail = {"amount": fee, "application": None, "currency": dispute["currency"], "type": "stripe_fee"}
    return {
        "id": moved["id"],
        "object": "balance_transaction",
        "amount": amount,
        "available_on": moved["created"],
        "balance_type": "payments",
        "created": moved["created"],
        "currency": dispute["currency"],
        "description": f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} for {dispute['charge']}",
        "exchange_rate": None,
        "fee": fee,
        "fee_details": [detail | {"description": "Dispute fee"}],
        "net": amount - fee,
        "reporting_category": "dispute" if amount < 0 else "dispute_reversal",
        "source": dispute["id"],
        "status": "available",
        "type": "adjustment",
    }
