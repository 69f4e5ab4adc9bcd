"""What customers and staff can do: become a customer, subscribe, cancel, resume.

Money is never moved twice: before anything that charges or cancels Stripe is asked, never our tables, and every change
has an id that is stored first and is its idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import sqlalchemy as sa
from flask import url_for

import billing
import clock
import db
import ledger
import operations
import readings
import sync
from errors import Problem
from models import Checkout, Customer, User
from readings import Plan

PATIENCE = 60  # seconds after which the answer to a creation counts as lost
REPEATABLE = operations.KEY_LIFE
TRIES = 5

Row = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """What the browser needs to pay: the secret of a payment or setup intent, or nothing to collect."""

    subscription_id: str
    client_secret: str | None
    intent: str | None  # "payment" | "setup" | None
    notice: str | None = None  # what the customer must be told besides


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
# Subscribing: one live attempt


def subscribe(user: User, plan: Plan) -> Attempt:
    """Begin to subscribe, or go on with what was begun. Two tabs, a double click, a lost answer: one subscription.

    Raises Problem (409) where the customer must do something else first, billing.BillingError where Stripe could not.
    """
    customer = ensure_customer(user)
    _same_currency(customer, plan)
    try:
        for _ in range(TRIES):
            attempt = _go_on(user, customer, plan, _checkout(user.id))
            if attempt is not None:
                return attempt
    except billing.Refused:
        # Stripe may know of a currency, or of the customer's deletion, that we have not heard of.
        sync.ask("customer", customer.id, quick=False)
        _same_currency(ensure_customer(user), plan)
        raise
    raise in_progress()


def _same_currency(customer: Customer, plan: Plan) -> None:
    if customer.currency and customer.currency != plan.currency:
        raise Problem(
            409,
            "currency_fixed",
            f"Your first order was in {customer.currency.upper()}, and that cannot be changed any more.",
            url=url_for("checkout.subscribe", price=plan.lookup_key, currency=customer.currency),
        )


def _go_on(user: User, customer: Customer, plan: Plan, row: Checkout | None) -> Attempt | None:
    """One step from where the attempt is; None means that it moved, and the next look decides."""
    if row is not None and row.state == "creating":
        now = clock.wall()
        if now - row.asked_at < PATIENCE:
            raise in_progress()
        same = (row.price_id, row.currency) == (plan.price_id, plan.currency)
        if same and now - row.started_at < REPEATABLE:
            if _move(row, asked_at=now):  # others wait again while this one asks
                _create(row.user_id, row.attempt, row.params, customer, repeated=True)
            return None
    if row is not None and row.state == "open" and row.subscription_id:
        return _decide(user, customer, plan, row, row.subscription_id)
    unfinished = _unfinished_at_stripe(customer.id)
    if unfinished:
        _take(user, _checkout(user.id), plan, state="open", subscription_id=unfinished[0]["id"])
        return None
    return _begin(user, customer, plan, row)


def _unfinished_at_stripe(customer_id: str) -> list[Row]:
    """What is alive or waits for its first payment; what lives comes first."""
    noted = sync.note(customer_id)
    found = []
    for page in billing.subscriptions_of(customer_id):
        sync.learn(noted, page, *page.object["data"])
        found += [one for one in page.object["data"] if one["status"] not in sync.ENDED]
    return sorted(found, key=lambda one: one["status"] == "incomplete")


def _decide(user: User, customer: Customer, plan: Plan, row: Checkout, subscription_id: str) -> Attempt | None:
    """Ask Stripe how the open attempt stands, and go on with it, refuse, or begin anew."""
    noted = sync.note(customer.id)
    try:
        answer = billing.retrieve_checkout(subscription_id)
    except billing.Missing:
        _move(row, state="closed")
        return None
    sync.learn(noted, answer)
    subscription = answer.object
    status = subscription["status"]
    if status in sync.ENDED:
        _move(row, state="closed")
        return None
    if status != "incomplete":
        return _decide_live(row, subscription)
    invoice = subscription["latest_invoice"]
    intent = billing.invoice_intent(invoice["id"]) if invoice else None
    intent_status = intent["status"] if intent else "canceled"
    if intent_status == "canceled":
        _cancel(row, subscription, user)
        return None
    if intent_status == "succeeded":
        raise already_subscribed()
    if intent_status == "processing":
        raise payment_in_progress()
    same = (
        subscription["items"]["data"][0]["price"]["id"] == plan.price_id and subscription["currency"] == plan.currency
    )
    if same:
        return _attempt(subscription)
    if intent_status == "requires_action":
        raise payment_in_progress()
    notice = _cancel(row, subscription, user)
    begun = _begin(user, customer, plan, _checkout(user.id))
    return Attempt(begun.subscription_id, begun.client_secret, begun.intent, notice) if begun else None


def _decide_live(row: Checkout, subscription: Row) -> Attempt | None:
    setup = subscription["pending_setup_intent"]
    waits = isinstance(setup, dict) and setup["status"] in (
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
    )
    if subscription["status"] in ("trialing", "active") and waits and not subscription["default_payment_method"]:
        return _attempt(subscription)
    if _is_dead(subscription):
        noted = sync.note(sync.id_of(subscription["customer"]) or "")
        sync.learn(noted, billing.cancel_subscription(subscription["id"]))
        _move(row, state="closed")
        return None
    raise already_subscribed()


def _is_dead(subscription: Row) -> bool:
    """Active at Stripe, but the first bank debit failed later: see the access rule."""
    invoice = subscription["latest_invoice"]
    return (
        subscription["status"] == "active"
        and isinstance(invoice, dict)
        and invoice["billing_reason"] == "subscription_create"
        and invoice["status"] in ("void", "uncollectible")
    )


def _cancel(row: Checkout, subscription: Row, user: User) -> str | None:
    """End an attempt that another one replaces. Returns what to tell the customer."""
    _answer, notice = _end_unpaid(subscription, user)
    _move(row, state="closed")
    return notice


def _end_unpaid(
    subscription: Row, user: User, details: billing.params.SubscriptionCancelParams | None = None
) -> tuple[billing.Answer, str | None]:
    """End a subscription that waits for its first payment. If that payment wins the race, the money goes back at once.

    It is written down first: should anything be cut off in between, `flask tick` gives the money back.
    """
    operation = operations.begin("end_unpaid", subscription["id"], {"user_id": user.id})
    noted = sync.note(sync.id_of(subscription["customer"]) or "")
    try:
        answer = billing.cancel_subscription(subscription["id"], {**(details or {}), "expand": ["latest_invoice"]})
    except billing.Missing:
        answer = billing.retrieve_checkout(subscription["id"])
    sync.learn(noted, answer)
    notice = _give_back_first_payment(answer.object, user.id)
    operations.end(operation.id, "done")
    return answer, notice


def _give_back_first_payment(subscription: Row, user_id: int) -> str | None:
    invoice = subscription["latest_invoice"]
    if not invoice or invoice["status"] != "paid" or not invoice["amount_paid"]:
        return None
    return give_back(invoice["id"], user_id)


def finish_refunds() -> None:
    """Give back what should have been, where Stripe did not answer or a process died: within a minute or two."""
    settle_each({"end_unpaid": _finish_end_unpaid, "refund": _finish_refund})


def _finish_end_unpaid(operation: operations.Open) -> None:
    subscription = billing.retrieve_checkout(operation.subject).object
    if subscription["status"] in sync.ENDED:
        _give_back_first_payment(subscription, operation.params["user_id"])
    operations.end(operation.id, "done")


def _finish_refund(left: operations.Open) -> None:
    operation = operations.begin("refund", left.subject, left.params)
    if operation.given_up and operation.params["amount"] is not None:
        operations.end(operation.id, "failed", "its key is too old, and a part could be given back twice")
    else:
        _refund(operation)


def settle_each(settlers: dict[str, Callable[[operations.Open], None]], *, after: int = PATIENCE) -> None:
    """Bring operations of these kinds to their end that were left open `after` so many seconds.

    One that fails does not hold up the next: all failures are raised together at the end. What Stripe refuses has
    failed for good.
    """
    failures: list[Exception] = []
    for kind, settle in settlers.items():
        for operation in operations.left_open(kind, after):
            try:
                settle(operation)
            except billing.Refused as error:
                operations.end(operation.id, "failed", str(error))
                failures.append(error)
            except Exception as error:
                failures.append(error)
    if failures:
        raise ExceptionGroup("not all that was left open could be settled", failures)


def give_back(invoice_id: str, user_id: int, amount: int | None = None) -> str:
    """Refund a payment, or the `amount` of it, that nothing is given for: once, on record.

    Returns what to tell the customer.
    """
    intent = billing.invoice_intent(invoice_id)
    if intent is None:
        return ""
    values = {"payment_intent": intent["id"], "user_id": user_id, "amount": amount}
    _refund(operations.begin("refund", invoice_id, values))
    return "A payment for your earlier choice had just gone through. It has been refunded in full."


def _refund(operation: operations.Open) -> None:
    try:
        billing.refund(operation.params["payment_intent"], operation.id, operation.params["amount"])
    except billing.Refused as error:
        if error.stripe_code != "charge_already_refunded":
            operations.end(operation.id, "failed", str(error))
            raise
    operations.end(operation.id, "done")


def _begin(user: User, customer: Customer, plan: Plan, row: Checkout | None) -> Attempt | None:
    """Write down a new attempt, then create the subscription with its id as the key."""
    values: Row = {
        "customer": customer.id,
        "items": [{"price": plan.price_id}],
        "currency": plan.currency,
        "payment_behavior": "default_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "billing_mode": {"type": "flexible"},
        "expand": billing.SUBSCRIPTION_EXPAND,
        "metadata": {"user_id": str(user.id)},
    }
    attempt = operations.new_id()
    if not _take(user, row, plan, attempt=attempt, state="creating", params=values):
        return None
    return _create(user.id, attempt, values, customer)


def _create(user_id: int, attempt: str, values: Row, customer: Customer, *, repeated: bool = False) -> Attempt | None:
    noted = sync.note(customer.id)
    mine = sa.update(Checkout).where(
        Checkout.user_id == user_id, Checkout.attempt == attempt, Checkout.state == "creating"
    )
    try:
        answer = billing.create_subscription(cast(billing.params.SubscriptionCreateParams, values), attempt)
    except billing.Unavailable as error:
        if isinstance(error, billing.Busy):  # nothing happened
            _execute(mine.values(state="closed"))
        raise
    except billing.BillingError:
        _execute(mine.values(state="closed"))
        raise
    if not repeated:  # else the key may have brought back what was answered then: the next look asks how it stands now
        sync.learn(noted, answer)
    if not _execute(mine.values(state="open", subscription_id=answer.object["id"])):
        if _checkout_of(answer.object["id"]) is None:  # somebody gave this attempt up meanwhile
            noted = sync.note(customer.id)
            sync.learn(noted, billing.cancel_subscription(answer.object["id"]))
        return None
    return _attempt(answer.object)


def _attempt(subscription: Row) -> Attempt:
    """What to pay with: the first invoice's secret, else the setup intent's, else nothing."""
    invoice, setup = subscription["latest_invoice"], subscription["pending_setup_intent"]
    secret = ((invoice or {}).get("confirmation_secret") or {}).get("client_secret")
    if subscription["status"] == "incomplete" and secret:
        return Attempt(subscription["id"], secret, "payment")
    if isinstance(setup, dict):
        return Attempt(subscription["id"], setup["client_secret"], "setup")
    return Attempt(subscription["id"], None, None)


# The row of an attempt changes by comparing and setting only.


def _checkout(user_id: int) -> Checkout | None:
    return db.session.get(Checkout, user_id, populate_existing=True)


def _checkout_of(subscription_id: str) -> int | None:
    return db.session.scalar(sa.select(Checkout.user_id).where(Checkout.subscription_id == subscription_id))


def _take(user: User, row: Checkout | None, plan: Plan, **values: Any) -> bool:
    """Put a new state in the place of `row`, unless somebody else was faster."""
    now = clock.wall()
    new = {
        "price_id": plan.price_id,
        "currency": plan.currency,
        "started_at": now,
        "asked_at": now,
        "attempt": operations.new_id(),
        "subscription_id": None,
        "params": {},
        **values,
    }
    if row is not None:
        return _move(row, **new)
    return _execute(db.insert(Checkout).values(user_id=user.id, **new).on_conflict_do_nothing())


def _move(row: Checkout, **values: Any) -> bool:
    same = (
        Checkout.user_id == row.user_id,
        Checkout.attempt == row.attempt,
        Checkout.state == row.state,
        Checkout.asked_at == row.asked_at,
    )
    return _execute(sa.update(Checkout).where(*same).values(values))


def _execute(statement: Any) -> bool:
    with db.write() as tx:
        return bool(tx.execute(statement).rowcount)


def in_progress() -> Problem:
    return Problem(
        409, "attempt_in_progress", "Your subscription is being prepared. This takes a few seconds.", retry_after=2
    )


def payment_in_progress() -> Problem:
    return Problem(
        409,
        "payment_in_progress",
        "A payment of yours is being processed. Please wait until it is through.",
        url=url_for("checkout.complete"),
    )


def already_subscribed() -> Problem:
    return Problem(409, "already_subscribed", "You have a subscription already.", url=url_for("account.settings"))


def follow(user: User) -> None:
    """While an attempt is open, ask Stripe how it stands, so that our tables know without waiting for its events."""
    row = _checkout(user.id)
    customer = readings.customer_of(user.id)
    if row is None or customer is None or row.state != "open" or not row.subscription_id:
        return
    noted = sync.note(customer.id)
    try:
        sync.learn(noted, billing.retrieve_checkout(row.subscription_id))
    except billing.Missing:
        _move(row, state="closed")


def has_open_attempt(user_id: int) -> bool:
    state = db.session.scalar(sa.select(Checkout.state).where(Checkout.user_id == user_id))
    return state in ("creating", "open")


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
            answer, _notice = _end_unpaid(subscription, user, now)
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
        _end_unpaid(subscription, user)
        return
    noted = sync.note(sync.id_of(subscription["customer"]) or "")
    try:
        sync.learn(noted, billing.cancel_subscription(subscription["id"]))
    except billing.Missing:
        sync.ask("subscription", subscription["id"], quick=False)


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
