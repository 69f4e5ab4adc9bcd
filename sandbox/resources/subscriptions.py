"""/v1/subscriptions"""

from typing import Any

from stripe.params import (
    SubscriptionCancelParams,
    SubscriptionCreateParams,
    SubscriptionDeleteDiscountParams,
    SubscriptionListParams,
    SubscriptionMigrateParams,
    SubscriptionPauseParams,
    SubscriptionResumeParams,
    SubscriptionRetrieveParams,
    SubscriptionUpdateParams,
)

from sandbox import lists
from sandbox.billing import (
    adding,
    changing,
    discounting,
    ending,
    modes,
    opening,
    pausing,
    pending,
    resuming,
    subscribing,
)
from sandbox.errors import StripeError, missing, no_such
from sandbox.params import merge_metadata
from sandbox.resources import tax_rates, test_clocks
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

WITH_ITEM = "SELECT subscription FROM objects WHERE type = 'subscription_item' AND NOT deleted"
SETTINGS = (
    "add_invoice_items automatic_tax.enabled cancel_at cancel_at_period_end collection_method days_until_due "
    "default_payment_method default_tax_rates description discounts items.discounts items.metadata items.plan "
    "items.price items.price_data items.quantity items.tax_rates metadata off_session payment_behavior "
    "payment_settings.payment_method_types "
    "payment_settings.save_default_payment_method proration_behavior trial_end trial_from_plan "
    "trial_settings.end_behavior.missing_payment_method"
)


@route(
    "POST /v1/subscriptions",
    SubscriptionCreateParams,
    "backdate_start_date billing_cycle_anchor billing_cycle_anchor_config billing_mode currency customer "
    f"trial_period_days {SETTINGS}",
)
def create(world: World, params: dict[str, Any]) -> Document:
    for name in ("customer", "items"):
        if not params.get(name):
            raise missing(name)
    tax_rates.refuse_automatic(params)
    if params.get("payment_behavior") == "pending_if_incomplete":
        text = "`pending_if_incomplete` is only for updates of a subscription."
        raise StripeError(text, param="payment_behavior")
    subscription = opening.make(world, params)
    adding.to_subscription(world, subscription, params.get("add_invoice_items"))
    subscribing.start(world, subscription, params)
    return subscription


@route("GET /v1/subscriptions/<id>", SubscriptionRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("subscription", id)


@route(
    "POST /v1/subscriptions/<id>",
    SubscriptionUpdateParams,
    "billing_cycle_anchor cancellation_details.comment cancellation_details.feedback items.clear_usage items.deleted "
    f"items.id pause_collection proration_date {SETTINGS}",
)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    subscription = world.get("subscription", id)
    tax_rates.refuse_automatic(params)
    _check_editable(subscription, params)
    before = world.wire(subscription)
    if params.get("payment_behavior") == "pending_if_incomplete":
        pending.check(world, subscription, params)
        old = pending.snapshot(world, subscription)
        _set(world, subscription, params)
        pending.change(world, subscription, params, before, old)
    else:
        _set(world, subscription, params)
        changing.change(world, subscription, params, before)
    return subscription


def _set(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """Settle what has no price: settings, texts, discounts."""
    customer = world.get("customer", subscription["customer"])
    given = opening.collection(params, subscription)
    if "description" in params:
        given["description"] = params["description"]
    if "default_payment_method" in params:
        given["default_payment_method"] = opening.own_method(world, params, customer)
    if "metadata" in params:
        given["metadata"] = merge_metadata(subscription["metadata"], params["metadata"])
    if "cancellation_details" in params:
        given["cancellation"] = subscription["cancellation"] | (params["cancellation_details"] or {})
    if "default_tax_rates" in params:
        given["default_tax_rates"] = tax_rates.checked(world, params["default_tax_rates"], "default_tax_rates")
    if "discounts" in params:
        old, on = subscription["discounts"], {"subscription": subscription["id"]}
        given["discounts"] = discounting.redeem(world, params["discounts"], customer, old, **on)
        for discount in set(old) - set(given["discounts"]):
            discounting.withdraw(world, discount)
    if "pause_collection" in params:
        pausing.set_collection(world, subscription, params["pause_collection"])
    missing_method = opening.missing_payment_method(params)
    given["missing_payment_method"] = missing_method or subscription["missing_payment_method"]
    given["payment_settings"] = opening.payment_settings(subscription["payment_settings"], params)
    subscription.update(given)
    world.save(subscription)
    adding.to_subscription(world, subscription, params.get("add_invoice_items"))


@route("POST /v1/subscriptions/<id>/pause", SubscriptionPauseParams, "bill_for invoicing_behavior type")
def pause(world: World, params: dict[str, Any], id: str) -> Document:
    subscription = world.get("subscription", id)
    pausing.pause(world, subscription, params)
    return subscription


@route(
    "POST /v1/subscriptions/<id>/resume",
    SubscriptionResumeParams,
    "billing_cycle_anchor payment_behavior proration_behavior proration_date",
)
def resume(world: World, params: dict[str, Any], id: str) -> Document:
    subscription = world.get("subscription", id)
    resuming.resume(world, subscription, params)
    return subscription


@route("POST /v1/subscriptions/<id>/migrate", SubscriptionMigrateParams, "billing_mode")
def migrate(world: World, params: dict[str, Any], id: str) -> Document:
    """From classic to flexible billing; there is no way back."""
    subscription = world.get("subscription", id)
    if not modes.is_classic(subscription):
        raise StripeError("This subscription already has `billing_mode=flexible`.", param="billing_mode[type]")
    mode = opening.billing_mode(params["billing_mode"], "flexible", world.now(subscription["customer"]))
    world.update(subscription, "customer.subscription.updated", billing_mode=mode)
    return subscription


@route(
    "GET /v1/subscriptions",
    SubscriptionListParams,
    "collection_method created current_period_end current_period_start customer ending_before limit plan price "
    "starting_after status test_clock",
)
def list_subscriptions(world: World, params: dict[str, Any]) -> lists.Page:
    where, values = lists.created_range(params.get("created"))
    if params.get("customer"):
        where.append("customer = ?")
        values.append(params["customer"])
    else:
        test_clocks.restrict(world, params, "customer", where, values)
    if params.get("collection_method"):
        where.append("json_extract(document, '$.collection_method') = ?")
        values.append(params["collection_method"])
    of_items: list[str] = []
    for name in filter(params.get, ("plan", "price")):
        of_items.append("json_extract(document, '$.price') = ?")
        values.append(params[name])
    for name in ("current_period_end", "current_period_start"):
        lists.in_range(params.get(name), name, of_items, values)
    if of_items:
        where.append(f"id IN ({WITH_ITEM} AND {' AND '.join(of_items)})")
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
    ending.cancel_now(world, subscription, params)
    return subscription


@route("DELETE /v1/subscriptions/<id>/discount", SubscriptionDeleteDiscountParams)
def delete_discount(world: World, params: dict[str, Any], id: str) -> dict[str, Any]:
    """Take all its discounts away; answers with the last of them."""
    subscription = world.get("subscription", id)
    if not subscription["discounts"]:
        raise StripeError(f"No active discount for subscription: {id}", status=404, code="resource_missing", param="id")
    before, gone = world.wire(subscription), subscription["discounts"]
    subscription["discounts"] = []
    world.save(subscription)
    for discount in gone:
        discounting.withdraw(world, discount)
    world.emit("customer.subscription.updated", subscription, before)
    return {**world.wire(world.get("discount", gone[-1])), "deleted": True}


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
        "billing_cycle_anchor_config": subscription["billing_cycle_anchor_config"],
        "billing_mode": subscription["billing_mode"],
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": subscription["cancel_at"],
        "cancel_at_period_end": subscription["cancel_at_period_end"],
        "canceled_at": subscription["canceled_at"],
        "cancellation_details": {"feedback_option": None, **subscription["cancellation"]},
        "collection_method": subscription["collection_method"],
        "created": subscription["created"],
        "currency": subscription["currency"],
        "customer": subscription["customer"],
        "customer_account": None,
        "days_until_due": subscription["days_until_due"],
        "default_payment_method": subscription["default_payment_method"],
        "default_source": None,
        "default_tax_rates": tax_rates.wires(world, subscription["default_tax_rates"]),
        "description": subscription["description"],
        "discounts": subscription["discounts"],
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
        "pause_collection": subscription["pause_collection"],
        "payment_settings": subscription["payment_settings"],
        "pending_invoice_item_interval": None,
        "pending_setup_intent": subscription["pending_setup_intent"],
        "pending_update": subscription["pending_update"] and subscription["pending_update"]["wire"],
        "schedule": subscription["schedule"],
        "start_date": subscription["start_date"],
        "status": subscription["status"],
        **({"status_details": subscription["status_details"]} if subscription["status_details"] else {}),
        "test_clock": world.test_clock_id(subscription),
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
