"""/v1/invoiceitems: what waits for an invoice, such as prorations"""

from typing import Any

from stripe.params import InvoiceItemListParams, InvoiceItemRetrieveParams

from sandbox import lists
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats


@route("GET /v1/invoiceitems/<id>", InvoiceItemRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("invoiceitem", id)


@route(
    "GET /v1/invoiceitems",
    InvoiceItemListParams,
    "created customer ending_before invoice limit pending starting_after",
)
def list_invoice_items(world: World, params: dict[str, Any]) -> lists.Page:
    status = None if "pending" not in params else "pending" if params["pending"] else "invoiced"
    equal = {"customer": params.get("customer"), "invoice": params.get("invoice"), "status": status}
    return lists.page(world, "invoiceitem", params, **equal)


def create(world: World, subscription: Document, line: dict[str, Any]) -> Document:
    """A proration that waits for the subscription's next invoice."""
    item = world.create(
        "invoiceitem",
        "ii_",
        customer=subscription["customer"],
        currency=subscription["currency"],
        invoice=None,
        line=line,
        status="pending",
        subscription=subscription["id"],
    )
    world.emit("invoiceitem.created", item)
    return item


@formats("invoiceitem")
def format_invoice_item(world: World, item: Document) -> dict[str, Any]:
    line = item["line"]
    return {
        "id": item["id"],
        "object": "invoiceitem",
        "amount": line["amount"],
        "currency": item["currency"],
        "customer": item["customer"],
        "customer_account": None,
        "date": item["created"],
        "description": line["description"],
        "discountable": line["discountable"],
        "discounts": [],
        "invoice": item["invoice"],
        "livemode": False,
        "metadata": line["metadata"],
        "parent": {
            "subscription_details": {
                "subscription": line["subscription"],
                "subscription_item": line["subscription_item"],
            },
            "type": "subscription_details",
        },
        "period": line["period"],
        "pricing": {
            "price_details": {"price": line["price"], "product": line["product"]},
            "type": "price_details",
            "unit_amount_decimal": line["unit_amount_decimal"],
        },
        "proration": line["proration"],
        "proration_details": {"credited_items": _credited(line["credited_items"]), "discount_amounts": []},
        "quantity": line["quantity"],
        "quantity_decimal": str(line["quantity"]),
        "tax_rates": [],
        "test_clock": None,
    }


def _credited(credited: dict[str, Any] | None) -> dict[str, Any] | None:
    return credited and {"invoice_line_item_details": credited, "type": "invoice_line_items"}
