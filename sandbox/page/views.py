"""What the page shows: what there is, what happened, what was delivered, and the clock."""

import json
import re
import time
from typing import Any

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for

from sandbox import money
from sandbox.billing import dunning
from sandbox.events import MODES
from sandbox.server import comes_from_elsewhere, running
from sandbox.store import LAST_ROW, Document
from sandbox.world import Caller, World

page = Blueprint("page", __name__, template_folder="templates", static_folder="static", static_url_path="/page")
STEPS = {"1 hour": 3600, "1 day": 86400, "7 days": 7 * 86400, "1 month": 0}  # seconds; a month is of the calendar
SHOWN = 50  # rows of a list
LATELY = 20  # events on the first page
LOOKED_THROUGH = 2000  # newest events, for those that name an object
LISTS = {
    "customers": "customer",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "payments": "payment_intent",
    "clocks": "test_helpers.test_clock",
}
WHO = "instr(lower(coalesce(email, '') || ' ' || coalesce(json_extract(document, '$.name'), '')), ?)"
RELATED = ("subscription", "invoice", "payment_intent", "payment_method", "charge")
PREFIXES = ("cus", "sub", "in", "pi", "seti", "pm", "ch", "py", "re", "price", "prod", "si", "du", "clock", "evt")
FAULTS: dict[str, dict[str, Any]] = {
    "answer 500": {"status": 500},
    "answer 429": {"status": 429},
    "lose the answer": {"drop": True, "when": "after"},
    "close the connection": {"drop": True},
    "wait 5 seconds": {"delay": 5.0},
}
SETTINGS = {
    "dunning": "After the last try to charge",
    "first_failure": "After the first",
    "upcoming_days": "Days from invoice.upcoming to the renewal",
}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@page.app_template_filter()
def moment(at: int) -> str:
    return time.strftime("%d %b %Y %H:%M:%S", time.gmtime(at))


@page.app_template_filter()
def amount(value: int, currency: str) -> str:
    return money.shown(value, currency)


@page.before_request
def refuse_other_sites() -> Response | None:
    """A page elsewhere must not be able to move the clock."""
    if request.method == "POST" and comes_from_elsewhere():
        return Response("Only this page may do that.", 403)
    return None


@page.after_request
def protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request.endpoint != "page.static":
        response.headers["Cache-Control"] = "no-store"
    return response


def _render(template: str, world: World, **values: Any) -> str:
    """A page, with the clock and what happens next on it."""
    due = "SELECT due, kind, object FROM jobs WHERE clock IS NULL ORDER BY due, id LIMIT 1"
    return render_template(
        f"page/{template}.html",
        account=world.account,
        lists=LISTS,
        mode=running().targets.mode,
        modes=MODES,
        next_due=world.store.db.execute(due).fetchone(),
        now=world.now(),
        steps=STEPS,
        **values,
    )


@page.get("/")
def overview() -> str:
    """What happened lately, how deliveries are disturbed, and which faults wait."""
    sandbox = running()
    with sandbox.transaction(Caller()) as world:
        undelivered = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'held', 'failed')"
        return _render(
            "overview",
            world,
            events=_events(world, limit=LATELY),
            faults=sandbox.faults.faults,
            kinds_of_fault=FAULTS,
            settings={name: (label, dunning.setting(world, name)) for name, label in SETTINGS.items()},
            choices=dunning.SETTINGS,
            undelivered=world.store.db.execute(undelivered).fetchone()[0],
        )


@page.get("/<any(customers, subscriptions, invoices, payments, clocks):name>")
def listing(name: str) -> Any:
    """The newest objects of a kind; an id leads to its object, other text is part of a customer's address or name."""
    kind, wanted = LISTS[name], request.args.get("q", "").strip()
    with running().transaction(Caller()) as world:
        if wanted and world.find(wanted):
            return redirect(url_for(".thing", id=wanted))
        if wanted.startswith("evt_"):
            return redirect(url_for(".event", id=wanted))
        where, value = (WHO, wanted.lower()) if wanted else ("sequence < ?", _before())
        kind = "customer" if wanted else kind
        found = world.select(kind, where, (value,), tail=f"ORDER BY sequence DESC LIMIT {SHOWN}")
        older = world.store.sequence(found[-1]["id"], kind) if len(found) == SHOWN and not wanted else None
        things = [world.wire(document) for document in found]
        return _render("list", world, name=name, kind=kind, things=things, wanted=wanted, older=older)


@page.get("/objects/<id>")
def thing(id: str) -> str:
    """One object as JSON, what belongs to it, and the events that name it."""
    with running().transaction(Caller()) as world:
        document = world.find(id)
        if document is None:
            abort(404)
        return _render(
            "thing",
            world,
            thing=world.wire(document),
            related=_related(world, document),
            events=_events(world, naming=id),
            linked=_linked,
            looked_through=LOOKED_THROUGH,
        )


@page.get("/events")
def events() -> str:
    with running().transaction(Caller()) as world:
        before, type = _before(), request.args.get("type", "")
        found = _events(world, before=before, type=type)
        return _render("events", world, events=found, type=type, older=_older(found))


@page.get("/events/<id>")
def event(id: str) -> str:
    """One event as it is sent, and its deliveries."""
    with running().transaction(Caller()) as world:
        row = world.store.db.execute("SELECT document FROM events WHERE id = ?", (id,)).fetchone()
        if row is None:
            abort(404)
        sent = _deliveries(world, "event = ?", (id,))
        return _render("event", world, event=json.loads(row["document"]), deliveries=sent, linked=_linked)


@page.get("/deliveries")
def deliveries() -> str:
    with running().transaction(Caller()) as world:
        state = request.args.get("state", "")
        where = "deliveries.id < ?" + (" AND state = ?" if state else "")
        found = _deliveries(world, where, (_before(), state) if state else (_before(),))
        older = found[-1]["id"] if len(found) == SHOWN else None
        return _render("deliveries", world, deliveries=found, state=state, older=older)


def _events(
    world: World, *, before: int | None = None, type: str = "", naming: str = "", limit: int = SHOWN
) -> list[dict[str, Any]]:
    """The newest events, with their place and their deliveries."""
    where, values = ["1"], []
    for condition, value in (("sequence < ?", before), ("type GLOB ?", type), ("instr(document, ?)", naming)):
        if value:
            where.append(condition)
            values.append(value)
    table = f"(SELECT * FROM events ORDER BY sequence DESC LIMIT {LOOKED_THROUGH})" if naming else "events"
    query = f"SELECT sequence, document FROM {table} WHERE {' AND '.join(where)} ORDER BY sequence DESC LIMIT {limit}"
    found = []
    for row in world.store.db.execute(query, values).fetchall():
        event = json.loads(row["document"])
        event |= {"sequence": row["sequence"], "deliveries": _deliveries(world, "event = ?", (event["id"],))}
        found.append(event)
    return found


def _before() -> int:
    """Where the list of the address begins: at the newest unless told."""
    return min(request.args.get("before", LAST_ROW, type=int), LAST_ROW)


def _older(found: list[dict[str, Any]]) -> int | None:
    return found[-1]["sequence"] if len(found) == SHOWN else None


def _deliveries(world: World, where: str, values: tuple[Any, ...]) -> list[Any]:
    query = f"""
        SELECT deliveries.*, attempts.status, attempts.error FROM deliveries
        LEFT JOIN attempts ON attempts.id = (SELECT max(id) FROM attempts WHERE delivery = deliveries.id)
        WHERE {where} ORDER BY deliveries.id DESC LIMIT {SHOWN}"""
    return world.store.db.execute(query, values).fetchall()


def _related(world: World, document: Document) -> dict[str, list[dict[str, Any]]]:
    """What names the object in a column of its own."""
    column = document["object"]
    if column not in ("customer", "subscription", "invoice", "payment_intent"):
        return {}
    tail = f"ORDER BY sequence DESC LIMIT {SHOWN}"
    found = {kind: world.select(kind, f"{column} = ?", (document["id"],), tail=tail) for kind in RELATED}
    return {kind: [world.wire(one) for one in ones] for kind, ones in found.items() if ones}


def _linked(value: Any) -> list[tuple[str, str]]:
    """JSON in pieces, each with where it leads: ids of objects to their pages, the rest nowhere."""
    pieces = re.split(
        rf'(?<=")({"|".join(PREFIXES)})(_\w{{10,}})(?=")', json.dumps(value, indent=2, ensure_ascii=False)
    )
    found = [(pieces[0], "")]
    for prefix, rest, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        found += [(prefix + rest, f"/{'events' if prefix == 'evt' else 'objects'}/{prefix}{rest}"), (text, "")]
    return found
