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
from models import Customer, PaymentMethod, WebhookEvent

ID_LIMIT = 255
FINAL = ("done", "ignored")


def is_settled(event_id: str) -> bool:
    """Whether nothing is left to do for an event, so that its redelivery is already done."""
    return db.session.scalar(sa.select(WebhookEvent.state).where(WebhookEvent.id == event_id)) in FINAL


def is_name(value: Any) -> bool:
    """A string that any database can keep: not empty, not long, no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or not 0 < len(value) <= ID_LIMIT or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def owner(obj: dict[str, Any]) -> str | None:
    """The id of the customer that an object belongs to."""
    if obj["object"] == "customer":
        return str(obj["id"])
    customer = obj.get("customer")
    if isinstance(customer, dict):
        customer = customer.get("id")
    if customer is None and obj["object"] == "payment_method":
        # Detached: Stripe no longer says whose it was, we may.
        return db.session.scalar(sa.select(PaymentMethod.customer_id).where(PaymentMethod.id == obj["id"]))
    return customer if is_name(customer) else None


def is_ours(obj: dict[str, Any], customer_id: str | None) -> bool:
    if obj["object"] in sync.CATALOGUE:
        return True
    if customer_id is None:
        return False
    return db.session.scalar(sa.select(sa.literal(1)).where(Customer.id == customer_id)) is not None


def enter(
    tx: sa.Connection, event: dict[str, Any], customer_id: str | None, state: str, error: Exception | None = None
) -> None:
    """Write the ledger's row of an event. `done` commits together with the event's effect."""
    row = {
        "state": state,
        "error": repr(error)[:1000] if error else None,
        "request_id": getattr(error, "request_id", None),
        "received_at": clock.wall(),
    }
    insert = db.insert(WebhookEvent).values(
        id=event["id"],
        type=event["type"],
        created=event["created"],
        object_id=event["data"]["object"].get("id"),
        customer_id=customer_id,
        attempts=1,
        **row,
    )
    again = row | {"attempts": WebhookEvent.attempts + 1, "customer_id": customer_id}
    done_already = WebhookEvent.state.in_(FINAL)
    tx.execute(insert.on_conflict_do_update(index_elements=["id"], set_=again, where=sa.not_(done_already)))


def replay(event_id: str) -> str:
    """Do again what an event in the ledger was about, asking Stripe for the object. Returns the new state."""
    row = db.session.execute(sa.select(WebhookEvent.__table__).where(WebhookEvent.id == event_id)).mappings().one()
    kind = kind_of(row["type"])
    event = {
        "id": row["id"],
        "type": row["type"],
        "created": row["created"],
        "data": {"object": {"id": row["object_id"]}},
    }
    try:
        sync.ask(kind, row["object_id"], settle=lambda tx: enter(tx, event, row["customer_id"], "done"), quick=False)
    except (billing.BillingError, sync.Contended) as error:
        with db.write() as tx:
            enter(tx, event, row["customer_id"], "failed", error)
        return "failed"
    return "done"


def take_up(customer_id: str) -> None:
    """Bring into effect what came before the customer was ours."""
    for event_id in unfinished(customer_id=customer_id):
        replay(event_id)


def kind_of(event_type: str) -> str:
    """The kind of object that an event is about: "customer.subscription.updated" is about a subscription."""
    return event_type.split(".")[-2]


def unfinished(*, customer_id: str | None = None, event_type: str | None = None) -> list[str]:
    """Events with something left to do, oldest first: failed ones, or those of a customer who became ours since."""
    query = sa.select(WebhookEvent.id).order_by(WebhookEvent.received_at)
    if customer_id:
        query = query.where(WebhookEvent.customer_id == customer_id, WebhookEvent.state == "foreign")
    else:
        query = query.where(WebhookEvent.state == "failed")
    if event_type:
        query = query.where(WebhookEvent.type == event_type)
    return list(db.session.scalars(query))
