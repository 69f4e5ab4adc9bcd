"""Subscribing: one live attempt of each customer, however often it is asked for.

The attempt is written down before Stripe is asked, and its id is the idempotency key. Stripe says how it stands, never
our tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from flask import url_for

import billing
import clock
import db
import operations
import readings
import refunds
import subscriptions
import sync
from errors import Problem
from models import Checkout, Customer, User
from readings import Plan

TRIES = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """What the browser needs to pay: the secret of a payment or setup intent, or nothing to collect."""

    subscription_id: str
    client_secret: str | None
    intent: str | None  # "payment" | "setup" | None
    notice: str | None = None  # what the customer must be told besides


def subscribe(user: User, plan: Plan) -> Attempt:
    """Begin to subscribe, or go on with what was begun. Two tabs, a double click, a lost answer: one subscription.

    Raises Problem (409) where the customer must do something else first, billing.BillingError where Stripe could not.
    """
    customer = subscriptions.ensure_customer(user)
    _same_currency(customer, plan)
    try:
        for _ in range(TRIES):
            attempt = _go_on(user, customer, plan, _checkout(user.id))
            if attempt is not None:
                return attempt
    except billing.Refused:
        # Stripe may know of a currency, or of the customer's deletion, that we have not heard of.
        sync.ask("customer", customer.id, quick=False)
        _same_currency(subscriptions.ensure_customer(user), plan)
        raise
    raise in_progress()


def _same_currency(customer: Customer, plan: Plan) -> None:
    if customer.currency and customer.currency != plan.currency:
        raise Problem(
            409,
            "currency_fixed",
            f"Your first order was in {customer.currency.upper()}, and that cannot be changed any more.",
            url=url_for("checkout.subscribe", price=plan.lookup_key, currency=customer.currency),
        )


def _go_on(user: User, customer: Customer, plan: Plan, row: Checkout | None) -> Attempt | None:
    """One step from where the attempt is; None means that it moved, and the next look decides."""
    if row is not None and row.state == "creating":
        now = clock.wall()
        if now - row.asked_at < operations.PATIENCE:
            raise in_progress()
        same = (row.price_id, row.currency) == (plan.price_id, plan.currency)
        if same and now - row.started_at < operations.KEY_LIFE:
            if _move(row, asked_at=now):  # others wait again while this one asks
                _create(row.user_id, row.attempt, row.params, customer, repeated=True)
            return None
    if row is not None and row.state == "open" and row.subscription_id:
        return _decide(user, customer, plan, row, row.subscription_id)
    unfinished = _unfinished_at_stripe(customer.id)
    if unfinished:
        _take(user, _checkout(user.id), plan, state="open", subscription_id=unfinished[0]["id"])
        return None
    return _begin(user, customer, plan, row)


def _unfinished_at_stripe(customer_id: str) -> list[Row]:
    """What is alive or waits for its first payment; what lives comes first."""
    noted = sync.note(customer_id)
    found = []
    for page in billing.subscriptions_of(customer_id):
        sync.learn(noted, page, *page.object["data"])
        found += [one for one in page.object["data"] if one["status"] not in sync.ENDED]
    return sorted(found, key=lambda one: one["status"] == "incomplete")


def _decide(user: User, customer: Customer, plan: Plan, row: Checkout, subscription_id: str) -> Attempt | None:
    """Ask Stripe how the open attempt stands, and go on with it, refuse, or begin anew."""
    noted = sync.note(customer.id)
    try:
        answer = billing.retrieve_checkout(subscription_id)
    except billing.Missing:
        _move(row, state="closed")
        return None
    sync.learn(noted, answer)
    subscription = answer.object
    status = subscription["status"]
    if status in sync.ENDED:
        _move(row, state="closed")
        return None
    if status != "incomplete":
        return _decide_live(row, subscription)
    invoice = subscription["latest_invoice"]
    intent = billing.invoice_intent(invoice["id"]) if invoice else None
    intent_status = intent["status"] if intent else "canceled"
    if intent_status == "canceled":
        _cancel(row, subscription, user)
        return None
    if intent_status == "succeeded":
        raise already_subscribed()
    if intent_status == "processing":
        raise payment_in_progress()
    same = (
        subscription["items"]["data"][0]["price"]["id"] == plan.price_id and subscription["currency"] == plan.currency
    )
    if same:
        return _attempt(subscription)
    if intent_status == "requires_action":
        raise payment_in_progress()
    notice = _cancel(row, subscription, user)
    begun = _begin(user, customer, plan, _checkout(user.id))
    return Attempt(begun.subscription_id, begun.client_secret, begun.intent, notice) if begun else None


def _decide_live(row: Checkout, subscription: Row) -> Attempt | None:
    setup = subscription["pending_setup_intent"]
    waits = isinstance(setup, dict) and setup["status"] in (
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    )
    if subscription["status"] in ("trialing", "active") and waits and not subscription["default_payment_method"]:
        return _attempt(subscription)
    if _is_dead(subscription):
        subscriptions.end_at_stripe(subscription["id"], sync.id_of(subscription["customer"]) or "")
        _move(row, state="closed")
        return None
    raise already_subscribed()


def _is_dead(subscription: Row) -> bool:
    """Active at Stripe, but the first bank debit failed later: see the access rule."""
    invoice = subscription["latest_invoice"]
    return (
        subscription["status"] == "active"
        and isinstance(invoice, dict)
        and invoice["billing_reason"] == "subscription_create"
        and invoice["status"] in ("void", "uncollectible")
    )


def _cancel(row: Checkout, subscription: Row, user: User) -> str | None:
    """End an attempt that another one replaces. Returns what to tell the customer."""
    _answer, notice = refunds.end_unpaid(subscription, user)
    _move(row, state="closed")
    return notice


def _begin(user: User, customer: Customer, plan: Plan, row: Checkout | None) -> Attempt | None:
    """Write down a new attempt, then create the subscription with its id as the key."""
    values: Row = {
        "customer": customer.id,
        "items": [{"price": plan.price_id}],
        "currency": plan.currency,
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "billing_mode": {"type": "flexible"},
        "expand": billing.SUBSCRIPTION_EXPAND,
        "metadata": {"user_id": str(user.id)},
    }
    attempt = operations.new_id()
    if not _take(user, row, plan, attempt=attempt, state="creating", params=values):
        return None
    return _create(user.id, attempt, values, customer)


def _create(user_id: int, attempt: str, values: Row, customer: Customer, *, repeated: bool = False) -> Attempt | None:
    noted = sync.note(customer.id)
    mine = sa.update(Checkout).where(
        Checkout.user_id == user_id, Checkout.attempt == attempt, Checkout.state == "creating"
    )
    try:
        answer = billing.create_subscription(cast(billing.params.SubscriptionCreateParams, values), attempt)
    except billing.Unavailable as error:
        if isinstance(error, billing.Busy):  # nothing happened
            _execute(mine.values(state="closed"))
        raise
    except billing.BillingError:
        _execute(mine.values(state="closed"))
        raise
    if not repeated:  # else the key may have brought back what was answered then: the next look asks how it stands now
        sync.learn(noted, answer)
    if not _execute(mine.values(state="open", subscription_id=answer.object["id"])):
        if _checkout_of(answer.object["id"]) is None:  # somebody gave this attempt up meanwhile
            subscriptions.end_at_stripe(answer.object["id"], customer.id)
        return None
    return _attempt(answer.object)


def _attempt(subscription: Row) -> Attempt:
    """What to pay with: the first invoice's secret, else the setup intent's, else nothing."""
    invoice, setup = subscription["latest_invoice"], subscription["pending_setup_intent"]
    secret = ((invoice or {}).get("confirmation_secret") or {}).get("client_secret")
    if subscription["status"] == "incomplete" and secret:
        return Attempt(subscription["id"], secret, "payment")
    if isinstance(setup, dict):
        return Attempt(subscription["id"], setup["client_secret"], "setup")
    return Attempt(subscription["id"], None, None)


# The row of an attempt changes by comparing and setting only.


def _checkout(user_id: int) -> Checkout | None:
    return db.session.get(Checkout, user_id, populate_existing=True)


def _checkout_of(subscription_id: str) -> int | None:
    return db.session.scalar(sa.select(Checkout.user_id).where(Checkout.subscription_id == subscription_id))


def _take(user: User, row: Checkout | None, plan: Plan, **values: Any) -> bool:
    """Put a new state in the place of `row`, unless somebody else was faster."""
    now = clock.wall()
    new = {
        "price_id": plan.price_id,
        "currency": plan.currency,
        "started_at": now,
        "asked_at": now,
        "attempt": operations.new_id(),
        "subscription_id": None,
        "params": {},
        **values,
    }
    if row is not None:
        return _move(row, **new)
    return _execute(db.insert(Checkout).values(user_id=user.id, **new).on_conflict_do_nothing())


def _move(row: Checkout, **values: Any) -> bool:
    same = (
        Checkout.user_id == row.user_id,
        Checkout.attempt == row.attempt,
        Checkout.state == row.state,
        Checkout.asked_at == row.asked_at,
    )
    return _execute(sa.update(Checkout).where(*same).values(values))


def _execute(statement: Any) -> bool:
    with db.write() as tx:
        return bool(tx.execute(statement).rowcount)


def in_progress() -> Problem:
    return Problem(
        409, "attempt_in_progress", "Your subscription is being prepared. This takes a few seconds.", retry_after=2
    )


def payment_in_progress() -> Problem:
    return Problem(
        409,
        "payment_in_progress",
        "A payment of yours is being processed. Please wait until it is through.",
        url=url_for("checkout.complete"),
    )


def already_subscribed() -> Problem:
    return Problem(409, "already_subscribed", "You have a subscription already.", url=url_for("account.settings"))


def follow(user: User) -> None:
    """While an attempt is open, ask Stripe how it stands, so that our tables know without waiting for its events."""
    row = _checkout(user.id)
    customer = readings.customer_of(user.id)
    if row is None or customer is None or row.state != "open" or not row.subscription_id:
        return
    noted = sync.note(customer.id)
    try:
        sync.learn(noted, billing.retrieve_checkout(row.subscription_id))
    except billing.Missing:
        _move(row, state="closed")


def has_open_attempt(user_id: int) -> bool:
    state = db.session.scalar(sa.select(Checkout.state).where(Checkout.user_id == user_id))
    return state in ("creating", "open")
