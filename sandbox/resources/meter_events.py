"""/v1/billing/meter_events and /v1/billing/meter_event_adjustments: usage, and taking it back."""

import re
from decimal import Decimal
from typing import Any

from stripe.params.billing import MeterEventAdjustmentCreateParams, MeterEventCreateParams

from sandbox.billing import periods
from sandbox.errors import StripeError, missing
from sandbox.ids import random_text
from sandbox.resources import meters
from sandbox.resources.meters import EVENT
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

OLDEST, NEWEST = 35 * periods.DAY, 5 * 60  # seconds before and after now
UNIQUE_FOR = CANCELABLE_FOR = periods.DAY  # seconds
MOST_DIGITS = 15
ADJUSTMENT = "billing.meter_event_adjustment"


@route("POST /v1/billing/meter_events", MeterEventCreateParams, "event_name identifier payload timestamp")
def create(world: World, params: dict[str, Any]) -> Document:
    meter = _meter(world, params["event_name"])
    payload = params["payload"] or {}
    customer = _customer(world, meter, payload)
    now = world.now(customer["id"])
    timestamp = params.get("timestamp", now)
    if not now - OLDEST <= timestamp <= now + NEWEST:
        text = "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future."
        raise StripeError(text, param="timestamp")
    identifier = params.get("identifier") or random_text(32)
    if _by_identifier(world, meter, identifier, now - UNIQUE_FOR):
        raise StripeError(f"An event already exists with identifier {identifier}.", param="identifier")
    return world.create(
        EVENT,
        "mevt_",
        customer=customer["id"],
        event_name=params["event_name"],
        lookup_key=identifier,  # an indexed column
        meter=meter["id"],
        payload=payload,
        status="counted",
        timestamp=timestamp,
        value=_value(meter, payload),
    )


@route(
    "POST /v1/billing/meter_event_adjustments", MeterEventAdjustmentCreateParams, "cancel.identifier event_name type"
)
def adjust(world: World, params: dict[str, Any]) -> Document:
    """Cancel an event that Stripe has had for less than a day."""
    meter = _meter(world, params["event_name"])
    identifier = params.get("cancel", {}).get("identifier")
    if not identifier:
        raise missing("cancel[identifier]")
    found = _by_identifier(world, meter, identifier, 0)
    if not found:
        text = f"No event exists with identifier {identifier}."
        raise StripeError(text, code="resource_missing", param="cancel[identifier]")
    event = found[-1]
    if world.now(event["customer"]) - event["created"] > CANCELABLE_FOR:
        text = "An event can only be canceled within 24 hours of being received."
        raise StripeError(text, param="cancel[identifier]")
    event["status"] = "canceled"
    world.save(event)
    fields = {"cancel": {"identifier": identifier}, "event_name": params["event_name"], "status": "complete"}
    return world.create(ADJUSTMENT, "meadj_", **fields, type="cancel")


@formats(EVENT)
def format_event(world: World, event: Document) -> dict[str, Any]:
    names = "object created event_name payload timestamp"
    return {name: event[name] for name in names.split()} | {"identifier": event["lookup_key"], "livemode": False}


@formats(ADJUSTMENT)
def format_adjustment(world: World, adjustment: Document) -> dict[str, Any]:
    names = "object cancel event_name status type"
    return {name: adjustment[name] for name in names.split()} | {"livemode": False}


def _meter(world: World, name: str) -> Document:
    meter = meters.by_event_name(world, name)
    if meter is None:
        text = f"No active meter found for event name {name}."
        raise StripeError(text, code="resource_missing", param="event_name")
    return meter


def _customer(world: World, meter: Document, payload: dict[str, str]) -> Document:
    key = meter["customer_mapping"]["event_payload_key"]
    if not payload.get(key):
        text = f"The payload does not have the customer key `{key}` of the meter."
        raise StripeError(text, code="meter_event_no_customer_defined", param=f"payload[{key}]")
    customer = world.find(payload[key], "customer")
    if customer is None or customer.get("deleted"):
        text = f"No such customer: '{payload[key]}'"
        raise StripeError(text, code="meter_event_customer_not_found", param=f"payload[{key}]")
    return customer


def _value(meter: Document, payload: dict[str, str]) -> str:
    key = meter["value_settings"]["event_payload_key"]
    given = payload.get(key, "1" if meter["default_aggregation"]["formula"] == "count" else "")
    if not re.fullmatch(r"-?\d+(\.\d{1,12})?", given, re.ASCII):
        text = f"The payload's `{key}` must be a number, such as 5 or 0.25."
        raise StripeError(text, code="meter_event_invalid_value", param=f"payload[{key}]")
    if len(str(abs(int(Decimal(given))))) > MOST_DIGITS:
        text = f"The payload's `{key}` can have up to {MOST_DIGITS} digits."
        raise StripeError(text, code="meter_event_value_too_many_digits", param=f"payload[{key}]")
    return given


def _by_identifier(world: World, meter: Document, identifier: str, since: int) -> list[Document]:
    where = "lookup_key = ? AND json_extract(document, '$.meter') = ? AND created > ?"
    return world.select(EVENT, where, (identifier, meter["id"], since))
