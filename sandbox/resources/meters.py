"""/v1/billing/meters: what is counted, and how."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from stripe.params.billing import (
    MeterCreateParams,
    MeterDeactivateParams,
    MeterEventSummaryListParams,
    MeterListParams,
    MeterReactivateParams,
    MeterRetrieveParams,
    MeterUpdateParams,
)

from sandbox import lists
from sandbox.errors import StripeError
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND, EVENT = "billing.meter", "billing.meter_event"
MINUTE, WINDOWS = 60, {"hour": 3600, "day": 86400}


@route(
    "POST /v1/billing/meters",
    MeterCreateParams,
    "customer_mapping default_aggregation display_name event_name event_time_window value_settings",
)
def create(world: World, params: dict[str, Any]) -> Document:
    if by_event_name(world, params["event_name"]):
        text = f"An active meter with the event name `{params['event_name']}` already exists."
        raise StripeError(text, param="event_name")
    meter = world.create(
        KIND,
        "mtr_",
        customer_mapping=params.get("customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"}),
        deactivated_at=None,
        default_aggregation=params["default_aggregation"],
        display_name=params["display_name"],
        event_name=params["event_name"],
        event_time_window=params.get("event_time_window"),
        status="active",
        updated=world.now(),
        value_settings=params.get("value_settings", {"event_payload_key": "value"}),
    )
    world.emit("billing.meter.created", meter)
    return meter


@route("GET /v1/billing/meters/<id>", MeterRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get(KIND, id)


@route("POST /v1/billing/meters/<id>", MeterUpdateParams, "display_name")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    meter = world.get(KIND, id)
    name = params.get("display_name", meter["display_name"])
    if name != meter["display_name"]:
        world.update(meter, "billing.meter.updated", display_name=name, updated=world.now())
    return meter


@route("POST /v1/billing/meters/<id>/deactivate", MeterDeactivateParams)
def deactivate(world: World, params: dict[str, Any], id: str) -> Document:
    meter = world.get(KIND, id)
    if meter["status"] == "inactive":
        raise StripeError("This meter is already inactive.")
    now = world.now()
    world.update(meter, status="inactive", deactivated_at=now, updated=now)
    world.emit("billing.meter.deactivated", meter)
    return meter


@route("POST /v1/billing/meters/<id>/reactivate", MeterReactivateParams)
def reactivate(world: World, params: dict[str, Any], id: str) -> Document:
    meter = world.get(KIND, id)
    if meter["status"] == "active":
        raise StripeError("This meter is already active.")
    if by_event_name(world, meter["event_name"]):
        raise StripeError(f"An active meter with the event name `{meter['event_name']}` already exists.")
    world.update(meter, status="active", deactivated_at=None, updated=world.now())
    world.emit("billing.meter.reactivated", meter)
    return meter


@route("GET /v1/billing/meters", MeterListParams, "ending_before limit starting_after status")
def list_meters(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, KIND, params, status=params.get("status"))


@route(
    "GET /v1/billing/meters/<id>/event_summaries",
    MeterEventSummaryListParams,
    "customer end_time ending_before limit start_time starting_after value_grouping_window",
)
def list_summaries(world: World, params: dict[str, Any], id: str) -> dict[str, Any]:
    """What a customer used from start_time up to, not including, end_time: in all, or by the hour or day."""
    meter = world.get(KIND, id)
    world.get("customer", params["customer"], "customer")
    start, end, size = _aligned(params)
    found: dict[int, list[Document]] = {start: []} if size is None else {}
    for event in events_of(world, meter, params["customer"], (start, end)):
        window = start if size is None else event["timestamp"] // size * size
        found.setdefault(window, []).append(event)
    data = [
        _summary(meter, params["customer"], (at, end if size is None else at + size), aggregate(meter, found[at]))
        for at in sorted(found, reverse=True)
    ]
    return lists.cut_whole(data, params, f"/v1/billing/meters/{id}/event_summaries", "billing.meter_event_summary")


@formats(KIND)
def format_meter(world: World, meter: Document) -> dict[str, Any]:
    names = (
        "id object created customer_mapping default_aggregation display_name event_name event_time_window status "
        "updated value_settings"
    )
    return {name: meter[name] for name in names.split()} | {
        "livemode": False,
        "status_transitions": {"deactivated_at": meter["deactivated_at"]},
    }


def by_event_name(world: World, name: str) -> Document | None:
    """The active meter that counts events of that name."""
    found = world.select(KIND, "status = 'active' AND json_extract(document, '$.event_name') = ?", (name,))
    return found[0] if found else None


def events_of(world: World, meter: Document, customer: str, span: tuple[int, int]) -> list[Document]:
    """The events that count, from the span's start up to, not including, its end; in the order of their timestamps."""
    where = (
        "customer = ? AND status = 'counted' AND json_extract(document, '$.meter') = ? "
        "AND json_extract(document, '$.timestamp') >= ? AND json_extract(document, '$.timestamp') < ?"
    )
    tail = "ORDER BY json_extract(document, '$.timestamp'), sequence"
    return world.select(EVENT, where, (customer, meter["id"], *span), tail=tail)


def aggregate(meter: Document, found: Iterable[Document]) -> Decimal:
    """One figure for events in the order of their timestamps; never below zero."""
    values = [Decimal(event["value"]) for event in found]
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(values))
    if formula == "last":
        return values[-1] if values else Decimal(0)
    return max(sum(values, Decimal(0)), Decimal(0))


def _aligned(params: dict[str, Any]) -> tuple[int, int, int | None]:
    size = WINDOWS.get(params.get("value_grouping_window", ""))
    for name in ("start_time", "end_time"):
        if params[name] % (size or MINUTE):
            text = f"The {name} must be aligned with {params.get('value_grouping_window', 'minute')} boundaries."
            raise StripeError(text, param=name)
    if params["start_time"] >= params["end_time"]:
        raise StripeError("The end_time must be after the start_time.", param="end_time")
    return params["start_time"], params["end_time"], size


def _summary(meter: Document, customer: str, span: tuple[int, int], value: Decimal) -> dict[str, Any]:
    digest = hashlib.sha256(f"{meter['id']} {customer} {span}".encode()).hexdigest()
    return {
        "id": f"mtrusg_{digest[:24]}",
        "object": "billing.meter_event_summary",
        "aggregated_value": float(value),
        "end_time": span[1],
        "livemode": False,
        "meter": meter["id"],
        "start_time": span[0],
    }
