"""A copy of all that the shop keeps of a person."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

import db
from db import Base
from models import (
    BankOrder,
    Checkout,
    Customer,
    Entitlements,
    Invoice,
    Operation,
    Outbox,
    PaymentMethod,
    SetupIntent,
    StaffAction,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    TaxId,
    User,
    WebhookEvent,
)

Row = dict[str, Any]

# Kept from everybody: what signs in, and who of staff did what.
SECRET = {"password", "fs_uniquifier", "staff_id", "staff_email"}


def everything_of(user: User) -> dict[str, list[Row]]:
    """The rows of every table that are about this person, as JSON values."""
    own = sa.select(Customer.id).where(Customer.user_id == user.id)
    subscriptions = sa.select(Subscription.id).where(Subscription.customer_id.in_(own))
    invoices = sa.select(Invoice.id).where(Invoice.customer_id.in_(own))
    found: dict[type[Base], sa.ColumnElement[bool]] = {
        User: User.id == user.id,
        Customer: Customer.user_id == user.id,
        Checkout: Checkout.user_id == user.id,
        Subscription: Subscription.customer_id.in_(own),
        SubscriptionItem: SubscriptionItem.subscription_id.in_(subscriptions),
        SubscriptionSchedule: SubscriptionSchedule.customer_id.in_(own),
        Entitlements: Entitlements.customer_id.in_(own),
        Invoice: Invoice.customer_id.in_(own),
        BankOrder: BankOrder.invoice_id.in_(invoices),
        PaymentMethod: PaymentMethod.customer_id.in_(own),
        TaxId: TaxId.customer_id.in_(own),
        SetupIntent: SetupIntent.user_id == user.id,
        Operation: _operations(user, own, subscriptions, invoices),
        StaffAction: StaffAction.user_id == user.id,
        WebhookEvent: WebhookEvent.customer_id.in_(own),
        Outbox: mails_to(user.id, user.email),
    }
    return {model.__tablename__: _rows(model, condition) for model, condition in found.items()}


def mails_to(user_id: int, email: str) -> sa.ColumnElement[bool]:
    """Which mails went to a person, also to an address that was theirs before."""
    told = sa.and_(Outbox.kind == "email_changed", Outbox.object_id.startswith(f"{user_id} "))
    return sa.or_(Outbox.recipient == email, told)


def _operations(user: User, *ids: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """A subject is an id, or begins with one."""
    mine = [id for query in ids for id in db.session.scalars(query)]
    return sa.or_(Operation.subject == str(user.id), *(Operation.subject.startswith(id) for id in mine))


def _rows(model: type[Base], condition: sa.ColumnElement[bool]) -> list[Row]:
    table: Any = model.__table__
    columns = [column for column in table.c if column.name not in SECRET]
    order = list(table.primary_key.columns)
    found = db.session.execute(sa.select(*columns).where(condition).order_by(*order)).mappings()
    return [{name: _plain(value) for name, value in row.items()} for row in found]


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str | list | dict) else str(value)
