"""The page to change plan on, and the JSON behind it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user

import changes
import quotes
import readings
from auth import customer_required, limit_payments, limit_questions
from errors import Problem, Str, json_fields, json_route

plan = Blueprint("plan", __name__)
LONGEST_ID = 255


@plan.get("/account/plan")
@customer_required
def choose() -> ResponseReturnValue:
    """The other plans, and what changing to one would cost."""
    account = readings.account_view(current_user)
    if account.current is None:
        return redirect(url_for("checkout.plans"))
    if not account.current.is_live:
        return redirect(url_for("account.settings"))
    plans = [one.shown(account.current.currency, account.current.lookup_key) for one in readings.plans()]
    offered = [one for one in plans if not one.is_current and one.currency == account.current.currency]
    return render_template("account/plan.html", account=account, subscription=account.current, plans=offered)


@plan.get("/invoice-preview")
@customer_required
@limit_questions
@json_route
def invoice_preview() -> dict[str, Any]:
    """What a change of plan would cost, with the quote that lets it be charged."""
    return quotes.quote(current_user, _argument("subscriptionId"), _argument("newPriceLookupKey"))


def _argument(name: str) -> str:
    value = request.args.get(name, "")
    if not value or len(value) > LONGEST_ID or "\0" in value:
        raise Problem(400, "invalid_field", f"{name} is missing or too long.", field=name)
    return value


@plan.post("/update-subscription")
@customer_required
@limit_payments
@json_route
def update_subscription() -> dict[str, Any]:
    """Make the change that was quoted, at the price that was quoted."""
    fields = json_fields(subscriptionId=Str(), newPriceLookupKey=Str(), quote=Str(2000, default=None))
    return changes.change(current_user, fields["subscriptionId"], fields["newPriceLookupKey"], fields["quote"])


@plan.post("/undo-change")
@customer_required
@limit_questions
@json_route
def undo_change() -> dict[str, Any]:
    """Drop a change that is scheduled or waits for its payment."""
    return changes.undo(current_user, json_fields(subscriptionId=Str())["subscriptionId"])
