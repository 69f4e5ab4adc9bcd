"""POST /webhook: Stripe's events, checked, entered in the ledger and handed to sync.

400 is for what Stripe did not sign or does not look like an event, 500 for our own failure (Stripe sends again), 200
for the rest: done, already done, not handled, not ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Blueprint, current_app, request
from werkzeug.exceptions import RequestEntityTooLarge

import billing
import ledger
import notices
import payments
import sync
from copies import identity, is_name

webhooks = Blueprint("webhooks", __name__)

BODY_LIMIT = 256 * 1024
LATEST = 2**53
VERSION_LIMIT = 64

# What each event leads to. A type that is not here is answered with 200 and ignored.
HANDLERS: dict[str, Callable[[dict[str, Any], sync.Settle], None]] = {
    "product.created": sync.event,
    "product.updated": sync.event,
    "product.deleted": sync.event,
    "price.created": sync.event,
    "price.updated": sync.event,
    "price.deleted": sync.event,
    "customer.created": sync.event,
    "customer.updated": sync.event,
    "customer.deleted": sync.event,
    "customer.tax_id.created": sync.event,
    "customer.tax_id.updated": sync.event,
    "customer.tax_id.deleted": sync.event,
    "customer.subscription.created": sync.event,
    "customer.subscription.updated": notices.telling(notices.plan_changed, notices.ending_planned),
    "customer.subscription.deleted": notices.telling(notices.subscription_ended),
    "customer.subscription.paused": sync.event,
    "customer.subscription.resumed": sync.event,
    "customer.subscription.trial_will_end": notices.telling(notices.trial_ending),
    "customer.subscription.pending_update_applied": sync.event,
    "customer.subscription.pending_update_expired": sync.event,
    "invoice.upcoming": notices.telling(notices.renewal_ahead, copy=sync.heard),
    "invoice.created": sync.event,
    "invoice.finalized": sync.event,
    "invoice.finalization_failed": sync.event,
    "invoice.updated": sync.event,
    "invoice.paid": notices.telling(notices.invoice_settled),
    "invoice.payment_succeeded": sync.event,
    "invoice.payment_failed": notices.telling(notices.payment_failed),
    "invoice.payment_action_required": notices.telling(notices.action_required),
    "invoice.payment_attempt_required": sync.event,
    "invoice.will_be_due": sync.event,
    "invoice.overdue": sync.event,
    "invoice.overpaid": sync.event,
    "invoice.sent": sync.event,
    "invoice.voided": notices.telling(notices.invoice_settled),
    "invoice.marked_uncollectible": sync.event,
    "invoice.deleted": sync.event,
    "payment_method.attached": sync.event,
    "payment_method.updated": sync.event,
    "payment_method.automatically_updated": sync.event,
    "payment_method.detached": sync.event,
    "payment_intent.processing": payments.payment_under_way,
    "payment_intent.succeeded": sync.paid,
    "payment_intent.payment_failed": payments.payment_failed,
    "setup_intent.succeeded": payments.setup_succeeded,
    "charge.refunded": sync.heard,
    "charge.dispute.created": sync.heard,
    "charge.dispute.updated": sync.heard,
    "charge.dispute.closed": sync.heard,
    "charge.dispute.funds_withdrawn": sync.heard,
    "charge.dispute.funds_reinstated": sync.heard,
    "entitlements.active_entitlement_summary.updated": sync.event,
    "subscription_schedule.created": notices.telling(notices.change_planned),
    "subscription_schedule.updated": notices.telling(notices.change_planned),
    "subscription_schedule.expiring": sync.event,
    "subscription_schedule.completed": sync.event,
    "subscription_schedule.released": sync.event,
    "subscription_schedule.aborted": sync.event,
    "subscription_schedule.canceled": sync.event,
}


class Malformed(Exception):
    """A signed body that is not an event."""


@webhooks.post("/webhook")
def receive() -> tuple[dict[str, str], int]:
    """Take one event from Stripe."""
    if not current_app.config["STRIPE_WEBHOOK_SECRET"]:
        return {"error": "STRIPE_WEBHOOK_SECRET is not set"}, 503
    request.max_content_length = BODY_LIMIT
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        return {"error": "too large"}, 413
    try:
        header = request.headers.get("Stripe-Signature", "")
        billing.verify_webhook(body, header, current_app.config["STRIPE_WEBHOOK_SECRET"])
        event = parse(body)
    except billing.InvalidSignature:
        return {"error": "invalid signature"}, 400
    except Malformed as error:
        return {"error": str(error)}, 400
    return take(event)


def take(event: dict[str, Any]) -> tuple[dict[str, str], int]:
    """Bring an event into effect once, and say so in the ledger; of a failure's effect nothing stays."""
    obj = event["data"]["object"]
    customer_id = ledger.named_customer(obj)
    is_settled, is_ours = ledger.look_up(event["id"], customer_id)
    if is_settled:
        return {"status": "already done"}, 200
    handler = HANDLERS.get(event["type"])
    other_mode = event["livemode"] != (current_app.config["STRIPE_MODE"] == "live")
    if other_mode or handler is None or not is_about(event["type"], obj):
        enter(event, None, "ignored")
        return {"status": "ignored"}, 200
    try:
        customer_id = customer_id or ledger.owner(event)
        if not is_ours and not ledger.is_ours(obj, customer_id):
            enter(event, customer_id, "foreign")
            # Who became ours just now took up the foreign rows that were there: perhaps not this one yet.
            if not ledger.is_ours(obj, customer_id):
                return {"status": "not ours"}, 200
        handler(event, lambda tx: ledger.enter(tx, event, customer_id, "done"))
    except Exception as error:
        return failed(event, customer_id, error)
    return {"status": "done"}, 200


def is_about(event_type: str, obj: dict[str, Any]) -> bool:
    """Whether an event's object is what its type promises."""
    kind = ledger.kind_of(event_type) or event_type.split(".")[-2]
    return obj["object"] == kind and (event_type == ledger.UPCOMING or is_name(identity(obj)))


def enter(event: dict[str, Any], customer_id: str | None, state: str, error: Exception | None = None) -> None:
    sync.only(lambda tx: ledger.enter(tx, event, customer_id, state, error))


def failed(event: dict[str, Any], customer_id: str | None, error: Exception) -> tuple[dict[str, str], int]:
    """Note why, in a transaction of its own, and have Stripe send it again."""
    expected = isinstance(error, billing.Unavailable | sync.Contended)
    current_app.logger.error("webhook %s %s failed: %r", event["id"], event["type"], error, exc_info=not expected)
    enter(event, customer_id, "failed", error)
    # Stripe waits for this one before it charges a renewal: `flask tick` asks for the invoice instead.
    if event["type"] == "invoice.created" and isinstance(error, billing.Unavailable):
        return {"status": "later"}, 200
    return {"error": "failed, please send again"}, 500


def parse(body: bytes) -> dict[str, Any]:
    """The event in a signed body. Raises Malformed."""
    try:
        event = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed("not JSON") from error
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        raise Malformed("not an event")
    obj = event["data"].get("object")
    if not isinstance(obj, dict) or not is_name(obj.get("object")) or not is_name(obj.get("id", "-")):
        raise Malformed("no object in the event")
    if not is_name(event.get("id")) or not is_name(event.get("type")):
        raise Malformed("no id or type")
    created = event.get("created")
    if type(created) is not int or not 0 <= created <= LATEST:
        raise Malformed("created is not a time")
    if type(event.get("livemode")) is not bool:
        raise Malformed("livemode is not true or false")
    if not is_name(event.get("api_version")) or len(event["api_version"]) > VERSION_LIMIT:
        event["api_version"] = None
    return event


def _no_constant(name: str) -> None:
    raise ValueError(name)
