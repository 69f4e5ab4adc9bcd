"""/v1/invoices"""

from typing import Any

from stripe.params import (
    InvoiceCreateParams,
    InvoiceCreatePreviewParams,
    InvoiceDeleteParams,
    InvoiceLineItemListParams,
    InvoiceListParams,
    InvoiceRetrieveParams,
    InvoiceUpdateParams,
)

from sandbox import lists, money
from sandbox.billing import drafting, invoicing, lines, previewing, reckoning
from sandbox.errors import StripeError, missing, no_such
from sandbox.resources import invoice_links, tax_rates
from sandbox.resources.account import COUNTRY, NAME
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats, includes

AFTER_FINALIZING = {"auto_advance", "default_payment_method", "due_date", "expand", "metadata"}
DETAILS = (
    "billing_cycle_anchor billing_mode cancel_at cancel_at_period_end cancel_now default_tax_rates items metadata "
    "proration_behavior proration_date resume_at trial_end"
)


@route(
    "POST /v1/invoices/create_preview",
    InvoiceCreatePreviewParams,
    "automatic_tax.enabled currency customer discounts invoice_items preview_mode schedule subscription "
    + " ".join(f"subscription_details.{name}" for name in DETAILS.split()),
)
def create_preview(world: World, params: dict[str, Any]) -> dict[str, Any]:
    tax_rates.refuse_automatic(params)
    return previewing.preview(world, params)


@route("GET /v1/invoices/<id>", InvoiceRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("invoice", id)


FIELDS = (
    "auto_advance automatic_tax.enabled collection_method custom_fields days_until_due default_payment_method "
    "default_tax_rates description discounts due_date footer metadata"
)


@route(
    "POST /v1/invoices",
    InvoiceCreateParams,
    f"{FIELDS} currency customer pending_invoice_items_behavior subscription",
)
def create(world: World, params: dict[str, Any]) -> Document:
    tax_rates.refuse_automatic(params)
    subscription = None
    if params.get("subscription"):
        subscription = world.get("subscription", params["subscription"], "subscription")
    if not params.get("customer") and not subscription:
        raise missing("customer")
    whose = params.get("customer") or (subscription["customer"] if subscription else "")
    customer = world.get("customer", whose, "customer")
    if subscription and subscription["customer"] != customer["id"]:
        raise no_such("subscription", subscription["id"], "subscription")
    if params.get("currency"):
        params["currency"] = money.currency(params["currency"])
    if params.get("collection_method") == "send_invoice" and not {"days_until_due", "due_date"} & params.keys():
        raise missing("days_until_due")
    invoice = drafting.by_hand(world, params, customer, subscription)
    if invoice["auto_advance"]:
        invoicing.wait(world, invoice)
    world.emit("invoice.created", invoice)
    return invoice


@route("POST /v1/invoices/<id>", InvoiceUpdateParams, FIELDS)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    """A draft's fields; of a finalized invoice only some."""
    tax_rates.refuse_automatic(params)
    invoice = world.get("invoice", id)
    if invoice["status"] != "draft" and params.keys() - AFTER_FINALIZING:
        text = "Finalized invoices can't be updated in this way"
        raise StripeError(text, code="invoice_not_editable")
    before = world.wire(invoice)
    invoice.update(drafting.settings(world, params, world.get("customer", invoice["customer"]), invoice))
    if invoice["status"] == "draft":
        reckoning.reckon(world, invoice)
    world.save(invoice)
    if invoice["status"] == "draft" and "auto_advance" in params:
        world.unschedule(invoice, "finalize_invoice")
        invoice["automatically_finalizes_at"] = None
        if params["auto_advance"]:
            invoicing.wait(world, invoice)
    if world.wire(invoice) != before:
        world.emit("invoice.updated", invoice, before)
    return invoice


@route("DELETE /v1/invoices/<id>", InvoiceDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    """A draft made by hand is gone, and what stood on it waits again."""
    invoice = world.get("invoice", id)
    if invoice["status"] != "draft" or invoice["subscription"]:
        what = "subscription" if invoice["subscription"] else invoice["status"]
        text = f"You can only delete one-off draft invoices. This is a {what} invoice: void it instead."
        raise StripeError(text, code="invoice_not_editable")
    for item in world.select("invoiceitem", "invoice = ?", (id,)):
        item.update(status="pending", invoice=None)
        world.save(item)
    world.unschedule(invoice, "finalize_invoice")
    world.emit("invoice.deleted", invoice)
    invoice["deleted"] = True
    world.save(invoice)
    return invoice


@route(
    "GET /v1/invoices",
    InvoiceListParams,
    "collection_method created customer due_date ending_before limit starting_after status subscription",
)
def list_invoices(world: World, params: dict[str, Any]) -> lists.Page:
    equal = {name: params.get(name) for name in ("collection_method", "customer", "subscription", "status")}
    return lists.page(world, "invoice", params, "due_date", **equal)


@route("GET /v1/invoices/<id>/lines", InvoiceLineItemListParams, "ending_before limit starting_after")
def list_lines(world: World, params: dict[str, Any], id: str) -> dict[str, Any]:
    invoice = world.get("invoice", id)
    found = [lines.format_line(invoice, line) for line in invoice["lines"]]
    return lists.cut_whole(found, params, f"/v1/invoices/{id}/lines", "line_item")


@formats("invoice")
def format_invoice(world: World, invoice: Document) -> dict[str, Any]:
    customer, due = invoice["customer_snapshot"], invoicing.amount_due(invoice)
    transitions = invoice["transitions"]
    finalized = "finalized_at" in transitions
    page = invoice_links.page(world, invoice) if finalized else None
    return {
        "id": invoice["id"],
        "object": "invoice",
        "account_country": COUNTRY,
        "account_name": NAME,
        "account_tax_ids": None,
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": invoice["amount_paid"],
        "amount_remaining": due - invoice["amount_paid"],
        "amount_shipping": 0,
        "application": None,
        "attempt_count": invoice["attempt_count"],
        "attempted": invoice["attempted"],
        "auto_advance": invoice["auto_advance"],
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": invoice["automatically_finalizes_at"],
        "billing_reason": invoice["billing_reason"],
        "collection_method": invoice["collection_method"],
        "created": invoice["created"],
        "currency": invoice["currency"],
        "custom_fields": invoice.get("custom_fields"),
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": customer.get("tax_ids", []),
        "default_payment_method": invoice["default_payment_method"],
        "default_source": None,
        "default_tax_rates": tax_rates.wires(world, invoice["default_tax_rates"]),
        "description": invoice["description"],
        "discounts": invoice["discounts"],
        "due_date": invoice["due_date"],
        "effective_at": invoice["effective_at"],
        "ending_balance": invoice["ending_balance"],
        "footer": invoice["footer"],
        "from_invoice": None,
        "hosted_invoice_url": page and f"{page}?s=ap",
        "invoice_pdf": page and f"{page}/pdf?s=ap",
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": lists.embedded(
            [lines.format_line(invoice, line) for line in invoice["lines"]], f"/v1/invoices/{invoice['id']}/lines"
        ),
        "livemode": False,
        "metadata": invoice["metadata"],
        "next_payment_attempt": invoice["next_payment_attempt"],
        "number": invoice["number"],
        "on_behalf_of": None,
        "parent": _parent(invoice),
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": invoice["period_end"],
        "period_start": invoice["period_start"],
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": invoice["starting_balance"],
        "statement_descriptor": None,
        "status": invoice["status"],
        **_status_details(invoice),
        "status_transitions": {
            name: transitions.get(name) for name in ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        },
        "subtotal": invoice["subtotal"],
        "subtotal_excluding_tax": invoice["subtotal_excluding_tax"],
        "test_clock": world.test_clock_id(invoice),
        "total": invoice["total"],
        "total_discount_amounts": invoice["total_discount_amounts"],
        "total_excluding_tax": invoice["total_excluding_tax"],
        "total_pretax_credit_amounts": [{**one, "type": "discount"} for one in invoice["total_discount_amounts"]],
        "total_taxes": invoice["total_taxes"],
        "webhooks_delivered_at": invoice["created"],
    }


def _parent(invoice: Document) -> dict[str, Any] | None:
    """What it came of: a subscription, a quote, or nothing but somebody's hand."""
    if invoice["subscription"]:
        details = {"metadata": invoice["subscription_metadata"], "subscription": invoice["subscription"]}
        return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}
    if invoice.get("quote"):
        return {
            "quote_details": {"quote": invoice["quote"]},
            "subscription_details": None,
            "type": "quote_details",
        }
    return None


def _status_details(invoice: Document) -> dict[str, Any]:
    because = invoice["uncollectible_because"]
    return {"status_details": {"uncollectible": {"reason": because}}} if because else {}


@includes("invoice", "confirmation_secret")
def confirmation_secret(world: World, id: str) -> dict[str, Any] | None:
    """What a browser needs to pay it: its intent's client secret."""
    intent = world.find(world.get("invoice", id)["payment_intent"], "payment_intent")
    return {"client_secret": intent["client_secret"], "type": "payment_intent"} if intent else None


@includes("invoice", "payments")
def payments_of(world: World, id: str) -> dict[str, Any]:
    found = world.select("invoice_payment", "invoice = ?", (id,))
    data = [world.wire(payment) for payment in found]
    return {"object": "list", "data": data, "has_more": False, "url": "/v1/invoices/payments"}
