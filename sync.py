"""How Stripe's state reaches our tables: one way in, whoever brings it.

A row is known to be Stripe's state as of some instant between its `known_from` and `known_to`. An event carries a
snapshot of its `created`, in whole seconds and without order inside one. What makes the copying right is each row's
`version`: note it, ask Stripe with no transaction open, and write only if it is unchanged, else start over. The clock
only saves questions.
docs/decisions/001-one-rule-for-copies.md tells why each clause is there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

import billing
import clock
import db
from copies import (
    BOOKKEEPING,
    ENTITLEMENTS,
    INVOICE_RANK,
    READERS,
    Copy,
    Row,
    id_of,
    identity,
    is_name,
    read,
    sorted_items,
)
from models import (
    Checkout,
    Customer,
    Entitlements,
    Invoice,
    PaymentMethod,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    TaxId,
)

__all__ = ["ENDED", "Contended", "Copy", "Row", "ask", "customer", "event", "id_of", "learn", "note", "read"]

TRIES = 5
MARGIN = 2  # seconds that Stripe's clocks may be apart
# What Stripe never changes: writing it again would write its index again.
FIXED = {Subscription: ("customer_id",), Invoice: ("customer_id", "created")}
ENDED = ("canceled", "incomplete_expired")
OWNED = (Subscription, SubscriptionSchedule, Invoice, PaymentMethod, TaxId, Entitlements)  # rows that are a customer's
CATALOGUE = ("product", "price")
# Their objects do not say so.
GONE = ("customer.deleted", "product.deleted", "price.deleted", "invoice.deleted", "customer.tax_id.deleted")

ODD = (KeyError, TypeError, AttributeError, ValueError, IndexError)  # what reading an unknown shape leads to
Settle = Callable[[sa.Connection], None]  # what must be committed together with the effect


class Contended(Exception):
    """A row changed under us as often as we tried: Stripe will send the event again."""


@dataclass(frozen=True)
class Held:
    """What we have of an object."""

    version: int
    known_from: int
    known_to: int
    gone: bool
    copy: Copy


def embedded(obj: Row) -> Iterator[Row]:
    """The object and what it was expanded with, as far as we keep copies of it."""
    for value in (obj, obj.get("latest_invoice"), obj.get("default_payment_method")):
        if isinstance(value, dict) and value.get("object") in READERS:
            yield value


# ---------------------------------------------------------------------------------------------------------------------
# The rule


def event(event: Row, settle: Settle) -> None:
    """Bring one event's effect into our tables, together with `settle` in one transaction.

    Raises Contended, or billing.Unavailable when a question was needed and Stripe did not answer it.
    """
    obj, created = event["data"]["object"], event["created"]
    copy = snapshot(event)
    if copy is None:
        return ask(obj["object"], str(identity(obj)), created, settle, last=last_of_gone(obj))
    if write_newer(copy, created, settle):
        return None
    for _ in range(TRIES):
        held = hold(copy.model, copy.id)
        if held is not None and held.gone:
            return ask(obj["object"], copy.id, created, settle)
        if held is None or is_newer(held.known_to, created):
            if write_newer(copy, created, settle):
                return None
        elif created < held.known_from or moved_on(copy, held.copy):
            return only(settle)
        elif moved_on(held.copy, copy):
            if write_unchanged(copy, held.version, {"known_from": created, "known_to": created}, settle):
                return None
        elif copy == held.copy:
            if touch(held, settle):
                return None
        else:
            return ask(obj["object"], copy.id, created, settle)
    raise Contended(copy.id)


def heard(_event: Row, settle: Settle) -> None:
    """Of what our tables have no column for: entered in the ledger, where staff see it."""
    only(settle)


def paid(event: Row, settle: Settle) -> None:
    """A payment went through: its invoice's own events say so too. Ask only if our row, though newer, denies it."""
    invoice_id = invoice_of(event["data"]["object"])
    held = hold(Invoice, invoice_id) if invoice_id else None
    if held and event["created"] < held.known_from and held.copy.columns["status"] != "paid":
        return ask("invoice", held.copy.id, None, settle)
    return only(settle)


def invoice_of(intent: Row) -> str | None:
    """The id of the invoice that a payment intent pays."""
    details = intent.get("payment_details")
    invoice_id = details.get("order_reference") if isinstance(details, dict) else None
    return invoice_id if is_name(invoice_id) else None


def snapshot(event: Row) -> Copy | None:
    """What the event says of its object, or None where only Stripe can tell.

    Test clocks run apart from `created`'s other users; other API versions have other fields; a price's event lacks its
    currency_options; a long list is cut off.
    """
    obj = event["data"]["object"]
    if not is_ours(event["api_version"]) or on_test_clock(obj):
        return None
    if obj["object"] == "price" or event["type"] in GONE or is_cut_off(obj):
        return None
    return readable(obj)


def last_of_gone(obj: Row) -> Copy | None:
    """What to keep of an object that turns out to be gone: how it was last seen, however old."""
    return readable(obj)


def readable(obj: Row) -> Copy | None:
    """An object as our columns; None for a shape that they can't hold."""
    try:
        return read(obj)
    except ODD:
        return None


def is_ours(api_version: Any) -> bool:
    return str(api_version).rpartition(".")[2] == billing.TRAIN


def on_test_clock(obj: Row) -> bool:
    """Whether an object's events may be stamped by a test clock; kinds that do not say are on their customer's."""
    if "test_clock" in obj or "customer" not in obj:
        return bool(obj.get("test_clock"))
    customer_id = id_of(obj["customer"])  # one that is detached no longer says whose it was
    if not is_name(customer_id):
        return True
    row = db.find(CLOCK, id=customer_id)
    return row is not None and row[0] is not None


def is_cut_off(obj: Row) -> bool:
    part = obj.get({"subscription": "items", ENTITLEMENTS: "entitlements"}.get(obj["object"], ""))
    return isinstance(part, dict) and part.get("has_more") is not False


def is_newer(known_to: Any, created: int) -> Any:
    """Whether an event's snapshot is newer than all we may have; of two columns, or of two numbers."""
    return known_to < created


def moved_on(earlier: Copy, later: Copy) -> bool:
    """Whether one state of an invoice must come after another, since their status only moves up."""
    if earlier.model is not Invoice:
        return False
    return INVOICE_RANK[earlier.columns["status"]] < INVOICE_RANK[later.columns["status"]]


def bounds(answer: billing.Answer, created: int | None) -> dict[str, int]:
    """Between which instants Stripe's state was what it answered to a question that an event of `created` led to."""
    at_least = created or 0
    return {
        "known_from": max(answer.date - answer.took - MARGIN, at_least),
        "known_to": max(answer.date, at_least) + MARGIN,
    }


def ask(
    kind: str,
    id: str,
    created: int | None = None,
    settle: Settle | None = None,
    *,
    quick: bool = True,
    last: Copy | None = None,
) -> None:
    """Ask Stripe for one object until the answer could be written over what was there before the question.

    `last` is kept of an object that is gone before we had a row of it, lest a late event brings it back.
    """
    model = READERS[kind][0]
    for _ in range(TRIES):
        held = hold(model, id)
        version = held.version if held else 0
        try:
            answer = billing.retrieve(kind, id, quick=quick)
        except billing.Missing:
            written = write_gone(model, id, version, settle, last, created)
        else:
            if answer.object.get("deleted"):
                written = write_gone(model, id, version, settle, last, created)
            else:
                written = bring(answer, answer.object, version, created, settle)
        if written:
            return
    raise Contended(id)


def note(customer_id: str) -> dict[str, int]:
    """The version of every row of a customer; to be taken before a call whose answer `learn` gets."""
    queries = [sa.select(Customer.id, Customer.version).where(Customer.id == customer_id)] + [
        sa.select(model.id, model.version).where(model.customer_id == customer_id) for model in OWNED
    ]
    return {row.id: row.version for row in db.session.execute(sa.union_all(*queries))}


def learn(noted: dict[str, int], answer: billing.Answer, *objects: Row) -> None:
    """Write what an answer says of `objects` (by default itself) and of what they are expanded with.

    A row that changed since `noted` is asked for anew, and so is what only a repeated key brought back.
    """
    for obj in objects or (answer.object,):
        for part in embedded(obj):
            if answer.replayed or not bring(answer, part, noted.get(part["id"], 0), None, None):
                ask(part["object"], part["id"], quick=False)


def bring(answer: billing.Answer, obj: Row, version: int, created: int | None, settle: Settle | None) -> bool:
    """Write what Stripe answered over `version`, or find that somebody else has just written the same."""
    if write_answer(answer, obj, version, created, settle):
        return True
    for _ in range(TRIES):
        held = None if obj.get("deleted") else hold(READERS[obj["object"]][0], str(identity(obj)))
        if held is None or held.gone or held.copy != read(obj):
            return False
        # Of two equal states the later one counts: an event from between them must not be taken for newer than both.
        told = bounds(answer, created)
        later = {name: max(value, getattr(held, name)) for name, value in told.items()}
        if touch(held, settle, later):
            return True
    return False


def customer(customer_id: str) -> None:
    """Make all our rows of a customer equal to Stripe's, also those that no list shows."""
    ask("customer", customer_id, quick=False)
    ask(ENTITLEMENTS, customer_id, quick=False)
    noted = note(customer_id)
    shown = {customer_id}
    schedules = set()
    for pages in (billing.subscriptions_of, billing.invoices_of, billing.payment_methods_of, billing.tax_ids_of):
        for page in pages(customer_id):
            learn(noted, page, *page.object["data"])
            shown |= {obj["id"] for obj in page.object["data"]}
            schedules |= {str(id_of(obj["schedule"])) for obj in page.object["data"] if obj.get("schedule")}
    for kind in ("subscription", "subscription_schedule", "invoice", "payment_method", "tax_id"):
        model = READERS[kind][0]
        left = sa.select(model.id).where(model.customer_id == customer_id, model.deleted_at.is_(None))
        wanted = set(db.session.scalars(left)) | (schedules if model is SubscriptionSchedule else set())
        for id in wanted - shown:
            ask(kind, id, quick=False)


# ---------------------------------------------------------------------------------------------------------------------
# Reading and writing rows


def hold(model: type[Any], id: str) -> Held | None:
    """What we have, read in one go with its version."""
    table = model.__table__
    row = db.session.execute(sa.select(table).where(table.c.id == id)).mappings().first()
    if row is None:
        return None
    items = None
    if model is Subscription:
        kept = SubscriptionItem.__table__
        found = db.session.execute(sa.select(kept).where(kept.c.subscription_id == id)).mappings()
        items = sorted_items(
            {name: value for name, value in item.items() if name != "subscription_id"} for item in found
        )
    columns = {name: value for name, value in row.items() if name not in BOOKKEEPING}
    gone = row["deleted_at"] is not None
    return Held(row["version"], row["known_from"], row["known_to"], gone, Copy(model, id, columns, items))


def write_newer(copy: Copy, created: int, settle: Settle) -> bool:
    """Write a snapshot unless we know something as new: one statement that compares and writes."""
    row = {"id": copy.id, "version": 1, "known_from": created, "known_to": created, **copy.columns}
    upsert = upserting(copy.model, is_newer)  # type: ignore[arg-type]  # classes are hashable

    def work(tx: sa.Connection) -> bool:
        if not upsert.run(tx, row).rowcount:
            return False
        write_dependents(tx, copy)
        settle(tx)
        return True

    return bool(db.write_together(work))


@functools.cache
def upserting(model: Any, newer: Callable[[Any, Any], Any]) -> db.Prepared:
    """The statement of `write_newer`."""
    return db.Prepared(lambda dialect: _upsert(model.__table__, model, newer, dialect))


def _upsert(table: Any, model: Any, newer: Callable[[Any, Any], Any], dialect: str) -> Any:
    insert = db.insert_into(table, dialect)
    kept = (*BOOKKEEPING, *FIXED.get(model, ()))
    new = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in kept}
    marks = {name: insert.excluded[name] for name in ("known_from", "known_to")}
    return insert.on_conflict_do_update(
        index_elements=["id"],
        set_=keep_final(model, new) | marks | {"version": table.c.version + 1},
        where=sa.and_(newer(table.c.known_to, insert.excluded.known_to), table.c.deleted_at.is_(None)),
    )


def write_answer(answer: billing.Answer, obj: Row, version: int, created: int | None, settle: Settle | None) -> bool:
    """Write what Stripe answered if our row is still at `version` (0: absent)."""
    if obj.get("deleted"):
        return write_gone(READERS[obj["object"]][0], obj["id"], version, settle)
    return write_unchanged(read(obj), version, bounds(answer, created) | {"deleted_at": None}, settle)


def write_unchanged(copy: Copy, version: int, marks: Row, settle: Settle | None) -> bool:
    """Write over the row that is still at `version`; 0 is the version of a row that is not there."""
    table = copy.model.__table__
    statement: Any
    if version:
        statement = at_version(table, copy.id, version)
        statement = statement.values(version=version + 1, **keep_final(copy.model, copy.columns), **marks)
    else:
        statement = db.insert(copy.model).values(id=copy.id, **copy.columns, **marks).on_conflict_do_nothing()
    with db.write() as tx:
        if not tx.execute(statement).rowcount:
            return False
        write_dependents(tx, copy)
        if settle:
            settle(tx)
    return True


def at_version(table: Any, id: str, version: int) -> Any:
    return sa.update(table).where(table.c.id == id, table.c.version == version)


def write_gone(
    model: type[Any],
    id: str,
    version: int,
    settle: Settle | None,
    last: Copy | None = None,
    created: int | None = None,
) -> bool:
    """Stripe no longer has it: mark our row, if we have one or can make one of what was last seen.

    A gone subscription counts as canceled.
    """
    table = model.__table__
    if not version and last is not None:
        marks = {"known_from": created or 0, "known_to": created or 0, "deleted_at": clock.wall()}
        return write_unchanged(ended(last), 0, marks, settle)
    values: Row = {"deleted_at": clock.wall(), "version": version + 1}
    if model is Subscription:
        values["status"] = sa.case((table.c.status.in_(ENDED), table.c.status), else_="canceled")
    there = sa.select(table.c.id).where(table.c.id == id)
    with db.write() as tx:
        if not tx.execute(at_version(table, id, version).values(values)).rowcount and tx.execute(there).first():
            return False
        if settle:
            settle(tx)
    return True


def ended(copy: Copy) -> Copy:
    if copy.model is not Subscription or copy.columns["status"] in ENDED:
        return copy
    return replace(copy, columns=copy.columns | {"status": "canceled"})


def touch(held: Held, settle: Settle | None, marks: dict[str, int] | None = None) -> bool:
    """We have it already; whoever asked before us must still start over."""
    statement = at_version(held.copy.model.__table__, held.copy.id, held.version)
    with db.write() as tx:
        if not tx.execute(statement.values(version=held.version + 1, **(marks or {}))).rowcount:
            return False
        if settle:
            settle(tx)
    return True


def only(settle: Settle) -> None:
    """Late, or nothing to write: what must be committed with it all the same."""
    db.write_together(settle)


def keep_final(model: Any, columns: Row) -> Row:
    """The columns to set. A status that is final stays, and an invoice's only moves up."""
    status = model.__table__.c.get("status")
    if model is Subscription:
        keep = db.is_one_of(status, ENDED)
    elif model is Invoice:
        rank = sa.case(INVOICE_RANK, value=columns["status"])
        keep = sa.or_(sa.case(INVOICE_RANK, value=status) > rank, db.is_one_of(status, ("paid", "void")))
    else:
        return columns
    return columns | {"status": sa.case((keep, status), else_=columns["status"])}


CUSTOMERS: Any = Customer.__table__
ITEMS: Any = SubscriptionItem.__table__
CHECKOUTS: Any = Checkout.__table__
CLOCK = db.Prepared(lambda _: sa.select(CUSTOMERS.c.test_clock).where(CUSTOMERS.c.id == sa.bindparam("id")))
OF_SUBSCRIPTION = ITEMS.c.subscription_id == sa.bindparam("subscription", type_=sa.String)
OF_ITEM = [column for column in ITEMS.c if column.name != "subscription_id"]
ITEMS_THERE = db.Prepared(lambda _: sa.select(*OF_ITEM).where(OF_SUBSCRIPTION).order_by(ITEMS.c.id))
WITHOUT_ITEMS = db.Prepared(lambda _: sa.delete(ITEMS).where(OF_SUBSCRIPTION))
WITH_ITEM = db.Prepared(lambda _: sa.insert(ITEMS))
ATTEMPT_OVER = db.Prepared(
    lambda _: (
        sa.update(CHECKOUTS)
        .where(CHECKOUTS.c.subscription_id == sa.bindparam("subscription", type_=sa.String))
        .where(CHECKOUTS.c.state == "open")
        .values(state="closed")
    )
)


def write_dependents(tx: sa.Connection, copy: Copy) -> None:
    """What changes with its parent and under its version: items, and the attempt that is over."""
    if copy.items is None:
        return
    there = ITEMS_THERE.run(tx, {"subscription": copy.id}).fetchall()
    if there != [tuple(item[column.name] for column in OF_ITEM) for item in copy.items]:  # most events leave them as is
        WITHOUT_ITEMS.run(tx, {"subscription": copy.id})
        for item in copy.items:
            WITH_ITEM.run(tx, item | {"subscription_id": copy.id})
    if copy.columns["status"] != "incomplete" and not copy.columns["pending_setup_intent"]:
        ATTEMPT_OVER.run(tx, {"subscription": copy.id})
