"""/v1/invoiceitems: what waits for an invoice, such as prorations"""

from decimal import Decimal
from typing import Any

from stripe.params import (
    InvoiceItemCreateParams,
    InvoiceItemDeleteParams,
    InvoiceItemListParams,
    InvoiceItemRetrieveParams,
    InvoiceItemUpdateParams,
)

from sandbox import lists, money
from sandbox.errors import StripeError, missing
from sandbox.params import merge_metadata
from sandbox.resources import tax_rates
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

FIELDS = "amount description discountable discounts metadata period price_data pricing quantity tax_rates"


@route(
    "POST /v1/invoiceitems",
    InvoiceItemCreateParams,
    f"{FIELDS} currency customer invoice subscription unit_amount_decimal",
)
def create_by_hand(world: World, params: dict[str, Any]) -> Document:
    from sandbox.billing import adding

    if not params.get("customer"):
        raise missing("customer")
    customer = world.get("customer", params["customer"], "customer")
    invoice = _draft(world, params["invoice"], customer) if params.get("invoice") else None
    subscription = (
        world.get("subscription", params["subscription"], "subscription") if params.get("subscription") else None
    )
    known = (invoice or subscription or customer)["currency"]
    currency = money.currency(params["currency"]) if params.get("currency") else known or "usd"
    line = adding.line(world, customer, params, currency)
    if subscription:
        line["subscription"] = subscription["id"]
    item = create(world, customer, line, currency=currency, subscription=subscription and subscription["id"])
    if invoice:
        put_on(world, item, invoice)
    return item


@route("GET /v1/invoiceitems/<id>", InvoiceItemRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("invoiceitem", id)


@route(
    "POST /v1/invoiceitems/<id>",
    InvoiceItemUpdateParams,
    "amount description discountable metadata period quantity tax_rates",
)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    item = world.get("invoiceitem", id)
    _check_open(world, item)
    line = {**item["line"]}
    line |= {name: params[name] for name in ("amount", "description", "discountable", "period") if name in params}
    if "quantity" in params and line["unit_amount_decimal"]:
        line["quantity"] = params["quantity"]
        line["amount"] = money.rounded(Decimal(line["unit_amount_decimal"]) * params["quantity"])
    if "metadata" in params:
        line["metadata"] = merge_metadata(line["metadata"], params["metadata"])
    if "tax_rates" in params:
        line["tax_rates"] = tax_rates.checked(world, params["tax_rates"], "tax_rates")
    world.update(item, line=line)
    if item["invoice"]:
        _replace_line(world, item, {**line, "invoice_item": id})
    return item


@route("DELETE /v1/invoiceitems/<id>", InvoiceItemDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    item = world.get("invoiceitem", id)
    _check_open(world, item)
    world.emit("invoiceitem.deleted", item)
    if item["invoice"]:
        _replace_line(world, item, None)
    item["deleted"] = True
    world.save(item)
    return item


@route(
    "GET /v1/invoiceitems",
    InvoiceItemListParams,
    "created customer ending_before invoice limit pending starting_after",
)
def list_invoice_items(world: World, params: dict[str, Any]) -> lists.Page:
    status = None if "pending" not in params else "pending" if params["pending"] else "invoiced"
    equal = {"customer": params.get("customer"), "invoice": params.get("invoice"), "status": status}
    return lists.page(world, "invoiceitem", params, **equal)


def create(world: World, owner: Document, line: dict[str, Any], **more: Any) -> Document:
    """What waits for the next invoice of a subscription or a customer: a proration, or something added."""
    of_subscription = owner["object"] == "subscription"
    item = world.create(
        "invoiceitem",
        "ii_",
        customer=owner["customer"] if of_subscription else owner["id"],
        invoice=None,
        line=line,
        status="pending",
        **{"currency": owner["currency"], "subscription": owner["id"] if of_subscription else None} | more,
    )
    world.emit("invoiceitem.created", item)
    return item


def put_on(world: World, item: Document, invoice: Document) -> None:
    """Have a waiting item stand on a draft."""
    from sandbox.billing import drafting, lines

    item.update(status="invoiced", invoice=invoice["id"])
    world.save(item)
    drafting.set_lines(world, invoice, [lines.for_pending(world, item), *invoice["lines"]])


def _draft(world: World, id: str, customer: Document) -> Document:
    invoice = world.get("invoice", id, "invoice")
    if invoice["status"] != "draft":
        text = "This invoice is no longer editable: invoice items can only be added to drafts."
        raise StripeError(text, code="invoice_not_editable", param="invoice")
    if invoice["customer"] != customer["id"]:
        raise StripeError(f"The invoice {id} belongs to another customer.", param="invoice")
    return invoice


def _check_open(world: World, item: Document) -> None:
    invoice = world.find(item["invoice"], "invoice")
    if invoice and invoice["status"] != "draft":
        text = "You can't modify or delete an invoice item whose invoice is finalized."
        raise StripeError(text, code="invoice_not_editable")


def _replace_line(world: World, item: Document, line: dict[str, Any] | None) -> None:
    from sandbox.billing import drafting

    invoice = world.get("invoice", item["invoice"])
    kept = []
    for old in invoice["lines"]:
        if old["invoice_item"] != item["id"]:
            kept.append(old)
        elif line:
            kept.append({**line, "id": old["id"]})
    drafting.set_lines(world, invoice, kept)


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
        "discounts": line["discounts"],
        "invoice": item["invoice"],
        "livemode": False,
        "metadata": line["metadata"],
        "parent": item["subscription"] and {"subscription_details": _parent(item), "type": "subscription_details"},
        "period": line["period"],
        "pricing": {
            "price_details": {"price": line["price"], "product": line["product"]},
            "type": "price_details",
            "unit_amount_decimal": line["unit_amount_decimal"],
        },
        "proration": line["proration"],
        "proration_details": {
            "credited_items": _credited(line["credited_items"]),
            "discount_amounts": line["discount_amounts"] if line["proration"] else [],
        },
        "quantity": line["quantity"],
        "quantity_decimal": str(line["quantity"]),
        "tax_rates": tax_rates.wires(world, line["tax_rates"]),
        "test_clock": world.test_clock_id(item),
    }


def _parent(item: Document) -> dict[str, Any]:
    """Whose it is: a subscription, and the item of it that a proration is about."""
    of = item["line"]["subscription_item"]
    return {"subscription": item["subscription"]} | ({"subscription_item": of} if of else {})


def _credited(credited: dict[str, Any] | None) -> dict[str, Any] | None:
    if credited is None:
        return None
    if "invoice_item" in credited:
        return {**credited, "type": "invoice_item"}
    return {"invoice_line_item_details": credited, "type": "invoice_line_items"}
