"""Plans, the page to subscribe on, the return page, and the JSON behind them."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_security import current_user

import attempts
import readings
import subscriptions
from auth import customer_required, limit_payments, limit_questions
from errors import Object, Problem, Str, json_fields, json_route
from models import User
from readings import Plan

checkout = Blueprint("checkout", __name__)

ADDRESS = {name: Str(default=None) for name in ("line1", "line2", "city", "state", "postal_code", "country")}
MEMBER_PAGES = {"basic": "members.basic", "premium": "members.premium"}


def user() -> User:
    return cast(User, current_user._get_current_object())


# ---------------------------------------------------------------------------------------------------------------------
# Plans


@checkout.get("/")
def plans() -> ResponseReturnValue:
    """What is sold; signed-in customers see their own."""
    account = readings.account_view(user()) if current_user.is_authenticated else None
    shown = readings.plans()
    offered = readings.currencies(shown)
    currency = chosen_currency(offered, account)
    current = account.current if account and account.current and account.current.is_live else None
    return render_template(
        "pricing.html",
        plans=[plan.shown(currency, current.lookup_key if current else None) for plan in shown],
        currency=currency,
        currencies=[account.currency] if account and account.currency in offered else offered,
        account=account,
    )


def chosen_currency(offered: list[str], account: readings.AccountView | None) -> str:
    """The customer's fixed one, else the one asked for, else the catalogue's first."""
    if account and account.currency in offered:
        return account.currency
    asked = request.args.get("currency", "")
    return asked if asked in offered else (offered[0] if offered else "usd")


@checkout.get("/privacy")
def privacy() -> str:
    """What Stripe collects through Elements."""
    return render_template("privacy.html")


@checkout.get("/config")
@json_route
def config() -> dict[str, Any]:
    """The publishable key and the prices for sale, with Stripe's names."""
    return {
        "publishableKey": current_app.config["STRIPE_PUBLISHABLE_KEY"],
        "prices": [as_price(plan) for plan in readings.plans()],
    }


def as_price(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.price_id,
        "lookup_key": plan.lookup_key,
        "unit_amount": plan.amounts[plan.base_currency],
        "currency": plan.base_currency,
        "currency_options": {currency: {"unit_amount": amount} for currency, amount in plan.amounts.items()},
        "recurring": {"interval": plan.interval, "interval_count": plan.interval_count},
        "product": {"id": plan.product_id, "name": plan.name, "description": plan.description},
    }


# ---------------------------------------------------------------------------------------------------------------------
# Subscribing


@checkout.get("/subscribe")
@customer_required
def subscribe() -> ResponseReturnValue:
    """The page with the Payment Element."""
    account = readings.account_view(user())
    if account.current and account.current.is_live and account.current.allowed:
        return redirect(url_for("account.settings"))
    currency = account.currency or request.args.get("currency")
    plan = find_plan(request.args.get("price"), None, currency)
    if request.args.get("currency", plan.currency) != plan.currency and not account.currency:
        raise Problem(404, "unknown_currency", f"{plan.name} is not sold in that currency.")
    return render_template(
        "subscribe.html", plan=plan, currency=plan.currency, customer_email=account.email, account=account
    )


def find_plan(lookup_key: str | None, price_id: str | None, currency: str | None) -> Plan:
    """The plan that a request means. Raises Problem (404)."""
    plan = readings.find_plan(lookup_key=lookup_key, price_id=price_id, currency=currency)
    if plan is None:
        raise Problem(
            404, "unknown_price", "There is no such plan. It may have been replaced: choose one again.", url="/"
        )
    return plan


@checkout.post("/create-customer")
@customer_required
@limit_payments
@json_route
def create_customer() -> dict[str, Any]:
    """Get or create the customer that the signed-in user is at Stripe."""
    fields = json_fields(
        email=Str(default=None),
        name=Str(default=None),
        address=Object(default=None, **ADDRESS),
        shipping=Object(default=None, name=Str(), phone=Str(default=None), address=Object(**ADDRESS)),
    )
    if fields["email"] is not None and fields["email"].strip().lower() != user().email.lower():
        raise Problem(400, "invalid_field", "email must be your account's own.", field="email")
    details = {name: fields[name] for name in ("name", "address", "shipping") if fields[name]}
    customer = subscriptions.ensure_customer(user(), details)
    return {"customer": {"id": customer.id, "email": customer.email}}


@checkout.post("/create-subscription")
@customer_required
@limit_payments
@json_route
def create_subscription() -> dict[str, Any]:
    """Begin to subscribe, or go on with what was begun; the browser pays with the secret in the answer."""
    fields = json_fields(
        priceId=Str(default=None),
        lookupKey=Str(default=None),
        currency=Str(3, default=None),
        customerId=Str(default=None),
    )
    if (fields["priceId"] is None) == (fields["lookupKey"] is None):
        raise Problem(400, "invalid_field", "Exactly one of priceId and lookupKey is needed.", field="lookupKey")
    customer = readings.customer_of(user().id)
    if fields["customerId"] is not None and (customer is None or fields["customerId"] != customer.id):
        raise Problem(404, "not_found", "There is no such customer.")
    currency = fields["currency"] or (customer.currency if customer else None)
    plan = find_plan(fields["lookupKey"], fields["priceId"], currency)
    if currency and currency != plan.currency:
        raise Problem(400, "invalid_field", f"currency: {plan.name} is not sold in that one.", field="currency")
    attempt = attempts.subscribe(user(), plan)
    answer = {
        "subscriptionId": attempt.subscription_id,
        "clientSecret": attempt.client_secret,
        "intent": attempt.intent,
    }
    return answer | ({"notice": attempt.notice} if attempt.notice else {})


@checkout.get("/subscriptions")
@customer_required
@json_route
def list_subscriptions() -> dict[str, Any]:
    """The signed-in user's subscriptions, from our tables, with Stripe's field names."""
    return {"subscriptions": {"data": readings.subscriptions_as_stripe(user().id)}}


# ---------------------------------------------------------------------------------------------------------------------
# Coming back


@checkout.get("/complete")
@customer_required
def complete() -> str:
    """Where Stripe sends the browser after a payment; our own tables decide what it says of access."""
    return render_template("complete.html", state=state_of(user()))


@checkout.post("/complete/sync")
@customer_required
@limit_questions
@json_route
def sync_complete() -> dict[str, Any]:
    """Ask Stripe while an attempt is open, then tell how things stand by our tables."""
    attempts.follow(user())
    return state_of(user())


STATES = {"active": "active", "trialing": "trialing", "past_due": "active", "incomplete_expired": "expired"}


def state_of(user: User) -> dict[str, Any]:
    """The newest subscription in a few words, and where to go from here."""
    views = readings.subscription_views(user.id)
    view = next((one for one in views if one.is_live), views[0] if views else None)
    state = "none"
    if view is not None:
        state = "incomplete" if view.status == "incomplete" else STATES.get(view.status, "none")
        if view.decision.reason in ("processing", "not_while_processing"):
            state = "processing"
    subscribe_url = url_for("checkout.plans")
    if view and view.lookup_key:
        subscribe_url = url_for("checkout.subscribe", price=view.lookup_key, currency=view.currency)
    return {
        "state": state,
        "access": bool(view and view.allowed),
        "open": attempts.has_open_attempt(user.id),
        "plan": {"name": view.plan_name, "key": view.product_key} if view else None,
        "memberUrl": url_for(MEMBER_PAGES.get((view.product_key or "") if view else "", "members.basic")),
        "accountUrl": url_for("account.settings"),
        "subscribeUrl": subscribe_url,
    }
