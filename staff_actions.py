"""What staff do for customers, on record: through the same functions that customers use.

An action is written down as `intended`, then done at Stripe, then noted as `done` or `failed`. What stayed `intended`,
because an answer got lost or a process was killed, is settled by `flask tick`, which asks Stripe how things stand. It
does not cancel or resume anything itself: by then nobody may want it any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

import access
import billing
import clock
import db
import ledger
import notices
import operations
import readings
import subscriptions
import sync
from errors import Problem
from models import StaffAction, Subscription, User, WebhookEvent
from subscriptions import Record

PATIENCE = 600  # seconds; no request of ours to Stripe takes as long
UNKNOWN = "Stripe’s answer did not arrive. Whether it happened is looked up and noted here within a quarter of an hour."
HAPPENED = "The answer got lost on the way. Stripe was asked later: it happened."
DID_NOT_HAPPEN = "The answer got lost on the way. Stripe was asked later: it did not happen."


@dataclass(frozen=True)
class Outcome:
    state: str  # done | failed | intended: not known yet
    note: str  # in words


def cancel(staff: User, user: User, subscription_id: str, *, at_period_end: bool, reason: str) -> Outcome:
    """End a customer's subscription now, or stop its renewal. Raises Problem (404) for one that is not theirs."""
    _own(user, subscription_id)

    def do(record: Record) -> str:
        found = subscriptions.cancel(
            user, subscription_id, at_period_end=at_period_end, reason=None, comment=None, record=record
        )
        ended = found["status"] in sync.ENDED
        text = "The subscription has ended." if ended else "The subscription ends with the period that is paid for."
        return text if record.request_id else f"{text} It was so already."

    kind = "cancel_at_period_end" if at_period_end else "cancel_now"
    return _act(staff, kind, subscription_id, do, user=user, reason=reason)


def resume(staff: User, user: User, subscription_id: str, *, reason: str | None) -> Outcome:
    """Take back a cancellation that has not happened yet. Raises Problem (404) for one that is not theirs."""
    _own(user, subscription_id)

    def do(record: Record) -> str:
        subscriptions.resume(user, subscription_id, record)
        text = "The subscription renews again."
        return text if record.request_id else f"{text} It was so already."

    return _act(staff, "resume", subscription_id, do, user=user, reason=reason)


def resync(staff: User, user: User, *, reason: str | None) -> Outcome:
    """Make our rows of a customer equal to Stripe's. Raises Problem (409) for who is no customer at Stripe."""
    customer = readings.customer_of(user.id)
    if customer is None:
        raise Problem(409, "no_customer", "There is nothing at Stripe for this account yet.")

    def do(_record: Record) -> str:
        sync.customer(customer.id)
        return "Everything here is as Stripe has it now."

    return _act(staff, "resync", customer.id, do, user=user, reason=reason)


def replay(staff: User, event_id: str, *, reason: str | None) -> Outcome:
    """Bring a failed event into effect. Raises Problem: 404 for none of ours, 409 for one that did not fail."""
    row = db.session.execute(sa.select(WebhookEvent.__table__).where(WebhookEvent.id == event_id)).mappings().first()
    if row is None:
        raise Problem(404, "not_found", "There is no such event.")
    if row["state"] != "failed":
        raise Problem(409, "not_failed", "This event has not failed: there is nothing to do again.")
    user = readings.user_of(row["customer_id"])
    return _act(staff, "replay", event_id, lambda _record: _replay(event_id), user=user, reason=reason)


def _replay(event_id: str) -> str:
    if ledger.replay(event_id) == "done":
        return "The event has been brought into effect."
    error = db.session.scalar(sa.select(WebhookEvent.error).where(WebhookEvent.id == event_id))
    raise Problem(409, "failed_again", f"The event failed again: {error}")


def _own(user: User, subscription_id: str) -> None:
    if readings.owner_of(subscription_id, user.id) is None:
        raise Problem(404, "not_found", "This customer has no such subscription.")


# ---------------------------------------------------------------------------------------------------------------------
# The record


def _act(
    staff: User, kind: str, subject: str, do: Callable[[Record], str], *, user: User | None, reason: str | None
) -> Outcome:
    """Write an action down, do it, and note what came of it. `do` says in words what it did."""
    record = Record(operations.new_id())
    intended = {
        "id": record.key,
        "staff_id": staff.id,
        "staff_email": staff.email,
        "user_id": user.id if user else None,
        "kind": kind,
        "subject": subject,
        "reason": reason,
        "at": access.standings_of(user.id)[1] if user else clock.wall(),
        "started_at": clock.wall(),
        "state": "intended",
    }
    with db.write() as tx:
        tx.execute(sa.insert(StaffAction).values(intended))
    try:
        outcome = Outcome("done", do(record))
    except billing.BillingError as error:
        lost = isinstance(error, billing.Unavailable) and not isinstance(error, billing.Busy)
        outcome = Outcome("intended", UNKNOWN) if lost else Outcome("failed", error.message)
        record.request_id = record.request_id or error.request_id
    except sync.Contended:
        outcome = Outcome("intended", UNKNOWN)
    except Problem as refusal:
        outcome = Outcome("failed", refusal.message)
    changed = outcome.state == "done" and record.request_id is not None
    _note(record, outcome, (kind, subject) if changed else None)
    return outcome


def _note(record: Record, outcome: Outcome, news: tuple[str, str] | None) -> None:
    """What came of an action, unless somebody else has found out already.

    With it the customer is told the `news`: what was changed for them, and of which subscription.
    """
    mine = sa.update(StaffAction).where(StaffAction.id == record.key, StaffAction.state == "intended")
    heard = {"request_id": record.request_id, "at": record.done_at}
    values = {"state": outcome.state, "note": outcome.note} | {name: value for name, value in heard.items() if value}
    with db.write() as tx:
        if tx.execute(mine.values(values)).rowcount and news:
            notices.done_by_staff(tx, record.key, *news)


# ---------------------------------------------------------------------------------------------------------------------
# What stayed open


def settle() -> None:
    """Find out at Stripe what became of actions whose end was never heard of. Safe to do twice at once."""
    open_for_long = sa.select(StaffAction).where(
        StaffAction.state == "intended", StaffAction.started_at < clock.wall() - PATIENCE
    )
    failures = []
    for action in db.session.scalars(open_for_long, execution_options=readings.FRESH).all():
        try:
            outcome = _what_became_of(action)
            _note(Record(action.id), outcome, (action.kind, action.subject) if outcome.state == "done" else None)
        except (billing.Unavailable, sync.Contended):
            continue
        except Exception as error:  # the others are looked up all the same
            failures.append(error)
    if failures:
        raise ExceptionGroup("not all that staff did could be looked up", failures)


def _what_became_of(action: StaffAction) -> Outcome:
    if action.kind == "resync":  # only asks, so that it can be done again
        sync.customer(action.subject)
        return Outcome("done", "It was cut off, and done again later.")
    if action.kind == "replay":
        try:
            return Outcome("done", _replay(action.subject))
        except Problem as refusal:
            return Outcome("failed", refusal.message)
    sync.ask("subscription", action.subject, quick=False)
    return Outcome("done", HAPPENED) if _has_happened(action) else Outcome("failed", DID_NOT_HAPPEN)


def _has_happened(action: StaffAction) -> bool:
    row = db.session.get(Subscription, action.subject, populate_existing=True)
    assert row is not None, "a subscription of ours is never deleted here"
    ended = row.status in sync.ENDED
    stops = bool(row.cancel_at_period_end or row.cancel_at)
    return {
        "cancel_now": ended,
        "cancel_at_period_end": ended or stops,
        "resume": not ended and not stops,
    }[action.kind]
