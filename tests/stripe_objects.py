"""Stripe's objects as events carry them: only what our tables read, with the contract's names."""

from typing import Any

TRAIN = "2026-10-28.endive"


def event(obj: dict[str, Any], type: str, *, created: int, id: str | None = None, **changes: Any) -> dict[str, Any]:
    """An event about `obj`."""
    return {
        "id": id or f"evt_{type}_{created}",
        "object": "event",
        "api_version": TRAIN,
        "created": created,
        "data": {"object": obj},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
        **changes,
    }


def product(id: str = "prod_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "product",
        "name": "Basic",
        "description": None,
        "active": True,
        "metadata": {"key": "basic", "opens": "basic"},
        "marketing_features": [{"name": "The weekly letter"}],
        **changes,
    }


def subscription(id: str = "sub_1", customer: str = "cus_1", status: str = "active", **changes: Any) -> dict[str, Any]:
    price = {
        "id": "price_1",
        "product": "prod_1",
        "unit_amount": 500,
        "recurring": {"interval": "month", "interval_count": 1},
    }
    item = {"id": "si_1", "price": price, "quantity": 1, "current_period_start": 1_000, "current_period_end": 2_000}
    return {
        "id": id,
        "object": "subscription",
        "customer": customer,
        "status": status,
        "created": 1_000,
        "currency": "usd",
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "ended_at": None,
        "trial_end": None,
        "latest_invoice": "in_1",
        "default_payment_method": None,
        "pending_setup_intent": None,
        "schedule": None,
        "test_clock": None,
        "items": {"object": "list", "data": [item], "has_more": False},
        **changes,
    }


def invoice(id: str = "in_1", customer: str = "cus_1", status: str = "open", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "invoice",
        "customer": customer,
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
        "status": status,
        "billing_reason": "subscription_create",
        "number": "ABCD1234-0001",
        "created": 1_000,
        "currency": "usd",
        "total": 500,
        "amount_due": 500,
        "amount_paid": 0,
        "amount_remaining": 500,
        "attempt_count": 0,
        "next_payment_attempt": None,
        "status_transitions": {"finalized_at": 1_000},
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "test_clock": None,
        **changes,
    }


def customer(id: str = "cus_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "customer",
        "email": "alice@example.com",
        "name": None,
        "address": None,
        "currency": None,
        "invoice_settings": {"default_payment_method": None},
        "delinquent": False,
        "test_clock": None,
        **changes,
    }


def payment_method(id: str = "pm_1", customer: str | None = "cus_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "payment_method",
        "customer": customer,
        "type": "card",
        "card": {"brand": "visa", "display_brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2040},
        **changes,
    }


def entitlements(customer: str = "cus_1", *lookup_keys: str) -> dict[str, Any]:
    """The summary that an event carries; it has no id."""
    data = [
        {"id": f"ent_{key}", "object": "entitlements.active_entitlement", "feature": f"feat_{key}", "lookup_key": key}
        for key in lookup_keys
    ]
    return {
        "object": "entitlements.active_entitlement_summary",
        "customer": customer,
        "livemode": False,
        "entitlements": {"object": "list", "data": data, "has_more": False, "url": "/v1/customers/cus_1/entitlements"},
    }


def schedule(id: str = "sub_sched_1", customer: str = "cus_1", **changes: Any) -> dict[str, Any]:
    now = {"start_date": 1_000, "end_date": 2_000, "items": [{"price": "price_2", "quantity": 1}]}
    then = {"start_date": 2_000, "end_date": 3_000, "items": [{"price": "price_1", "quantity": 1}]}
    return {
        "id": id,
        "object": "subscription_schedule",
        "customer": customer,
        "subscription": "sub_1",
        "released_subscription": None,
        "status": "active",
        "metadata": {"purpose": "downgrade"},
        "current_phase": {"start_date": 1_000, "end_date": 2_000},
        "phases": [now, then],
        "test_clock": None,
        **changes,
    }


def price(id: str = "price_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "price",
        "product": "prod_1",
        "lookup_key": "basic_monthly",
        "active": True,
        "currency": "usd",
        "unit_amount": 500,
        "recurring": {"interval": "month", "interval_count": 1},
        **changes,
    }


def tax_id(id: str = "txi_1", customer: str = "cus_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": id,
        "object": "tax_id",
        "customer": customer,
        "type": "eu_vat",
        "value": "DE123456789",
        "verification": {"status": "pending"},
        **changes,
    }
