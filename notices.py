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
import readings
import sync
from formatting import as_in_mails, day, money
from mail_facts import (
    invoice_row,
    is_ending,
    is_owed,
    planned_row,
    price_text,
    subscription_row,
    until_text,
    was_paid,
    words_of,
)
from models import Outbox, StaffAction

DAY = 86_400
NEWS = 3 * DAY  # an end that is longer ago is no news
SAME = 600  # seconds between an action and its event
ENDING = {"cancel_at", "cancel_at_period_end"}
ON_THE_PAGE = ("subscription_create", "subscription_update")  # whose payment the customer sees fail

Row = dict[str, Any]
Notice = Callable[[sa.Connection, Row], None]  # what to tell of an event

SUBJECTS = {
    "payment_failed": "Your payment for {plan} did not go through",
    "first_payment_failed": "Your first payment for {plan} did not arrive",
    "action_required": "Your bank asks you to confirm your payment for {plan}",
    "trial_ending": "Your trial of {plan} ends on {date}",
    "subscription_ended": "Your {plan} subscription has ended",
    "ending_planned": "Your {plan} subscription ends on {date}",
    "change_planned": "You change to {next_plan} on {date}",
    "plan_changed": "You are now on {plan}",
    "renewal_ahead": "{plan} renews on {date}",
    "cancelled_for_you": "Your {plan} subscription ends on {date}",
    "resumed_for_you": "Your {plan} subscription goes on",
}


def tell(tx: sa.Connection, kind: str, object_id: str, recipient: str, **words: Any) -> None:
    """Write a mail of this kind about an object, unless it was written before or its kind is switched off."""
    if kind not in current_app.config["MAILS_OFF"]:
        mail.enqueue(tx, kind, object_id, recipient, f"mail/{kind}", subject=SUBJECTS[kind].format(**words), **words)


def telling(*notices: Notice, copy: Callable[[Row, sync.Settle], None] = sync.event) -> Callable[..., None]:
    """A handler of events that copies the object and, with it, tells the customer what there is to tell."""

    def handle(event: Row, settle: sync.Settle) -> None:
        def settle_and_tell(tx: sa.Connection) -> None:
            settle(tx)
            with as_in_mails():
                for notice in notices:
                    _try(notice, tx, event)

        copy(event, settle_and_tell)

    return handle


def _try(notice: Notice, tx: sa.Connection, event: Row) -> None:
    """Another API release may show otherwise what a mail is made of: the copy must not wait for the mail."""
    try:
        notice(tx, event)
    except sync.ODD as error:
        current_app.logger.warning("webhook %s %s: no mail, for %r", event["id"], event["type"], error)


# ---------------------------------------------------------------------------------------------------------------------
# What there is to tell


def payment_failed(tx: sa.Connection, event: Row) -> None:
    """A payment failed while nobody was there; or a bank debit, days after it was ordered."""
    obj = event["data"]["object"]
    invoice = invoice_row(tx, obj["id"])
    if invoice is None or invoice["status"] == "paid":
        return
    if invoice["billing_reason"] in ON_THE_PAGE and not invoice["ordered_at"]:
        return
    if invoice["billing_reason"] == "subscription_create":
        words = words_of(invoice) | {"url": _link("checkout.plans")}
        tell(tx, "first_payment_failed", obj["id"], invoice["email"], **words)
    elif is_owed(invoice) and not _is_told(tx, "action_required", obj["id"]):
        retry = invoice["next_payment_attempt"]
        words = words_of(invoice) | {"retry": day(retry) if retry else None, "until": until_text(invoice)}
        tell(tx, "payment_failed", obj["id"], invoice["email"], url=_pay(obj["id"]), **words)


def action_required(tx: sa.Connection, event: Row) -> None:
    """The bank wants to ask the cardholder, who was not there."""
    obj = event["data"]["object"]
    invoice = invoice_row(tx, obj["id"])
    if invoice is None or not is_owed(invoice) or invoice["billing_reason"] in ON_THE_PAGE:
        return
    words = words_of(invoice) | {"until": until_text(invoice)}
    tell(tx, "action_required", obj["id"], invoice["email"], url=_pay(obj["id"]), **words)
    if _is_told(tx, "action_required", obj["id"]):  # it says more, and events come in any order
        mail.withdraw(tx, ("payment_failed",), obj["id"])


def invoice_settled(tx: sa.Connection, event: Row) -> None:
    """What was written of an invoice and waits to be sent is not true any more."""
    obj = event["data"]["object"]
    invoice = invoice_row(tx, obj["id"])
    if invoice is not None and not is_owed(invoice):
        mail.withdraw(tx, ("payment_failed", "action_required"), obj["id"])


def trial_ending(tx: sa.Connection, event: Row) -> None:
    """The first payment is three days away."""
    obj = event["data"]["object"]
    subscription = subscription_row(tx, obj["id"])
    if subscription is None or subscription["status"] != "trialing" or is_ending(subscription):
        return
    end = subscription["trial_end"] or 0
    if end > clock.now(subscription["known_to"]):
        words = words_of(subscription) | {"date": day(end), "url": _link("account.settings")}
        words |= {"price": price_text(subscription), "has_method": bool(subscription["method"])}
        tell(tx, "trial_ending", f"{obj['id']} {end}", subscription["email"], **words)


def subscription_ended(tx: sa.Connection, event: Row) -> None:
    """It is over, for whatever reason; one that nothing was ever paid for is nobody's news."""
    obj = event["data"]["object"]
    subscription = subscription_row(tx, obj["id"])
    if subscription is None or subscription["status"] != "canceled" or not was_paid(tx, obj["id"]):
        return
    ended = subscription["ended_at"] or 0
    if ended > clock.now(subscription["known_to"]) - NEWS:
        unpaid = (obj.get("cancellation_details") or {}).get("reason") == "payment_failed"
        words = words_of(subscription) | {"date": day(ended), "unpaid": unpaid, "url": _link("checkout.plans")}
        tell(tx, "subscription_ended", obj["id"], subscription["email"], **words)


def renewal_ahead(tx: sa.Connection, event: Row) -> None:
    """A year's payment is due soon; who pays every month needs no reminder. The invoice itself is not there yet."""
    obj = event["data"]["object"]
    details = (obj.get("parent") or {}).get("subscription_details") or {}
    subscription_id, due = sync.id_of(details.get("subscription")), obj.get("next_payment_attempt")
    subscription = subscription_row(tx, subscription_id)
    if subscription is None or subscription["status"] != "active" or is_ending(subscription):
        return
    if subscription["interval"] == "year" and due and due > clock.now(subscription["known_to"]):
        amount = money(obj["amount_due"], obj["currency"])
        words = words_of(subscription) | {"amount": amount, "date": day(due), "url": _link("account.settings")}
        tell(tx, "renewal_ahead", f"{subscription_id} {due}", subscription["email"], **words)


def ending_planned(tx: sa.Connection, event: Row) -> None:
    """It was cancelled and goes on for a while: in writing, whoever did it."""
    obj, before = event["data"]["object"], event["data"].get("previous_attributes") or {}
    if not before.keys() & ENDING:
        return
    subscription = subscription_row(tx, obj["id"])
    if subscription is None or not is_ending(subscription):
        return
    if _is_told_by_staff(tx, obj["id"], event["created"]):
        return
    end = subscription["cancel_at"] or subscription["current_period_end"]
    if subscription["status"] in ("active", "trialing") and end > clock.now(subscription["known_to"]):
        words = words_of(subscription) | {"date": day(end), "url": _link("account.settings")}
        tell(tx, "ending_planned", f"{obj['id']} {end}", subscription["email"], **words)


def change_planned(tx: sa.Connection, event: Row) -> None:
    """Another plan is to come: in writing, whoever arranged it."""
    schedule = planned_row(tx, event["data"]["object"]["id"])
    subscription = subscription_row(tx, schedule["subscription_id"]) if schedule else None
    if schedule is None or subscription is None or schedule["changes_to"] == subscription["price_id"]:
        return
    if subscription["status"] in ("active", "trialing") and schedule["changes_at"] > clock.now(schedule["known_to"]):
        words = words_of(subscription) | {"next_plan": schedule["plan"], "date": day(schedule["changes_at"])}
        words |= {"ours": schedule["purpose"] == readings.PLAN_CHANGE}
        words |= {"price": price_text({**subscription, **schedule}), "url": _link("account.settings")}
        key = f"{schedule['id']} {schedule['changes_at']} {schedule['changes_to']}"
        tell(tx, "change_planned", key, subscription["email"], **words)


def plan_changed(tx: sa.Connection, event: Row) -> None:
    """Another price is charged from now on, whoever asked for it: on the page, in a schedule, at Stripe."""
    obj, before = event["data"]["object"], event["data"].get("previous_attributes") or {}
    old = _prices(before.get("items"))
    if not old or old == _prices(obj["items"]):
        return
    subscription = subscription_row(tx, obj["id"])
    if subscription is None or {subscription["price_id"]} != _prices(obj["items"]):
        return
    if subscription["status"] in ("active", "trialing"):
        words = words_of(subscription) | {"price": price_text(subscription), "url": _link("account.settings")}
        tell(tx, "plan_changed", event["id"], subscription["email"], **words)


def done_by_staff(tx: sa.Connection, action_id: str, kind: str, subscription_id: str) -> None:
    """Staff stopped a renewal, or took that back. What they ended at once is told as every end is."""
    subscription = subscription_row(tx, subscription_id)
    if subscription is None or subscription["status"] not in ("active", "trialing", "past_due"):
        return
    with as_in_mails():
        words = words_of(subscription) | {"price": price_text(subscription), "url": _link("account.settings")}
        if kind == "cancel_at_period_end" and is_ending(subscription):
            end = subscription["cancel_at"] or subscription["current_period_end"]
            tell(tx, "cancelled_for_you", action_id, subscription["email"], date=day(end), **words)
        elif kind == "resume" and not is_ending(subscription):
            tell(tx, "resumed_for_you", action_id, subscription["email"], **words)


def _prices(items: Any) -> set[str]:
    return {item["price"]["id"] for item in (items or {}).get("data", ()) if item.get("price")}


def _is_told(tx: sa.Connection, kind: str, object_id: str) -> bool:
    return bool(tx.scalar(sa.select(sa.exists().where(Outbox.kind == kind, Outbox.object_id == object_id))))


def _is_told_by_staff(tx: sa.Connection, subscription_id: str, at: int) -> bool:
    """Whether it is staff who are stopping the renewal: see `done_by_staff`."""
    theirs = sa.exists().where(
        StaffAction.subject == subscription_id,
        StaffAction.kind == "cancel_at_period_end",
        StaffAction.state != "failed",
        StaffAction.at.between(at - SAME, at + SAME),
    )
    return bool(tx.scalar(sa.select(theirs)))


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
    "next_plan": "Premium",
    "has_method": True,
    "ours": True,
    "amount": "$15.00",
    "price": "$15.00 per month",
    "date": "May 3, 2027",
    "until": "May 17, 2027",
    "retry": "May 6, 2027",
    "unpaid": True,
    "url": "/account",
}
