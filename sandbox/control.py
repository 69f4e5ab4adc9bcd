"""Control of the sandbox itself, as JSON under /_sandbox/: for tests and the command line."""

import json
import random
import re
from typing import Any, NoReturn

from flask import Blueprint, Response, abort, jsonify, request

from sandbox import cards, events
from sandbox.billing import dunning
from sandbox.ids import random_text
from sandbox.server import comes_from_elsewhere, running
from sandbox.store import LAST_ROW
from sandbox.world import Caller

control = Blueprint("control", __name__, url_prefix="/_sandbox")
LONGEST_ROLL = 24 * 3600  # seconds
YEARS = range(2000, 2100)  # in which a card may expire


@control.before_request
def refuse_other_sites() -> None:
    """A page in the user's browser must not be able to reset or disturb the sandbox."""
    if comes_from_elsewhere():
        _refuse("this is not for web pages", 403)


def _given() -> dict[str, Any]:
    given = request.get_json(silent=True) if request.get_data() else {}
    if not isinstance(given, dict):
        _refuse("a JSON object is expected")
    return given


def _refuse(why: str, status: int = 400) -> NoReturn:
    abort(Response(json.dumps({"error": why}), status, {"Content-Type": "application/json"}))


@control.post("/reset")
def reset() -> Response:
    """An empty world with a new account; the signing secret stays."""
    running().reset()
    return clock()


@control.get("/clock")
def clock() -> Response:
    return jsonify(now=running().clock.now())


@control.post("/advance")
def advance() -> Response:
    """Move the world's time by `seconds`, or to `to`; answers when all that falls due has been done."""
    sandbox, given = running(), _given()
    now = sandbox.clock.now()
    to = given.get("to", now + given["seconds"] if type(given.get("seconds")) is int else None)
    if type(to) is not int or to < now:
        _refuse("`seconds` (not negative) or `to` (not in the past) is expected")
    try:
        sandbox.advance(to)
    except ValueError as problem:
        _refuse(str(problem))
    return clock()


@control.get("/settings")
def settings() -> Response:
    """What Stripe has in its Dashboard only: see dunning.SETTINGS."""
    store = running().store
    with store.lock:
        return jsonify({name: store.setting(name, allowed[0]) for name, allowed in dunning.SETTINGS.items()})


@control.post("/settings")
def set_settings() -> Response:
    store, given = running().store, _given()
    for name, value in given.items():
        if name not in dunning.SETTINGS or value not in dunning.SETTINGS[name]:
            listed = "; ".join(f"{name}: {', '.join(allowed)}" for name, allowed in dunning.SETTINGS.items())
            _refuse(f"settings are {listed}")
    with store.transaction():
        for name, value in given.items():
            store.set_setting(name, value)
    return settings()


@control.post("/deliveries")
def set_mode() -> Response:
    """Deliver, hold back, shuffle, double or drop, from now on: events of all `types`, or of some."""
    given, targets = _given(), running().targets
    mode, types = given.get("mode"), given.get("types", ["*"])
    if mode not in events.MODES or not isinstance(types, list) or not all(isinstance(type, str) for type in types):
        _refuse(f"mode is one of {', '.join(events.MODES)}; types is a list")
    targets.mode, targets.disturbed = str(mode), tuple(types)
    return jsonify(mode=mode, types=types)


@control.post(f"/deliveries/<int(max={LAST_ROW}):id>/retry")
def retry(id: int) -> Response:
    """Try a delivery again at once."""
    if not running().deliveries.retry(id):
        _refuse(f"No such delivery: {id}", 404)
    return jsonify(id=id)


@control.post("/deliveries/replay")
def replay() -> Response:
    """Deliver once more what was recorded since an event: in order, or as `order` says (reversed, shuffled)."""
    given, sandbox = _given(), running()
    order, since = given.get("order", "recorded"), given.get("since", "")
    if order not in events.ORDERS or not isinstance(since, str):
        _refuse(f"order is one of {', '.join(events.ORDERS)}; since is an event's id")
    with sandbox.transaction(Caller()) as world:
        after = "SELECT coalesce((SELECT sequence FROM events WHERE id = ?), 0)"
        first = world.store.db.execute(after, (since,)).fetchone()[0]
        query = "SELECT id, type FROM events WHERE sequence > ? ORDER BY sequence"
        found = world.store.db.execute(query, (first,)).fetchall()
        if order != "recorded":
            found = found[::-1] if order == "reversed" else random.sample(found, len(found))
        for event in found:
            for endpoint, url in events.wanted(world, event["type"]):
                events.enqueue(world, event["id"], event["type"], endpoint, url, state="pending")
    return jsonify(replayed=len(found))


@control.post("/webhook_endpoints/<id>/roll")
def roll_secret(id: str) -> Response:
    """Give an endpoint (`cli`: what is forwarded) a new secret; the old one signs too for `keep_for` seconds."""
    keep_for = _given().get("keep_for", LONGEST_ROLL)
    if not isinstance(keep_for, int) or not 0 <= keep_for <= LONGEST_ROLL:
        _refuse(f"keep_for is a number of seconds up to {LONGEST_ROLL}")
    new = "whsec_" + random_text(32)
    with running().transaction(Caller()) as world:
        until = world.now() + keep_for
        if id == "cli":
            old = {"secret": world.store.setting("signing_secret"), "until": until}
            rolled = [*json.loads(world.store.setting("rolled_secrets", "[]")), old]
            world.store.set_setting("rolled_secrets", json.dumps(rolled))
            world.store.set_setting("signing_secret", new)
        else:
            endpoint = world.find(id, "webhook_endpoint")
            if endpoint is None or endpoint.get("deleted"):
                _refuse(f"No such webhook endpoint: '{id}'", 404)
            old = {"secret": endpoint["secret"], "until": until}
            endpoint.update(secret=new, rolled_secrets=[*endpoint.get("rolled_secrets", []), old])
            world.save(endpoint)
    return jsonify(secret=new)


@control.post("/deliveries/flush")
def flush() -> Response:
    """Let go what was held."""
    return jsonify(released=running().deliveries.flush())


@control.get("/deliveries/idle")
def idle() -> Response:
    """Answers when nothing is due or under way; `idle` is false if that took longer than `timeout` seconds."""
    return jsonify(idle=running().deliveries.idle(request.args.get("timeout", 10.0, type=float)))


@control.get("/deliveries")
def deliveries() -> Response:
    """The newest deliveries with their attempts, oldest first."""
    sandbox = running()
    with sandbox.store.lock:
        query = "SELECT * FROM (SELECT * FROM deliveries ORDER BY id DESC LIMIT ?) ORDER BY id"
        rows = sandbox.store.db.execute(query, (request.args.get("limit", 1000, type=int),)).fetchall()
        found = [dict(row) for row in rows]
        for delivery in found:
            query = "SELECT at, status, error FROM attempts WHERE delivery = ? ORDER BY id"
            delivery["tries"] = [dict(row) for row in sandbox.store.db.execute(query, (delivery["id"],))]
    return jsonify(mode=sandbox.targets.mode, deliveries=found)


@control.post("/events/<id>/resend")
def resend(id: str) -> Response:
    """Deliver an event once more to everyone who wants it, whatever the mode."""
    sandbox = running()
    with sandbox.transaction(Caller()) as world:
        row = world.store.db.execute("SELECT type FROM events WHERE id = ?", (id,)).fetchone()
        targets = events.wanted(world, row["type"]) if row else []
        for endpoint, url in targets:
            events.enqueue(world, id, row["type"], endpoint, url, state="pending")
    if row is None:
        _refuse(f"No such event: '{id}'", 404)
    sandbox.deliveries.wake()
    return jsonify(id=id, sent_to=[url for _, url in targets])


@control.post("/payment_methods/<id>/renew")
def renew_card(id: str) -> Response:
    """Act as the card's network, which tells of a new expiry date (`exp_month`, `exp_year`) and `number`, if given."""
    given = _given()
    if given.get("exp_month", 1) not in range(1, 13) or given.get("exp_year", YEARS[0]) not in YEARS:
        _refuse("exp_month is a month, exp_year a year of four digits")
    if "number" in given and str(given["number"]) not in cards.BY_NUMBER:
        _refuse("number is that of a test card")
    with running().transaction(Caller()) as world:
        method = world.find(id, "payment_method")
        if method is None or method["type"] != "card" or method["customer"] is None:
            _refuse(f"No saved card: '{id}'", 404)
        changes = {name: given[name] for name in ("exp_month", "exp_year", "number") if name in given}
        changes = changes or {"exp_year": method["exp_year"] + 4}
        world.update(method, "payment_method.automatically_updated", **changes)
        return jsonify(world.wire(method))


@control.post("/faults")
def add_fault() -> Response:
    """Befall coming API requests: see faults.Fault for the wishes."""
    try:
        running().faults.add(**_given())
    except (TypeError, re.error) as problem:
        _refuse(str(problem))
    return jsonify(ok=True)


@control.post("/rate_limit")
def limit_rate() -> Response:
    """Let through so many API requests `per_second`, and answer 429 to the rest; 0 for no limit."""
    per_second = _given().get("per_second")
    if type(per_second) is not int or per_second < 0:
        _refuse("`per_second` (0 or more) is expected")
    running().faults.limit(per_second)
    return jsonify(per_second=per_second)


@control.delete("/faults")
def clear_faults() -> Response:
    running().faults.clear()
    return jsonify(ok=True)


@control.get("/requests")
def requests() -> Response:
    """The API requests so far, without their secrets."""
    return jsonify(requests=list(running().requests))


@control.delete("/requests")
def clear_requests() -> Response:
    running().requests.clear()
    return jsonify(ok=True)


@control.get("/violations")
def violations() -> Response:
    """With --check: where requests and answers are not what stripe-python's types say; and jobs that failed."""
    return jsonify(violations=running().violations + running().jobs.failures)
