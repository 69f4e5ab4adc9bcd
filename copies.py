"""Stripe's objects as our columns: what of their JSON our tables keep."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from models import (
    Customer,
    Entitlements,
    Invoice,
    PaymentMethod,
    Price,
    Product,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    TaxId,
)

ID_LIMIT = 255
LARGEST = 2**63 - 1  # what a column of whole numbers holds

Row = dict[str, Any]
Limits = tuple[type[Any] | None, bool, int | None]  # a column's type, whether it must be there, its longest length
ANYTHING: Limits = (None, False, None)


@dataclass(frozen=True)
class Copy:
    """One object of Stripe's, as our columns."""

    model: type[Any]
    id: str
    columns: Row
    items: list[Row] | None = None  # a subscription's, replaced whole with it


def read(obj: Row) -> Copy:
    """Stripe's JSON as our columns.

    Raises KeyError, TypeError, AttributeError or ValueError for a shape of another API version.
    """
    if obj.get("deleted"):
        raise KeyError("deleted")
    model, columns = READERS[obj["object"]]
    copy = Copy(model, str(identity(obj)), columns(obj))
    check(model, copy.columns)
    if model is not Subscription:
        return copy
    items = sorted_items(map(read_item, obj["items"]["data"]))
    for item in items:
        check(SubscriptionItem, item)
    return Copy(model, copy.id, copy.columns, items)


def identity(obj: Row) -> str | None:
    """The id under which we keep an object; a summary of entitlements has only its customer's."""
    found = id_of(obj.get("customer")) if obj["object"] == ENTITLEMENTS else obj.get("id")
    return found if isinstance(found, str) else None


def check(model: type[Any], columns: Row) -> None:
    """Raise TypeError or ValueError for a value that its column can't hold."""
    limits = _limits(model)  # type: ignore[arg-type]  # classes are hashable
    for name, value in columns.items():
        kind, required, longest = limits.get(name, ANYTHING)
        if value is None:
            if required:
                raise TypeError(f"{name} is missing")
        elif kind is None:
            continue
        elif type(value) is not kind:
            raise TypeError(f"{name} is no {kind.__name__}")
        elif (kind is str and not fits(value, longest)) or (kind is int and abs(value) > LARGEST):
            raise ValueError(f"{name} is too large or odd")


def fits(value: str, limit: int | None) -> bool:
    """Whether any database can keep a string: not too long, no NUL, no half of a surrogate pair."""
    if (limit and len(value) > limit) or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def is_name(value: Any) -> bool:
    """A string that any database can keep: not empty, not long, no NUL, no half of a surrogate pair."""
    return isinstance(value, str) and value != "" and fits(value, ID_LIMIT)


@functools.cache
def _limits(model: Any) -> dict[str, Limits]:
    return {
        column.name: (column.type.python_type, not column.nullable, getattr(column.type, "length", None))
        for column in model.__table__.columns
        if not isinstance(column.type, sa.JSON)
    }


# ---------------------------------------------------------------------------------------------------------------------
# One reader for each kind of object


def read_product(obj: Row) -> Row:
    metadata = obj["metadata"]
    return {
        "key": metadata.get("key"),
        "name": obj["name"],
        "description": obj["description"],
        "active": obj["active"],
        "opens": metadata.get("opens", metadata.get("key", "")).split(),
        "features": [feature["name"] for feature in obj["marketing_features"] if feature.get("name")],
    }


def read_price(obj: Row) -> Row:
    recurring = obj["recurring"] or {}
    options = obj.get("currency_options") or {}
    amounts = {currency: option["unit_amount"] for currency, option in options.items()}
    return {
        "product_id": id_of(obj["product"]),
        "lookup_key": obj["lookup_key"],
        "active": obj["active"],
        "currency": obj["currency"],
        "unit_amount": obj["unit_amount"],
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "currency_options": {obj["currency"]: obj["unit_amount"]} | amounts,
    }


def read_customer(obj: Row) -> Row:
    return {
        "email": obj["email"],
        "name": obj["name"],
        "address": obj["address"],
        "currency": obj["currency"],
        "default_payment_method": id_of(obj["invoice_settings"]["default_payment_method"]),
        "delinquent": obj["delinquent"],
        "test_clock": id_of(obj.get("test_clock")),
    }


def read_subscription(obj: Row) -> Row:
    return {
        "customer_id": id_of(obj["customer"]),
        "status": obj["status"],
        "created": obj["created"],
        "currency": obj["currency"],
        "cancel_at": obj["cancel_at"],
        "cancel_at_period_end": obj["cancel_at_period_end"],
        "canceled_at": obj["canceled_at"],
        "ended_at": obj["ended_at"],
        "trial_end": obj["trial_end"],
        "latest_invoice": id_of(obj["latest_invoice"]),
        "default_payment_method": id_of(obj["default_payment_method"]),
        "pending_setup_intent": id_of(obj["pending_setup_intent"]),
        "pending_price": pending_price(obj.get("pending_update")),
        "schedule": id_of(obj["schedule"]),
        "discounted": any(one.get("discounts") for one in (obj, *obj["items"]["data"])),
    }


def pending_price(update: Row | None) -> str | None:
    """The price that a subscription changes to once that is paid."""
    items = (update or {}).get("subscription_items") or []
    return id_of(items[0]["price"]) if items else None


def read_item(item: Row) -> Row:
    price = item["price"]
    recurring = price["recurring"] or {}
    return {
        "id": item["id"],
        "price_id": price["id"],
        "product_id": id_of(price["product"]),
        "quantity": item.get("quantity"),
        "unit_amount": price["unit_amount"],
        "interval": recurring.get("interval"),
        "interval_count": recurring.get("interval_count"),
        "current_period_start": item["current_period_start"],
        "current_period_end": item["current_period_end"],
    }


def read_schedule(obj: Row) -> Row:
    current = (obj["current_phase"] or {}).get("start_date", 0)
    coming = min(
        (phase for phase in obj["phases"] if phase["start_date"] > current), key=itemgetter("start_date"), default=None
    )
    return {
        "customer_id": id_of(obj["customer"]),
        "subscription_id": id_of(obj["subscription"]) or obj["released_subscription"],
        "status": obj["status"],
        "purpose": (obj["metadata"] or {}).get("purpose"),
        "changes_at": coming and coming["start_date"],
        "changes_to": coming and id_of(coming["items"][0]["price"]),
    }


def read_invoice(obj: Row) -> Row:
    details = (obj["parent"] or {}).get("subscription_details") or {}
    if obj["status"] not in INVOICE_RANK:
        raise ValueError(obj["status"])
    return {
        "customer_id": id_of(obj["customer"]),
        "subscription_id": id_of(details.get("subscription")),
        "status": obj["status"],
        "billing_reason": obj["billing_reason"],
        "number": obj["number"],
        "created": obj["created"],
        "currency": obj["currency"],
        "total": obj["total"],
        "amount_due": obj["amount_due"],
        "amount_paid": obj["amount_paid"],
        "amount_remaining": obj["amount_remaining"],
        "attempt_count": obj["attempt_count"],
        "next_payment_attempt": obj["next_payment_attempt"],
        "finalized_at": obj["status_transitions"]["finalized_at"],
        "hosted_invoice_url": obj.get("hosted_invoice_url"),
        "invoice_pdf": obj.get("invoice_pdf"),
    }


def read_payment_method(obj: Row) -> Row:
    details = obj.get(obj["type"]) or {}
    return {
        "customer_id": id_of(obj["customer"]),
        "type": obj["type"],
        "brand": details.get("display_brand") or details.get("brand"),
        "last4": details.get("last4"),
        "exp_month": details.get("exp_month"),
        "exp_year": details.get("exp_year"),
    }


def read_tax_id(obj: Row) -> Row:
    return {
        "customer_id": id_of(obj["customer"]),
        "type": obj["type"],
        "value": obj["value"],
        "verification": (obj["verification"] or {}).get("status"),
    }


def read_entitlements(obj: Row) -> Row:
    return {
        "customer_id": id_of(obj["customer"]),
        "lookup_keys": sorted(entitlement["lookup_key"] for entitlement in obj["entitlements"]["data"]),
    }


ENTITLEMENTS = "entitlements.active_entitlement_summary"
READERS: dict[str, tuple[type[Any], Callable[[Row], Row]]] = {
    "product": (Product, read_product),
    "price": (Price, read_price),
    "customer": (Customer, read_customer),
    "subscription": (Subscription, read_subscription),
    "subscription_schedule": (SubscriptionSchedule, read_schedule),
    "invoice": (Invoice, read_invoice),
    "payment_method": (PaymentMethod, read_payment_method),
    "tax_id": (TaxId, read_tax_id),
    ENTITLEMENTS: (Entitlements, read_entitlements),
}
INVOICE_RANK = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}
BOOKKEEPING = ("id", "version", "known_from", "known_to", "deleted_at", "user_id")


def sorted_items(items: Iterable[Row]) -> list[Row]:
    return sorted(items, key=itemgetter("id"))


def id_of(value: Any) -> str | None:
    """The id of something that Stripe may have expanded."""
    found: str | None = value.get("id") if isinstance(value, dict) else value
    return found
