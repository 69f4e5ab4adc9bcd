"""Invoices that are only shown: made by the very code that makes the real ones, and taken back."""

from typing import Any

from sandbox.billing import (
    adding,
    changing,
    discounting,
    drafting,
    ending,
    invoicing,
    opening,
    renewing,
    resuming,
    scheduling,
    subscribing,
    waiting,
)
from sandbox.billing.bills import Bill
from sandbox.errors import StripeError, missing, not_built
from sandbox.resources import invoice_items, tax_rates
from sandbox.store import Document
from sandbox.world import World


def preview(world: World, params: dict[str, Any]) -> dict[str, Any]:
    """The wire form of the invoice that a customer would get: at once for a change that is to be paid at once, else
    the next one. Raises Stripe's error when none would come.
    """
    with world.rehearsal() as tried:
        customer, subscription = _whose(tried, params)
        new = (params.get("subscription_details") or {}).get("items") and not params.get("subscription")
        if subscription and subscription["status"] in subscribing.ENDED:
            invoice = None
        elif subscription and new and not params.get("schedule"):
            invoice = _of_new(tried, subscription, params)
        elif subscription:
            invoice = _of_existing(tried, subscription, params)
        else:
            invoice = _of_customer(tried, customer, params)
        if invoice is None:
            text = f"No upcoming invoices for customer: '{customer['id']}'"
            raise StripeError(text, status=404, code="invoice_upcoming_none")
        return _shown(tried, invoice)


def upcoming(world: World, subscription: Document) -> dict[str, Any] | None:
    """The subscription's next renewal, as the event that announces it has it: without an id."""
    with world.rehearsal() as tried:
        invoice = _renewal(tried, tried.get("subscription", subscription["id"]))
        if invoice is None:
            return None
        return {name: value for name, value in _shown(tried, invoice).items() if name != "id"}


def _whose(world: World, params: dict[str, Any]) -> tuple[Document, Document | None]:
    """The customer, and the subscription: the one that is named, a new one as described, or the next to be renewed."""
    details = params.get("subscription_details") or {}
    if params.get("schedule"):
        schedule = world.get("subscription_schedule", params["schedule"], "schedule")
        params = {**params, "subscription": schedule["subscription"]}
    if params.get("subscription"):
        subscription = world.get("subscription", params["subscription"], "subscription")
        return world.get("customer", params.get("customer", subscription["customer"]), "customer"), subscription
    if not params.get("customer"):
        raise missing("customer")
    customer = world.get("customer", params["customer"], "customer")
    if details.get("items"):
        wish = {name: value for name, value in details.items() if name not in ("start_date", "cancel_now", "resume_at")}
        if isinstance(wish.get("billing_cycle_anchor"), dict):
            wish["billing_cycle_anchor"] = wish["billing_cycle_anchor"].get("timestamp")
        wish |= {name: params[name] for name in ("currency", "discounts") if params.get(name)}
        return customer, opening.make(world, {**wish, "customer": customer["id"]})
    live = "customer = ? AND status NOT IN ('canceled', 'incomplete_expired', 'incomplete', 'paused')"
    found = world.select("subscription", live, (customer["id"],))
    return customer, min(found, key=lambda one: _next_end(world, one)) if found else None


def _of_new(world: World, subscription: Document, params: dict[str, Any]) -> Document | None:
    adding.to_subscription(world, subscription, params.get("invoice_items"), "invoice_items")
    return subscribing.first_invoice(world, subscription, params.get("subscription_details") or {})


def _of_existing(world: World, subscription: Document, params: dict[str, Any]) -> Document | None:
    details = params.get("subscription_details") or {}
    if (details.get("billing_cycle_anchor") or {}).get("type") == "timestamp":
        raise not_built("a preview with another anchor in the future")
    if "discounts" in params:
        customer, old = world.get("customer", subscription["customer"]), subscription["discounts"]
        on = {"subscription": subscription["id"]}
        subscription["discounts"] = discounting.redeem(world, params["discounts"], customer, old, **on)
    if "default_tax_rates" in details:
        subscription["default_tax_rates"] = tax_rates.checked(world, details["default_tax_rates"], "default_tax_rates")
    adding.to_subscription(world, subscription, params.get("invoice_items"), "invoice_items")
    if details.get("cancel_now"):
        wish = {"prorate": details.get("proration_behavior") != "none", "invoice_now": True}
        changing.draft(world, subscription, ending.unused(world, subscription, wish))
        return _of_waiting(world, subscription)
    bill = _change(world, subscription, details)
    invoice = changing.draft(world, subscription, bill)
    if params.get("preview_mode") == "recurring":
        now = world.now(subscription["customer"])
        charged = renewing.recurring_lines(world, subscription)
        return drafting.draft(world, subscription, charged, "upcoming", (now, now))
    return invoice or _renewal(world, subscription)


def _change(world: World, subscription: Document, details: dict[str, Any]) -> Bill:
    if details.get("resume_at") == "now" and subscription["status"] == "paused":
        return resuming.carry_out(world, subscription, details)
    bill = changing.carry_out(world, subscription, details)
    ending.plan_end(world, subscription, details)
    bill.add(ending.fit_periods(world, subscription, details))
    return bill


def _renewal(world: World, subscription: Document) -> Document | None:
    """The invoice at the end of the running period, seen from there."""
    if subscription["status"] in (*subscribing.ENDED, "incomplete", "paused"):
        return None
    world.pretended = _next_end(world, subscription)
    scheduling.enter_due_phase(world, subscription)
    ended = subscription["status"] in subscribing.ENDED
    if ended or (subscription["cancel_at"] and subscription["cancel_at"] <= world.pretended):
        return _of_waiting(world, subscription)
    invoice = renewing.draft(world, subscription)
    if invoice:
        invoice["next_payment_attempt"] = world.pretended + invoicing.DRAFT_FOR
    return invoice


def _of_waiting(world: World, subscription: Document) -> Document | None:
    pending, now = waiting.items(world, subscription), world.now(subscription["customer"])
    if not pending:
        return None
    return drafting.draft(world, subscription, waiting.take(world, pending), "subscription_update", (now, now))


def _of_customer(world: World, customer: Document, params: dict[str, Any]) -> Document | None:
    currency = params.get("currency") or customer["currency"] or "usd"
    for index, wish in enumerate(params.get("invoice_items") or []):
        line = adding.line(world, customer, wish, currency, f"invoice_items[{index}]")
        invoice_items.create(world, customer, line, currency=currency)
    mine = "customer = ? AND status = 'pending' AND subscription IS NULL"
    pending = world.select("invoiceitem", mine, (customer["id"],))
    if not pending:
        return None
    charged, discounts = waiting.take(world, pending), discounting.redeem(world, params.get("discounts"), customer, [])
    return drafting.make(
        world, customer, billing_reason="upcoming", currency=currency, discounts=discounts, lines=charged
    )


def _next_end(world: World, subscription: Document) -> int:
    return int(min(item["current_period_end"] for item in subscribing.items_of(world, subscription)))


def _shown(world: World, invoice: Document) -> dict[str, Any]:
    """Its wire form, with the ids of what does not exist."""
    for line in invoice["lines"]:
        line["id"] = line["id"].replace("il_", "il_tmp_", 1)
    wire = world.wire(invoice)
    id = f"upcoming_{invoice['id']}"
    for line in wire["lines"]["data"]:
        line["invoice"] = id
    wire["lines"]["url"] = f"/v1/invoices/{id}/lines"
    return {**wire, "id": id, "billing_reason": "upcoming", "webhooks_delivered_at": None}
