"""The ledger of webhook events: what came, and what became of it.

States: `done` (committed together with its effect), `ignored`, `foreign` (not a customer of ours, yet), `failed`.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

import billing
import clock
import db
import sync
from copies import READERS, Copy, identity, is_name
from models import Customer, PaymentMethod, WebhookEvent

VERSION_LIMIT = 64
FINAL = ("done", "ignored")
UPCOMING = "invoice.upcoming"


EVENTS: Any = WebhookEvent.__table__
CUSTOMERS: Any = Customer.__table__
STATE_OF = sa.select(EVENTS.c.state).where(EVENTS.c.id == sa.bindparam("event"))
IS_CUSTOMER = sa.exists().where(CUSTOMERS.c.id == sa.bindparam("customer"))
CUSTOMER = db.Prepared(lambda _: sa.select(IS_CUSTOMER))
STANDING = db.Prepared(lambda _: sa.select(STATE_OF.scalar_subquery(), IS_CUSTOMER))


def look_up(event_id: str, customer_id: str | None) -> tuple[bool, bool]:
    """Whether nothing is left to do for an event, so its redelivery is already done; and whether a customer is ours."""
    state, is_ours = db.find(STANDING, event=event_id, customer=customer_id)
    return state in FINAL, bool(is_ours)


def is_settled(event_id: str) -> bool:
    return look_up(event_id, None)[0]


def named_customer(obj: dict[str, Any]) -> str | None:
    """The id of the customer that an object says it belongs to, or is."""
    customer_id = obj.get("id") if obj["object"] == "customer" else sync.id_of(obj.get("customer"))
    return customer_id if is_name(customer_id) else None


def owner(event: dict[str, Any]) -> str | None:
    """The id of the customer that an event's object belongs to, by whatever way there is to it."""
    obj, before = event["data"]["object"], event["data"].get("previous_attributes")
    if customer_id := named_customer(obj):
        return customer_id
    if obj["object"] == "dispute":  # names its charge alone
        charge_id = sync.id_of(obj.get("charge"))
        if not is_name(charge_id):
            return None
        try:
            obj = billing.retrieve("charge", str(charge_id), quick=True).object
        except billing.Missing:
            return None
    customer = named_customer(obj)  # a dispute's charge
    if customer is None and isinstance(before, dict):
        customer = sync.id_of(before.get("customer"))
    if customer is None and obj["object"] == "payment_method":
        # Detached: Stripe no longer says whose it was, we may.
        return db.session.scalar(sa.select(PaymentMethod.customer_id).where(PaymentMethod.id == obj["id"]))
    return customer if is_name(customer) else None


def is_ours(obj: dict[str, Any], customer_id: str | None) -> bool:
    if obj["object"] in sync.CATALOGUE:
        return True
    if customer_id is None:
        return False
    return bool(db.find(CUSTOMER, customer=customer_id)[0])


def enter(
    tx: sa.Connection, event: dict[str, Any], customer_id: str | None, state: str, error: Exception | None = None
) -> None:
    """Write the ledger's row of an event. `done` commits together with the event's effect."""
    about = {name: event[name] for name in ("id", "type", "created", "api_version")}
    object_id = identity(event["data"]["object"])
    note(tx, about | {"object_id": object_id if is_name(object_id) else None}, customer_id, state, error)


def note(
    tx: sa.Connection, about: dict[str, Any], customer_id: str | None, state: str, error: Exception | None = None
) -> None:
    outcome = {
        "customer_id": customer_id,
        "state": state,
        "error": repr(error)[:1000] if error else None,
        "request_id": getattr(error, "request_id", None),
        "received_at": clock.wall(),
    }
    row = {name: about[name] for name in ("id", "type", "created", "object_id", "api_version")} | outcome
    row["api_version"] = str(about["api_version"])[:VERSION_LIMIT] if is_name(about["api_version"]) else None
    ENTER.run(tx, row | {"attempts": 1})


def _enter(dialect: str) -> Any:
    insert = db.insert_into(EVENTS, dialect)
    again = {name: insert.excluded[name] for name in ("customer_id", "state", "error", "request_id", "received_at")}
    again["attempts"] = EVENTS.c.attempts + 1
    return insert.on_conflict_do_update(index_elements=["id"], set_=again, where=~db.is_one_of(EVENTS.c.state, FINAL))


ENTER = db.Prepared(_enter)


def replay(event_id: str) -> str:
    """Do again what an event in the ledger was about, asking Stripe how it stands. Returns the new state."""
    row = db.session.execute(sa.select(WebhookEvent.__table__).where(WebhookEvent.id == event_id)).mappings().one()

    def settle(tx: sa.Connection, state: str = "done", error: Exception | None = None) -> None:
        note(tx, dict(row), row["customer_id"], state, error)

    try:
        if kind := kind_of(row["type"]):
            sync.ask(kind, row["object_id"], settle=settle, quick=False, last=last_seen(dict(row)))
        else:
            # What it was about we keep no copy of; what it may have led to is the customer's.
            sync.customer(row["customer_id"])
            sync.only(settle)
    except (billing.BillingError, sync.Contended) as error:
        # Stripe takes a foreign event for delivered: it stays what it is, for `flask tick` to take up.
        failed = "foreign" if row["state"] == "foreign" else "failed"
        problem = error
        sync.only(lambda tx: settle(tx, failed, problem))
        return failed
    return "done"


def last_seen(row: dict[str, Any]) -> Copy | None:
    """How what is gone was when its event told so, lest an older event that comes later brings it back."""
    if row["type"] not in sync.GONE:
        return None
    try:
        return sync.last_of_gone(billing.event(row["id"]).object["data"]["object"])
    except billing.Missing:  # Stripe keeps events for 30 days
        return None


def take_up(customer_id: str | None = None) -> None:
    """Bring into effect what came before a customer, or any, was ours."""
    for event_id in unfinished(customer_id=customer_id, state="foreign"):
        replay(event_id)


def kind_of(event_type: str) -> str | None:
    """The kind of object that an event is about, if we keep copies of it.

    "customer.subscription.updated" is about a subscription.
    """
    if event_type == UPCOMING:  # its invoice is not there yet
        return None
    about = event_type.rpartition(".")[0]
    return next((kind for kind in (about, about.rpartition(".")[2]) if kind in READERS), None)


def unfinished(*, customer_id: str | None = None, event_type: str | None = None, state: str = "failed") -> list[str]:
    """Events with something left to do, oldest first: failed ones, or `foreign` ones of customers who are ours now."""
    query = sa.select(WebhookEvent.id).where(WebhookEvent.state == state)
    if state == "foreign":
        query = query.where(sa.exists().where(Customer.id == WebhookEvent.customer_id))
    # By one index or the other: an account with other business may have many foreign events.
    mine = WebhookEvent.customer_id == customer_id
    query = query.where(mine if customer_id else WebhookEvent.is_unfinished())
    if event_type:
        query = query.where(WebhookEvent.type == event_type)
    return list(db.session.scalars(query.order_by(WebhookEvent.received_at)))
