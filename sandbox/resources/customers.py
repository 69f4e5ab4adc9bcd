"""/v1/customers"""

import re
import secrets
import string
from typing import Any

from stripe.params import (
    CustomerCreateParams,
    CustomerDeleteParams,
    CustomerListParams,
    CustomerRetrieveParams,
    CustomerUpdateParams,
)

from sandbox import lists
from sandbox.errors import StripeError, too_small
from sandbox.params import merge_metadata
from sandbox.resources import customer_balance_transactions as balance
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats, includes

FIELDS = (
    "address balance business_name description email individual_name name next_invoice_sequence phone "
    "preferred_locales shipping tax_exempt"
)
TEXTS = "description email name phone"
SETTINGS = "invoice_settings.custom_fields invoice_settings.default_payment_method invoice_settings.footer"
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


@route(
    "POST /v1/customers",
    CustomerCreateParams,
    f"{FIELDS} {SETTINGS} invoice_prefix metadata payment_method tax_id_data test_clock",
    emptied=TEXTS,
)
def create(world: World, params: dict[str, Any]) -> Document:
    from sandbox.resources import payment_methods, tax_ids, test_clocks

    customer = world.create(
        "customer",
        "cus_",
        currency=None,
        default_payment_method=None,
        delinquent=False,
        invoice_custom_fields=(params.get("invoice_settings") or {}).get("custom_fields"),
        invoice_footer=(params.get("invoice_settings") or {}).get("footer"),
        invoice_prefix=_prefix(params),
        metadata=merge_metadata({}, params.get("metadata")),
        test_clock=params.get("test_clock"),
        **{"balance": 0, "next_invoice_sequence": 1, "tax_exempt": "none"} | _fields(params),
    )
    if customer["test_clock"]:
        test_clocks.attach(world, customer)
    if customer["balance"]:
        balance.record(world, customer, customer["balance"], "initial")
    world.emit("customer.created", customer)
    for given in params.get("tax_id_data", []):
        tax_ids.create(world, given, customer["id"])
    if params.get("payment_method"):
        payment_methods.attach_to(world, params["payment_method"], customer)
    default = (params.get("invoice_settings") or {}).get("default_payment_method")
    if default:
        method = payment_methods.attach_to(world, default, customer) if default.startswith("pm_card_") else None
        customer["default_payment_method"] = method["id"] if method else _own_method(world, customer, default)
        world.save(customer)
    return customer


@route("GET /v1/customers/<id>", CustomerRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    customer = world.find(id, "customer")
    return customer if customer else world.get("customer", id)


@route("POST /v1/customers/<id>", CustomerUpdateParams, f"{FIELDS} {SETTINGS} metadata", emptied=TEXTS)
def update(world: World, params: dict[str, Any], id: str) -> Document:
    customer = world.get("customer", id)
    changes = _fields(params)
    if "metadata" in params:
        changes["metadata"] = merge_metadata(customer["metadata"], params["metadata"])
    settings = params.get("invoice_settings") or {}
    if "default_payment_method" in settings:
        changes["default_payment_method"] = _own_method(world, customer, settings["default_payment_method"])
    changes |= {f"invoice_{name}": settings[name] for name in ("custom_fields", "footer") if name in settings}
    old_balance = customer["balance"]
    world.update(customer, "customer.updated", **changes)
    if customer["balance"] != old_balance:
        balance.record(world, customer, customer["balance"] - old_balance, "adjustment")
    return customer


@route("GET /v1/customers", CustomerListParams, "created email ending_before limit starting_after test_clock")
def list_customers(world: World, params: dict[str, Any]) -> lists.Page:
    from sandbox.resources import test_clocks

    where, values = lists.created_range(params.get("created"))
    if params.get("email"):
        where.append("email = ?")
        values.append(params["email"])
    test_clocks.restrict(world, params, "id", where, values)
    return lists.cut(world, "customer", params, where, values)


@route("DELETE /v1/customers/<id>", CustomerDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    """A deleted customer's subscriptions end at once."""
    from sandbox.billing import subscribing
    from sandbox.resources import payment_methods

    customer = world.get("customer", id)
    for subscription in world.select("subscription", "customer = ?", (id,)):
        if subscription["status"] not in subscribing.ENDED:
            subscribing.cancel(world, subscription)
    for method in world.select("payment_method", "customer = ?", (id,)):
        payment_methods.detach_from_customer(world, method)
    world.emit("customer.deleted", customer)
    customer["deleted"] = True
    world.save(customer)
    return customer


@formats("customer")
def format_customer(world: World, customer: Document) -> dict[str, Any]:
    return {
        "id": customer["id"],
        "object": "customer",
        "address": customer.get("address"),
        "balance": customer["balance"],
        "created": customer["created"],
        "currency": customer["currency"],
        "customer_account": None,
        "default_source": None,
        "delinquent": customer["delinquent"],
        "description": customer.get("description"),
        "discount": None,
        "email": customer.get("email"),
        "invoice_prefix": customer["invoice_prefix"],
        "invoice_settings": {
            "custom_fields": customer.get("invoice_custom_fields"),
            "default_payment_method": customer["default_payment_method"],
            "footer": customer.get("invoice_footer"),
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": customer["metadata"],
        "name": customer.get("name"),
        "next_invoice_sequence": customer["next_invoice_sequence"],
        "phone": customer.get("phone"),
        "preferred_locales": customer.get("preferred_locales") or [],
        "shipping": customer.get("shipping"),
        "tax_exempt": customer["tax_exempt"],
        "test_clock": customer.get("test_clock"),
        **{name: customer[name] for name in ("business_name", "individual_name") if customer.get(name)},
    }


@includes("customer", "subscriptions")
def subscriptions(world: World, id: str) -> dict[str, Any]:
    live = "customer = ? AND status NOT IN ('canceled', 'incomplete_expired')"
    found = world.select("subscription", live, (id,), tail="ORDER BY sequence DESC")
    return lists.embedded([world.wire(s) for s in found], f"/v1/customers/{id}/subscriptions")


@includes("customer", "sources")
def sources(world: World, id: str) -> dict[str, Any]:
    return lists.embedded([], f"/v1/customers/{id}/sources")


@includes("customer", "tax_ids")
def tax_ids(world: World, id: str) -> dict[str, Any]:
    found = world.select("tax_id", "customer = ?", (id,), tail="ORDER BY sequence DESC")
    return lists.embedded([world.wire(tax_id) for tax_id in found], f"/v1/customers/{id}/tax_ids")


@includes("customer", "invoice_credit_balance")
def invoice_credit_balance(world: World, id: str) -> dict[str, int]:
    return {}


@includes("customer", "tax")
def tax(world: World, id: str) -> dict[str, Any]:
    return {"automatic_tax": "unrecognized_location", "ip_address": None, "location": None, "provider": "stripe"}


def address(given: dict[str, Any] | None) -> dict[str, Any] | None:
    """An address as it is sent: every key, null where nothing was given."""
    return None if given is None else {name: given.get(name) for name in ADDRESS}


def shipping(given: dict[str, Any] | None) -> dict[str, Any] | None:
    if given is None:
        return None
    return {"address": address(given["address"]), "name": given["name"], "phone": given.get("phone")}


def _fields(params: dict[str, Any]) -> dict[str, Any]:
    """What was given of the plain fields, checked and in its stored form."""
    found = {name: params[name] for name in FIELDS.split() if name in params}
    if found.get("email") and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+|[^@\s]+@localhost", found["email"]):
        raise StripeError(f"Invalid email address: {found['email']}", code="email_invalid", param="email")
    if found.get("next_invoice_sequence", 1) < 1:
        raise too_small(1, "next_invoice_sequence")
    if "address" in found:
        found["address"] = address(found["address"])
    if "shipping" in found:
        found["shipping"] = shipping(found["shipping"])
    return found


def _own_method(world: World, customer: Document, id: str | None) -> str | None:
    from sandbox.resources import payment_methods

    if id is not None:
        payment_methods.check_attached(world, id, customer, "invoice_settings[default_payment_method]")
    return id


def _prefix(params: dict[str, Any]) -> str:
    given = params.get("invoice_prefix")
    if given and not re.fullmatch("[A-Z0-9]{3,12}", given):
        text = "Invoice prefix must be between 3 and 12 uppercase letters or numbers."
        raise StripeError(text, param="invoice_prefix")
    return given or "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(8))
