"""The account settings page, and the JSON behind it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request
from flask_security import current_user

import readings
import subscriptions
from auth import customer_required, limit_questions
from errors import Bool, Str, json_fields, json_route

account = Blueprint("account", __name__)

LAST_PAGE = 10_000

FEEDBACK = (
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
)


@account.get("/account")
@customer_required
def settings() -> str:
    """Plan, status, renewal, payment method and invoices, from our own tables."""
    return render_template("account.html", account=readings.account_view(current_user))


@account.get("/account/invoices")
@customer_required
def all_invoices() -> str:
    """Every invoice, newest first, a page at a time."""
    page = min(max(request.args.get("page", 1, type=int), 1), LAST_PAGE)
    invoices, more = readings.invoices(current_user.id, page)
    return render_template("account/all_invoices.html", invoices=invoices, more=more, page=page)


@account.post("/cancel-subscription")
@customer_required
@limit_questions
@json_route
def cancel_subscription() -> dict[str, Any]:
    """End a subscription now, or at the end of its period."""
    fields = json_fields(
        subscriptionId=Str(),
        atPeriodEnd=Bool(default=False),
        reason=Str(default=None, choices=FEEDBACK),
        comment=Str(2000, default=None),
    )
    subscription = subscriptions.cancel(
        current_user,
        fields["subscriptionId"],
        at_period_end=fields["atPeriodEnd"],
        reason=fields["reason"],
        comment=fields["comment"],
    )
    return told(subscription)


@account.post("/resume-subscription")
@customer_required
@limit_questions
@json_route
def resume_subscription() -> dict[str, Any]:
    """Take back a cancellation that has not happened yet."""
    return told(subscriptions.resume(current_user, json_fields(subscriptionId=Str())["subscriptionId"]))


SHOWN = (
    "id",
    "object",
    "status",
    "cancel_at",
    "cancel_at_period_end",
    "canceled_at",
    "ended_at",
    "created",
    "currency",
)


def told(subscription: dict[str, Any]) -> dict[str, Any]:
    """A subscription as the guide answers it: its fields at top level, and again under `subscription`."""
    shown = {name: subscription[name] for name in SHOWN if name in subscription}
    return shown | {"subscription": shown}
