"""What a customer still owes, and until when it can be paid: from our own tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import url_for

import access
import db
from formatting import day
from models import BankOrder, Customer, Invoice, Subscription

BEHIND = ("past_due", "unpaid")


def invoice_of(user_id: int, invoice_id: str) -> dict[str, Any] | None:
    """A user's own invoice, with its subscription's status and since when a bank has the order to pay it."""
    under_way = BankOrder.under_way().label("under_way_since")
    query = (
        sa.select(Invoice.__table__, Subscription.status.label("subscription_status"), under_way)
        .join(Customer, Customer.id == Invoice.customer_id)
        .outerjoin(Subscription, Subscription.id == Invoice.subscription_id)
        .outerjoin(BankOrder, BankOrder.invoice_id == Invoice.id)
        .where(Invoice.id == invoice_id, Invoice.status != "draft", Customer.user_id == user_id)
    )
    row = db.session.execute(query).mappings().first()
    return dict(row) if row else None


def oldest(user_id: int) -> str | None:
    """The id of the open invoice that a user's subscription is behind with."""
    query = (
        sa.select(Invoice.id)
        .join(Subscription, Subscription.id == Invoice.subscription_id)
        .join(Customer, Customer.id == Subscription.customer_id)
        .where(Customer.user_id == user_id, Subscription.status.in_(BEHIND), Invoice.status == "open")
        .order_by(Invoice.created, Invoice.id)
    )
    return db.session.scalar(query.limit(1))


def banner(user_id: int) -> dict[str, Any] | None:
    """What stands on top of every page while a payment is due."""
    standings, now = access.latest_standings_of(user_id)
    for standing in standings:
        if standing.status in BEHIND and standing.unpaid_since is not None:
            decision = access.standing_gives(standing, now, **access.rules())
            return _banner(standing, decision)
    return None


def _banner(standing: access.Standing, decision: access.Decision) -> dict[str, Any]:
    if standing.paying_since is not None:
        text = f"Your payment has been on its way since {day(standing.paying_since)}. Bank debits take some days."
        return {"text": text, "level": "info", "url": url_for("wallet.pay_first"), "action": "See the payment"}
    if not decision.allowed:
        text = "Your last payment did not go through, and your access has ended. Pay to open it again."
    elif decision.until is not None:
        text = f"Your last payment did not go through. Pay by {day(decision.until)} to keep your access."
    else:
        text = "Your last payment did not go through."
    return {"text": text, "level": "warning", "url": url_for("wallet.pay_first"), "action": "Pay now"}
