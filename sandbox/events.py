"""Events: what happened, with the object as it was at that moment."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox import API_VERSION
from sandbox.ids import new_event_id
from sandbox.wire import ordered

if TYPE_CHECKING:
    from sandbox.world import World


MODES = ("deliver", "hold", "shuffle", "duplicate", "drop")
ORDERS = ("recorded", "reversed", "shuffled")  # in which what was recorded is replayed
Follower = Callable[["World", dict[str, Any]], None]
_followers: dict[str, list[Follower]] = {}


def follows(*types: str) -> Callable[[Follower], Follower]:
    """The decorated function is called with the object of each event of these types, right after it was recorded."""

    def register(function: Follower) -> Follower:
        for type in types:
            _followers.setdefault(type, []).append(function)
        return function

    return register


@dataclasses.dataclass
class Targets:
    """Where events go besides the endpoints that were made by API: as `stripe listen --forward-to` has it."""

    urls: tuple[str, ...] = ()
    types: tuple[str, ...] = ("*",)
    mode: str = "deliver"
    disturbed: tuple[str, ...] = ("*",)  # the types that the mode is for; others are delivered


def record(world: World, type: str, wire: dict[str, Any], before: dict[str, Any] | None = None) -> dict[str, Any]:
    """Store an event and a delivery to each target that wants it."""
    data: dict[str, Any] = {"object": wire}
    if before is not None:
        data["previous_attributes"] = previous_attributes(before, wire)
    urls = wanted(world, type)
    event: dict[str, Any] = {
        "id": new_event_id(wire["object"], world.account, world.now()),
        "object": "event",
        "api_version": API_VERSION,
        "created": _when(world, wire),
        "data": data,
        "livemode": False,
        "pending_webhooks": len(urls),
        "request": {"id": world.caller.request_id, "idempotency_key": world.caller.idempotency_key},
        "type": type,
    }
    world.store.db.execute(
        "INSERT INTO events (id, type, created, recorded, document) VALUES (?, ?, ?, ?, ?)",
        (event["id"], type, event["created"], world.now(), json.dumps(ordered(event), ensure_ascii=False)),
    )
    for endpoint, url in urls:
        enqueue(world, event["id"], type, endpoint, url)
    for follow in _followers.get(type, ()):
        follow(world, wire)
    return event


def _when(world: World, wire: dict[str, Any]) -> int:
    """World time, or that of the test clock which rules the object."""
    if wire["object"] == "test_helpers.test_clock":
        return int(wire["frozen_time"])
    customer = wire["id"] if wire["object"] == "customer" else wire.get("customer")
    return world.now(customer if isinstance(customer, str) else None)


def enqueue(world: World, event: str, type: str, endpoint: str | None, url: str, state: str | None = None) -> None:
    """Have an event delivered: at once, or as the mode has it."""
    world.happened = True
    disturbed = state is None and matches(type, world.targets.disturbed)
    mode = world.targets.mode if disturbed else "deliver"
    state = {"hold": "held", "drop": "dropped"}.get(mode, "pending")
    for _ in range(2 if mode == "duplicate" else 1):
        world.store.db.execute(
            "INSERT INTO deliveries (event, type, endpoint, url, state, created, next_attempt) VALUES (?,?,?,?,?,?,?)",
            (event, type, endpoint, url, state, world.now(), world.now()),
        )


def wanted(world: World, type: str) -> list[tuple[str | None, str]]:
    """Who wants events of that type: the endpoint (None: forwarded as the CLI does) and its URL."""
    found: list[tuple[str | None, str]] = []
    if matches(type, world.targets.types):
        found += [(None, url) for url in world.targets.urls]
    for endpoint in world.select("webhook_endpoint", "status = 'enabled'"):
        if matches(type, endpoint["enabled_events"]):
            found.append((endpoint["id"], endpoint["url"]))
    return found


def matches(type: str, patterns: tuple[str, ...] | list[str]) -> bool:
    return any(fnmatch.fnmatchcase(type, pattern) for pattern in patterns)


def previous_attributes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The old values of what changed: hashes key by key, lists whole."""
    changed: dict[str, Any] = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changed[name] = previous_attributes(old, new)
        else:
            changed[name] = old
    return changed
