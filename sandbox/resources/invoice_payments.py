"""/v1/invoice_payments"""

from typing import Any

from stripe.params import InvoicePaymentListParams, InvoicePaymentRetrieveParams

from sandbox import lists
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats


@route("GET /v1/invoice_payments/<id>", InvoicePaymentRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("invoice_payment", id)


@route(
    "GET /v1/invoice_payments",
    InvoicePaymentListParams,
    "created ending_before invoice limit payment.type payment.payment_intent starting_after status",
)
def list_invoice_payments(world: World, params: dict[str, Any]) -> lists.Page:
    payment = params.get("payment", {}).get("payment_intent")
    equal = {"invoice": params.get("invoice"), "payment_intent": payment, "status": params.get("status")}
    return lists.page(world, "invoice_payment", params, **equal)


def create(world: World, invoice: Document, amount: int) -> None:
    """The part of an invoice that its intent is to pay."""
    world.create(
        "invoice_payment",
        "inpay_",
        amount_paid=None,
        amount_requested=amount,
        canceled_at=None,
        currency=invoice["currency"],
        invoice=invoice["id"],
        paid_at=None,
        payment_intent=invoice["payment_intent"],
        status="open",
    )


def close(world: World, invoice: Document, status: str) -> None:
    """Its open payments are paid or canceled."""
    now = world.now(invoice["customer"])
    for payment in world.select("invoice_payment", "invoice = ? AND status = 'open'", (invoice["id"],)):
        payment.update(status=status, **{f"{status}_at": now})
        if status == "paid":
            payment["amount_paid"] = payment["amount_requested"]
        world.save(payment)
        if status == "paid":
            world.emit("invoice_payment.paid", payment)


@formats("invoice_payment")
def format_invoice_payment(world: World, payment: Document) -> dict[str, Any]:
    return {
        "id": payment["id"],
        "object": "invoice_payment",
        "amount_paid": payment["amount_paid"],
        "amount_requested": payment["amount_requested"],
        "created": payment["created"],
        "currency": payment["currency"],
        "invoice": payment["invoice"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": payment["payment_intent"], "type": "payment_intent"},
        "status": payment["status"],
        "status_transitions": {"canceled_at": payment["canceled_at"], "paid_at": payment["paid_at"]},
    }
