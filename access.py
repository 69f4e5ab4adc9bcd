"""Who may see what: the one place that decides access, and says why.

`access_to` is a pure function over all of a customer's subscriptions. `requires_product` is the gate before a page:
one SQL statement, whose cost does not grow with the number of customers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import sqlalchemy.orm
from flask import current_app, g, render_template
from flask_security import current_user

import clock
import db
from auth import customer_required
from models import BankOrder, Customer, Invoice, Product, Subscription, SubscriptionItem

DAY = 86_400
NEVER_PAID = ("void", "uncollectible")

REASONS = {
    "none": "You have no subscription.",
    "other_product": "Your plan does not include this.",
    "active": "Your subscription is active.",
    "trialing": "Your trial is running.",
    "processing": "Your first payment is on its way.",
    "grace": "Your last payment failed. You keep access while there is time to pay.",
    "ends": "Your subscription is cancelled and ends at the date shown.",
    "incomplete": "The first payment is not made yet.",
    "incomplete_expired": "The first payment was not made in time.",
    "unpaid": "Several payments failed.",
    "paused": "Your subscription is paused.",
    "canceled": "Your subscription has ended.",
    "overdue": "Your last payment failed, and the time to pay it is over.",
    "never_paid": "The first payment did not arrive.",
    "not_while_processing": "Access begins when your first payment has arrived.",
    "ended": "Your subscription has ended.",
}


@dataclass(frozen=True)
class Standing:
    """A subscription as access sees it."""

    id: str
    status: str
    opens: frozenset[str]  # the products that it opens
    cancel_at: int | None
    cancel_at_period_end: bool
    period_end: int | None  # the earliest of its items'
    first_invoice: str | None  # the status of its first invoice, None while that is not here yet
    ever_paid: bool  # whether any of its invoices is paid
    unpaid_since: int | None  # when its oldest unpaid invoice was finalized
    paying_since: int | None = None  # when a bank got the order to pay it, which takes days


@dataclass(frozen=True)
class Decision:
    allowed: bool
    reason: str  # a key of REASONS
    until: int | None = None  # when access ends as things stand
    subscription_id: str | None = None

    @property
    def reason_text(self) -> str:
        return REASONS[self.reason]


def access_to(
    product: str, standings: Iterable[Standing], now: int, *, grace_days: int, while_processing: bool
) -> Decision:
    """May the customer see what belongs to `product` at `now`? The best of all subscriptions decides."""
    best = Decision(False, "none")
    for standing in standings:
        decision = standing_gives(standing, now, grace_days=grace_days, while_processing=while_processing)
        if product not in standing.opens:
            decision = Decision(False, "other_product" if decision.allowed else decision.reason, None, standing.id)
        best = max(best, decision, key=_rank)
    return best


def _rank(decision: Decision) -> tuple[bool, float, int]:
    forever = float("inf") if decision.until is None else decision.until
    return decision.allowed, forever if decision.allowed else 0, ORDER.get(decision.reason, 0)


# Of several refusals the one that tells most is shown.
ORDER = {
    reason: place for place, reason in enumerate(("none", "ended", "canceled", "incomplete_expired", "incomplete"))
}
ORDER |= dict.fromkeys(("unpaid", "paused", "overdue", "never_paid", "not_while_processing"), 10)
ORDER |= {"other_product": 20}


def standing_gives(standing: Standing, now: int, *, grace_days: int, while_processing: bool) -> Decision:
    """What one subscription gives to the products that it opens."""
    allowed, reason, until = _by_status(standing, grace_days, while_processing)
    if allowed:
        end = cancel_date(standing)
        if end is not None and (until is None or end < until):
            until = end
            reason = "ends" if reason in ("active", "trialing") else reason
        if until is not None and now >= until:
            return Decision(False, "overdue" if reason == "grace" else "ended", until, standing.id)
    return Decision(allowed, reason, until if allowed else None, standing.id)


def _by_status(standing: Standing, grace_days: int, while_processing: bool) -> tuple[bool, str, int | None]:
    status = standing.status
    if status in ("active", "trialing"):
        if is_dead(standing):
            return False, "never_paid", None
        if status == "active" and standing.first_invoice == "open" and not standing.ever_paid:
            return while_processing, "processing" if while_processing else "not_while_processing", None
        return True, status, None
    if status == "past_due":
        since = standing.unpaid_since
        return True, "grace", since + grace_days * DAY if since is not None else None
    return False, status if status in REASONS else "none", None


def is_dead(standing: Standing) -> bool:
    """Alive at Stripe, but its first bank debit failed later and nothing was ever paid for it."""
    live = standing.status in ("active", "trialing")
    return live and standing.first_invoice in NEVER_PAID and not standing.ever_paid


def cancel_date(standing: Standing) -> int | None:
    if standing.cancel_at is not None:
        return standing.cancel_at
    return standing.period_end if standing.cancel_at_period_end else None


# ---------------------------------------------------------------------------------------------------------------------
# From the tables


@functools.cache
def _standings_query() -> sa.Select[Any]:
    """All of a user's subscriptions with what access needs of their items, products and invoices, in one statement."""
    own = Invoice.subscription_id == Subscription.id

    def of_invoices(column: Any, *conditions: Any) -> sa.ScalarSelect[Any]:
        return sa.select(column).where(own, *conditions).scalar_subquery()

    first = sa.select(Invoice.status).where(own).order_by(Invoice.created, Invoice.id).limit(1).scalar_subquery()
    orders = sa.select(sa.func.max(BankOrder.under_way())).join(Invoice, Invoice.id == BankOrder.invoice_id)
    under_way = orders.where(own, Invoice.status == "open").correlate(Subscription).scalar_subquery()
    return (
        sa.select(
            Subscription.id,
            Subscription.status,
            Subscription.cancel_at,
            Subscription.cancel_at_period_end,
            SubscriptionItem.current_period_end,
            Product.opens,
            first.label("first_invoice"),
            of_invoices(sa.func.count(), Invoice.status == "paid").label("paid"),
            of_invoices(sa.func.min(Invoice.finalized_at), Invoice.status == "open").label("unpaid_since"),
            under_way.label("paying_since"),
            Subscription.known_to,
            of_invoices(sa.func.max(Invoice.known_to)).label("invoices_known_to"),
        )
        .join(Customer, Customer.id == Subscription.customer_id)
        .outerjoin(SubscriptionItem, SubscriptionItem.subscription_id == Subscription.id)
        .outerjoin(Product, Product.id == SubscriptionItem.product_id)
        .where(Customer.user_id == sa.bindparam("user_id"))
    )


def standings_of(user_id: int) -> tuple[list[Standing], int]:
    """A user's subscriptions as access sees them, and the time it is for them."""
    found: dict[str, dict[str, Any]] = {}
    known_to = 0
    for row in db.session.execute(_standings_query(), {"user_id": user_id}).mappings():
        known_to = max(known_to, row["known_to"], row["invoices_known_to"] or 0)
        standing = found.setdefault(row["id"], {**row, "opens": set(), "ends": []})
        standing["opens"] |= set(row["opens"] or ())
        standing["ends"].append(row["current_period_end"])
    g.standings = user_id, [_standing(row) for row in found.values()], clock.now(known_to)
    return g.standings[1], g.standings[2]


def latest_standings_of(user_id: int) -> tuple[list[Standing], int]:
    """The same, without a statement if this request has read them already."""
    read = g.get("standings")
    return (read[1], read[2]) if read and read[0] == user_id else standings_of(user_id)


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(
        id=row["id"],
        status=row["status"],
        opens=frozenset(row["opens"]),
        cancel_at=row["cancel_at"],
        cancel_at_period_end=row["cancel_at_period_end"],
        period_end=min((end for end in row["ends"] if end is not None), default=None),
        first_invoice=row["first_invoice"],
        ever_paid=row["paid"] > 0,
        unpaid_since=row["unpaid_since"],
        paying_since=row["paying_since"],
    )


def dead_subscriptions() -> list[tuple[str, str]]:
    """Ids and customers of those that are dead (see `is_dead`) and not ended at Stripe yet."""
    other = sa.orm.aliased(Invoice)
    paid = sa.exists().where(other.subscription_id == Subscription.id, other.status == "paid")
    query = (
        sa.select(Subscription.id, Subscription.customer_id)
        .join(Invoice, Invoice.subscription_id == Subscription.id)
        .where(Invoice.billing_reason == "subscription_create", Invoice.status.in_(NEVER_PAID), ~paid)
        .where(Subscription.status.in_(("active", "trialing")))
    )
    return [(row.id, row.customer_id) for row in db.session.execute(query)]


def decide(product: str, user_id: int) -> Decision:
    """May this user see what belongs to `product` now?"""
    standings, now = standings_of(user_id)
    return access_to(product, standings, now, **rules())


def rules() -> dict[str, Any]:
    config = current_app.config
    return {"grace_days": config["GRACE_DAYS"], "while_processing": config["ACCESS_WHILE_PROCESSING"]}


def denied(product: str, decision: Decision) -> str:
    """The page that says why, and what to do."""
    name = db.session.scalar(sa.select(Product.name).where(Product.key == product)) or product.title()
    action: tuple[str, str] | None = None
    if decision.reason in ("none", "ended", "canceled", "incomplete_expired"):
        action = ("checkout.plans", "See the plans")
    elif decision.reason == "other_product":
        action = ("plan.choose", "Change your plan")
    return render_template(
        "members/denied.html",
        product_name=name,
        decision=decision,
        action=action,
    )


def requires_product(product: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let in who has access to `product`; others get 403 and what to do."""

    def gate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        @customer_required
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.access = decide(product, current_user.id)
            if not g.access.allowed:
                return denied(product, g.access), 403
            return view(*args, **kwargs)

        return guarded

    return gate
