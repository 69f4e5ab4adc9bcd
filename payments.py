"""What keeps a subscription paid: the payment method that renewals are charged to, and invoices that wait for money.

Stripe is asked before anything is charged, and every change has a stored id that is its idempotency key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import sqlalchemy as sa
from flask import current_app, url_for

import billing
import clock
import db
import operations
import subscriptions
import sync
from copies import id_of
from errors import Problem
from models import BankOrder, Customer, Invoice, SetupIntent, Subscription, User

METHOD_TYPES = {
    "usd": ["card", "link"],
    "eur": ["card", "link", "sepa_debit"],
    "aud": ["card", "link", "au_becs_debit"],
}
CARD = ["card"]

Row = dict[str, Any]


# ---------------------------------------------------------------------------------------------------------------------
# Replacing the payment method


def begin_replacement(user: User) -> str:
    """Begin to replace the payment method. Returns the client secret that the browser sets it up with."""
    customer = subscriptions.ensure_customer(user)
    kinds = METHOD_TYPES.get(customer.currency or "usd", CARD)
    try:
        return _begin_setup(user, customer.id, kinds)
    except billing.Refused as error:
        if "payment_method_types" not in (error.param or "") or kinds == CARD:
            raise
        current_app.logger.warning(
            "Stripe does not take one of %s, so only cards are offered: "
            "switch it on at https://dashboard.stripe.com/settings/payment_methods",
            ", ".join(kinds),
        )
        return _begin_setup(user, customer.id, CARD)


def _begin_setup(user: User, customer_id: str, kinds: list[str]) -> str:
    values: Row = {
        "customer": customer_id,
        "allowed_payment_method_types": kinds,
        "usage": "off_session",
        "metadata": {"user_id": str(user.id)},
    }
    operation = operations.begin("create_setup_intent", customer_id, values)
    try:
        answer = billing.create_setup_intent(
            cast(billing.params.SetupIntentCreateParams, operation.params), operation.id
        )
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise
    row = {"id": answer.object["id"], "user_id": user.id, "customer_id": customer_id, "started_at": clock.wall()}
    with db.write() as tx:
        tx.execute(db.insert(SetupIntent).values(row).on_conflict_do_nothing())
        operations.end_in(tx, operation.id, "done")
    return str(answer.object["client_secret"])


def finish_replacement(user: User, setup_intent_id: str) -> str:
    """Put the method that was set up to use, once the bank has agreed: "saved", or "processing" while it has not.

    Raises Problem: 404 for somebody else's, 409 for one that was not confirmed.
    """
    setup = _setup(setup_intent_id)
    if setup is None or setup.user_id != user.id:
        raise Problem(404, "not_found", "There is no such payment method to save.")
    intent = billing.retrieve_setup_intent(setup.id).object
    if intent["status"] == "processing":
        return "processing"
    if intent["status"] != "succeeded":
        reason = (intent["last_setup_error"] or {}).get("message")
        raise Problem(409, "setup_unfinished", reason or "The new payment method has not been confirmed yet.")
    put_to_use(setup, id_of(intent["payment_method"]) or "")
    return "saved"


def setup_succeeded(event: Row, settle: sync.Settle) -> None:
    """Finish what a browser began that is gone since."""
    intent = event["data"]["object"]
    setup = _setup(intent["id"])
    if setup is not None:
        put_to_use(setup, id_of(intent["payment_method"]) or "")
    sync.only(settle)


def put_to_use(setup: SetupIntent, method_id: str) -> None:
    """Charge renewals to this method from now on: of each live subscription first, then of the customer.

    A replacement that somebody finished later stays. Safe to repeat, and to be cut off anywhere.
    """
    if setup.settled_at is not None or _is_outdated(setup):
        return
    noted = sync.note(setup.customer_id)
    for page in billing.subscriptions_of(setup.customer_id):
        sync.learn(noted, page, *page.object["data"])
        for subscription in page.object["data"]:
            ended = subscription["status"] in (*sync.ENDED, "incomplete")
            if not ended and id_of(subscription["default_payment_method"]) != method_id:
                _charge_subscription_to(setup.customer_id, subscription["id"], method_id)
    _charge_customer_to(setup.customer_id, method_id)
    sync.ask("payment_method", method_id, quick=False)
    settled = sa.update(SetupIntent).where(SetupIntent.id == setup.id, SetupIntent.settled_at.is_(None))
    with db.write() as tx:
        tx.execute(settled.values(settled_at=clock.wall()))


def _setup(id: str) -> SetupIntent | None:
    return db.session.get(SetupIntent, id, populate_existing=True)


def _is_outdated(setup: SetupIntent) -> bool:
    later = sa.exists().where(
        SetupIntent.customer_id == setup.customer_id,
        SetupIntent.started_at > setup.started_at,
        SetupIntent.settled_at.is_not(None),
    )
    return bool(db.session.scalar(sa.select(later)))


def _charge_subscription_to(customer_id: str, subscription_id: str, method_id: str) -> None:
    values: Row = {"default_payment_method": method_id}
    operation = operations.begin("charge_to", f"{subscription_id} {method_id}", values)
    noted = sync.note(customer_id)
    try:
        answer = billing.update_subscription(
            subscription_id, cast(billing.params.SubscriptionUpdateParams, operation.params), operation.id
        )
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        sync.ask("subscription", subscription_id, quick=False)
        if _status_of(subscription_id) in sync.ENDED:  # it ended just now: nothing to charge any more
            return
        raise
    operations.end(operation.id, "done")
    sync.learn(noted, answer)


def _charge_customer_to(customer_id: str, method_id: str) -> None:
    values: Row = {"invoice_settings": {"default_payment_method": method_id}}
    operation = operations.begin("charge_to", f"{customer_id} {method_id}", values)
    noted = sync.note(customer_id)
    try:
        answer = billing.update_customer(
            customer_id, cast(billing.params.CustomerUpdateParams, operation.params), operation.id
        )
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise
    operations.end(operation.id, "done")
    sync.learn(noted, answer)


def _status_of(subscription_id: str | None) -> str | None:
    return db.session.scalar(sa.select(Subscription.status).where(Subscription.id == subscription_id))


# ---------------------------------------------------------------------------------------------------------------------
# Paying an invoice


@dataclass(frozen=True)
class Payment:
    """How an invoice's payment stands."""

    status: str  # "paid" | "processing" | "requires_action" | "requires_payment_method"
    client_secret: str | None = None
    message: str | None = None  # why the saved method did not do


def pay(user: User, invoice_id: str, *, saved_method: bool) -> Payment:
    """Pay an open invoice with the saved method, or tell what the browser needs to pay it with another one.

    An invoice that is paid already is a success. Raises Problem: 404 for somebody else's invoice, 409 where nothing
    is owed on it.
    """
    customer_id = _owner(user, invoice_id)
    standing = look(customer_id, invoice_id)
    if not saved_method or standing.status != "requires_payment_method":
        return standing
    operation = operations.begin("pay_invoice", invoice_id, {"off_session": False})
    noted = sync.note(customer_id)
    try:
        answer = billing.pay_invoice(invoice_id, cast(billing.params.InvoicePayParams, operation.params), operation.id)
    except billing.Unavailable:
        # Its key may bring the same failure for a day. An invoice is paid once whatever the key, so the next try
        # looks at Stripe and takes a new one.
        if not operation.fresh:
            operations.end(operation.id, "failed", "no answer, twice")
        raise
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        return _refused(error, look(customer_id, invoice_id))
    operations.end(operation.id, "done")
    sync.learn(noted, answer)
    return look(customer_id, invoice_id)


def _refused(error: billing.Refused, standing: Payment) -> Payment:
    """What a refusal means by how the invoice stands now."""
    if standing.status != "requires_payment_method":
        return standing
    if isinstance(error, billing.CardDeclined):
        return Payment(standing.status, standing.client_secret, error.message)
    if isinstance(error, billing.Missing):
        return Payment(standing.status, standing.client_secret, "There is no saved payment method to charge.")
    raise error


def look(customer_id: str, invoice_id: str) -> Payment:
    """Ask Stripe how an invoice's payment stands, and take that into our tables."""
    noted = sync.note(customer_id)
    answer = billing.retrieve_to_pay(invoice_id)
    sync.learn(noted, answer)
    subscription_id = db.session.scalar(sa.select(Invoice.subscription_id).where(Invoice.id == invoice_id))
    if subscription_id:
        sync.ask("subscription", subscription_id, quick=False)
    if answer.object["status"] == "paid":
        return Payment("paid")
    if answer.object["status"] != "open" or _status_of(subscription_id) in sync.ENDED:
        raise Problem(409, "nothing_owed", "Nothing is owed on this invoice any more.", url=url_for("account.settings"))
    intent = billing.invoice_intent(invoice_id)
    status = intent["status"] if intent else "canceled"
    _compare_order(invoice_id, status == "processing", answer.date)
    if status == "succeeded":
        return Payment("paid")
    if status == "processing":
        return Payment("processing")
    secret = (answer.object["confirmation_secret"] or {}).get("client_secret")
    return Payment("requires_action" if status == "requires_action" else "requires_payment_method", secret)


def payment_under_way(event: Row, settle: sync.Settle) -> None:
    """A bank has got the order to pay."""
    _note_order(event, settle, "since")


def payment_failed(event: Row, settle: sync.Settle) -> None:
    """A payment has come to nothing; it may have been under way for days."""
    _note_order(event, settle, "failed_at")


def _note_order(event: Row, settle: sync.Settle, column: str) -> None:
    invoice_id = sync.invoice_of(event["data"]["object"])

    def settle_both(tx: sa.Connection) -> None:
        settle(tx)
        if invoice_id:
            _set_order(tx, invoice_id, column, event["created"])

    sync.only(settle_both)


def _set_order(tx: sa.Connection, invoice_id: str, column: str, instant: int) -> None:
    """Note an instant, unless a later one is noted: events come in any order."""
    held = BankOrder.__table__.c[column]
    insert = db.insert(BankOrder).values({"invoice_id": invoice_id, column: instant})
    later = sa.or_(held.is_(None), held < instant)
    tx.execute(insert.on_conflict_do_update(index_elements=["invoice_id"], set_={column: instant}, where=later))


def _compare_order(invoice_id: str, under_way: bool, now: int) -> None:
    """Bring what is noted of an invoice in line with what Stripe has just said."""
    noted = db.session.scalar(sa.select(BankOrder.under_way()).where(BankOrder.invoice_id == invoice_id))
    if under_way != (noted is not None):
        with db.write() as tx:
            _set_order(tx, invoice_id, "since" if under_way else "failed_at", max(now, noted or 0))


def _owner(user: User, invoice_id: str) -> str:
    """The customer id behind a user's own invoice; anybody else's does not exist for them."""
    query = sa.select(Customer.id).join(Invoice, Invoice.customer_id == Customer.id)
    found = db.session.scalar(query.where(Invoice.id == invoice_id, Customer.user_id == user.id))
    if found is None:
        raise Problem(404, "not_found", "There is no such invoice.")
    return found
