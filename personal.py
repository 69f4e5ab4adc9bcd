"""What belongs to a person: billing details, address, a copy of all their data, and the end of their account."""

from __future__ import annotations

import contextlib
import uuid
from typing import Any, cast

import sqlalchemy as sa
from flask import Flask
from flask_security import signals

import billing
import clock
import db
import export
import mail
import operations
import readings
import subscriptions
import sync
from errors import Problem, invalid
from models import Checkout, Customer, Operation, Outbox, SetupIntent, Subscription, TaxId, User

ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")

# Kinds of tax id that the form offers; Stripe knows more.
TAX_IDS = {
    "eu_vat": "VAT number (EU)",
    "gb_vat": "VAT number (United Kingdom)",
    "ch_vat": "VAT number (Switzerland)",
    "no_vat": "VAT number (Norway)",
    "us_ein": "EIN (United States)",
    "ca_bn": "Business number (Canada)",
    "au_abn": "ABN (Australia)",
    "nz_gst": "GST number (New Zealand)",
    "in_gst": "GST number (India)",
    "jp_cn": "Corporate number (Japan)",
}

Row = dict[str, Any]


def init_app(app: Flask) -> None:
    """Hear of addresses that were confirmed."""
    signals.change_email_confirmed.connect(_on_address_changed, app)


def _on_address_changed(_app: Flask, user: User, old_email: str, **_more: Any) -> None:
    address_changed(user, old_email)


# ---------------------------------------------------------------------------------------------------------------------
# Billing details


def tax_id_of(customer_id: str | None) -> TaxId | None:
    """The tax id on a customer's invoices, from our tables."""
    query = sa.select(TaxId).where(TaxId.customer_id == customer_id, TaxId.deleted_at.is_(None))
    return db.session.scalars(query.order_by(TaxId.id), execution_options=readings.FRESH).first()


def save_details(user: User, name: str | None, address: Row | None, tax_id: Row | None) -> None:
    """Make these the details on coming invoices: what is left out is cleared. Safe to repeat.

    Raises Problem (400), and changes nothing, for a tax id that cannot be one.
    """
    customer = subscriptions.ensure_customer(user)
    _set_tax_id(customer.id, tax_id)
    if any(value and not (address or {}).get(part) for part, value in (customer.address or {}).items()):
        # A part of an address cannot be unset, only the whole of it.
        _change(customer.id, "billing_details", {"address": ""})
    _change(customer.id, "billing_details", {"name": name or ""} | ({"address": address} if address else {}))


def _set_tax_id(customer_id: str, wanted: Row | None) -> None:
    """Add the new one first: Stripe may refuse it."""
    noted = sync.note(customer_id)
    there: list[Row] = []
    for page in billing.tax_ids_of(customer_id):
        sync.learn(noted, page, *page.object["data"])
        there += page.object["data"]
    kept = [one for one in there if wanted and (one["type"], one["value"]) == (wanted["type"], wanted["value"])]
    if wanted and not kept:
        kept = [_add_tax_id(customer_id, wanted)]
    for one in there:
        if one["id"] != (kept[0]["id"] if kept else None):
            billing.delete_tax_id(customer_id, one["id"])
            sync.ask("tax_id", one["id"], quick=False)


def _add_tax_id(customer_id: str, wanted: Row) -> Row:
    operation = operations.begin("tax_id", f"{customer_id} {operations.new_id()}", wanted)
    noted = sync.note(customer_id)
    try:
        answer = billing.create_tax_id(customer_id, cast(Any, wanted), operation.id)
    except billing.BillingError as error:
        operations.end(operation.id, "failed", str(error))
        if isinstance(error, billing.Refused) and error.stripe_code == "tax_id_invalid":
            invalid("taxId.value", f"is not a valid {TAX_IDS.get(wanted['type'], 'tax number')}")
        raise
    operations.end(operation.id, "done")
    sync.learn(noted, answer)
    return answer.object


def _change(customer_id: str, kind: str, values: Row) -> None:
    """Set something of a customer's. Each time with a key of its own: setting it twice is setting it."""
    operation = operations.begin(kind, f"{customer_id} {operations.new_id()}", values)
    noted = sync.note(customer_id)
    try:
        answer = billing.update_customer(
            customer_id, cast(billing.params.CustomerUpdateParams, operation.params), operation.id
        )
    except billing.BillingError as error:
        operations.end(operation.id, "failed", str(error))
        raise
    operations.end(operation.id, "done")
    sync.learn(noted, answer)


# ---------------------------------------------------------------------------------------------------------------------
# The address


def address_changed(user: User, old_email: str) -> None:
    """A new address was confirmed: tell the old one, note what Stripe must be told, and try to tell it."""
    words = {"subject": "Your new address", "old_email": old_email, "new_email": user.email}
    waiting = sa.update(Operation).where(
        Operation.kind == "change_email", Operation.subject == str(user.id), Operation.state == "open"
    )
    earlier = sa.update(Outbox).where(Outbox.recipient == old_email)
    with db.write() as tx:
        tx.execute(waiting.values(state="failed", note="another address came after it"))
        tx.execute(earlier.values(recipient=user.email))
        mail.enqueue(tx, "email_changed", f"{user.id} {uuid.uuid4().hex}", old_email, "mail/email_changed", **words)
    operation = operations.begin("change_email", str(user.id), {"email": user.email})
    with contextlib.suppress(billing.BillingError):  # `flask tick` tells it then
        _tell_address(operation)


def tell_addresses() -> None:
    """Tell Stripe the addresses that it was not told yet."""
    operations.settle_each({"change_email": _tell_address}, after=0)


def _tell_address(operation: operations.Open) -> None:
    customer = readings.customer_of(int(operation.subject))
    if customer is not None:
        _change(customer.id, "email", operation.params)
    operations.end(operation.id, "done")


# ---------------------------------------------------------------------------------------------------------------------
# The end


def delete(user: User) -> None:
    """End what runs, have Stripe forget the customer, and take the person out of our tables. Safe to repeat.

    Invoices and payments stay, without a name: the law wants them. Raises Problem (409) for staff.
    """
    if user.is_staff:
        raise Problem(409, "is_staff", "This is an account of staff. Whoever runs the shop must end that first.")
    customers = list(db.session.scalars(sa.select(Customer.id).where(Customer.user_id == user.id)))
    for customer_id in customers:
        _end_at_stripe(user, customer_id)
    _forget(user, customers)


def _end_at_stripe(user: User, customer_id: str) -> None:
    with contextlib.suppress(billing.Missing):  # it was deleted before
        noted = sync.note(customer_id)
        for page in billing.subscriptions_of(customer_id):
            sync.learn(noted, page, *page.object["data"])
            for subscription in page.object["data"]:
                if subscription["status"] not in sync.ENDED:
                    subscriptions.end_now(subscription, user)
    with contextlib.suppress(billing.Missing):
        billing.delete_customer(customer_id)
    sync.ask("customer", customer_id, quick=False)


def _forget(user: User, customers: list[str]) -> None:
    """Put nobody in the person's place: other rows go on to refer to it."""
    nobody = {
        "email": f"deleted-{user.id}@deleted.invalid",
        "password": None,
        "active": False,
        "confirmed_at": None,
        "fs_uniquifier": uuid.uuid4().hex,
    }
    email = user.email
    with db.write() as tx:
        tx.execute(sa.update(User).where(User.id == user.id).values(nobody))
        tx.execute(sa.update(Customer).where(Customer.id.in_(customers)).values(email=None, name=None, address=None))
        tx.execute(sa.delete(Checkout).where(Checkout.user_id == user.id))
        tx.execute(sa.delete(SetupIntent).where(SetupIntent.user_id == user.id))
        tx.execute(sa.update(TaxId).where(TaxId.customer_id.in_(customers)).values(value="", deleted_at=clock.wall()))
        tx.execute(sa.delete(Outbox).where(export.mails_to(user.id, email)))
        about = sa.or_(
            Operation.subject == str(user.id),
            Operation.subject.in_(sa.select(Subscription.id).where(Subscription.customer_id.in_(customers)))
            & (Operation.kind == "cancel_at_period_end"),  # what they said when they cancelled
            *(Operation.subject.startswith(id) for id in customers),
        )
        tx.execute(sa.update(Operation).where(about).values(params={}))
        mail.enqueue(
            tx, "account_deleted", str(user.id), email, "mail/account_deleted", subject="Your account is deleted"
        )
