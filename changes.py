"""Changing plan: the quote that was shown is charged, and nothing else.

Before anything is charged Stripe is asked again for the same moment; other amounts make a new quote, not a charge. The
quote's id is the idempotency key. An upgrade's old plan stays until the new one is paid; a downgrade is a schedule.
"""

from __future__ import annotations

from typing import Any, cast

from flask import current_app
from itsdangerous import BadData

import billing
import clock
import db
import operations
import quotes
import readings
import refunds
import subscriptions
import sync
from errors import Problem
from models import Operation, User
from quotes import Standing
from readings import Plan

CHANGE = "subscription_update"  # billing_reason of the invoices that changes make

Row = dict[str, Any]


def change(user: User, subscription_id: str, lookup_key: str, token: str | None) -> Row:
    """Make the change that was quoted, at the price that was quoted. Safe to press again.

    Raises Problem (409) with a fresh quote under `quote` where there was none, it is stale, or the amounts differ.
    """
    terms = _read(user, subscription_id, token)
    begun = db.session.get(Operation, terms["id"], populate_existing=True) if terms else None
    if terms and begun and begun.state != "failed":
        outcome = _go_on(user, lookup_key, terms, begun)
        if outcome is not None:
            return outcome
    standing = quotes.look(user, subscription_id)
    plan = quotes.target(standing, lookup_key)
    if terms is None:
        raise _requote("quote_required", "Please look at what it costs first.", standing, plan, user)
    if (begun and begun.state != "open") or not _still_holds(terms, standing, plan, user):
        raise _requote("quote_stale", "The amounts have changed. Please look at the new ones.", standing, plan, user)
    subscriptions.drop_schedule(standing.subscription, standing.customer_id)
    return _charge(standing, plan, terms) if terms["now"] else _schedule(standing, plan, terms)


def _go_on(user: User, lookup_key: str, terms: Row, begun: Operation) -> Row | None:
    """What became of a quote that was confirmed before, finished where it was cut off; None if nothing did."""
    standing = quotes.ask(user, terms["subscription"])
    if _happened(standing.subscription, terms["new"]):
        if begun.state == "open":
            _hold_to_quote(standing.subscription["latest_invoice"], begun.id, begun.params)
            operations.end(begun.id, "done")
        return _told(standing.subscription)
    if terms["now"]:
        return None
    if begun.state == "open":
        return _schedule(standing, quotes.target(standing, lookup_key), terms)
    scheduled = subscriptions.own_schedule(standing.subscription)
    return _scheduled(standing) if scheduled else None


def _happened(subscription: Row, price_id: str) -> bool:
    """Whether a subscription has this price, or will once that is paid."""
    pending = subscription["pending_update"]
    items = pending["subscription_items"] if pending else subscription["items"]["data"]
    return bool(items[0]["price"]["id"] == price_id)


def _read(user: User, subscription_id: str, token: str | None) -> Row | None:
    try:
        terms = cast(Row, quotes.signer().loads(token or ""))
    except BadData:
        return None
    return terms if (terms["user"], terms["subscription"]) == (user.id, subscription_id) else None


def _still_holds(terms: Row, standing: Standing, plan: Plan, user: User) -> bool:
    """Whether the same question to Stripe still has the same answer."""
    if standing.now >= terms["expires_at"]:
        return False
    fresh = cast(Row, quotes.signer().loads(quotes.offer(standing, plan, user, terms["proration_date"])["quote"]))
    own = ("id", "expires_at")  # each quote's own
    return all(fresh[name] == value for name, value in terms.items() if name not in own)


def _requote(code: str, message: str, standing: Standing, plan: Plan, user: User) -> Problem:
    return Problem(409, code, message, quote=quotes.offer(standing, plan, user))


def _charge(standing: Standing, plan: Plan, terms: Row) -> Row:
    """The old plan stays until the new one is paid."""
    paying: Row = {
        "proration_behavior": "always_invoice",
        "proration_date": terms["proration_date"],
        "payment_behavior": "pending_if_incomplete",
    }
    values: Row = {
        "items": [quotes.item_of(standing, plan)],
        "expand": billing.CHANGE_EXPAND,
        **({"proration_behavior": "none"} if terms["trial"] else paying),
    }
    operation = _begin("change_plan", standing, terms)
    noted = sync.note(standing.customer_id)
    try:
        answer = billing.update_subscription(
            standing.id, cast(billing.params.SubscriptionUpdateParams, values), operation
        )
    except billing.Refused as error:
        operations.end(operation, "failed", str(error))
        raise
    sync.learn(noted, answer)
    _hold_to_quote(answer.object["latest_invoice"], operation, terms)
    operations.end(operation, "done")
    return _told(answer.object)


def _begin(kind: str, standing: Standing, terms: Row) -> str:
    """Write the change down under the quote's id, and return it.

    One that was begun before gives way: Stripe has just been asked how things stand.
    """
    operation = operations.begin(kind, standing.id, terms, id=terms["id"])
    if operation.id != terms["id"]:
        operations.end(operation.id, "failed", "given up for a newer quote")
        operation = operations.begin(kind, standing.id, terms, id=terms["id"])
    return operation.id


def _told(subscription: Row) -> Row:
    """How a change stands: done, or waiting for the bank, or for another card."""
    shown: Row = {"subscription": subscription["id"], "effectiveAt": None}
    if not subscription["pending_update"]:
        return {**shown, "status": "changed"}
    invoice = subscription["latest_invoice"]
    intent = billing.invoice_intent(invoice["id"]) or {"status": "requires_payment_method", "last_payment_error": None}
    secret = (invoice.get("confirmation_secret") or {}).get("client_secret")
    if intent["status"] == "requires_action":
        return {**shown, "status": "requires_action", "clientSecret": secret}
    why = (intent["last_payment_error"] or {}).get("message")
    return {**shown, "status": "requires_payment_method", "clientSecret": secret, "message": why}


def _hold_to_quote(invoice: Row | None, operation_id: str, terms: Row) -> None:
    """Never another amount than shown: an unpaid invoice that differs is voided, a paid one's surplus refunded."""
    if invoice is None or invoice["id"] == terms["latest_invoice"] or invoice["billing_reason"] != CHANGE:
        return  # nothing was charged for it, or a renewal came after it
    charged, quoted = (invoice["total"], invoice["amount_due"]), (terms["total"], terms["amount_due"])
    if charged == quoted:
        return
    note = f"invoice {invoice['id']} is {charged}, quoted was {quoted}"
    current_app.logger.error(note)
    if invoice["status"] == "open":
        billing.void_invoice(invoice["id"], f"{operation_id}-void")
        operations.end(operation_id, "failed", note)
        raise Problem(409, "quote_stale", "The amounts have changed, so nothing was charged. Please try again.")
    surplus = invoice["amount_paid"] - terms["amount_due"]
    if surplus > 0:
        refunds.give_back(invoice["id"], terms["user"], amount=surplus)


# ---------------------------------------------------------------------------------------------------------------------
# At the period's end, and taking it back


def _schedule(standing: Standing, plan: Plan, terms: Row) -> Row:
    """Have Stripe change the plan when the period that is paid for ends."""
    operation = _begin("schedule_change", standing, terms)
    try:
        made = billing.create_schedule({"from_subscription": standing.id}, f"{operation}-create")
        kept: Row = {
            "items": [{"price": terms["old"], "quantity": standing.quantity}],
            "start_date": made.object["phases"][0]["start_date"],
            "end_date": standing.period_end,
        }
        then: Row = {
            "items": [{"price": plan.price_id, "quantity": standing.quantity}],
            "duration": {"interval": plan.interval, "interval_count": plan.interval_count},
        }
        phases = [kept, then]
        values: Row = {
            "end_behavior": "release",
            "proration_behavior": "none",
            "metadata": {"purpose": readings.PLAN_CHANGE},
            "phases": phases,
        }
        noted = sync.note(standing.customer_id)
        answer = billing.update_schedule(
            made.object["id"], cast(billing.params.SubscriptionScheduleUpdateParams, values), f"{operation}-update"
        )
    except billing.Refused as error:
        operations.end(operation, "failed", str(error))
        raise
    sync.learn(noted, answer)
    operations.end(operation, "done")
    sync.ask("subscription", standing.id, quick=False)
    return _scheduled(standing)


def _scheduled(standing: Standing) -> Row:
    return {"status": "scheduled", "effectiveAt": standing.period_end, "subscription": standing.id}


def undo(user: User, subscription_id: str) -> Row:
    """Drop a change that is scheduled, or that waits for its payment. Nothing to drop is a success."""
    standing = quotes.ask(user, subscription_id)
    subscription = standing.subscription
    if subscription["pending_update"]:
        invoice_id = subscription["latest_invoice"]["id"]
        operation = operations.begin("drop_change", invoice_id, {})
        try:
            billing.void_invoice(invoice_id, operation.id)
        except billing.Refused as error:  # it was paid at the last moment: then the change is made
            operations.end(operation.id, "failed", str(error))
        else:
            operations.end(operation.id, "done")
        sync.ask("invoice", invoice_id, quick=False)
    subscriptions.drop_schedule(subscription, standing.customer_id)
    sync.ask("subscription", subscription_id, quick=False)
    return {"subscription": subscription_id, "now": clock.wall()}


def finish() -> None:
    """Settle the changes whose answer got lost and which nobody has pressed again."""
    operations.settle_each({"change_plan": _finish_change, "schedule_change": _finish_schedule})


def _finish_change(operation: operations.Open) -> None:
    subscription = billing.retrieve_to_change(operation.subject).object
    happened = _happened(subscription, operation.params["new"])
    if happened:
        _hold_to_quote(subscription["latest_invoice"], operation.id, operation.params)
    operations.end(operation.id, "done" if happened else "failed")


def _finish_schedule(operation: operations.Open) -> None:
    subscription = billing.retrieve_to_change(operation.subject).object
    schedule = subscription["schedule"]
    cut_off = schedule is None or subscriptions.is_unmarked(schedule)
    if cut_off:  # a schedule without the change in it would only stand in the way
        subscriptions.drop_schedule(subscription, sync.id_of(subscription["customer"]) or "")
    operations.end(operation.id, "failed" if cut_off else "done")
