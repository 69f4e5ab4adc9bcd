"""/v1/subscription_schedules"""

from typing import Any

from stripe.params import (
    SubscriptionScheduleCancelParams,
    SubscriptionScheduleCreateParams,
    SubscriptionScheduleListParams,
    SubscriptionScheduleReleaseParams,
    SubscriptionScheduleRetrieveParams,
    SubscriptionScheduleUpdateParams,
)

from sandbox import lists
from sandbox.billing import opening, phases, scheduling, subscribing
from sandbox.errors import StripeError, missing
from sandbox.params import merge_metadata
from sandbox.resources import tax_rates
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

LIVE = ("active", "not_started")
SETTINGS = "billing_cycle_anchor collection_method default_payment_method description"
DEFAULTS = " ".join(f"default_settings.{name}" for name in SETTINGS.split())


@route(
    "POST /v1/subscription_schedules",
    SubscriptionScheduleCreateParams,
    f"billing_mode customer end_behavior from_subscription metadata start_date {DEFAULTS} {phases.built()}",
)
def create(world: World, params: dict[str, Any]) -> Document:
    if params.get("from_subscription"):
        return _adopt(world, params)
    if not params.get("customer"):
        raise missing("customer")
    customer = world.get("customer", params["customer"], "customer")
    now = world.now(customer["id"])
    start = now if params.get("start_date", "now") == "now" else params["start_date"]
    mode = opening.billing_mode(params.get("billing_mode"), _mode(params), now)
    made = phases.checked(world, params.get("phases") or [], start, now, mode["type"], customer["currency"])
    schedule = _make(world, params, customer=customer["id"], billing_mode=mode, phases=made)
    if start <= now:
        scheduling.start(world, schedule, asked=True)
    else:
        scheduling.plan(world, schedule)
    world.emit("subscription_schedule.created", schedule)
    return schedule


def _adopt(world: World, params: dict[str, Any]) -> Document:
    """Take over a subscription that is there: one phase, as it is now."""
    other = sorted(params.keys() - {"from_subscription", "expand", "metadata", "billing_mode"})
    if other:
        text = f"You cannot set `{other[0]}` if `from_subscription` is set."
        raise StripeError(text, param=other[0])
    subscription = world.get("subscription", params["from_subscription"], "from_subscription")
    if subscription["schedule"]:
        text = "You cannot migrate a subscription that is already attached to a schedule: `{}` is attached to `{}`."
        raise StripeError(text.format(subscription["id"], subscription["schedule"]), param="from_subscription")
    if subscription["status"] in (*subscribing.ENDED, "incomplete", "paused"):
        text = f"You cannot migrate a subscription with the status {subscription['status']}."
        raise StripeError(text, param="from_subscription")
    before = world.wire(subscription)
    phase = phases.of_subscription(world, subscription, subscribing.items_of(world, subscription))
    end_behavior = "cancel" if subscription["cancel_at"] else "release"
    schedule = _make(
        world,
        {"metadata": params.get("metadata"), "end_behavior": end_behavior},
        billing_mode=subscription["billing_mode"],
        current=0,
        customer=subscription["customer"],
        phases=[phase],
        status="active",
        subscription=subscription["id"],
    )
    subscription["schedule"] = schedule["id"]
    world.save(subscription)
    scheduling.plan(world, schedule)
    world.emit("subscription_schedule.created", schedule)
    world.emit("customer.subscription.updated", subscription, before)
    return schedule


@route("GET /v1/subscription_schedules/<id>", SubscriptionScheduleRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("subscription_schedule", id)


@route(
    "POST /v1/subscription_schedules/<id>",
    SubscriptionScheduleUpdateParams,
    f"end_behavior metadata proration_behavior {DEFAULTS} {phases.built()}",
)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    schedule = world.get("subscription_schedule", id)
    _check_live(schedule, "update")
    before = world.wire(schedule)
    if "metadata" in params:
        schedule["metadata"] = merge_metadata(schedule["metadata"], params["metadata"])
    schedule["end_behavior"] = _end_behavior(params, schedule["end_behavior"])
    schedule["default_settings"] = schedule["default_settings"] | (params.get("default_settings") or {})
    world.save(schedule)
    if "phases" in params:
        scheduling.replace(world, schedule, params)
    scheduling.plan(world, schedule)
    if world.wire(schedule) != before:
        world.emit("subscription_schedule.updated", schedule, before)
    return schedule


@route(
    "GET /v1/subscription_schedules",
    SubscriptionScheduleListParams,
    "canceled_at completed_at created customer ending_before limit released_at scheduled starting_after",
)
def list_schedules(world: World, params: dict[str, Any]) -> lists.Page:
    status = "not_started" if params.get("scheduled") else None
    times = "canceled_at", "completed_at", "released_at"
    return lists.page(world, "subscription_schedule", params, *times, customer=params.get("customer"), status=status)


@route("POST /v1/subscription_schedules/<id>/cancel", SubscriptionScheduleCancelParams, "invoice_now prorate")
def cancel(world: World, params: dict[str, Any], id: str) -> Document:
    schedule = world.get("subscription_schedule", id)
    _check_live(schedule, "cancel")
    scheduling.cancel(world, schedule, params)
    return schedule


@route("POST /v1/subscription_schedules/<id>/release", SubscriptionScheduleReleaseParams, "preserve_cancel_date")
def release(world: World, params: dict[str, Any], id: str) -> Document:
    schedule = world.get("subscription_schedule", id)
    _check_live(schedule, "release")
    keep_end = params.get("preserve_cancel_date", False)
    scheduling.release(world, schedule, keep_end=keep_end)
    return schedule


def _check_live(schedule: Document, verb: str) -> None:
    if schedule["status"] not in LIVE:
        text = (
            f"You cannot {verb} a subscription schedule that is currently in the `{schedule['status']}` status. "
            "It must be in one of these statuses: `not_started` or `active`."
        )
        raise StripeError(text)


def _make(world: World, params: dict[str, Any], **fields: Any) -> Document:
    nothing = {"billing_cycle_anchor": "automatic", "collection_method": "charge_automatically"}
    settings = nothing | {"default_payment_method": None, "description": None} | (params.get("default_settings") or {})
    empty = dict.fromkeys(("canceled_at", "completed_at", "released_at", "released_subscription", "subscription"))
    schedule: dict[str, Any] = {"current": None, "status": "not_started", "warned": False, **empty, **fields}
    return world.create(
        "subscription_schedule",
        "sub_sched_",
        default_settings=settings,
        end_behavior=_end_behavior(params, "release"),
        metadata=merge_metadata({}, params.get("metadata")),
        **schedule,
    )


def _end_behavior(params: dict[str, Any], old: str) -> str:
    wish = params.get("end_behavior", old)
    if wish not in ("cancel", "release"):
        raise StripeError("Invalid end_behavior: must be one of cancel or release", param="end_behavior")
    return str(wish)


def _mode(params: dict[str, Any]) -> str:
    return str((params.get("billing_mode") or {}).get("type", "flexible"))


@formats("subscription_schedule")
def format_schedule(world: World, schedule: Document) -> dict[str, Any]:
    current = None if schedule["current"] is None else schedule["phases"][schedule["current"]]
    settings = schedule["default_settings"]
    return {
        "id": schedule["id"],
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": schedule["billing_mode"],
        "canceled_at": schedule["canceled_at"],
        "completed_at": schedule["completed_at"],
        "created": schedule["created"],
        "current_phase": current and {name: current[name] for name in ("end_date", "start_date")},
        "customer": schedule["customer"],
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_thresholds": None,
            "invoice_settings": {
                "account_tax_ids": None,
                "custom_fields": None,
                "days_until_due": None,
                "description": None,
                "footer": None,
                "issuer": {"type": "self"},
            },
            "on_behalf_of": None,
            "transfer_data": None,
            **settings,
        },
        "end_behavior": schedule["end_behavior"],
        "livemode": False,
        "metadata": schedule["metadata"],
        "pause_schedules": [],
        "phases": [_format_phase(world, phase) for phase in schedule["phases"]],
        "released_at": schedule["released_at"],
        "released_subscription": schedule["released_subscription"],
        "status": schedule["status"],
        "subscription": schedule["subscription"],
        "test_clock": world.test_clock_id(schedule),
    }


def _format_phase(world: World, phase: phases.Phase) -> dict[str, Any]:
    return {
        **{name: phase[name] for name in phases.KEPT.split() if name not in ("discounts", "invoice_settings")},
        **{name: phase[name] for name in ("currency", "end_date", "metadata", "proration_behavior", "start_date")},
        "trial_end": phase["trial_end"],
        "add_invoice_items": [_format_added(item) for item in phase["add_invoice_items"]],
        "application_fee_percent": None,
        "billing_thresholds": None,
        "default_tax_rates": tax_rates.wires(world, phase["default_tax_rates"]),
        "discounts": [_format_discount(wish) for wish in phase["discounts"] or []],
        "invoice_settings": phase["invoice_settings"]
        and {
            "account_tax_ids": None,
            "custom_fields": None,
            "days_until_due": phase["invoice_settings"].get("days_until_due"),
            "description": None,
            "footer": None,
            "issuer": None,
        },
        "items": [
            {
                "billing_thresholds": None,
                "discounts": [_format_discount(wish) for wish in item["discounts"]],
                "metadata": item["metadata"],
                "plan": item["price"],
                "price": item["price"],
                "quantity": item["quantity"],
                "tax_rates": tax_rates.wires(world, item["tax_rates"]),
            }
            for item in phase["items"]
        ],
        "on_behalf_of": None,
        "transfer_data": None,
    }


def _format_discount(wish: dict[str, Any]) -> dict[str, Any]:
    return {name: wish.get(name) for name in ("coupon", "discount", "promotion_code")}


def _format_added(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "discountable": item.get("discountable"),
        "discounts": [_format_discount(wish) for wish in item.get("discounts") or []],
        "metadata": item.get("metadata") or {},
        "period": {"end": {"type": "min_item_period_end"}, "start": {"type": "max_item_period_start"}},
        "price": item["price"],
        "quantity": item.get("quantity", 1),
        "tax_rates": [],
    }
