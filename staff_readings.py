"""What staff pages show: people, why they have access or not, what happened, the ledger. From our own tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import access
import db
import readings
from models import (
    UNFINISHED,
    Customer,
    Invoice,
    Product,
    StaffAction,
    Subscription,
    SubscriptionItem,
    User,
    WebhookEvent,
)

PAGE = 25
Row = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """One page of a list, newest first; the first is 1."""

    rows: list[Row]
    number: int
    has_more: bool


def page_of(query: Any, number: int) -> Page:
    found = db.session.execute(query.limit(PAGE + 1).offset((number - 1) * PAGE)).mappings()
    rows = [dict(row) for row in found]
    return Page(rows[:PAGE], number, len(rows) > PAGE)


# ---------------------------------------------------------------------------------------------------------------------
# Finding people


def people(asked: str, page: int) -> Page:
    """Who is meant by a whole customer or subscription id, a whole e-mail address, or a part of address or name."""
    query = sa.select(User.id, User.email, User.create_datetime, User.is_staff).order_by(User.id.desc())
    if asked:
        query = query.where(meant_by(asked))
    found = page_of(query, page)
    customers = _customers([row["id"] for row in found.rows])
    for row in found.rows:
        row["customer"] = customers.get(row["id"])
    return found


def meant_by(asked: str) -> sa.ColumnElement[bool]:
    """Ids and whole addresses are found by an index; a part of an address or a name by looking through them."""
    if asked.startswith("cus_"):
        return User.id.in_(sa.select(Customer.user_id).where(Customer.id == asked))
    if asked.startswith("sub_"):
        owners = sa.select(Customer.user_id).join(Subscription, Subscription.customer_id == Customer.id)
        return User.id.in_(owners.where(Subscription.id == asked))
    if "@" in asked and db.session.scalar(sa.select(User.id).where(User.email == asked.lower())):
        return User.email == asked.lower()
    # SQLite takes Ö and ö for two letters.
    spellings = {asked, asked.lower(), asked.upper(), asked.title()} if not asked.isascii() else {asked}
    is_named = [Customer.name.icontains(spelling, autoescape=True) for spelling in sorted(spellings)]
    named = sa.select(Customer.user_id).where(sa.or_(*is_named, Customer.email.icontains(asked, autoescape=True)))
    return User.email.icontains(asked, autoescape=True) | User.id.in_(named)


def _customers(user_ids: Sequence[int]) -> dict[int, Row]:
    """For each user: the name and id at Stripe, and the subscription that tells most, live ones before others."""
    query = (
        sa.select(Customer.user_id, Customer.id, Customer.name, Subscription.status, Product.name.label("plan"))
        .outerjoin(Subscription, Subscription.customer_id == Customer.id)
        .outerjoin(SubscriptionItem, SubscriptionItem.subscription_id == Subscription.id)
        .outerjoin(Product, Product.id == SubscriptionItem.product_id)
        .where(Customer.user_id.in_(user_ids))
        .order_by(Subscription.status.in_(readings.LIVE).desc(), Subscription.created.desc())
    )
    found: dict[int, Row] = {}
    for row in db.session.execute(query).mappings():
        text = readings.STATUS_TEXTS.get(row["status"], row["status"])
        found.setdefault(row["user_id"], {**row, "status_text": text, "is_live": row["status"] in readings.LIVE})
    return found


# ---------------------------------------------------------------------------------------------------------------------
# One customer


def access_of(user_id: int) -> list[tuple[str, access.Decision]]:
    """For each product that is sold: its name, and whether and why this user may see what belongs to it."""
    standings, now = access.standings_of(user_id)
    sold = sa.select(Product.key, Product.name).where(
        Product.key.is_not(None), Product.active, Product.deleted_at.is_(None)
    )
    return [
        (row.name, access.access_to(row.key, standings, now, **access.rules()))
        for row in db.session.execute(sold.order_by(Product.name))
    ]


SHOWN = ("events", "invoices", "actions")


def history(user_id: int, shown: str | None, page: int) -> Page:
    """What happened to a customer by Stripe's time: events, invoices and what staff did, or one of these."""
    own = sa.select(Customer.id).where(Customer.user_id == user_id)
    sources = {
        "events": _events().where(WebhookEvent.customer_id.in_(own)),
        "invoices": _invoices().where(Invoice.customer_id.in_(own)),
        "actions": _actions().where(StaffAction.user_id == user_id),
    }
    chosen = [sources[shown]] if shown else list(sources.values())
    # In one second: what staff did comes first, what followed from it later.
    merged = sa.union_all(*chosen).order_by(sa.desc("at"), "what", sa.desc("id"))
    return page_of(merged, page)


def _entry(what: str, **columns: Any) -> sa.Select[Any]:
    """The columns that all kinds of entries share, so that they can be sorted together."""
    names = ("at", "id", "name", "state", "subject", "who", "reason", "note", "request_id", "amount", "currency", "url")
    kinds: dict[str, Any] = {"at": sa.BigInteger, "amount": sa.BigInteger}
    nothing = {name: sa.cast(sa.null(), kinds.get(name, sa.Text)) for name in names}
    return sa.select(
        sa.literal(what).label("what"), *((columns.get(name, nothing[name])).label(name) for name in names)
    )


def _events() -> sa.Select[Any]:
    return _entry(
        "event",
        at=WebhookEvent.created,
        id=WebhookEvent.id,
        name=WebhookEvent.type,
        state=WebhookEvent.state,
        subject=WebhookEvent.object_id,
        note=WebhookEvent.error,
        request_id=WebhookEvent.request_id,
    )


def _invoices() -> sa.Select[Any]:
    return _entry(
        "invoice",
        at=Invoice.created,
        id=Invoice.id,
        name=Invoice.number,
        state=Invoice.status,
        subject=Invoice.subscription_id,
        amount=Invoice.total,
        currency=Invoice.currency,
        url=Invoice.hosted_invoice_url,
    )


def _actions() -> sa.Select[Any]:
    return _entry(
        "staff",
        at=StaffAction.at,
        id=StaffAction.id,
        name=StaffAction.kind,
        state=StaffAction.state,
        subject=StaffAction.subject,
        who=StaffAction.staff_email,
        reason=StaffAction.reason,
        note=StaffAction.note,
        request_id=StaffAction.request_id,
    )


def actions(page: int) -> Page:
    """What staff did for anybody, by the wall clock."""
    query = sa.select(StaffAction.__table__, User.email).outerjoin(User, User.id == StaffAction.user_id)
    return page_of(query.order_by(StaffAction.started_at.desc(), StaffAction.id), page)


# ---------------------------------------------------------------------------------------------------------------------
# The ledger


STATES = (*UNFINISHED, "done", "ignored")


def events(asked: str, state: str | None, page: int) -> Page:
    """The ledger, latest first: all of it, or by the id of an event or customer, or by how a type begins."""
    query = sa.select(WebhookEvent.__table__, Customer.user_id)
    query = query.outerjoin(Customer, Customer.id == WebhookEvent.customer_id)
    if asked.startswith("evt_"):
        query = query.where(WebhookEvent.id == asked)
    elif asked.startswith("cus_"):
        query = query.where(WebhookEvent.customer_id == asked)
    elif asked:
        query = query.where(WebhookEvent.type.startswith(asked, autoescape=True))
    if state:
        query = query.where(WebhookEvent.state == state)
    if state in UNFINISHED:
        query = query.where(WebhookEvent.is_unfinished())
    return page_of(query.order_by(WebhookEvent.received_at.desc(), WebhookEvent.id), page)


def event_counts() -> dict[str, int]:
    """How many events there are, and how many of them have something left to do."""
    unfinished = (
        sa.select(WebhookEvent.state, sa.func.count()).where(WebhookEvent.is_unfinished()).group_by(WebhookEvent.state)
    )
    counts = {row[0]: row[1] for row in db.session.execute(unfinished)}
    total = db.session.scalar(sa.select(sa.func.count()).select_from(WebhookEvent)) or 0
    return {**dict.fromkeys(UNFINISHED, 0), **counts, "all": total}
