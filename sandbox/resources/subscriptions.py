"""/v1/subscriptions"""

from typing import Any

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionCreateParams,
    SubscriptionListParams,
    SubscriptionRetrieveParams,
    SubscriptionUpdateParams,
)

from sandbox import lists
from sandbox.billing import changing, ending, periods, subscribing
from sandbox.billing.periods import DAY
from sandbox.errors import StripeError, missing, no_such, not_built
from sandbox.params import merge_metadata
from sandbox.resources import payment_methods
from sandbox.resources.subscription_items import checked_items, create_items
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

LONGEST_TRIAL = 730  # days
SETTINGS = (
    "payment_settings.save_default_payment_method payment_settings.payment_method_types automatic_tax.enabled "
    "trial_settings.end_behavior.missing_payment_method"
)


@route(
    "POST /v1/subscriptions",
    SubscriptionCreateParams,
    "billing_mode cancel_at cancel_at_period_end collection_method currency customer default_payment_method "
    "description items.price items.plan items.quantity items.metadata metadata off_session payment_behavior "
    f"proration_behavior trial_end trial_period_days {SETTINGS}",
)
def create(world: World, params: dict[str, Any]) -> Document:
    if not params.get("customer"):
        raise missing("customer")
    if not params.get("items"):
        raise missing("items")
    customer = world.get("customer", params["customer"], "customer")
    _refuse_what_is_not_built(params)
    currency, items = checked_items(world, customer, params["items"], params.get("currency"))
    now = world.now(customer["id"])
    trial_end = _trial_end(params, now)
    recurring = world.get("price", items[0]["price"])["recurring"]
    period_end = trial_end or periods.next_end(now, recurring["interval"], recurring["interval_count"], now)
    subscription = world.create(
        "subscription",
        "sub_",
        billing_cycle_anchor=trial_end or now,
        billing_mode=_billing_mode(params.get("billing_mode"), now),
        cancel_at=None,
        cancel_at_period_end=False,
        canceled_at=None,
        cancellation={"comment": None, "feedback": None, "reason": None},
        currency=currency,
        customer=customer["id"],
        default_payment_method=_method(world, params, customer),
        description=params.get("description"),
        ended_at=None,
        latest_invoice=None,
        metadata=merge_metadata({}, params.get("metadata")),
        missing_payment_method=_missing_payment_method(params) or "create_invoice",
        payment_settings=_payment_settings({}, params),
        pending_setup_intent=None,
        start_date=now,
        status="trialing" if trial_end else "active",
        trial_end=trial_end,
        trial_start=now if trial_end else None,
    )
    create_items(world, subscription, items, now, period_end)
    ending.plan_end(world, subscription, params)
    behaviour = params.get("payment_behavior", "allow_incomplete")
    subscribing.start(world, subscription, behaviour)
    return subscription


@route("GET /v1/subscriptions/<id>", SubscriptionRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("subscription", id)


@route(
    "POST /v1/subscriptions/<id>",
    SubscriptionUpdateParams,
    "cancel_at cancel_at_period_end cancellation_details.comment cancellation_details.feedback default_payment_method "
    "description items.id items.price items.plan items.quantity items.metadata items.deleted metadata off_session "
    f"payment_behavior proration_behavior proration_date trial_end {SETTINGS}",
)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    subscription = world.get("subscription", id)
    _refuse_what_is_not_built(params)
    _check_editable(subscription, params)
    before = world.wire(subscription)
    if "default_payment_method" in params:
        customer = world.get("customer", subscription["customer"])
        subscription["default_payment_method"] = _method(world, params, customer)
    if "description" in params:
        subscription["description"] = params["description"]
    if "metadata" in params:
        subscription["metadata"] = merge_metadata(subscription["metadata"], params["metadata"])
    if "cancellation_details" in params:
        subscription["cancellation"] = subscription["cancellation"] | (params["cancellation_details"] or {})
    subscription["missing_payment_method"] = _missing_payment_method(params) or subscription["missing_payment_method"]
    subscription["payment_settings"] = _payment_settings(subscription["payment_settings"], params)
    ending.plan_end(world, subscription, params)
    world.save(subscription)
    changing.change(world, subscription, params, before)
    return subscription


@route(
    "GET /v1/subscriptions",
    SubscriptionListParams,
    "collection_method created customer ending_before limit price starting_after status",
)
def list_subscriptions(world: World, params: dict[str, Any]) -> lists.Page:
    where, values = lists.created_range(params.get("created"))
    if params.get("customer"):
        where.append("customer = ?")
        values.append(params["customer"])
    if params.get("price"):
        where.append(
            "id IN (SELECT i.subscription FROM objects i WHERE i.type = 'subscription_item' AND NOT i.deleted "
            "AND json_extract(i.document, '$.price') = ?)"
        )
        values.append(params["price"])
    status = params.get("status")
    if status is None:
        where.append("status <> 'canceled'")
    elif status == "ended":
        where.append("status IN ('canceled', 'incomplete_expired')")
    elif status != "all":
        where.append("status = ?")
        values.append(status)
    return lists.cut(world, "subscription", params, where, values)


@route(
    "DELETE /v1/subscriptions/<id>",
    SubscriptionCancelParams,
    "cancellation_details.comment cancellation_details.feedback invoice_now prorate",
)
def cancel(world: World, params: dict[str, Any], id: str) -> Document:
    subscription = world.get("subscription", id)
    if subscription["status"] in subscribing.ENDED:
        raise no_such("subscription", id)
    if params.get("invoice_now") or params.get("prorate"):
        raise not_built("invoice_now and prorate when a subscription is canceled")
    details = params.get("cancellation_details") or {}
    subscribing.cancel(world, subscription, details=details)
    return subscription


@formats("subscription")
def format_subscription(world: World, subscription: Document) -> dict[str, Any]:
    items = [world.wire(item) for item in subscribing.items_of(world, subscription)]
    return {
        "id": subscription["id"],
        "object": "subscription",
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": subscription["billing_cycle_anchor"],
        "billing_cycle_anchor_config": None,
        "billing_mode": subscription["billing_mode"],
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": subscription["cancel_at"],
        "cancel_at_period_end": subscription["cancel_at_period_end"],
        "canceled_at": subscription["canceled_at"],
        "cancellation_details": {"feedback_option": None, **subscription["cancellation"]},
        "collection_method": "charge_automatically",
        "created": subscription["created"],
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": subscription["default_payment_method"],
        "default_source": None,
        "default_tax_rates": [],
        "description": subscription["description"],
        "discounts": [],
        "ended_at": subscription["ended_at"],
        "invoice_settings": {
            "account_tax_ids": None,
            "custom_fields": None,
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "items": lists.embedded(items, f"/v1/subscription_items?subscription={subscription['id']}"),
        "latest_invoice": subscription["latest_invoice"],
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": subscription["metadata"],
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": subscription["payment_settings"],
        "pending_invoice_item_interval": None,
        "pending_setup_intent": subscription["pending_setup_intent"],
        "pending_update": None,
        "schedule": None,
        "start_date": subscription["start_date"],
        "status": subscription["status"],
        "test_clock": None,
        "transfer_data": None,
        "trial_end": subscription["trial_end"],
        "trial_settings": {
            "end_behavior": {
                "billing_cycle_anchor": "now",
                "missing_payment_method": subscription["missing_payment_method"],
            }
        },
        "trial_start": subscription["trial_start"],
    }


def _check_editable(subscription: Document, params: dict[str, Any]) -> None:
    changed = params.keys() - {"metadata", "cancellation_details", "expand"}
    if subscription["status"] in subscribing.ENDED and changed:
        text = "A canceled subscription can only update its cancellation_details and metadata."
        raise StripeError(text)
    if subscription["status"] == "incomplete" and changed:
        text = (
            "This subscription is incomplete: until its first invoice is paid, only its metadata can be updated, "
            f"not {sorted(changed)[0]}."
        )
        raise StripeError(text, param=sorted(changed)[0])


def _refuse_what_is_not_built(params: dict[str, Any]) -> None:
    if params.get("collection_method") == "send_invoice":
        raise not_built("collection_method=send_invoice")
    if (params.get("automatic_tax") or {}).get("enabled"):
        raise not_built("automatic tax")
    if params.get("payment_behavior") == "pending_if_incomplete":
        raise not_built("payment_behavior=pending_if_incomplete")
    if (params.get("billing_mode") or {}).get("type") == "classic":
        raise not_built("billing_mode[type]=classic")


def _billing_mode(given: dict[str, Any] | None, now: int) -> dict[str, Any]:
    discounts = ((given or {}).get("flexible") or {}).get("proration_discounts", "included")
    return {"flexible": {"proration_discounts": discounts}, "type": "flexible", "updated_at": now}


def _trial_end(params: dict[str, Any], now: int) -> int | None:
    if "trial_end" in params and "trial_period_days" in params:
        raise StripeError(
            "You may only specify one of these parameters: trial_end, trial_period_days.", param="trial_end"
        )
    days = params.get("trial_period_days")
    if days is not None and not 1 <= days <= LONGEST_TRIAL:
        text = f"The trial period must be between 1 and {LONGEST_TRIAL} days."
        raise StripeError(text, code="parameter_invalid_integer", param="trial_period_days")
    end = now + days * DAY if days else params.get("trial_end")
    if end in (None, "now"):
        return None
    if end <= now:
        raise StripeError("Invalid timestamp: must be an integer Unix timestamp in the future", param="trial_end")
    if end > now + LONGEST_TRIAL * DAY:
        raise StripeError("Invalid timestamp: can be no more than two years in the future", param="trial_end")
    return int(end)


def _method(world: World, params: dict[str, Any], customer: Document) -> str | None:
    id = params.get("default_payment_method")
    if not id:
        return None
    method = world.get("payment_method", id, "default_payment_method")
    if method["customer"] != customer["id"]:
        text = (
            f"The customer does not have a payment method with the ID {id}. "
            "The payment method must be attached to the customer."
        )
        raise StripeError(text, code="resource_missing", param="default_payment_method")
    return str(payment_methods.usable(world, id, customer["id"])["id"])


def _payment_settings(old: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    given = params.get("payment_settings") or {}
    first = {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"}
    return first | old | given


def _missing_payment_method(params: dict[str, Any]) -> str | None:
    settings = params.get("trial_settings") or {}
    wish = settings.get("end_behavior", {}).get("missing_payment_method")
    return None if wish is None else str(wish)
