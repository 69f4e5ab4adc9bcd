"""Which mail is due when, and what it says.

A mail is written in the transaction of the event that makes it due, once for each kind and object, and only if our own
rows still bear it out: news that came too late tell nobody anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from flask import current_app, render_template, url_for

import clock
import mail
import sync
from formatting import day, money
from models import BankOrder, Customer, Invoice, Outbox, Price, Product, Subscription, SubscriptionItem, User

DAY = 86_400
NEWS = 3 * DAY  # an end that is longer ago is no news
ON_THE_PAGE = ("subscription_create", "subscription_update")  # whose payment the customer sees fail

Row = dict[str, Any]
Notice = Callable[[sa.Connection, Row], None]  # what to tell of an event

SUBJECTS = {
    "payment_failed": "Your payment for {plan} did not go through",
    "first_payment_failed": "Your first payment for {plan} did not arrive",
    "action_required": "Your bank asks you to confirm your payment for {plan}",
    "trial_ending": "Your trial of {plan} ends on {date}",
    "subscription_ended": "Your {plan} subscription has ended",
    "plan_changed": "You are now on {plan}",
    "renewal_ahead": "{plan} renews on {date}",
    "cancelled_for_you": "Your {plan} subscription ends on {date}",
    "resumed_for_you": "Your {plan} subscription goes on",
}


def tell(tx: sa.Connection, kind: str, object_id: str, recipient: str, **words: Any) -> None:
    """Write a mail of this kind about an object, unless it was written before or its kind is switched off."""
    if kind not in current_app.config["MAILS_OFF"]:
        mail.enqueue(tx, kind, object_id, recipient, f"mail/{kind}", subject=SUBJECTS[kind].format(**words), **words)


def telling(notice: Notice) -> Callable[[Row, sync.Settle], None]:
    """A handler of events that copies the object and, with it, tells the customer what there is to tell."""

    def handle(event: Row, settle: sync.Settle) -> None:
        def settle_and_tell(tx: sa.Connection) -> None:
            settle(tx)
            notice(tx, event)

        sync.event(event, settle_and_tell)

    return handle


# ---------------------------------------------------------------------------------------------------------------------
# What there is to tell


def payment_failed(tx: sa.Connection, event: Row) -> None:
    """A payment failed while nobody was there; or a bank debit, days after it was ordered."""
    obj = event["data"]["object"]
    invoice = _invoice(tx, obj["id"])
    if invoice is None or invoice["status"] == "paid":
        return
    if invoice["billing_reason"] in ON_THE_PAGE and not invoice["ordered_at"]:
        return
    if invoice["billing_reason"] == "subscription_create":
        tell(tx, "first_payment_failed", obj["id"], invoice["email"], url=_link("checkout.plans"), **_words(invoice))
    elif invoice["status"] == "open" and not _is_told(tx, "action_required", obj["id"]):
        retry = invoice["next_payment_attempt"]
        words = _words(invoice) | {"retry": day(retry) if retry else None, "until": _until(invoice)}
        tell(tx, "payment_failed", obj["id"], invoice["email"], url=_pay(obj["id"]), **words)


def action_required(tx: sa.Connection, event: Row) -> None:
    """The bank wants to ask the cardholder, who was not there."""
    obj = event["data"]["object"]
    invoice = _invoice(tx, obj["id"])
    if invoice is None or invoice["status"] != "open" or invoice["billing_reason"] in ON_THE_PAGE:
        return
    words = _words(invoice) | {"until": _until(invoice)}
    tell(tx, "action_required", obj["id"], invoice["email"], url=_pay(obj["id"]), **words)


def trial_ending(tx: sa.Connection, event: Row) -> None:
    """The first payment is three days away."""
    obj = event["data"]["object"]
    subscription = _subscription(tx, obj["id"])
    if subscription is None or subscription["status"] != "trialing" or _is_ending(subscription):
        return
    end = subscription["trial_end"] or 0
    if end > clock.now(subscription["known_to"]):
        words = _words(subscription) | {"date": day(end), "url": _link("account.settings")}
        tell(tx, "trial_ending", f"{obj['id']} {end}", subscription["email"], **words)


def subscription_ended(tx: sa.Connection, event: Row) -> None:
    """It is over, for whatever reason; one that nothing was ever paid for is nobody's news."""
    obj = event["data"]["object"]
    subscription = _subscription(tx, obj["id"])
    if subscription is None or subscription["status"] != "canceled" or not _was_paid(tx, obj["id"]):
        return
    ended = subscription["ended_at"] or 0
    if ended > clock.now(subscription["known_to"]) - NEWS:
        unpaid = (obj.get("cancellation_details") or {}).get("reason") == "payment_failed"
        words = _words(subscription) | {"date": day(ended), "unpaid": unpaid, "url": _link("checkout.plans")}
        tell(tx, "subscription_ended", obj["id"], subscription["email"], **words)


def renewal_ahead(event: Row, settle: sync.Settle) -> None:
    """A year's payment is due soon; who pays every month needs no reminder. The invoice itself is not there yet."""
    obj = event["data"]["object"]
    details = (obj.get("parent") or {}).get("subscription_details") or {}
    subscription_id, due = sync.id_of(details.get("subscription")), obj.get("next_payment_attempt")

    def settle_and_tell(tx: sa.Connection) -> None:
        settle(tx)
        subscription = _subscription(tx, subscription_id)
        if subscription is None or subscription["status"] != "active" or _is_ending(subscription):
            return
        if subscription["interval"] == "year" and due and due > clock.now(subscription["known_to"]):
            amount = money(obj["amount_due"], obj["currency"])
            words = _words(subscription) | {"amount": amount, "date": day(due), "url": _link("account.settings")}
            tell(tx, "renewal_ahead", f"{subscription_id} {due}", subscription["email"], **words)

    sync.only(settle_and_tell)


def plan_changed(tx: sa.Connection, event: Row) -> None:
    """Another price is charged from now on, whoever asked for it: on the page, in a schedule, at Stripe."""
    obj, before = event["data"]["object"], event["data"].get("previous_attributes") or {}
    old = _prices(before.get("items"))
    if not old or old == _prices(obj["items"]):
        return
    subscription = _subscription(tx, obj["id"])
    if subscription is None or {subscription["price_id"]} != _prices(obj["items"]):
        return
    if subscription["status"] in ("active", "trialing"):
        words = _words(subscription) | {"price": _price(subscription), "url": _link("account.settings")}
        tell(tx, "plan_changed", event["id"], subscription["email"], **words)


def done_by_staff(tx: sa.Connection, action_id: str, kind: str, subscription_id: str) -> None:
    """Staff stopped a renewal, or took that back. What they ended at once is told as every end is."""
    subscription = _subscription(tx, subscription_id)
    if subscription is None or subscription["status"] not in ("active", "trialing", "past_due"):
        return
    words = _words(subscription) | {"url": _link("account.settings")}
    if kind == "cancel_at_period_end" and _is_ending(subscription):
        end = subscription["cancel_at"] or subscription["current_period_end"]
        tell(tx, "cancelled_for_you", action_id, subscription["email"], date=day(end), **words)
    elif kind == "resume" and not _is_ending(subscription):
        tell(tx, "resumed_for_you", action_id, subscription["email"], **words)


def _prices(items: Any) -> set[str]:
    return {item["price"]["id"] for item in (items or {}).get("data", ()) if item.get("price")}


# ---------------------------------------------------------------------------------------------------------------------
# From our rows, within the transaction


def _invoice(tx: sa.Connection, id: str) -> Row | None:
    query = (
        _with_plan(sa.select(*_PLAN, Invoice.__table__, BankOrder.since.label("ordered_at")))
        .join(Invoice, Invoice.subscription_id == Subscription.id)
        .outerjoin(BankOrder, BankOrder.invoice_id == Invoice.id)
        .where(Invoice.id == id)
    )
    row = tx.execute(query).mappings().first()
    return {**row, "amount": money(row["amount_remaining"] or row["total"], row["currency"])} if row else None


def _subscription(tx: sa.Connection, id: str | None) -> Row | None:
    query = _with_plan(sa.select(*_PLAN, Subscription.__table__)).where(Subscription.id == id)
    row = tx.execute(query).mappings().first()
    if row is None:
        return None
    amount = (row["currency_options"] or {}).get(row["currency"], row["unit_amount"])
    return {**row, "amount": money(amount, row["currency"]) if amount is not None else None}


_PLAN = (
    User.email,
    Product.name.label("plan"),
    SubscriptionItem.price_id,
    SubscriptionItem.unit_amount,
    SubscriptionItem.interval,
    SubscriptionItem.interval_count,
    SubscriptionItem.current_period_end,
    Price.currency_options,
)


def _with_plan(query: sa.Select[Any]) -> sa.Select[Any]:
    return (
        query.select_from(Subscription)
        .join(Customer, Customer.id == Subscription.customer_id)
        .join(User, User.id == Customer.user_id)
        .outerjoin(SubscriptionItem, SubscriptionItem.subscription_id == Subscription.id)
        .outerjoin(Product, Product.id == SubscriptionItem.product_id)
        .outerjoin(Price, Price.id == SubscriptionItem.price_id)
        .where(User.active)
    )


def _words(row: Row) -> Row:
    return {"plan": row["plan"] or "your subscription", "amount": row["amount"]}


def _price(subscription: Row) -> str:
    count = subscription["interval_count"] or 1
    every = f"per {subscription['interval']}" if count == 1 else f"every {count} {subscription['interval']}s"
    return f"{subscription['amount']} {every}"


def _until(invoice: Row) -> str | None:
    finalized = invoice["finalized_at"]
    return day(finalized + current_app.config["GRACE_DAYS"] * DAY) if finalized else None


def _is_ending(subscription: Row) -> bool:
    return bool(subscription["cancel_at_period_end"] or subscription["cancel_at"])


def _was_paid(tx: sa.Connection, subscription_id: str) -> bool:
    paid = sa.exists().where(Invoice.subscription_id == subscription_id, Invoice.status == "paid")
    return bool(tx.scalar(sa.select(paid)))


def _is_told(tx: sa.Connection, kind: str, object_id: str) -> bool:
    return bool(tx.scalar(sa.select(sa.exists().where(Outbox.kind == kind, Outbox.object_id == object_id))))


def _link(endpoint: str, **values: Any) -> str:
    return url_for(endpoint, _external=True, **values)


def _pay(invoice_id: str) -> str:
    return _link("wallet.pay", invoice_id=invoice_id)


# ---------------------------------------------------------------------------------------------------------------------
# To look at


def preview(kind: str) -> tuple[str, str, str]:
    """Subject, text and HTML of a mail as it would read for somebody made up."""
    words = EXAMPLE | {"url": current_app.config["BASE_URL"] + EXAMPLE["url"]}
    bodies = (render_template(f"mail/{kind}.{form}", **words) for form in ("txt", "html"))
    return SUBJECTS[kind].format(**words), *bodies  # type: ignore[return-value]


EXAMPLE: Row = {
    "plan": "Premium",
    "amount": "$15.00",
    "price": "$15.00 per month",
    "date": "May 3, 2027",
    "until": "May 17, 2027",
    "retry": "May 6, 2027",
    "unpaid": True,
    "url": "/account",
}
