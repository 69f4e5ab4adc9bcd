"""/v1/invoices"""

from typing import Any

from stripe.params import (
    InvoiceCreatePreviewParams,
    InvoiceFinalizeInvoiceParams,
    InvoiceLineItemListParams,
    InvoiceListParams,
    InvoicePayParams,
    InvoiceRetrieveParams,
    InvoiceUpdateParams,
    InvoiceVoidInvoiceParams,
)

from sandbox import lists
from sandbox.billing import invoicing, lines, payments, pending, previewing, subscribing
from sandbox.errors import CardError, StripeError
from sandbox.params import merge_metadata
from sandbox.resources import invoice_links, payment_methods, tax_rates
from sandbox.resources.account import COUNTRY, NAME
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats, includes

NEEDS_ACTION = (
    "This payment requires additional user action before it can be completed successfully. Payment can be completed "
    "using the PaymentIntent associated with the invoice. For more details see: "
    "https://stripe.com/docs/billing/subscriptions/overview#requires-action"
)


DETAILS = (
    "billing_cycle_anchor billing_mode cancel_at cancel_at_period_end cancel_now default_tax_rates items metadata "
    "proration_behavior proration_date resume_at trial_end"
)


@route(
    "POST /v1/invoices/create_preview",
    InvoiceCreatePreviewParams,
    "currency customer discounts invoice_items preview_mode schedule subscription "
    + " ".join(f"subscription_details.{name}" for name in DETAILS.split()),
)
def create_preview(world: World, params: dict[str, Any]) -> dict[str, Any]:
    return previewing.preview(world, params)


@route("GET /v1/invoices/<id>", InvoiceRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("invoice", id)


@route("POST /v1/invoices/<id>", InvoiceUpdateParams, "auto_advance default_payment_method description metadata")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    invoice = world.get("invoice", id)
    if invoice["status"] != "draft" and "description" in params:
        text = "Finalized invoices can't be updated in this way"
        raise StripeError(text, code="invoice_not_editable")
    changes: dict[str, Any] = {name: params[name] for name in ("auto_advance", "description") if name in params}
    if params.get("default_payment_method"):
        method = payment_methods.usable(world, params["default_payment_method"], invoice["customer"])
        changes["default_payment_method"] = method["id"]
    if "metadata" in params:
        changes["metadata"] = merge_metadata(invoice["metadata"], params["metadata"])
    world.update(invoice, "invoice.updated", **changes)
    return invoice


@route(
    "GET /v1/invoices",
    InvoiceListParams,
    "collection_method created customer ending_before limit starting_after status subscription",
)
def list_invoices(world: World, params: dict[str, Any]) -> lists.Page:
    equal = {name: params.get(name) for name in ("customer", "subscription", "status")}
    return lists.page(world, "invoice", params, **equal)


@route("GET /v1/invoices/<id>/lines", InvoiceLineItemListParams, "ending_before limit starting_after")
def list_lines(world: World, params: dict[str, Any], id: str) -> dict[str, Any]:
    invoice = world.get("invoice", id)
    found = [lines.format_line(invoice, line) for line in invoice["lines"]]
    ids = [line["id"] for line in found]
    if params.get("starting_after") in ids:
        found = found[ids.index(params["starting_after"]) + 1 :]
    if params.get("ending_before") in ids:
        found = found[: ids.index(params["ending_before"])]
    size = lists.limit(params)
    url = f"/v1/invoices/{id}/lines"
    return {"object": "list", "data": found[:size], "has_more": len(found) > size, "url": url}


@route("POST /v1/invoices/<id>/finalize", InvoiceFinalizeInvoiceParams, "auto_advance")
def finalize(world: World, params: dict[str, Any], id: str) -> Document:
    invoice = world.get("invoice", id)
    if invoice["status"] != "draft":
        text = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise StripeError(text, code="invoice_not_editable")
    if "auto_advance" in params:
        invoice["auto_advance"] = params["auto_advance"]
    invoicing.finalize(world, invoice)
    return invoice


@route("POST /v1/invoices/<id>/pay", InvoicePayParams, "off_session paid_out_of_band payment_method")
def pay(world: World, params: dict[str, Any], id: str) -> Document:
    """Collect now. Off session unless told otherwise, but such a try is not one of the automatic ones."""
    invoice = world.get("invoice", id)
    if invoice["status"] == "draft":
        invoicing.finalize(world, invoice)
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid")
    if invoice["status"] != "open":
        raise StripeError(f"Invoices with status {invoice['status']} can't be paid.", code="invoice_not_editable")
    if params.get("paid_out_of_band"):
        invoicing.settle_out_of_band(world, invoice)
        return invoice
    if params.get("payment_method"):
        method: Document | None = payment_methods.usable(world, params["payment_method"], invoice["customer"])
    else:
        method = invoicing.method_for(world, invoice)
    if method is None:
        raise StripeError(subscribing.NO_METHOD, code="resource_missing")
    intent = world.get("payment_intent", invoice["payment_intent"])
    payments.attempt(world, intent, method, off_session=params.get("off_session", True), automatic=False)
    if intent["status"] == "requires_action":
        raise CardError(NEEDS_ACTION, code="invoice_payment_intent_requires_action", payment_intent=world.wire(intent))
    if intent["last_payment_error"]:
        raise CardError(**payments.for_caller(world, intent, intent["last_payment_error"]))
    return invoice


@route("POST /v1/invoices/<id>/void", InvoiceVoidInvoiceParams)
def void(world: World, params: dict[str, Any], id: str) -> Document:
    invoice = world.get("invoice", id)
    if invoice["status"] not in ("open", "uncollectible"):
        text = f"You can only pass in open or uncollectible invoices. This invoice has a status of {invoice['status']}."
        raise StripeError(text)
    invoicing.void(world, invoice)
    pending.drop(world, invoice)
    subscribing.reconsider(world, invoice)
    return invoice


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
        "custom_fields": None,
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
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
        "parent": invoice["subscription"]
        and {
            "quote_details": None,
            "subscription_details": {
                "metadata": invoice["subscription_metadata"],
                "subscription": invoice["subscription"],
            },
            "type": "subscription_details",
        },
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
