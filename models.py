"""The tables.

All instants are Unix seconds in UTC and all amounts integers in the currency's smallest unit, as Stripe sends them.
A mirrored table is a copy of Stripe's objects under Stripe's own ids; only sync.py writes to it.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from flask_security.core import RoleMixin, UserMixin
from sqlalchemy.orm import Mapped, mapped_column

from db import Base

Id = sa.String(255)
Instant = sa.BigInteger
Amount = sa.BigInteger


class User(Base, UserMixin):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(sa.String(255), unique=True)
    password: Mapped[str | None] = mapped_column(sa.String(255))
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(sa.String(64), unique=True)
    confirmed_at: Mapped[dt.datetime | None]
    create_datetime: Mapped[dt.datetime] = mapped_column(server_default=sa.func.now())
    is_staff: Mapped[bool] = mapped_column(default=False)

    @property
    def roles(self) -> list[RoleMixin]:  # type: ignore[override]
        return []  # `is_staff` is all there is


class Mirrored:
    """What the rule in sync.py needs of every copy: it is Stripe's state as of some instant between the two bounds."""

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    known_from: Mapped[int] = mapped_column(Instant)
    known_to: Mapped[int] = mapped_column(Instant)
    deleted_at: Mapped[int | None] = mapped_column(Instant)


class Product(Mirrored, Base):
    __tablename__ = "products"

    key: Mapped[str | None] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(sa.String(255))
    description: Mapped[str | None] = mapped_column(sa.Text)
    active: Mapped[bool]
    opens: Mapped[list[str]] = mapped_column(sa.JSON)
    features: Mapped[list[str]] = mapped_column(sa.JSON)


class Price(Mirrored, Base):
    __tablename__ = "prices"

    product_id: Mapped[str] = mapped_column(Id, index=True)
    lookup_key: Mapped[str | None] = mapped_column(sa.String(255), index=True)
    active: Mapped[bool]
    currency: Mapped[str] = mapped_column(sa.String(3))
    unit_amount: Mapped[int | None] = mapped_column(Amount)
    interval: Mapped[str | None] = mapped_column(sa.String(10))
    interval_count: Mapped[int | None]
    currency_options: Mapped[dict[str, int]] = mapped_column(sa.JSON)

    @staticmethod
    def amount_in(currency: str, options: dict[str, int] | None, unit_amount: int | None) -> int | None:
        """What a price costs in `currency`: its `unit_amount` is in its own, whatever is paid in."""
        return (options or {}).get(currency, unit_amount)


class Customer(Mirrored, Base):
    __tablename__ = "customers"

    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("users.id"), index=True)
    email: Mapped[str | None] = mapped_column(sa.String(512))
    name: Mapped[str | None] = mapped_column(sa.String(512))
    address: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    currency: Mapped[str | None] = mapped_column(sa.String(3))
    default_payment_method: Mapped[str | None] = mapped_column(Id)
    delinquent: Mapped[bool | None]
    test_clock: Mapped[str | None] = mapped_column(Id)


class Subscription(Mirrored, Base):
    __tablename__ = "subscriptions"

    customer_id: Mapped[str] = mapped_column(Id, index=True)
    status: Mapped[str] = mapped_column(sa.String(20))
    created: Mapped[int] = mapped_column(Instant)
    currency: Mapped[str] = mapped_column(sa.String(3))
    cancel_at: Mapped[int | None] = mapped_column(Instant)
    cancel_at_period_end: Mapped[bool]
    canceled_at: Mapped[int | None] = mapped_column(Instant)
    ended_at: Mapped[int | None] = mapped_column(Instant)
    trial_end: Mapped[int | None] = mapped_column(Instant)
    latest_invoice: Mapped[str | None] = mapped_column(Id)
    default_payment_method: Mapped[str | None] = mapped_column(Id)
    pending_setup_intent: Mapped[str | None] = mapped_column(Id)
    pending_price: Mapped[str | None] = mapped_column(Id)  # of a change that waits for its payment
    schedule: Mapped[str | None] = mapped_column(Id)
    discounted: Mapped[bool] = mapped_column(default=False)


class SubscriptionItem(Base):
    """Belongs to its subscription: replaced whole with it, under its version."""

    __tablename__ = "subscription_items"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    subscription_id: Mapped[str] = mapped_column(sa.ForeignKey("subscriptions.id"), index=True)
    price_id: Mapped[str] = mapped_column(Id)
    product_id: Mapped[str] = mapped_column(Id)
    quantity: Mapped[int | None]
    unit_amount: Mapped[int | None] = mapped_column(Amount)
    interval: Mapped[str | None] = mapped_column(sa.String(10))
    interval_count: Mapped[int | None]
    current_period_start: Mapped[int] = mapped_column(Instant)
    current_period_end: Mapped[int] = mapped_column(Instant)


class SubscriptionSchedule(Mirrored, Base):
    """A change of plan that Stripe will make by itself."""

    __tablename__ = "subscription_schedules"

    customer_id: Mapped[str] = mapped_column(Id, index=True)
    subscription_id: Mapped[str | None] = mapped_column(Id, index=True)  # also after it was released
    status: Mapped[str] = mapped_column(sa.String(64))  # not_started | active | completed | released | canceled
    purpose: Mapped[str | None] = mapped_column(sa.Text)  # metadata.purpose: whether it is ours, and what for
    changes_at: Mapped[int | None] = mapped_column(Instant)  # when the phase after the current one starts ...
    changes_to: Mapped[str | None] = mapped_column(Id)  # ... and its price


class Invoice(Mirrored, Base):
    __tablename__ = "invoices"
    __table_args__ = (sa.Index("ix_invoices_customer_id_created", "customer_id", "created"),)

    customer_id: Mapped[str] = mapped_column(Id)
    subscription_id: Mapped[str | None] = mapped_column(Id, index=True)
    status: Mapped[str] = mapped_column(sa.String(20))
    billing_reason: Mapped[str | None] = mapped_column(sa.String(64))
    number: Mapped[str | None] = mapped_column(sa.String(64))
    created: Mapped[int] = mapped_column(Instant)
    currency: Mapped[str] = mapped_column(sa.String(3))
    total: Mapped[int] = mapped_column(Amount)
    amount_due: Mapped[int] = mapped_column(Amount)
    amount_paid: Mapped[int] = mapped_column(Amount)
    amount_remaining: Mapped[int] = mapped_column(Amount)
    attempt_count: Mapped[int]
    next_payment_attempt: Mapped[int | None] = mapped_column(Instant)
    finalized_at: Mapped[int | None] = mapped_column(Instant)
    hosted_invoice_url: Mapped[str | None] = mapped_column(sa.Text)
    invoice_pdf: Mapped[str | None] = mapped_column(sa.Text)


class PaymentMethod(Mirrored, Base):
    __tablename__ = "payment_methods"

    customer_id: Mapped[str | None] = mapped_column(Id, index=True)
    type: Mapped[str] = mapped_column(sa.String(64))
    brand: Mapped[str | None] = mapped_column(sa.String(64))
    last4: Mapped[str | None] = mapped_column(sa.String(16))
    exp_month: Mapped[int | None]
    exp_year: Mapped[int | None]


class Entitlements(Mirrored, Base):
    """What a customer may use by Stripe's own reckoning; its id is the customer's. Replaced whole."""

    __tablename__ = "entitlements"

    customer_id: Mapped[str] = mapped_column(Id, index=True)
    lookup_keys: Mapped[list[str]] = mapped_column(sa.JSON)


class TaxId(Mirrored, Base):
    __tablename__ = "tax_ids"

    customer_id: Mapped[str | None] = mapped_column(Id, index=True)
    type: Mapped[str] = mapped_column(sa.String(64))
    value: Mapped[str] = mapped_column(sa.String(255))
    verification: Mapped[str | None] = mapped_column(sa.String(64))  # pending | verified | unverified | unavailable


class Checkout(Base):
    """The one live attempt of a user to subscribe (subscriptions.subscribe)."""

    __tablename__ = "checkouts"

    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), primary_key=True)
    attempt: Mapped[str] = mapped_column(sa.String(64))  # its id, and the idempotency key of the creation
    price_id: Mapped[str] = mapped_column(Id)
    currency: Mapped[str] = mapped_column(sa.String(3))
    state: Mapped[str] = mapped_column(sa.String(10))  # creating | open | closed
    subscription_id: Mapped[str | None] = mapped_column(Id, index=True)
    started_at: Mapped[int] = mapped_column(Instant)  # by the wall clock; the age of the key
    asked_at: Mapped[int] = mapped_column(Instant)  # when the creation was last asked for
    params: Mapped[dict[str, Any]] = mapped_column(sa.JSON)  # sent again word for word when the answer got lost


class SetupIntent(Base):
    """A replacement of the payment method that somebody began; what became of it is Stripe's to say."""

    __tablename__ = "setup_intents"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(sa.ForeignKey("users.id"), index=True)
    customer_id: Mapped[str] = mapped_column(Id)
    started_at: Mapped[int] = mapped_column(Instant)  # by the wall clock
    settled_at: Mapped[int | None] = mapped_column(Instant)  # when its method was put to use


class BankOrder(Base):
    """The last order to pay an invoice that a bank got, and the last one that failed: a debit takes days."""

    __tablename__ = "bank_orders"

    invoice_id: Mapped[str] = mapped_column(Id, primary_key=True)
    since: Mapped[int | None] = mapped_column(Instant)
    failed_at: Mapped[int | None] = mapped_column(Instant)

    @classmethod
    def under_way(cls) -> sa.ColumnElement[int | None]:
        """Since when a payment has been on its way; NULL when none is."""
        failed = cls.failed_at >= cls.since
        return sa.case((failed, sa.null()), else_=cls.since)


class Operation(Base):
    """A change at Stripe, written down before it is asked for; its id is the idempotency key."""

    __tablename__ = "operations"
    __table_args__ = (
        sa.Index(
            "uq_operations_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        ),
    )

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(32))
    subject: Mapped[str] = mapped_column(Id)  # what it is about: an id of ours or of Stripe's
    params: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    state: Mapped[str] = mapped_column(sa.String(10))  # open | done | failed
    started_at: Mapped[int] = mapped_column(Instant)
    note: Mapped[str | None] = mapped_column(sa.Text)


UNFINISHED = ("failed", "foreign")
IS_UNFINISHED = f"state IN {UNFINISHED}"  # Python writes a tuple of words as SQL does


class WebhookEvent(Base):
    """The ledger: what came, and what became of it."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        sa.Index(
            "ix_webhook_events_unfinished",
            "state",
            "received_at",
            sqlite_where=sa.text(IS_UNFINISHED),
            postgresql_where=sa.text(IS_UNFINISHED),
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    type: Mapped[str] = mapped_column(sa.String(255))
    created: Mapped[int] = mapped_column(Instant)
    object_id: Mapped[str | None] = mapped_column(Id)
    customer_id: Mapped[str | None] = mapped_column(Id, index=True)
    state: Mapped[str] = mapped_column(sa.String(10))  # done | ignored | foreign | failed
    attempts: Mapped[int] = mapped_column(default=1)
    error: Mapped[str | None] = mapped_column(sa.Text)
    request_id: Mapped[str | None] = mapped_column(sa.String(64))
    api_version: Mapped[str | None] = mapped_column(sa.String(64))
    received_at: Mapped[int] = mapped_column(Instant, index=True)

    @classmethod
    def is_unfinished(cls) -> sa.TextClause:
        """The condition of the index word for word: only then does SQLite think of it."""
        return sa.text(f"{cls.__tablename__}.{IS_UNFINISHED}")


class SyncRun(Base):
    """One row while `flask sync` is under way: how far it came, for the next to go on there."""

    __tablename__ = "sync_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    runner: Mapped[str] = mapped_column(sa.String(64))  # who works on it; whoever is not named has to stop
    started_at: Mapped[int] = mapped_column(Instant)  # by Stripe's clock
    kind: Mapped[str] = mapped_column(sa.String(64))
    cursor: Mapped[str | None] = mapped_column(Id)  # the last id that was looked at; empty before the first
    found: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class Outbox(Base):
    """Mails, each written once per (kind, object) and sent after the commit."""

    __tablename__ = "outbox"
    __table_args__ = (sa.UniqueConstraint("kind", "object_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(64))
    object_id: Mapped[str] = mapped_column(Id)
    recipient: Mapped[str] = mapped_column(sa.String(255))
    subject: Mapped[str] = mapped_column(sa.String(255))
    text: Mapped[str] = mapped_column(sa.Text)
    html: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[int] = mapped_column(Instant)
    sent_at: Mapped[int | None] = mapped_column(Instant, index=True)
    claimed_at: Mapped[int | None] = mapped_column(Instant)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None] = mapped_column(sa.Text)


class StaffAction(Base):
    """What staff did for a customer: written first, then done at Stripe; its id is the idempotency key there.

    It names who and whom by values, not by reference: a record outlives accounts.
    """

    __tablename__ = "staff_actions"
    __table_args__ = (
        sa.Index(
            "ix_staff_actions_intended",
            "started_at",
            sqlite_where=sa.text("state = 'intended'"),
            postgresql_where=sa.text("state = 'intended'"),
        ),
    )

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    staff_id: Mapped[int]
    staff_email: Mapped[str] = mapped_column(sa.String(255))
    user_id: Mapped[int | None] = mapped_column(index=True)  # whom it was done for
    kind: Mapped[str] = mapped_column(sa.String(20))  # cancel_now | cancel_at_period_end | resume | resync | replay
    subject: Mapped[str] = mapped_column(Id)  # the subscription, customer or event
    reason: Mapped[str | None] = mapped_column(sa.Text)
    at: Mapped[int] = mapped_column(Instant)  # the customer's time, as in the events around it
    started_at: Mapped[int] = mapped_column(Instant)  # by the wall clock
    state: Mapped[str] = mapped_column(sa.String(10))  # intended | done | failed
    request_id: Mapped[str | None] = mapped_column(sa.String(64))  # Stripe's
    note: Mapped[str | None] = mapped_column(sa.Text)  # what became of it, in words


class StripeAccount(Base):
    """One row: the account and mode that everything in this database belongs to."""

    __tablename__ = "stripe_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(Id)
    mode: Mapped[str] = mapped_column(sa.String(10))
    api_base: Mapped[str] = mapped_column(sa.String(255))
