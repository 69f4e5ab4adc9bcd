"""Staff pages: find a customer, see why they have or lack access, act for them on record, look after the ledger."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user

import db
import health
import personal
import readings
import staff_actions
import staff_readings
from auth import staff_required
from copies import is_name
from errors import Problem, Str, invalid
from models import User
from readings import SubscriptionView
from staff_actions import Outcome

staff = Blueprint("staff", __name__, url_prefix="/staff")

LONGEST_REASON = 500
LAST_PAGE = 10_000
CUSTOMER = "/customers/<int(max=2147483647):user_id>"


@staff.before_request
@staff_required
def staff_only() -> None:
    """Guard every page of this room, also those to come."""


# ---------------------------------------------------------------------------------------------------------------------
# Customers


@staff.get("/customers")
def customers() -> str:
    """Find somebody, or look through everybody."""
    asked = argument("q")
    return render_template("staff/customers.html", asked=asked, people=staff_readings.people(asked, page()))


@staff.get(CUSTOMER)
def customer(user_id: int) -> str:
    """A customer's account settings as staff see them."""
    user = user_or_404(user_id)
    shown = argument("show")
    shown = shown if shown in staff_readings.SHOWN else ""
    account = readings.account_view(user)
    return render_template(
        "staff/customer.html",
        person=user,
        account=account,
        customer=account.customer,
        tax_id=personal.tax_id_of(account.customer.id if account.customer else None),
        subscriptions=endable(user_id, account.current),
        access=staff_readings.access_of(user_id),
        history=staff_readings.history(user_id, shown, page()),
        shown=shown,
    )


def endable(user_id: int, current: SubscriptionView | None) -> list[SubscriptionView]:
    """All subscriptions that can be cancelled; a customer has one, but Stripe's dashboard allows for more."""
    others = [view for view in readings.subscription_views(user_id) if view.can_cancel]
    return [current, *(view for view in others if view.id != current.id)] if current else others


@staff.post(f"{CUSTOMER}/cancel")
def cancel(user_id: int) -> ResponseReturnValue:
    """End a subscription now or with its period, for a reason."""
    user = user_or_404(user_id)
    when = Str(choices=("period_end", "now")).read("when", request.form.get("when"))
    outcome = staff_actions.cancel(
        me(), user, subscription_id(), at_period_end=when == "period_end", reason=reason(required=True)
    )
    return told(outcome, url_for("staff.customer", user_id=user_id))


@staff.post(f"{CUSTOMER}/resume")
def resume(user_id: int) -> ResponseReturnValue:
    """Take back a cancellation that has not happened yet."""
    user = user_or_404(user_id)
    outcome = staff_actions.resume(me(), user, subscription_id(), reason=reason())
    return told(outcome, url_for("staff.customer", user_id=user_id))


@staff.post(f"{CUSTOMER}/resync")
def resync(user_id: int) -> ResponseReturnValue:
    """Copy a customer anew from Stripe."""
    outcome = staff_actions.resync(me(), user_or_404(user_id), reason=reason())
    return told(outcome, url_for("staff.customer", user_id=user_id))


# ---------------------------------------------------------------------------------------------------------------------
# The ledger


@staff.get("/events")
def events() -> str:
    """What Stripe sent and what became of it, failures first."""
    asked, state = argument("q"), argument("state")
    state = state if state in staff_readings.STATES else ""
    unfiltered = not asked and not state and page() == 1
    return render_template(
        "staff/events.html",
        asked=asked,
        state=state,
        states=staff_readings.STATES,
        silent_hours=health.webhook_silence(),
        counts=staff_readings.event_counts(),
        failed=staff_readings.events("", "failed", 1) if unfiltered else None,
        events=staff_readings.events(asked, state, page()),
    )


@staff.post("/events/<event_id>/replay")
def replay(event_id: str) -> ResponseReturnValue:
    """Bring a failed event into effect."""
    if not is_name(event_id):
        raise Problem(404, "not_found", "There is no such event.")
    outcome = staff_actions.replay(me(), event_id, reason=reason())
    user_id = request.form.get("user_id", type=int)
    return told(outcome, url_for("staff.customer", user_id=user_id) if user_id else url_for("staff.events"))


@staff.get("/actions")
def actions() -> str:
    """What staff did for anybody, also where it was no customer of ours."""
    return render_template("staff/actions.html", actions=staff_readings.actions(page()))


# ---------------------------------------------------------------------------------------------------------------------
# What is asked, and what is answered


def me() -> User:
    return cast(User, current_user._get_current_object())


def user_or_404(user_id: int) -> User:
    user = db.session.get(User, user_id, populate_existing=True)
    if user is None:
        raise Problem(404, "not_found", "There is no such account.")
    return user


def argument(name: str) -> str:
    return request.args.get(name, "").replace("\0", "").strip()[:255]


def page() -> int:
    return min(max(request.args.get("page", 1, type=int), 1), LAST_PAGE)


def subscription_id() -> str:
    return Str().read("subscription", request.form.get("subscription"))


def reason(*, required: bool = False) -> Any:
    """Why it is done, in the words of whoever does it. Raises Problem (400), naming the field."""
    given = request.form.get("reason", "").strip()
    if given:
        return Str(LONGEST_REASON).read("reason", given)
    if required:
        invalid("reason", "is missing: say why, for whoever reads this later")
    return None


def told(outcome: Outcome, url: str) -> ResponseReturnValue:
    """Say what came of an action, on the page that it was done from."""
    level = {"done": "info", "failed": "error"}.get(outcome.state, "warning")
    text = f"That did not work. {outcome.note}" if outcome.state == "failed" else outcome.note
    flash(text, level)
    return redirect(url, 303)
