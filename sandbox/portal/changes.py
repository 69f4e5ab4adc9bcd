"""What customers change in the portal. Each change is the API's own, so its events are the API's too."""

from __future__ import annotations

from typing import Any

from flask import abort, request

from sandbox.billing import modes, subscribing
from sandbox.errors import StripeError
from sandbox.portal import showing
from sandbox.portal.plan_changes import PlanChange
from sandbox.portal.visits import Visit, portal, visited
from sandbox.resources import customers, payment_methods, subscription_schedules, subscriptions, tax_ids
from sandbox.store import Document

ADDRESS = customers.ADDRESS
LONGEST = 500  # characters of a field


def _typed(name: str) -> str | None:
    """What was typed into a field, None for nothing."""
    return request.form.get(name, "").strip()[:LONGEST] or None


@portal.route("/session/<token>/subscriptions/<id>/cancel", methods=["GET", "POST"])
@visited
def cancel(visit: Visit, id: str) -> Any:
    """Ask, with the reasons that the configuration offers; then end it now or with what has been paid for."""
    feature, subscription = visit.need("subscription_cancel"), _live(visit, id)
    reasons = feature["cancellation_reason"]
    if visit.looking:
        options = reasons["options"] if reasons["enabled"] else []
        ends = None if feature["mode"] == "immediately" else _paid_until(visit, subscription)
        return visit.page(
            "cancel",
            ends=ends,
            reasons=[(name, showing.REASONS[name]) for name in options],
            subscription=showing.subscription(visit.world, subscription),
        )
    feedback = request.form.get("feedback")
    given = {"comment": _typed("comment"), "feedback": feedback if feedback in reasons["options"] else None}
    details = {"cancellation_details": {name: value for name, value in given.items() if value}}
    if feature["mode"] == "immediately":
        behaviour = feature["proration_behavior"]
        wishes = {"prorate": behaviour != "none", "invoice_now": behaviour == "always_invoice"}
        subscriptions.cancel(visit.world, details | {name: True for name, wish in wishes.items() if wish}, id)
    elif not modes.is_classic(subscription):
        subscriptions.update(visit.world, details | {"cancel_at": "max_period_end"}, id)
    else:
        subscriptions.update(visit.world, details | {"cancel_at_period_end": True}, id)
    return visit.completed("canceled")


@portal.post("/session/<token>/subscriptions/<id>/renew")
@visited
def renew(visit: Visit, id: str) -> Any:
    """Take back a cancellation that has not happened yet."""
    visit.need("subscription_cancel")
    subscription = _live(visit, id)
    wish: dict[str, Any] = {"cancel_at": None}
    if subscription["cancel_at_period_end"]:
        wish = {"cancel_at_period_end": False}
    subscriptions.update(visit.world, wish, id)
    return visit.completed("renewed")


@portal.get("/session/<token>/subscriptions/<id>/update")
@visited
def choose(visit: Visit, id: str) -> Any:
    """The plans that there are."""
    feature, subscription = visit.need("subscription_update"), _changeable(visit, id)
    return visit.page(
        "update",
        choices=showing.choices(visit.world, subscription, feature),
        countable="quantity" in feature["default_allowed_updates"],
        quantity=subscribing.items_of(visit.world, subscription)[0]["quantity"],
        subscription=showing.subscription(visit.world, subscription),
    )


@portal.route("/session/<token>/subscriptions/<id>/confirm", methods=["GET", "POST"])
@visited
def confirm(visit: Visit, id: str) -> Any:
    """Say what the change costs; then make it."""
    feature, subscription = visit.need("subscription_update"), _changeable(visit, id)
    price, quantity = _wish(visit, subscription, feature)
    change = PlanChange(visit.world, subscription, feature, price, quantity)
    if visit.looking:
        return visit.page(
            "confirm",
            cost=change.cost(),
            new={"id": price["id"], "quantity": quantity, **_described(visit, subscription, price, quantity)},
            subscription=showing.subscription(visit.world, subscription),
        )
    return visit.completed(change.make())


@portal.post("/session/<token>/subscriptions/<id>/keep")
@visited
def keep(visit: Visit, id: str) -> Any:
    """Take back a change that has not happened yet."""
    visit.need("subscription_update")
    subscription = _live(visit, id)
    if subscription["schedule"] is None:
        abort(404)
    subscription_schedules.release(visit.world, {}, subscription["schedule"])
    return visit.completed("renewed")


@portal.route("/session/<token>/subscriptions/<id>/pause", methods=["GET", "POST"])
@visited
def pause(visit: Visit, id: str) -> Any:
    """Ask; then stop billing until the customer resumes."""
    visit.need("subscription_pause")
    subscription = _live(visit, id)
    if visit.looking:
        return visit.page("pause", subscription=showing.subscription(visit.world, subscription))
    subscriptions.pause(visit.world, {}, id)
    return visit.completed("paused")


@portal.post("/session/<token>/subscriptions/<id>/resume")
@visited
def resume(visit: Visit, id: str) -> Any:
    visit.need("subscription_pause")
    _live(visit, id)
    subscriptions.resume(visit.world, {}, id)
    return visit.completed("renewed")


@portal.post("/session/<token>/payment-methods")
@visited
def save_method(visit: Visit) -> Any:
    """Make the method of a setup intent that has succeeded the one that is charged from now on."""
    visit.need("payment_method_update")
    intent = visit.own("setup_intent", request.form.get("setup_intent", ""))
    if intent["status"] != "succeeded":
        raise StripeError("The payment method has not been set up.")
    _charge_from_now_on(visit, intent["payment_method"])
    return visit.completed("method")


@portal.post("/session/<token>/payment-methods/<id>/<any(default, remove):action>")
@visited
def change_method(visit: Visit, id: str, action: str) -> Any:
    visit.need("payment_method_update")
    method = visit.own("payment_method", id)
    if action == "default":
        _charge_from_now_on(visit, method["id"])
        return visit.completed("method")
    used = showing.methods_of_subscriptions(visit.world, visit.customer)
    if method["id"] in {visit.customer["default_payment_method"], *used}:
        raise StripeError("This payment method is in use. Make another one the default first.")
    payment_methods.detach(visit.world, {}, id)
    return visit.completed("removed")


@portal.route("/session/<token>/customer/update", methods=["GET", "POST"])
@visited
def details(visit: Visit) -> Any:
    """Name, address and the like, as far as the configuration lets them be changed."""
    allowed = visit.need("customer_update")["allowed_updates"]
    if visit.looking:
        return _details_page(visit, allowed)
    changes: dict[str, Any] = {name: _typed(name) for name in ("email", "name", "phone") if name in allowed}
    if "address" in allowed:
        changes["address"] = {name: _typed(f"address_{name}") for name in ADDRESS}
    if "shipping" in allowed and _typed("shipping_name"):
        address = {name: _typed(f"shipping_{name}") for name in ADDRESS}
        changes["shipping"] = {"address": address, "name": _typed("shipping_name"), "phone": None}
    customers.update(visit.world, changes, visit.customer["id"])
    if "tax_id" in allowed:
        _replace_tax_id(visit, request.form.get("tax_id_type", ""), _typed("tax_id_value"))
    return visit.completed("details")


def _details_page(visit: Visit, allowed: list[str]) -> str:
    kinds = {name: name.upper().replace("_", " ") for name in sorted(tax_ids.FORMS)}
    current = tax_ids.on_invoices(visit.world, visit.customer["id"])
    tax_id = current[0] if current else None
    return visit.page("details", allowed=allowed, tax_id=tax_id, tax_id_kinds=kinds)


def _replace_tax_id(visit: Visit, kind: str, value: str | None) -> None:
    """The portal shows one tax id: another value takes its place, none removes it."""
    customer = visit.customer["id"]
    current = visit.world.select("tax_id", "customer = ?", (customer,))[:1]
    if any((old["type"], old["value"]) == (kind, value) for old in current):
        return
    for old in current:
        tax_ids.delete(visit.world, {}, old["id"])
    if value and kind in tax_ids.FORMS:
        tax_ids.create(visit.world, {"type": kind, "value": value}, customer)


def _live(visit: Visit, id: str) -> Document:
    subscription = visit.own("subscription", id)
    if subscription["status"] in showing.HIDDEN:
        abort(404)
    return subscription


def _changeable(visit: Visit, id: str) -> Document:
    """The portal changes subscriptions of one item only."""
    subscription = _live(visit, id)
    if len(subscribing.items_of(visit.world, subscription)) != 1:
        abort(404)
    return subscription


def _paid_until(visit: Visit, subscription: Document) -> int:
    return int(max(item["current_period_end"] for item in subscribing.items_of(visit.world, subscription)))


def _wish(visit: Visit, subscription: Document, feature: dict[str, Any]) -> tuple[Document, int]:
    """The price and quantity asked for, by the form or by the session's flow. 404 for what is not on offer."""
    flow = visit.session["flow"] or {}
    asked = (flow.get("subscription_update_confirm") or {"items": [{}]})["items"][0]
    item = subscribing.items_of(visit.world, subscription)[0]
    price = request.values.get("price") or asked.get("price") or item["price"]
    quantity = request.values.get("quantity", type=int) or asked.get("quantity") or item["quantity"]
    offered = {one["id"]: one for one in showing.choices(visit.world, subscription, feature)}
    if price not in offered:
        abort(404)
    allowed, limits = feature["default_allowed_updates"], offered[price]["quantity"]
    if quantity != item["quantity"]:
        within = limits["minimum"] <= quantity <= (limits["maximum"] or quantity)
        if "quantity" not in allowed or not limits["enabled"] or not within:
            abort(404)
    if price != item["price"] and "price" not in allowed:
        abort(404)
    return visit.world.get("price", price), quantity


def _described(visit: Visit, subscription: Document, price: Document, quantity: int) -> dict[str, Any]:
    product = visit.world.get("product", price["product"])
    return {"name": product["name"], "price": showing.price_of(price, subscription["currency"], quantity)}


def _charge_from_now_on(visit: Visit, method: str) -> None:
    """Subscriptions with a method of their own get the new one as well, or it would never be charged."""
    customers.update(visit.world, {"invoice_settings": {"default_payment_method": method}}, visit.customer["id"])
    for subscription in visit.world.select("subscription", "customer = ?", (visit.customer["id"],)):
        if subscription["default_payment_method"] and subscription["status"] not in showing.HIDDEN:
            subscriptions.update(visit.world, {"default_payment_method": method}, subscription["id"])
