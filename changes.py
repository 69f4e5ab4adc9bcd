"""Changing plan: quote, then charge the quote.

A quote is signed, valid once and for ten minutes. Before anything is charged Stripe is asked again for the same moment;
other amounts make a new quote, not a charge. Upgrades happen now and only once paid; downgrades, and upgrades of those
who pay by bank debit, at the end of the period.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import sqlalchemy as sa
from flask import current_app, url_for
from itsdangerous import BadData, URLSafeSerializer

import billing
import clock
import db
import operations
import readings
import subscriptions
import sync
from errors import Problem
from models import Operation, Price, User
from readings import Plan

QUOTE_LIFE = 600  # seconds
AT_ONCE = ("card", "link")  # bank debits know no pending updates
DAYS = {"day": Fraction(1), "week": Fraction(7), "month": Fraction(1461, 48), "year": Fraction(1461, 4)}

Row = dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """A subscription as Stripe has it now, ready to be changed."""

    customer_id: str
    subscription: Row
    now: int  # Stripe's time

    @property
    def id(self) -> str:
        return str(self.subscription["id"])

    @property
    def item(self) -> Row:
        return cast(Row, self.subscription["items"]["data"][0])

    @property
    def quantity(self) -> int:
        return int(self.item.get("quantity") or 1)

    @property
    def currency(self) -> str:
        return str(self.subscription["currency"])

    @property
    def period_end(self) -> int:
        return int(self.item["current_period_end"])

    @property
    def can_pay_at_once(self) -> bool:
        customer = self.subscription["customer"]
        method = self.subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
        return bool(method) and method["type"] in AT_ONCE


# ---------------------------------------------------------------------------------------------------------------------
# The quote


def quote(user: User, subscription_id: str, lookup_key: str) -> Row:
    """What a change would cost now, line by line, with a token that lets exactly this be charged.

    Raises Problem (409) where something else must be done first, billing.BillingError where Stripe gives no preview.
    """
    standing = look(user, subscription_id)
    return offer(standing, target(standing, lookup_key), user)


def look(user: User, subscription_id: str) -> Standing:
    """Ask Stripe, take the answer into our tables, and refuse what can't be changed now."""
    standing = _ask(user, subscription_id)
    refuse_unless_settled(standing)
    return standing


def _ask(user: User, subscription_id: str) -> Standing:
    customer_id = subscriptions.own(user, subscription_id)
    noted = sync.note(customer_id)
    answer = billing.retrieve_to_change(subscription_id)
    sync.learn(noted, answer)
    return Standing(customer_id, answer.object, answer.date)


def refuse_unless_settled(standing: Standing) -> None:
    """Raises Problem (409) that says what to do first."""
    subscription, account = standing.subscription, url_for("account.settings")
    invoice = subscription["latest_invoice"]
    if subscription["status"] in sync.ENDED:
        raise subscriptions.ended()
    if subscription["pending_update"]:
        raise Problem(
            409, "change_pending", "A change is waiting for its payment. Finish or drop it first.", url=account
        )
    if subscription["status"] not in ("active", "trialing") or (invoice and is_owed(invoice)):
        raise Problem(409, "payment_open", "Your last invoice is not paid yet. Please pay it first.", url=account)
    if subscription["cancel_at_period_end"] or subscription["cancel_at"]:
        raise Problem(409, "ending", "Your subscription is about to end. Keep it first, then change it.", url=account)
    if len(subscription["items"]["data"]) != 1:
        raise Problem(409, "several_items", "This subscription holds several plans: please write to us.", url=account)
    subscriptions.own_schedule(subscription)


def is_owed(invoice: Row) -> bool:
    """Whether an invoice still waits for money. A dropped change leaves a void one, which does not."""
    if invoice["status"] == "void":
        return bool(invoice["billing_reason"] == "subscription_create")
    return bool(invoice["status"] != "paid")


def target(standing: Standing, lookup_key: str) -> Plan:
    plan = readings.find_plan(lookup_key=lookup_key, currency=standing.currency)
    if plan is None or plan.currency != standing.currency:
        raise Problem(404, "unknown_price", "There is no such plan.")
    if plan.price_id == standing.item["price"]["id"]:
        raise Problem(409, "same_plan", "This is the plan you have.", url=url_for("account.settings"))
    return plan


def offer(standing: Standing, plan: Plan, user: User, proration_date: int | None = None) -> Row:
    """The quote for a standing: lines, amounts, dates and the signed token."""
    now = is_upgrade(standing, plan) and standing.can_pay_at_once
    invoice = preview(standing, plan, proration_date).object if now else None
    terms = {
        "id": operations.new_id(),
        "user": user.id,
        "subscription": standing.id,
        "item": standing.item["id"],
        "old": standing.item["price"]["id"],
        "new": plan.price_id,
        "quantity": standing.quantity,
        "currency": standing.currency,
        "period_end": standing.period_end,
        "latest_invoice": sync.id_of(standing.subscription["latest_invoice"]),
        "now": now,
        "total": invoice["total"] if invoice else 0,
        "amount_due": invoice["amount_due"] if invoice else 0,
        "proration_date": proration_date_of(invoice) if invoice else None,
        "expires_at": min(standing.now + QUOTE_LIFE, standing.period_end),
    }
    return {
        "quote": _signer().dumps(terms),
        "expiresAt": terms["expires_at"],
        "amountDue": terms["amount_due"],
        "currency": standing.currency,
        "effectiveAt": standing.now if now else standing.period_end,
        "atOnce": now,
        "nextAmount": plan.amount * standing.quantity,
        "nextAt": _next_at(standing, plan, invoice),
        "invoice": _shown(invoice) if invoice else None,
    }


def is_upgrade(standing: Standing, plan: Plan) -> bool:
    """More per day, in the subscription's currency."""
    price = standing.item["price"]
    options = db.session.scalar(sa.select(Price.currency_options).where(Price.id == price["id"])) or {}
    recurring = price["recurring"]
    old = per_day(
        options.get(standing.currency, price["unit_amount"]), recurring["interval"], recurring["interval_count"]
    )
    return per_day(plan.amount, plan.interval, plan.interval_count) > old


def per_day(amount: int, interval: str, count: int) -> Fraction:
    return Fraction(amount) / (DAYS[interval] * count)


def preview(standing: Standing, plan: Plan, proration_date: int | None) -> billing.Answer:
    details: Row = {"items": [_item(standing, plan)], "proration_behavior": "always_invoice"}
    if proration_date:
        details["proration_date"] = proration_date
    return billing.preview_invoice(
        cast(billing.params.InvoiceCreatePreviewParams, {"subscription": standing.id, "subscription_details": details})
    )


def _item(standing: Standing, plan: Plan) -> Row:
    # Without its quantity Stripe would set it to 1.
    return {"id": standing.item["id"], "price": plan.price_id, "quantity": standing.quantity}


def proration_date_of(invoice: Row) -> int | None:
    """The moment a preview was made for."""
    told = invoice["parent"]["subscription_details"].get("subscription_proration_date")
    starts = [line["period"]["start"] for line in invoice["lines"]["data"] if line["amount"] < 0]
    return told or (starts[0] if starts else None)


def _next_at(standing: Standing, plan: Plan, invoice: Row | None) -> int:
    ends = [line["period"]["end"] for line in invoice["lines"]["data"]] if invoice else []
    return int(max([standing.period_end, *ends]))


def _shown(invoice: Row) -> Row:
    lines = [{name: line[name] for name in ("description", "amount", "currency")} for line in invoice["lines"]["data"]]
    return {name: invoice[name] for name in ("subtotal", "total", "amount_due", "starting_balance")} | {"lines": lines}


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key or "", salt="plan-change-quote")


# ---------------------------------------------------------------------------------------------------------------------
# Charging it


def change(user: User, subscription_id: str, lookup_key: str, token: str | None) -> Row:
    """Make the change that was quoted, at the price that was quoted. Safe to press again.

    Raises Problem (409) with a fresh quote under `quote` where there was none, it is stale, or the amounts differ.
    """
    terms = _read(user, subscription_id, token)
    begun = db.session.get(Operation, terms["id"]) if terms else None
    if begun is not None and terms is not None:
        outcome = _outcome_of(user, terms)
        if outcome is not None:
            return outcome
    standing = look(user, subscription_id)
    plan = target(standing, lookup_key)
    if terms is None:
        raise _requote("quote_required", "Please look at what it costs first.", standing, plan, user)
    if not _still_holds(terms, standing, plan, user):
        raise _requote("quote_stale", "The amounts have changed. Please look at the new ones.", standing, plan, user)
    subscriptions.drop_schedule(standing.subscription, standing.customer_id)
    return _charge(standing, plan, terms, user) if terms["now"] else _schedule(standing, plan, terms)


def _read(user: User, subscription_id: str, token: str | None) -> Row | None:
    try:
        terms = cast(Row, _signer().loads(token or ""))
    except BadData:
        return None
    return terms if (terms["user"], terms["subscription"]) == (user.id, subscription_id) else None


def _still_holds(terms: Row, standing: Standing, plan: Plan, user: User) -> bool:
    """Whether the same question to Stripe still has the same answer."""
    if standing.now >= terms["expires_at"]:
        return False
    fresh = cast(Row, _signer().loads(offer(standing, plan, user, terms["proration_date"])["quote"]))
    own = ("id", "expires_at")  # each quote's own
    return all(fresh[name] == value for name, value in terms.items() if name not in own)


def _requote(code: str, message: str, standing: Standing, plan: Plan, user: User) -> Problem:
    return Problem(409, code, message, quote=offer(standing, plan, user))


def _charge(standing: Standing, plan: Plan, terms: Row, user: User) -> Row:
    """The old plan stays until the new one is paid."""
    values: Row = {
        "items": [_item(standing, plan)],
        "proration_behavior": "always_invoice",
        "proration_date": terms["proration_date"],
        "payment_behavior": "pending_if_incomplete",
        "expand": billing.CHANGE_EXPAND,
    }
    operation = _begin("change_plan", standing, terms, values)
    noted = sync.note(standing.customer_id)
    try:
        answer = billing.update_subscription(
            standing.id, cast(billing.params.SubscriptionUpdateParams, values), operation
        )
    except billing.Refused as error:
        operations.end(operation, "failed", str(error))
        raise
    sync.learn(noted, answer)
    operations.end(operation, "done")
    _hold_to_quote(answer.object["latest_invoice"], terms, user)
    return _told(answer.object)


def _begin(kind: str, standing: Standing, terms: Row, values: Row) -> str:
    """Write the change down under the quote's id. One that was begun before and is not known to have ended gave way:
    Stripe has just been asked how things stand."""
    operation = operations.begin(kind, standing.id, values, id=terms["id"])
    if operation.id != terms["id"]:
        operations.end(operation.id, "failed", "given up for a newer quote")
        operation = operations.begin(kind, standing.id, values, id=terms["id"])
    return operation.id


def _outcome_of(user: User, terms: Row) -> Row | None:
    """What became of a quote that was confirmed before; None if nothing did."""
    standing = _ask(user, terms["subscription"])
    scheduled = None if terms["now"] else subscriptions.own_schedule(standing.subscription)
    if standing.subscription["pending_update"] or standing.item["price"]["id"] == terms["new"]:
        operations.end(terms["id"], "done")
        return _told(standing.subscription)
    if scheduled:
        operations.end(terms["id"], "done")
        return {"status": "scheduled", "effectiveAt": standing.period_end, "subscription": standing.id}
    return None


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


def _hold_to_quote(invoice: Row, terms: Row, user: User) -> None:
    """Never another amount than shown: an unpaid invoice that differs is voided, a paid one's surplus refunded."""
    if invoice["id"] == terms["latest_invoice"] or invoice["total"] == terms["total"]:
        return
    current_app.logger.error("invoice %s is %s, quoted was %s", invoice["id"], invoice["total"], terms["total"])
    if invoice["status"] == "open":
        billing.void_invoice(invoice["id"], f"{terms['id']}-void")
        raise Problem(409, "quote_stale", "The amounts have changed, so nothing was charged. Please try again.")
    surplus = invoice["amount_paid"] - terms["amount_due"]
    if surplus > 0:
        subscriptions.give_back(invoice["id"], user.id, amount=surplus)


# ---------------------------------------------------------------------------------------------------------------------
# At the period's end, and taking it back


def _schedule(standing: Standing, plan: Plan, terms: Row) -> Row:
    """Have Stripe change the plan when the period that is paid for ends."""
    operation = _begin("schedule_change", standing, terms, {"price": plan.price_id})
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
    return {"status": "scheduled", "effectiveAt": standing.period_end, "subscription": standing.id}


def undo(user: User, subscription_id: str) -> Row:
    """Drop a change that is scheduled, or that waits for its payment. Nothing to drop is a success."""
    standing = _ask(user, subscription_id)
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
