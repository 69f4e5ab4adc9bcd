"""A new subscription: what was asked for, checked, as a document with its items."""

from typing import Any

from sandbox.billing import discounting, ending, lines, periods, reckoning
from sandbox.errors import StripeError, missing, too_small
from sandbox.params import merge_metadata
from sandbox.resources import payment_methods, tax_rates
from sandbox.resources.subscription_items import checked_items, create_items, set_extras
from sandbox.store import Document
from sandbox.world import World

MOST_BACKDATED = 10 * 366 * periods.DAY  # seconds
LONGEST_TRIAL = 730  # days


def make(world: World, params: dict[str, Any]) -> Document:
    """The subscription and its items, their first periods begun. Charges and tells nothing."""
    customer = world.get("customer", params["customer"], "customer")
    mode = (params.get("billing_mode") or {}).get("type", "flexible")
    currency, items = checked_items(world, customer, params["items"], params.get("currency"), mode)
    now = world.now(customer["id"])
    trial_end = end_of_trial(world, params, items, now)
    start = _backdated(params, now)
    subscription = world.create(
        "subscription",
        "sub_",
        billing_cycle_anchor=_anchor(world, params, items, now) or trial_end or now,
        billing_cycle_anchor_config=_anchor_config(params),
        billing_mode=billing_mode(params.get("billing_mode"), mode, now),
        cancel_at=None,
        cancel_at_period_end=False,
        canceled_at=None,
        cancellation={"comment": None, "feedback": None, "reason": None},
        currency=currency,
        customer=customer["id"],
        default_payment_method=own_method(world, params, customer),
        default_tax_rates=tax_rates.checked(world, params.get("default_tax_rates"), "default_tax_rates"),
        description=params.get("description"),
        discounts=[],
        ended_at=None,
        latest_invoice=None,
        metadata=merge_metadata({}, params.get("metadata")),
        missing_payment_method=missing_payment_method(params) or "create_invoice",
        pause_collection=None,
        payment_settings=payment_settings({}, params),
        pending_setup_intent=None,
        pending_update=None,
        schedule=None,
        start_date=start,
        status="trialing" if trial_end else "active",
        status_details=None,
        trial_end=trial_end,
        trial_start=now if trial_end else None,
        **collection(params, {"collection_method": "charge_automatically", "days_until_due": None}),
    )
    _make_items(world, subscription, items, params["items"], now)
    on = {"subscription": subscription["id"]}
    subscription["discounts"] = discounting.redeem(world, params.get("discounts"), customer, [], new=True, **on)
    if subscription["discounts"]:
        discounting.check_minimum(world, subscription["discounts"], reckoning.gross(world, subscription))
    ending.plan_end(world, subscription, params)
    ending.fit_periods(world, subscription, params)
    return subscription


def _make_items(
    world: World, subscription: Document, items: list[dict[str, Any]], given: list[dict[str, Any]], now: int
) -> None:
    for index, item in enumerate(create_items(world, subscription, items, now, now)):
        set_extras(world, subscription, item, given[index], f"items[{index}]")
        natural = lines.natural_period(world, subscription, item, now)[1]
        item["current_period_end"] = subscription["trial_end"] or natural
        world.save(item)


def end_of_trial(world: World, params: dict[str, Any], items: list[dict[str, Any]], now: int) -> int | None:
    """When the trial that was asked for ends. Raises Stripe's error for one that can't be."""
    asked = [name for name in ("trial_end", "trial_period_days", "trial_from_plan") if params.get(name)]
    if len(asked) > 1:
        text = f"You may only specify one of these parameters: {', '.join(asked)}."
        raise StripeError(text, param=asked[0])
    days = params.get("trial_period_days")
    if params.get("trial_from_plan"):
        days = max(world.get("price", item["price"])["recurring"]["trial_period_days"] or 0 for item in items) or None
    if days is not None and not 1 <= days <= LONGEST_TRIAL:
        text = f"The trial period must be between 1 and {LONGEST_TRIAL} days."
        raise StripeError(text, code="parameter_invalid_integer", param="trial_period_days")
    end = now + days * periods.DAY if days else params.get("trial_end")
    if end in (None, "now"):
        return None
    check_trial_end(end, now)
    return int(end)


def check_trial_end(end: int, now: int) -> None:
    periods.check_future(end, now, "trial_end")
    if end > now + LONGEST_TRIAL * periods.DAY:
        raise StripeError("Invalid timestamp: can be no more than two years in the future", param="trial_end")


def own_method(world: World, params: dict[str, Any], customer: Document) -> str | None:
    """The default payment method that was asked for. Raises Stripe's error for another customer's."""
    id = params.get("default_payment_method")
    if not id:
        return None
    payment_methods.check_attached(world, id, customer, "default_payment_method")
    return str(payment_methods.usable(world, id, customer["id"])["id"])


def payment_settings(old: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    given = params.get("payment_settings") or {}
    first = {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"}
    return first | old | given


def missing_payment_method(params: dict[str, Any]) -> str | None:
    settings = params.get("trial_settings") or {}
    wish = settings.get("end_behavior", {}).get("missing_payment_method")
    return None if wish is None else str(wish)


def billing_mode(given: dict[str, Any] | None, mode: str, now: int) -> dict[str, Any]:
    if mode == "classic":
        return {"flexible": None, "type": "classic", "updated_at": now}
    discounts = ((given or {}).get("flexible") or {}).get("proration_discounts", "included")
    return {"flexible": {"proration_discounts": discounts}, "type": "flexible", "updated_at": now}


def collection(params: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """How invoices are collected: as asked, else as before. Raises Stripe's error for days that don't go with it."""
    method = params.get("collection_method", old["collection_method"])
    by_mail = method == "send_invoice"
    days = params.get("days_until_due", old["days_until_due"] if by_mail else None)
    if by_mail and days is None:
        raise missing("days_until_due")
    if days is not None and not by_mail:
        text = "You can only set `days_until_due` if `collection_method` is `send_invoice`."
        raise StripeError(text, param="days_until_due")
    if days is not None and days < 0:
        raise too_small(0, "days_until_due")
    return {"collection_method": method, "days_until_due": days}


def _backdated(params: dict[str, Any], now: int) -> int:
    start = periods.checked(params.get("backdate_start_date", now), "backdate_start_date")
    if now - start > MOST_BACKDATED:
        raise StripeError("Invalid timestamp: is too far in the past", param="backdate_start_date")
    if start > now:
        text = "Invalid timestamp: must be an integer Unix timestamp in the past"
        raise StripeError(text, param="backdate_start_date")
    return start


def _anchor(world: World, params: dict[str, Any], items: list[dict[str, Any]], now: int) -> int | None:
    """The anchor that was asked for: at most one period ahead, so that nothing is free but a part of one."""
    anchor, config = params.get("billing_cycle_anchor"), params.get("billing_cycle_anchor_config")
    if anchor is not None and config:
        text = "You may only specify one of these parameters: billing_cycle_anchor, billing_cycle_anchor_config."
        raise StripeError(text, param="billing_cycle_anchor")
    recurring = world.get("price", items[0]["price"])["recurring"]
    if config:
        if recurring["interval"] not in ("month", "year"):
            text = "`billing_cycle_anchor_config` can only be used with monthly and yearly prices."
            raise StripeError(text, param="billing_cycle_anchor_config")
        return periods.next_matching(now, config)
    if anchor is None:
        return None
    latest = params.get("trial_end") or periods.next_end(now, recurring["interval"], recurring["interval_count"], now)
    periods.check_future(anchor, now, "billing_cycle_anchor")
    if isinstance(latest, int) and anchor > latest:
        text = f"billing_cycle_anchor cannot be later than next natural billing date ({latest}) for plan"
        raise StripeError(text, param="billing_cycle_anchor")
    return int(anchor)


def _anchor_config(params: dict[str, Any]) -> dict[str, Any] | None:
    config = params.get("billing_cycle_anchor_config")
    names = ("day_of_month", "hour", "minute", "month", "second")
    return config and {name: config.get(name) for name in names}
