"""/v1/events"""

import json
from typing import Any

from stripe.params import EventListParams, EventRetrieveParams

from sandbox import lists
from sandbox.errors import StripeError, no_such
from sandbox.routes import route
from sandbox.world import World

KEPT_FOR = 30 * 24 * 3600  # seconds
MOST_TYPES = 20


@route("GET /v1/events/<id>", EventRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> dict[str, Any]:
    row = world.store.db.execute("SELECT document FROM events WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise no_such("event", id)
    return _current(world, row)


@route("GET /v1/events", EventListParams, "created delivery_success ending_before limit starting_after type types")
def list_events(world: World, params: dict[str, Any]) -> dict[str, Any]:
    if "type" in params and "types" in params:
        raise StripeError("You may only specify one of these parameters: type, types.", param="type")
    where, values = lists.created_range(params.get("created"))
    where.append("recorded > ?")
    values.append(world.now() - KEPT_FOR)
    types = [params["type"]] if "type" in params else params.get("types", [])
    if len(types) > MOST_TYPES:
        raise StripeError(f"You can filter by up to {MOST_TYPES} types.", param="types")
    if types:
        where.append(f"({' OR '.join('type GLOB ?' for _ in types)})")
        values += types
    if "delivery_success" in params:
        some = "IN" if not params["delivery_success"] else "NOT IN"
        where.append(f"id {some} (SELECT event FROM deliveries WHERE state <> 'delivered')")
    return _page(world, params, where, values)


def _page(world: World, params: dict[str, Any], where: list[str], values: list[Any]) -> dict[str, Any]:
    size, backwards = lists.limit(params), "ending_before" in params
    for name, comparison in (("starting_after", "<"), ("ending_before", ">")):
        if name in params:
            row = world.store.db.execute("SELECT sequence FROM events WHERE id = ?", (params[name],)).fetchone()
            if row is None:
                raise no_such("event", params[name], name)
            where.append(f"sequence {comparison} ?")
            values.append(row["sequence"])
    order = "ASC" if backwards else "DESC"
    query = f"SELECT document FROM events WHERE {' AND '.join(where)} ORDER BY sequence {order} LIMIT {size + 1}"
    rows = world.store.db.execute(query, values).fetchall()
    data = [_current(world, row) for row in rows[:size]]
    return {
        "object": "list",
        "data": data[::-1] if backwards else data,
        "has_more": len(rows) > size,
        "url": "/v1/events",
    }


def _current(world: World, row: Any) -> dict[str, Any]:
    """The event as recorded, with the deliveries that are still to come counted anew."""
    event: dict[str, Any] = json.loads(row["document"])
    query = "SELECT count(*) FROM deliveries WHERE event = ? AND state IN ('pending', 'held')"
    event["pending_webhooks"] = world.store.db.execute(query, (event["id"],)).fetchone()[0]
    return event
