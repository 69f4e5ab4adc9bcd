"""Changes at Stripe, written down before they are asked for: an operation's id is its idempotency key.

An answer that got lost leaves the operation open; doing the same again takes the same id, so Stripe does it once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import billing
import clock
import db
from models import Operation

PATIENCE = 60  # seconds after which an answer counts as lost
KEY_LIFE = 20 * 3600  # Stripe keeps a key for at least 24 hours
AFTER_GIVEN_UP = "begun after another was given up"


@dataclass(frozen=True)
class Open:
    id: str
    subject: str
    params: dict[str, Any]
    fresh: bool  # False: begun before, its outcome is not known
    given_up: bool = False  # one before it was: its outcome is not known, and its key no longer protects


def new_id() -> str:
    return uuid.uuid4().hex


def begin(kind: str, subject: str, params: dict[str, Any], *, id: str | None = None) -> Open:
    """The open operation of this kind on `subject`, or a new one with `params`.

    One that is older than Stripe keeps keys is given up, and the caller must look at Stripe first.
    """
    id = id or new_id()
    row = {"id": id, "kind": kind, "subject": subject, "params": params, "state": "open", "started_at": clock.wall()}
    same = (Operation.kind == kind, Operation.subject == subject, Operation.state == "open")
    with db.write() as tx:
        old = sa.update(Operation).where(*same, Operation.started_at < clock.wall() - KEY_LIFE)
        gone = tx.execute(old.values(state="failed", note="given up: its key is too old to be used again"))
        there = tx.execute(sa.select(Operation.id, Operation.params, Operation.note).where(*same)).first()
        if there:
            return Open(there.id, subject, there.params, fresh=False, given_up=there.note == AFTER_GIVEN_UP)
        note = AFTER_GIVEN_UP if gone.rowcount else None
        new = db.insert(Operation).values(row | {"note": note}).on_conflict_do_nothing(index_elements=["id"])
        fresh = bool(tx.execute(new).rowcount)  # else this very one was begun and ended a moment ago
    return Open(id, subject, params, fresh=fresh, given_up=note is not None)


def is_open(kind: str, subject: str) -> bool:
    """Whether a change of this kind was begun on `subject` and is not known to have ended."""
    same = (Operation.kind == kind, Operation.subject == subject, Operation.state == "open")
    return db.session.scalar(sa.select(Operation.id).where(*same)) is not None


def left_open(kind: str, seconds: int) -> list[Open]:
    """Operations of this kind that nobody is waiting for any more: begun so many seconds ago or earlier."""
    query = sa.select(Operation.id, Operation.subject, Operation.params).order_by(Operation.started_at)
    query = query.where(
        Operation.kind == kind, Operation.state == "open", Operation.started_at <= clock.wall() - seconds
    )
    return [Open(row.id, row.subject, row.params, fresh=False) for row in db.session.execute(query)]


def end(id: str, state: str, note: str | None = None) -> None:
    with db.write() as tx:
        end_in(tx, id, state, note)


def end_in(tx: sa.Connection, id: str, state: str, note: str | None = None) -> None:
    """Note how an operation ended: "done" or "failed"."""
    tx.execute(sa.update(Operation).where(Operation.id == id).values(state=state, note=note))


def settle_each(settlers: dict[str, Callable[[Open], None]], *, after: int = PATIENCE) -> None:
    """Bring operations of these kinds to their end that were left open `after` so many seconds.

    One that fails does not hold up the next: all failures are raised together at the end. What Stripe refuses has
    failed for good.
    """
    failures: list[Exception] = []
    for kind, settle in settlers.items():
        for operation in left_open(kind, after):
            try:
                settle(operation)
            except billing.Refused as error:
                end(operation.id, "failed", str(error))
                failures.append(error)
            except Exception as error:
                failures.append(error)
    if failures:
        raise ExceptionGroup("not all that was left open could be settled", failures)
