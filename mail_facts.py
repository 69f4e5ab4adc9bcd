"""What mails tell of invoices and subscriptions: from our own rows, within the transaction that writes the mail."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import current_app

import clock
import sync
from formatting import day, every, money
from models import (
    BankOrder,
    Customer,
    Invoice,
    Price,
    Product,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    User,
)

DAY = 86_400

Row = dict[str, Any]

_PLAN = (
    User.email,
    Product.name.label("plan"),
    SubscriptionItem.price_id,
    SubscriptionItem.unit_amount,
    SubscriptionItem.interval,
    SubscriptionItem.interval_count,
    SubscriptionItem.quantity,
    SubscriptionItem.current_period_end,
    Price.currency_options,
)
_STATUS = Subscription.status.label("subscription_status")
_METHOD = sa.func.coalesce(Subscription.default_payment_method, Customer.default_payment_method).label("method")
_NEW_PLAN = (
    Product.name.label("plan"),
    Price.unit_amount,
    Price.currency_options,
    Price.interval,
    Price.interval_count,
)


def invoice_row(tx: sa.Connection, id: str) -> Row | None:
    """An invoice with the plan it is for, and whose."""
    row = tx.execute(INVOICE, {"id": id}).mappings().first()
    return {**row, "amount": money(row["amount_remaining"] or row["total"], row["currency"])} if row else None


def subscription_row(tx: sa.Connection, id: str | None) -> Row | None:
    """A subscription with its plan, the method that it is charged to, and whose it is."""
    row = tx.execute(SUBSCRIPTION, {"id": id}).mappings().first()
    return dict(row) if row else None


def planned_row(tx: sa.Connection, schedule_id: str) -> Row | None:
    """A change that is to come, with the plan and price that it changes to."""
    row = tx.execute(PLANNED, {"id": schedule_id}).mappings().first()
    return dict(row) if row else None


def _with_plan(query: Any) -> Any:
    return (
        query.select_from(Subscription)
        .join(Customer, Customer.id == Subscription.customer_id)
        .join(User, User.id == Customer.user_id)
        .outerjoin(SubscriptionItem, SubscriptionItem.subscription_id == Subscription.id)
        .outerjoin(Product, Product.id == SubscriptionItem.product_id)
        .outerjoin(Price, Price.id == SubscriptionItem.price_id)
        .where(User.active)
    )


# Put together once: deliveries wait for them, and that takes longer than the query.
_ID: Any = sa.bindparam("id")
INVOICE = (
    _with_plan(sa.select(*_PLAN, _STATUS, Invoice.__table__, BankOrder.since.label("ordered_at")))
    .join(Invoice, Invoice.subscription_id == Subscription.id)
    .outerjoin(BankOrder, BankOrder.invoice_id == Invoice.id)
    .where(Invoice.id == _ID)
)
SUBSCRIPTION = _with_plan(sa.select(*_PLAN, _METHOD, Subscription.__table__)).where(Subscription.id == _ID)
PLANNED = (
    sa.select(SubscriptionSchedule.__table__, *_NEW_PLAN)
    .join(Price, Price.id == SubscriptionSchedule.changes_to)
    .join(Product, Product.id == Price.product_id)
    .where(SubscriptionSchedule.id == _ID, SubscriptionSchedule.status == "active")
    .where(SubscriptionSchedule.changes_at.is_not(None))
)


def words_of(row: Row) -> Row:
    return {"plan": row["plan"] or "your subscription", "amount": row.get("amount")}


def price_text(subscription: Row) -> str | None:
    """What a period costs, as the account page tells it too; None for a price without a fixed amount."""
    currency = subscription["currency"]
    amount = Price.amount_in(currency, subscription["currency_options"], subscription["unit_amount"])
    if amount is None:
        return None
    often = every(subscription["interval"], subscription["interval_count"])
    less = ", before discounts" if subscription["discounted"] else ""
    return f"{money(amount * (subscription['quantity'] or 1), currency)} {often}{less}"


def is_owed(invoice: Row) -> bool:
    return bool(invoice["status"] == "open" and invoice["subscription_status"] not in sync.ENDED)


def until_text(invoice: Row) -> str | None:
    """Until when access lasts without a payment, if it still does."""
    end = (invoice["finalized_at"] or 0) + current_app.config["GRACE_DAYS"] * DAY
    return day(end) if end > clock.now(invoice["known_to"]) else None


def is_ending(subscription: Row) -> bool:
    return bool(subscription["cancel_at_period_end"] or subscription["cancel_at"])


def was_paid(tx: sa.Connection, subscription_id: str) -> bool:
    paid = sa.exists().where(Invoice.subscription_id == subscription_id, Invoice.status == "paid")
    return bool(tx.scalar(sa.select(paid)))
