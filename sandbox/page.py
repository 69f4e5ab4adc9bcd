"""The page at /: the clock, what happened lately, and what there is."""

import json
import time
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request

from sandbox.server import Sandbox

page = Blueprint("page", __name__, template_folder="templates")
STEPS = {"1 hour": 3600, "1 day": 86400, "7 days": 7 * 86400, "31 days": 31 * 86400}
SHOWN = 50


@page.app_template_filter()
def moment(at: int) -> str:
    return time.strftime("%d %b %Y %H:%M:%S UTC", time.gmtime(at))


@page.get("/")
def overview() -> str:
    """Clock, counts, newest events with their deliveries."""
    sandbox: Sandbox = current_app.extensions["sandbox"]
    with sandbox.store.lock:
        events = [json.loads(row["document"]) for row in _rows(sandbox, "SELECT document FROM events")]
        deliveries = {event["id"]: _deliveries(sandbox, event["id"]) for event in events}
        counts, account = sandbox.store.counts(), sandbox.store.setting("account")
    return render_template(
        "overview.html",
        now=sandbox.clock.now(),
        steps=STEPS,
        events=events,
        deliveries=deliveries,
        counts=counts,
        account=account,
        mode=sandbox.targets.mode,
        as_json=lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    )


@page.post("/advance")
def advance() -> Any:
    """Move the world's time on, by one of the steps."""
    sandbox: Sandbox = current_app.extensions["sandbox"]
    if request.origin and request.origin.partition("://")[2] != request.host:
        return Response("Only this page may move the clock.", 403)
    sandbox.advance(sandbox.clock.now() + STEPS.get(request.form.get("by", ""), 0))
    return redirect("/", 303)


def _rows(sandbox: Sandbox, query: str) -> list[Any]:
    return sandbox.store.db.execute(f"{query} ORDER BY sequence DESC LIMIT ?", (SHOWN,)).fetchall()


def _deliveries(sandbox: Sandbox, event: str) -> list[Any]:
    query = """
        SELECT url, state, attempts, next_attempt,
               (SELECT status FROM attempts WHERE delivery = deliveries.id ORDER BY id DESC LIMIT 1) AS status
        FROM deliveries WHERE event = ?"""
    return sandbox.store.db.execute(query, (event,)).fetchall()
