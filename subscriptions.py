"""What customers and staff can do: become a customer, cancel, resume.

Before anything is changed Stripe is asked, never our tables, and every change has an id that is stored first and is its
idempotency key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from flask import url_for

import billing
import db
import ledger
import operations
import readings
import refunds
import sync
from errors import Problem
from models import Customer, User

Row = dict[str, Any]


@dataclass
class Record:
    """A change that is written down elsewhere already: what came of it is noted here."""

    key: str  # its idempotency key
    request_id: str | None = None  # Stripe's, once there is one
    done_at: int | None = None  # by Stripe's clock


# ---------------------------------------------------------------------------------------------------------------------
# Customers


def ensure_customer(user: User, details: Row | None = None) -> Customer:
    """The customer that a user is at Stripe; made there if need be, once.

    `details` (name, address, shipping) go to Stripe when the customer is made. Raises billing.BillingError.
    """
    there = readings.customer_of(user.id)
    if there is not None:
        return there
    values = {"email": user.email, "metadata": {"user_id": str(user.id)}, **(details or {})}
    operation = operations.begin("create_customer", str(user.id), values)
    there = readings.customer_of(user.id)
    if there is not None:  # another request made it between the look above and the record just written
        operations.end(operation.id, "done")
        return there
    try:
        answer = billing.find_customer(user.email, user.id) if operation.given_up else None
        answer = answer or billing.create_customer(
            cast(billing.params.CustomerCreateParams, operation.params), operation.id
        )
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise
    adopt(answer, user, operation.id)
    return cast(Customer, readings.customer_of(user.id))


def adopt(answer: billing.Answer, user: User, operation_id: str) -> None:
    """Make a customer of Stripe's ours, and take up what came of them before."""
    copy = sync.read(answer.object)
    if answer.replayed:  # what a repeated key brings back was true when the customer was made
        answer = replace(answer, date=answer.object["created"], took=0)
    with db.write() as tx:
        insert = db.insert(Customer).values(id=copy.id, user_id=user.id, **copy.columns, **sync.bounds(answer, None))
        tx.execute(insert.on_conflict_do_nothing())
        operations.end_in(tx, operation_id, "done")
    ledger.take_up(copy.id)


# ---------------------------------------------------------------------------------------------------------------------
# Cancelling and taking it back


def cancel(
    user: User,
    subscription_id: str,
    *,
    at_period_end: bool,
    reason: str | None,
    comment: str | None,
    record: Record | None = None,
) -> Row:
    """End a subscription now, or stop its renewal. What is gone already, or stopped already, is a success.

    Returns the subscription as Stripe has it now. Raises Problem (404) for another customer's.
    """
    customer_id = own(user, subscription_id)
    noted = sync.note(customer_id)
    try:
        answer = billing.retrieve_checkout(subscription_id)
        sync.learn(noted, answer)
        subscription = answer.object
        stops_already = subscription["cancel_at_period_end"] or subscription["cancel_at"]
        if subscription["status"] in sync.ENDED or (at_period_end and stops_already):
            return subscription
        details = {name: value for name, value in (("feedback", reason), ("comment", comment)) if value}
        values: Row = {"cancellation_details": details} if details else {}
        now = cast(billing.params.SubscriptionCancelParams, values)
        if subscription["status"] == "incomplete":
            answer, _notice = refunds.end_unpaid(subscription, user, now)
            return _note(record, answer).object
        drop_schedule(subscription, customer_id)
        noted = sync.note(customer_id)
        if at_period_end:
            stop: Row = {"cancel_at_period_end": True, "cancellation_details": details}
            answer = _update(subscription_id, "cancel_at_period_end", stop, record)
        else:
            answer = billing.cancel_subscription(subscription_id, now)
            _note(record, answer)
    except billing.Missing:
        sync.ask("subscription", subscription_id, quick=False)
        return {"id": subscription_id, "object": "subscription", "status": "canceled"}
    sync.learn(noted, answer)
    return answer.object


def end_now(subscription: Row, user: User) -> None:
    """End what runs, or waits for its first payment. What has ended since it was asked for is a success."""
    if subscription["status"] == "incomplete":
        refunds.end_unpaid(subscription, user)
    else:
        end_at_stripe(subscription["id"], sync.id_of(subscription["customer"]) or "")


def end_at_stripe(subscription_id: str, customer_id: str) -> None:
    """End a subscription and give nothing back. What has ended already is a success. Raises billing.BillingError."""
    noted = sync.note(customer_id)
    try:
        sync.learn(noted, billing.cancel_subscription(subscription_id))
    except billing.Missing:
        sync.ask("subscription", subscription_id, quick=False)


def resume(user: User, subscription_id: str, record: Record | None = None) -> Row:
    """Take back a cancellation that has not happened yet. Raises Problem (409) once it is over."""
    customer_id = own(user, subscription_id)
    noted = sync.note(customer_id)
    try:
        answer = billing.retrieve_checkout(subscription_id)
    except billing.Missing:
        sync.ask("subscription", subscription_id, quick=False)
        raise ended() from None
    sync.learn(noted, answer)
    subscription = answer.object
    if subscription["status"] in sync.ENDED:
        raise ended()
    if not subscription["cancel_at_period_end"] and not subscription["cancel_at"]:
        return subscription
    drop_schedule(subscription, customer_id)
    undo: Row = {"cancel_at_period_end": False} if subscription["cancel_at_period_end"] else {"cancel_at": ""}
    noted = sync.note(customer_id)
    answer = _update(subscription_id, "resume", undo, record)
    sync.learn(noted, answer)
    return answer.object


def _update(subscription_id: str, kind: str, values: Row, record: Record | None = None) -> billing.Answer:
    """Change a subscription once, under a stored key: the record's, or that of an operation of its own."""
    if record:
        update = cast(billing.params.SubscriptionUpdateParams, values)
        return _note(record, billing.update_subscription(subscription_id, update, record.key))
    operation = operations.begin(kind, subscription_id, values)
    try:
        answer = billing.update_subscription(
            subscription_id, cast(billing.params.SubscriptionUpdateParams, operation.params), operation.id
        )
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise
    operations.end(operation.id, "done")
    if operation.fresh:
        return answer
    # The key may have replayed an old answer, and the change been taken back since: what counts is how it stands now.
    answer = billing.retrieve_checkout(subscription_id)
    return answer if _holds(answer.object, values) else _update(subscription_id, kind, values)


def _holds(subscription: Row, values: Row) -> bool:
    """Whether the cancellation that `values` ask for, or its absence, is in place."""
    asked = values.keys() & {"cancel_at", "cancel_at_period_end"}
    return all(bool(subscription[name]) == bool(values[name]) for name in asked)


def _note(record: Record | None, answer: billing.Answer) -> billing.Answer:
    if record:
        record.request_id, record.done_at = answer.request_id, answer.date
    return answer


def own_schedule(subscription: Row) -> str | None:
    """The id of the schedule that changes this subscription's plan, if there is one.

    Raises Problem (409) for a schedule that is not ours: it is never touched.
    """
    schedule = subscription["schedule"]
    if schedule is None:
        return None
    if isinstance(schedule, str):
        schedule = billing.retrieve("subscription_schedule", schedule).object
    if is_unmarked(schedule) and not operations.is_open("schedule_change", subscription["id"]):
        raise Problem(
            409, "scheduled_elsewhere", "Changes to this subscription were arranged with us: please write to us first."
        )
    return str(schedule["id"])


def is_unmarked(schedule: Row) -> bool:
    """A schedule that is not ours, or that we had no time to mark as ours."""
    return bool(schedule["metadata"].get("purpose") != readings.PLAN_CHANGE)


def drop_schedule(subscription: Row, customer_id: str) -> bool:
    """Release a planned change of ours, since Stripe cancels nothing while it is attached. Says if there was one."""
    schedule_id = own_schedule(subscription)
    if schedule_id is None:
        return False
    operation = operations.begin("release_schedule", schedule_id, {})
    noted = sync.note(customer_id)
    try:
        answer = billing.release_schedule(schedule_id, operation.id)
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise
    operations.end(operation.id, "done")
    sync.learn(noted, answer)
    return True


def ended() -> Problem:
    return Problem(
        409,
        "subscription_ended",
        "This subscription has ended. You can subscribe again.",
        url=url_for("checkout.plans"),
    )


def own(user: User, subscription_id: str) -> str:
    """The customer id behind a user's own subscription; anybody else's does not exist for them."""
    customer_id = readings.owner_of(subscription_id, user.id)
    if customer_id is None:
        raise Problem(404, "not_found", "There is no such subscription.")
    return customer_id
