"""What a change of plan would cost, signed: `changes.change` charges this and nothing else.

A quote is valid once and for ten minutes. Upgrades happen now; downgrades, and upgrades of those who pay by bank debit,
at the end of the period. During a trial every change happens now, and nothing is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import sqlalchemy as sa
from flask import current_app, url_for
from itsdangerous import URLSafeSerializer

import billing
import db
import operations
import readings
import subscriptions
import sync
from errors import Problem
from models import Price, User
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
    def in_trial(self) -> bool:
        """Nothing is paid for yet: any plan can be taken at once, and Stripe's preview would show the trial's end."""
        return bool(self.subscription["status"] == "trialing")

    @property
    def can_pay_at_once(self) -> bool:
        customer = self.subscription["customer"]
        method = self.subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
        return bool(method) and method["type"] in AT_ONCE


def quote(user: User, subscription_id: str, lookup_key: str) -> Row:
    """What a change would cost now, line by line, with a token that lets exactly this be charged.

    Raises Problem (409) where something else must be done first, billing.BillingError where Stripe gives no preview.
    """
    standing = look(user, subscription_id)
    return offer(standing, target(standing, lookup_key), user)


def look(user: User, subscription_id: str) -> Standing:
    """Ask Stripe, take the answer into our tables, and refuse what can't be changed now."""
    standing = ask(user, subscription_id)
    refuse_unless_settled(standing)
    return standing


def ask(user: User, subscription_id: str) -> Standing:
    customer_id = subscriptions.own(user, subscription_id)
    noted = sync.note(customer_id)
    answer = billing.retrieve_to_change(subscription_id)
    sync.learn(noted, answer)
    return Standing(customer_id, answer.object, answer.date)


def refuse_unless_settled(standing: Standing) -> None:
    """Raises Problem (409) that says what to do first."""
    subscription, account = standing.subscription, url_for("account.settings")
    if subscription["status"] in sync.ENDED:
        raise subscriptions.ended()
    if subscription["pending_update"]:
        raise Problem(
            409, "change_pending", "A change is waiting for its payment. Finish or drop it first.", url=account
        )
    if subscription["status"] == "paused":
        raise Problem(409, "paused", "Your subscription is paused. Please write to us to go on with it.")
    if subscription["latest_invoice"]:
        refuse_unless_paid(subscription["latest_invoice"])
    if subscription["status"] not in ("active", "trialing"):
        raise payment_open()
    if subscription["cancel_at_period_end"] or subscription["cancel_at"]:
        raise Problem(409, "ending", "Your subscription is about to end. Keep it first, then change it.", url=account)
    if len(subscription["items"]["data"]) != 1:
        raise Problem(409, "several_items", "This subscription holds several plans: please write to us.", url=account)
    subscriptions.own_schedule(subscription)


def refuse_unless_paid(invoice: Row) -> None:
    """What was never paid for must not be credited. Raises Problem (409) that says what to wait for or to do."""
    if invoice["status"] == "paid" or is_dropped_change(invoice):
        return
    if invoice["status"] == "draft":
        raise Problem(
            409,
            "renewing",
            "Your renewal is being charged right now. Please come back in an hour or two.",
        )
    if invoice["status"] == "uncollectible":
        raise Problem(409, "written_off", "An invoice of yours was never paid. Please write to us first.")
    intent = billing.invoice_intent(invoice["id"])
    if intent and intent["status"] == "processing":
        raise Problem(
            409,
            "payment_in_progress",
            "Your last payment is still on its way through the banks. You can change your plan once it has arrived.",
            url=url_for("account.settings"),
        )
    raise payment_open()


def is_dropped_change(invoice: Row) -> bool:
    return bool(invoice["status"] == "void" and invoice["billing_reason"] != "subscription_create")


def payment_open() -> Problem:
    return Problem(
        409, "payment_open", "Your last invoice is not paid yet. Please pay it first.", url=url_for("wallet.pay_first")
    )


def target(standing: Standing, lookup_key: str) -> Plan:
    plan = readings.find_plan(lookup_key=lookup_key, currency=standing.currency)
    if plan is None or plan.currency != standing.currency:
        raise Problem(404, "unknown_price", "There is no such plan.")
    if plan.price_id == standing.item["price"]["id"]:
        raise Problem(409, "same_plan", "This is the plan you have.", url=url_for("account.settings"))
    return plan


def offer(standing: Standing, plan: Plan, user: User, proration_date: int | None = None) -> Row:
    """The quote for a standing: lines, amounts, dates and the signed token."""
    upgrade, trial = is_upgrade(standing, plan), standing.in_trial
    now = trial or (upgrade and standing.can_pay_at_once)
    invoice = preview(standing, plan, proration_date).object if now and not trial else None
    renewal = preview_renewal(standing, plan).object
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
        "trial": trial,
        "total": invoice["total"] if invoice else 0,
        "amount_due": invoice["amount_due"] if invoice else 0,
        "proration_date": proration_date_of(invoice) if invoice else None,
        "next_amount": renewal["total"],
        "expires_at": min(standing.now + QUOTE_LIFE, standing.period_end),
    }
    return {
        "quote": signer().dumps(terms),
        "expiresAt": terms["expires_at"],
        "amountDue": terms["amount_due"],
        "currency": standing.currency,
        "effectiveAt": standing.now if now else standing.period_end,
        "atOnce": now,
        "upgrade": upgrade,
        "trial": trial,
        "nextAmount": terms["next_amount"],
        "nextAt": _next_at(standing, invoice),
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
    """The invoice that the change would make now."""
    at = {"proration_date": proration_date} if proration_date else {}
    return _preview(standing, {"items": [item_of(standing, plan)], "proration_behavior": "always_invoice", **at})


def preview_renewal(standing: Standing, plan: Plan) -> billing.Answer:
    """A period of the new plan, with coupons and taxes."""
    return _preview(standing, {"items": [item_of(standing, plan)], "proration_behavior": "none"})


def _preview(standing: Standing, details: Row) -> billing.Answer:
    return billing.preview_invoice(
        cast(billing.params.InvoiceCreatePreviewParams, {"subscription": standing.id, "subscription_details": details})
    )


def item_of(standing: Standing, plan: Plan) -> Row:
    # Without its quantity Stripe would set it to 1.
    return {"id": standing.item["id"], "price": plan.price_id, "quantity": standing.quantity}


def proration_date_of(invoice: Row) -> int | None:
    """The moment a preview was made for."""
    told = invoice["parent"]["subscription_details"].get("subscription_proration_date")
    starts = [line["period"]["start"] for line in invoice["lines"]["data"] if line["amount"] < 0]
    return told or (starts[0] if starts else None)


def _next_at(standing: Standing, invoice: Row | None) -> int:
    ends = [line["period"]["end"] for line in invoice["lines"]["data"]] if invoice else []
    return int(max([standing.period_end, *ends]))


def _shown(invoice: Row) -> Row:
    lines = [{name: line[name] for name in ("description", "amount", "currency")} for line in invoice["lines"]["data"]]
    return {name: invoice[name] for name in ("subtotal", "total", "amount_due", "starting_balance")} | {"lines": lines}


def signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key or "", salt="plan-change-quote")
