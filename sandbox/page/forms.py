"""What can be done on the page: move the clock, disturb deliveries and requests, set what Stripe's Dashboard sets."""

import re
from typing import Any

from flask import abort, redirect, request

from sandbox.billing import dunning, opening, periods
from sandbox.errors import StripeError
from sandbox.events import MODES
from sandbox.page.views import FAULTS, SETTINGS, STEPS, page
from sandbox.resources import subscriptions
from sandbox.server import page_transaction, running
from sandbox.store import LAST_ROW


@page.post("/advance")
def advance() -> Any:
    """Move the world's time on: by one of the steps, or to the next thing that happens."""
    sandbox = running()
    now, by = sandbox.clock.now(), request.form.get("by", "")
    if by == "next":
        to = max(now, request.form.get("to", now, type=int))
    else:
        to = periods.after(now, "month", 1, 1) if by == "1 month" else now + STEPS.get(by, 0)
    try:
        sandbox.advance(to)
    except ValueError as problem:
        abort(400, str(problem))
    return _back()


@page.post(f"/deliveries/<int(max={LAST_ROW}):id>/retry")
def retry(id: int) -> Any:
    if not running().deliveries.retry(id):
        abort(404)
    return _back()


@page.post("/objects/<id>/trial")
def begin_trial(id: str) -> Any:
    """Give a subscription a trial of so many days, from now on, as one may in the Dashboard."""
    days = request.form.get("days", 0, type=int)
    if not 1 <= days <= opening.LONGEST_TRIAL:
        abort(400, f"A trial has 1 to {opening.LONGEST_TRIAL} days.")
    try:
        with page_transaction() as world:
            ends = world.now(world.get("subscription", id)["customer"]) + days * periods.DAY
            subscriptions.update(world, {"trial_end": ends, "proration_behavior": "none"}, id)
    except StripeError as problem:
        abort(problem.status, problem.message)
    return _back()


@page.post("/faults")
def add_fault() -> Any:
    """Befall the next requests whose path fits; none of the known kinds clears those that wait."""
    wish = FAULTS.get(request.form.get("kind", ""))
    if wish is None:
        running().faults.clear()
        return _back()
    path = re.escape(request.form.get("path", ""))
    running().faults.add(path=path, times=request.form.get("times", 1, type=int), **wish)
    return _back()


@page.post("/settings")
def set_settings() -> Any:
    """What Stripe has in its Dashboard only."""
    given = {name: request.form[name] for name in SETTINGS if name in request.form}
    if any(value not in dunning.SETTINGS[name] for name, value in given.items()):
        abort(400)
    with running().store.transaction():
        for name, value in given.items():
            running().store.set_setting(name, value)
    return _back()


@page.post("/mode")
def set_mode() -> Any:
    """How deliveries are disturbed; what was held goes once they no longer are."""
    mode = request.form.get("mode", "")
    if mode not in MODES:
        abort(400)
    running().targets.mode, running().targets.disturbed = mode, ("*",)
    if mode == "deliver":
        running().deliveries.flush()
    return _back()


def _back() -> Any:
    """To the page that the form was on, never to another site."""
    came_from = request.referrer or ""
    return redirect(came_from if came_from.startswith(request.host_url) else "/", 303)
