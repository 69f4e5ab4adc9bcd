"""How Stripe's state reaches our tables: one way in, whoever brings it.

A row is known to be Stripe's state as of some instant between its `known_from` and `known_to`. An event carries a
snapshot of its `created`, in whole seconds and without order inside one. What makes the copying right is each row's
`version`: note it, ask Stripe with no transaction open, and write only if it is unchanged, else start over. The clock
only saves questions.
docs/decisions/001-one-rule-for-copies.md tells why each clause is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

import billing
import clock
import db
from models import Checkout, Customer, Invoice, PaymentMethod, Price, Product, Subscription, SubscriptionItem

TRIES = 5
MARGIN = 2  # seconds that Stripe's clocks may be apart
ENDED = ("canceled", "incomplete_expired")
INVOICE_RANK = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}

Row = dict[str, Any]
Settle = Callable[[sa.Connection], None]  # what must be committed together with the effect


class Contended(Exception):
    """A row changed under us as often as we tried: Stripe will send the event again."""


@dataclass(frozen=True)
class Copy:
    """One object of Stripe's, as our columns."""

    model: type[Any]
    id: str
    columns: Row
    items: list[Row] | None = None  # a subscription's, replaced whole with it


@dataclass(frozen=True)
class Held:
    """What we have of an object."""

    version: int
    known_from: int
    known_to: int
    copy: Copy


# ---------------------------------------------------------------------------------------------------------------------
# Reading Stripe's objects


def read(obj: Row) -> Copy:
    """Stripe's JSON as our columns. Raises KeyError or TypeError for a shape of another API version."""
    if obj.get("deleted"):
        raise KeyError("deleted")
    model, columns = READERS[obj["object"]]
    items = sorted_items(map(read_item, obj["items"]["data"])) if model is Subscription else None
    return Copy(model, obj["id"], columns(obj), items)


def read_product(obj: Row) -> Row:
    metadata = obj["metadata"]
    return {
        "key": metadata.get("key"),
        "name": obj["name"],
        "description": obj["description"],
        "active": obj["active"],
        "opens": metadata.get("opens", metadata.get("key", "")).split(),
        "features": [feature["name"] for feature in obj["marketing_features"] if feature.get("name")],
    }


def read_price(obj: Row) -> Row:
    recurring = obj["recurring"] or {}
    options = obj.get("currency_options") or {}
    amounts = {currency: option["unit_amount"] for currency, option in options.items()}
    return {
        "product_id": obj["product"],
        "lookup_key": obj["lookup_key"],
        "active": obj["active"],
        "currency": obj["currency"],
        "unit_amount": obj["unit_amount"],
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "currency_options": {obj["currency"]: obj["unit_amount"]} | amounts,
    }


def read_customer(obj: Row) -> Row:
    return {
        "email": obj["email"],
        "name": obj["name"],
        "address": obj["address"],
        "currency": obj["currency"],
        "default_payment_method": id_of(obj["invoice_settings"]["default_payment_method"]),
        "delinquent": obj["delinquent"],
    }


def read_subscription(obj: Row) -> Row:
    return {
        "customer_id": id_of(obj["customer"]),
        "status": obj["status"],
        "created": obj["created"],
        "currency": obj["currency"],
        "cancel_at": obj["cancel_at"],
        "cancel_at_period_end": obj["cancel_at_period_end"],
        "canceled_at": obj["canceled_at"],
        "ended_at": obj["ended_at"],
        "trial_end": obj["trial_end"],
        "latest_invoice": id_of(obj["latest_invoice"]),
        "default_payment_method": id_of(obj["default_payment_method"]),
        "pending_setup_intent": id_of(obj["pending_setup_intent"]),
        "schedule": id_of(obj["schedule"]),
    }


def read_item(item: Row) -> Row:
    price = item["price"]
    recurring = price["recurring"] or {}
    return {
        "id": item["id"],
        "price_id": price["id"],
        "product_id": id_of(price["product"]),
        "quantity": item.get("quantity"),
        "unit_amount": price["unit_amount"],
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "current_period_start": item["current_period_start"],
        "current_period_end": item["current_period_end"],
    }


def read_invoice(obj: Row) -> Row:
    details = (obj["parent"] or {}).get("subscription_details") or {}
    return {
        "customer_id": id_of(obj["customer"]),
        "subscription_id": id_of(details.get("subscription")),
        "status": obj["status"],
        "billing_reason": obj["billing_reason"],
        "number": obj["number"],
        "created": obj["created"],
        "currency": obj["currency"],
        "total": obj["total"],
        "amount_due": obj["amount_due"],
        "amount_paid": obj["amount_paid"],
        "amount_remaining": obj["amount_remaining"],
        "attempt_count": obj["attempt_count"],
        "next_payment_attempt": obj["next_payment_attempt"],
        "finalized_at": obj["status_transitions"]["finalized_at"],
        "hosted_invoice_url": obj.get("hosted_invoice_url"),
        "invoice_pdf": obj.get("invoice_pdf"),
    }


def read_payment_method(obj: Row) -> Row:
    details = obj.get(obj["type"]) or {}
    return {
        "customer_id": id_of(obj["customer"]),
        "type": obj["type"],
        "brand": details.get("display_brand") or details.get("brand"),
        "last4": details.get("last4"),
        "exp_month": details.get("exp_month"),
        "exp_year": details.get("exp_year"),
    }


READERS: dict[str, tuple[type[Any], Callable[[Row], Row]]] = {
    "product": (Product, read_product),
    "price": (Price, read_price),
    "customer": (Customer, read_customer),
    "subscription": (Subscription, read_subscription),
    "invoice": (Invoice, read_invoice),
    "payment_method": (PaymentMethod, read_payment_method),
}
CATALOGUE = ("product", "price")
GONE = ("customer.deleted", "product.deleted", "price.deleted")  # their objects do not say so themselves


def sorted_items(items: Iterable[Row]) -> list[Row]:
    return sorted(items, key=itemgetter("id"))


def id_of(value: Any) -> str | None:
    """The id of something that Stripe may have expanded."""
    found: str | None = value["id"] if isinstance(value, dict) else value
    return found


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
        return ask(obj["object"], obj["id"], created, settle)
    if write_newer(copy, created, settle):
        return None
    for _ in range(TRIES):
        held = hold(copy.model, copy.id)
        if held is None or created > held.known_to:
            if write_newer(copy, created, settle):
                return None
        elif created < held.known_from:
            return late(settle)
        elif copy == held.copy:
            if touch(held, settle):
                return None
        else:
            return ask(obj["object"], obj["id"], created, settle)
    raise Contended(copy.id)


def snapshot(event: Row) -> Copy | None:
    """What the event says of its object, or None where only Stripe can tell.

    Test clocks run apart from `created`'s other users; other API versions have other fields; a price's event lacks its
    currency_options; a long list of items is cut off.
    """
    obj = event["data"]["object"]
    if str(event["api_version"]).rpartition(".")[2] != billing.TRAIN:
        return None
    if obj.get("test_clock") or obj["object"] == "price" or event["type"] in GONE:
        return None
    if obj["object"] == "subscription" and obj["items"]["has_more"]:
        return None
    try:
        return read(obj)
    except (KeyError, TypeError, AttributeError):
        return None


def ask(kind: str, id: str, created: int | None = None, settle: Settle | None = None, *, quick: bool = True) -> None:
    """Ask Stripe for one object until the answer could be written over what was there before the question."""
    model = READERS[kind][0]
    for _ in range(TRIES):
        held = hold(model, id)
        version = held.version if held else 0
        try:
            answer = billing.retrieve(kind, id, quick=quick)
        except billing.Missing:
            written = write_gone(model, id, version, settle)
        else:
            written = bring(answer, answer.object, version, created, settle)
        if written:
            return
    raise Contended(id)


def note(customer_id: str) -> dict[str, int]:
    """The version of every row of a customer; to be taken before a call whose answer `learn` gets."""
    queries = [sa.select(Customer.id, Customer.version).where(Customer.id == customer_id)] + [
        sa.select(model.id, model.version).where(model.customer_id == customer_id)
        for model in (Subscription, Invoice, PaymentMethod)
    ]
    return {row.id: row.version for row in db.session.execute(sa.union_all(*queries))}


def learn(noted: dict[str, int], answer: billing.Answer, *objects: Row) -> None:
    """Write what an answer says of `objects` (by default itself) and of what they are expanded with.

    A row that changed since `noted` is asked for anew.
    """
    for obj in objects or (answer.object,):
        for part in embedded(obj):
            if not bring(answer, part, noted.get(part["id"], 0), None, None):
                ask(part["object"], part["id"], quick=False)


def bring(answer: billing.Answer, obj: Row, version: int, created: int | None, settle: Settle | None) -> bool:
    """Write what Stripe answered over `version`, or find that somebody else has just written the same."""
    if write_answer(answer, obj, version, created, settle):
        return True
    for _ in range(TRIES):
        held = None if obj.get("deleted") else hold(READERS[obj["object"]][0], obj["id"])
        if held is None or held.copy != read(obj):
            return False
        if touch(held, settle):
            return True
    return False


def customer(customer_id: str) -> None:
    """Make all our rows of a customer equal to Stripe's, also those that no list shows."""
    ask("customer", customer_id, quick=False)
    noted = note(customer_id)
    shown = {customer_id}
    for pages in (billing.subscriptions_of, billing.invoices_of, billing.payment_methods_of):
        for page in pages(customer_id):
            learn(noted, page, *page.object["data"])
            shown |= {obj["id"] for obj in page.object["data"]}
    for kind in ("subscription", "invoice", "payment_method"):
        model = READERS[kind][0]
        left = sa.select(model.id).where(model.customer_id == customer_id, model.deleted_at.is_(None))
        for id in set(db.session.scalars(left)) - shown:
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
    bookkeeping = ("id", "version", "known_from", "known_to", "deleted_at", "user_id")
    columns = {name: value for name, value in row.items() if name not in bookkeeping}
    return Held(row["version"], row["known_from"], row["known_to"], Copy(model, id, columns, items))


def write_newer(copy: Copy, created: int, settle: Settle) -> bool:
    """Write a snapshot unless we know something as new: one statement that compares and writes."""
    insert = db.insert(copy.model).values(id=copy.id, known_from=created, known_to=created, **copy.columns)
    table = copy.model.__table__
    upsert = insert.on_conflict_do_update(
        index_elements=["id"],
        set_=changes(copy) | {"version": table.c.version + 1, "known_from": created, "known_to": created},
        where=table.c.known_to < created,
    )
    with db.write() as tx:
        if not tx.execute(upsert).rowcount:
            return False
        write_dependents(tx, copy)
        settle(tx)
    return True


def write_answer(answer: billing.Answer, obj: Row, version: int, created: int | None, settle: Settle | None) -> bool:
    """Write what Stripe answered if our row is still at `version` (0: absent)."""
    if obj.get("deleted"):
        return write_gone(READERS[obj["object"]][0], obj["id"], version, settle)
    copy = read(obj)
    at_least = created or 0
    bounds = {
        "known_from": max(answer.date - answer.took - MARGIN, at_least),
        "known_to": max(answer.date, at_least) + MARGIN,
        "deleted_at": None,
    }
    return write_unchanged(copy, version, bounds, settle)


def write_unchanged(copy: Copy, version: int, bounds: Row, settle: Settle | None) -> bool:
    table = copy.model.__table__
    statement: Any
    if version:
        statement = sa.update(table).where(table.c.id == copy.id, table.c.version == version)
        statement = statement.values(version=version + 1, **changes(copy), **bounds)
    else:
        statement = db.insert(copy.model).values(id=copy.id, **copy.columns, **bounds).on_conflict_do_nothing()
    with db.write() as tx:
        if not tx.execute(statement).rowcount:
            return False
        write_dependents(tx, copy)
        if settle:
            settle(tx)
    return True


def write_gone(model: type[Any], id: str, version: int, settle: Settle | None) -> bool:
    """Stripe no longer has it: mark our row, if we have one. A gone subscription counts as canceled."""
    table = model.__table__
    values: Row = {"deleted_at": clock.wall(), "version": version + 1}
    if model is Subscription:
        values["status"] = sa.case((table.c.status.in_(ENDED), table.c.status), else_="canceled")
    gone = sa.update(table).where(table.c.id == id, table.c.version == version).values(values)
    there = sa.select(table.c.id).where(table.c.id == id)
    with db.write() as tx:
        if not tx.execute(gone).rowcount and tx.execute(there).first():
            return False
        if settle:
            settle(tx)
    return True


def touch(held: Held, settle: Settle | None) -> bool:
    """We have it already; whoever asked before us must still start over."""
    table = held.copy.model.__table__
    statement = sa.update(table).where(table.c.id == held.copy.id, table.c.version == held.version)
    with db.write() as tx:
        if not tx.execute(statement.values(version=held.version + 1)).rowcount:
            return False
        if settle:
            settle(tx)
    return True


def late(settle: Settle) -> None:
    with db.write() as tx:
        settle(tx)


def changes(copy: Copy) -> Row:
    """The columns to set. A status that is final stays, and an invoice's only moves up."""
    table = copy.model.__table__
    new = copy.columns.get("status")
    if copy.model is Subscription:
        keep = table.c.status.in_(ENDED)
    elif copy.model is Invoice:
        rank = INVOICE_RANK[str(new)]
        keep = table.c.status.in_([status for status, held in INVOICE_RANK.items() if held > rank or held == 3])
    else:
        return dict(copy.columns)
    return copy.columns | {"status": sa.case((keep, table.c.status), else_=new)}


def write_dependents(tx: sa.Connection, copy: Copy) -> None:
    """What changes with its parent and under its version: items, and the attempt that is over."""
    if copy.items is None:
        return
    tx.execute(sa.delete(SubscriptionItem).where(SubscriptionItem.subscription_id == copy.id))
    tx.execute(sa.insert(SubscriptionItem), [item | {"subscription_id": copy.id} for item in copy.items])
    if copy.columns["status"] != "incomplete" and not copy.columns["pending_setup_intent"]:
        over = sa.update(Checkout).where(Checkout.subscription_id == copy.id, Checkout.state == "open")
        tx.execute(over.values(state="closed"))
