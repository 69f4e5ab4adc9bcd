"""/v1/invoices/<id>/...: what becomes of an invoice"""

from typing import Any

from stripe.params import (
    InvoiceFinalizeInvoiceParams,
    InvoiceMarkUncollectibleParams,
    InvoicePayParams,
    InvoiceSendInvoiceParams,
    InvoiceVoidInvoiceParams,
)

from sandbox.billing import dunning, invoicing, payments, pending, resuming, subscribing
from sandbox.errors import CardError, StripeError
from sandbox.resources import payment_methods
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World

NEEDS_ACTION = (
    "This payment requires additional user action before it can be completed successfully. Payment can be completed "
    "using the PaymentIntent associated with the invoice. For more details see: "
    "https://stripe.com/docs/billing/subscriptions/overview#requires-action"
)


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
            return invoice
    if invoice["status"] == "paid":
        raise StripeError("Invoice is already paid")
    if invoice["status"] not in ("open", "uncollectible"):
        raise StripeError(f"Invoices with status {invoice['status']} can't be paid.", code="invoice_not_editable")
    if params.get("paid_out_of_band"):
        _check_nothing_under_way(world, invoice)
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
    _check_nothing_under_way(world, invoice)
    invoicing.void(world, invoice)
    pending.drop(world, invoice)
    subscribing.reconsider(world, invoice)
    return invoice


@route("POST /v1/invoices/<id>/send", InvoiceSendInvoiceParams)
def send(world: World, params: dict[str, Any], id: str) -> Document:
    """Send it by mail, which here means no more than to say so; a draft is finalized first."""
    invoice = world.get("invoice", id)
    if invoice["status"] == "draft":
        invoicing.finalize(world, invoice)
    if invoice["status"] not in ("open", "paid"):
        raise StripeError(f"You can't send an invoice with the status {invoice['status']}.")
    world.emit("invoice.sent", invoice)
    return invoice


@route("POST /v1/invoices/<id>/mark_uncollectible", InvoiceMarkUncollectibleParams)
def mark_uncollectible(world: World, params: dict[str, Any], id: str) -> Document:
    invoice = world.get("invoice", id)
    if invoice["status"] != "open":
        text = f"You can only mark open invoices as uncollectible. This invoice has a status of {invoice['status']}."
        raise StripeError(text)
    invoicing.mark_uncollectible(world, invoice)
    subscribing.reconsider(world, invoice)
    resuming.settled(world, invoice)
    dunning.after_payment(world, invoice)
    return invoice


def _check_nothing_under_way(world: World, invoice: Document) -> None:
    """Raises Stripe's error while a bank debit for it is on its way."""
    intent = world.find(invoice["payment_intent"], "payment_intent")
    if intent and intent["status"] == "processing":
        payments.check_confirmable(world, intent)
