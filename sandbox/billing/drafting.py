"""Invoices that are not finalized yet."""

from typing import Any

from sandbox.billing import discounting, periods, reckoning, waiting
from sandbox.billing.lines import Line
from sandbox.errors import StripeError, too_small
from sandbox.params import merge_metadata
from sandbox.resources import payment_methods, tax_ids, tax_rates
from sandbox.store import Document
from sandbox.world import World

EMPTY = (
    "automatically_finalizes_at days_until_due default_payment_method description due_date effective_at ending_balance "
    "footer next_payment_attempt number payment_intent subscription uncollectible_because"
)
SNAPSHOT = ("address", "email", "name", "phone", "shipping", "tax_exempt")
PLAIN = ("auto_advance", "collection_method", "custom_fields", "days_until_due", "description", "due_date", "footer")
MOST_FIELDS = 4


def draft(world: World, subscription: Document, lines: list[Line], reason: str, period: tuple[int, int]) -> Document:
    """A new invoice for a subscription. Emits nothing."""
    return make(
        world,
        world.get("customer", subscription["customer"]),
        billing_reason=reason,
        collection_method=subscription["collection_method"],
        currency=subscription["currency"],
        days_until_due=subscription["days_until_due"],
        default_tax_rates=subscription["default_tax_rates"],
        discounts=discounting.running(world, subscription),
        lines=lines,
        period_end=period[1],
        period_start=period[0],
        subscription=subscription["id"],
        subscription_metadata=subscription["metadata"],
    )


def make(world: World, customer: Document, **fields: Any) -> Document:
    """A new draft for a customer; what is not given is empty. Emits nothing."""
    now = world.now(customer["id"])
    nothing: dict[str, Any] = dict.fromkeys(EMPTY.split())
    invoice = world.create(
        "invoice",
        "in_",
        **nothing
        | {
            "amount_paid": 0,
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": True,
            "collection_method": "charge_automatically",
            "custom_fields": customer.get("invoice_custom_fields"),
            "customer": customer["id"],
            "customer_snapshot": snapshot(world, customer),
            "default_tax_rates": [],
            "discounts": [],
            "footer": customer.get("invoice_footer"),
            "holds_update": False,
            "lines": [],
            "metadata": {},
            "period_end": now,
            "period_start": now,
            "starting_balance": customer["balance"],
            "status": "draft",
            "subscription_metadata": {},
            "transitions": {},
        }
        | fields,
    )
    reckoning.reckon(world, invoice)
    world.save(invoice)
    return invoice


def set_lines(world: World, invoice: Document, lines: list[Line]) -> None:
    """Give a draft other lines, and the amounts that follow from them."""
    before = world.wire(invoice)
    invoice["lines"] = lines
    reckoning.reckon(world, invoice)
    world.save(invoice)
    if world.wire(invoice) != before:
        world.emit("invoice.updated", invoice, before)


def settings(world: World, params: dict[str, Any], customer: Document, invoice: Document | None) -> dict[str, Any]:
    """What a request asks of an invoice that is made or edited by hand, checked."""
    found: dict[str, Any] = {name: params[name] for name in PLAIN if name in params}
    if (params.get("days_until_due") or 0) < 0:
        raise too_small(0, "days_until_due")
    if len(params.get("custom_fields") or []) > MOST_FIELDS:
        text = f"You can add up to {MOST_FIELDS} custom fields to an invoice."
        raise StripeError(text, param="custom_fields")
    if params.get("due_date") is not None:
        periods.checked(params["due_date"], "due_date", after=world.now(customer["id"]))
    if "days_until_due" in params and "due_date" in params:
        text = "You may only specify one of these parameters: days_until_due, due_date."
        raise StripeError(text, param="days_until_due")
    if "default_payment_method" in params:
        id = params["default_payment_method"]
        found["default_payment_method"] = id and payment_methods.usable(world, id, customer["id"])["id"]
    if "default_tax_rates" in params:
        found["default_tax_rates"] = tax_rates.checked(world, params["default_tax_rates"], "default_tax_rates")
    if "discounts" in params:
        old = invoice["discounts"] if invoice else []
        on = {"invoice": invoice["id"]} if invoice else {}
        found["discounts"] = discounting.redeem(world, params["discounts"], customer, old, **on)
    if "metadata" in params:
        found["metadata"] = merge_metadata(invoice["metadata"] if invoice else {}, params["metadata"])
    return found


def by_hand(world: World, params: dict[str, Any], customer: Document, subscription: Document | None) -> Document:
    """A draft that somebody asked for, with what waits for one if that is wished."""
    pending = []
    if params.get("pending_invoice_items_behavior") == "include":
        mine = "customer = ? AND status = 'pending'"
        found = world.select("invoiceitem", mine, (customer["id"],))
        pending = [item for item in found if item["subscription"] in (None, subscription and subscription["id"])][::-1]
    currency = params.get("currency") or (pending[0] if pending else subscription or customer)["currency"] or "usd"
    of_subscription = (
        {"subscription": subscription["id"], "subscription_metadata": subscription["metadata"]} if subscription else {}
    )
    given = {"auto_advance": False, **of_subscription, **settings(world, params, customer, None)}
    charged = waiting.take(world, pending)
    invoice = make(world, customer, billing_reason="manual", currency=currency, lines=charged, **given)
    waiting.put_on(world, pending, invoice)
    for id in invoice["discounts"]:
        discount = world.get("discount", id)
        discount["invoice"] = invoice["id"]
        world.save(discount)
    return invoice


def snapshot(world: World, customer: Document) -> dict[str, Any]:
    """What an invoice remembers of its customer."""
    return {name: customer.get(name) for name in SNAPSHOT} | {"tax_ids": tax_ids.on_invoices(world, customer["id"])}
