"""/v1/customers/<customer>/tax_ids, /v1/tax_ids"""

import re
from typing import Any

from stripe.params import (
    CustomerTaxIdCreateParams,
    CustomerTaxIdDeleteParams,
    CustomerTaxIdListParams,
    CustomerTaxIdRetrieveParams,
    TaxIdCreateParams,
    TaxIdDeleteParams,
    TaxIdListParams,
    TaxIdRetrieveParams,
)

from sandbox import lists
from sandbox.errors import StripeError, missing, no_such, not_built
from sandbox.jobs import job
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

EU = "AT BE BG CY CZ DE DK EE EL ES FI FR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI"
# The kinds whose form is checked; the first three are looked up in a register, too.
FORMS = {
    "au_abn": r"\d{11}",
    "eu_vat": f"({EU.replace(' ', '|')})[0-9A-Z+*]{{2,12}}",
    "gb_vat": r"GB(\d{9}|\d{12}|GD\d{3}|HA\d{3})",
    "ca_bn": r"\d{9}",
    "ch_vat": r"CHE-?\d{3}\.?\d{3}\.?\d{3} ?(MWST|TVA|IVA)",
    "in_gst": r"\d{2}[A-Z]{5}\d{4}[A-Z][0-9A-Z]Z[0-9A-Z]",
    "no_vat": r"\d{9}MVA",
    "nz_gst": r"\d{8,9}",
    "us_ein": r"\d{2}-\d{7}",
}
REGISTERED = ("au_abn", "eu_vat", "gb_vat")
TEST_VALUES = {"000000000": "verified", "111111111": "unverified", "222222222": "pending"}  # Stripe's, in test mode
REGISTER_ANSWERS_AFTER = 5  # seconds


@route("POST /v1/customers/<customer>/tax_ids", CustomerTaxIdCreateParams, "type value")
def create(world: World, params: dict[str, Any], customer: str) -> Document:
    world.get("customer", customer)
    for name in ("type", "value"):
        if not params.get(name):
            raise missing(name)
    kind, value = params["type"], params["value"]
    if kind in FORMS and not re.fullmatch(FORMS[kind], value) and _outcome(kind, value) is None:
        raise StripeError(f"Invalid value for {kind}.", code="tax_id_invalid", param="value")
    country = _country(kind, value)
    status = "pending" if kind in REGISTERED else "unavailable"
    tax_id = world.create(
        "tax_id", "txi_", country=country, customer=customer, type=kind, value=value, verification=_result(status)
    )
    if kind in REGISTERED and _outcome(kind, value) != "pending":
        world.schedule(world.now(customer) + REGISTER_ANSWERS_AFTER, "verify_tax_id", tax_id)
    world.emit("customer.tax_id.created", tax_id)
    return tax_id


@route("GET /v1/customers/<customer>/tax_ids", CustomerTaxIdListParams, "ending_before limit starting_after")
def list_of_customer(world: World, params: dict[str, Any], customer: str) -> lists.Page:
    world.get("customer", customer)
    return lists.page(world, "tax_id", params, customer=customer)


@route("GET /v1/customers/<customer>/tax_ids/<id>", CustomerTaxIdRetrieveParams)
def retrieve_of_customer(world: World, params: dict[str, Any], customer: str, id: str) -> Document:
    tax_id = world.get("tax_id", id)
    if tax_id["customer"] != customer:
        raise no_such("tax_id", id)
    return tax_id


@route("DELETE /v1/customers/<customer>/tax_ids/<id>", CustomerTaxIdDeleteParams)
def delete_of_customer(world: World, params: dict[str, Any], customer: str, id: str) -> Document:
    return delete(world, params, retrieve_of_customer(world, params, customer, id)["id"])


@route("POST /v1/tax_ids", TaxIdCreateParams, "owner.customer owner.type type value")
def create_for_owner(world: World, params: dict[str, Any]) -> Document:
    customer = _owner(params)
    world.get("customer", customer, "owner[customer]")
    return create(world, params, customer)


@route("GET /v1/tax_ids", TaxIdListParams, "ending_before limit owner.customer owner.type starting_after")
def list_of_owner(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, "tax_id", params, customer=_owner(params))


@route("GET /v1/tax_ids/<id>", TaxIdRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("tax_id", id)


@route("DELETE /v1/tax_ids/<id>", TaxIdDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    tax_id = world.get("tax_id", id)
    world.emit("customer.tax_id.deleted", tax_id)
    tax_id["deleted"] = True
    world.save(tax_id)
    return tax_id


@job("verify_tax_id")
def verify(world: World, tax_id: Document) -> None:
    """The register has answered: every number is good but Stripe's bad test value."""
    status = _outcome(tax_id["type"], tax_id["value"]) or "verified"
    customer = world.get("customer", tax_id["customer"])
    world.update(tax_id, "customer.tax_id.updated", verification=_result(status, customer))


@formats("tax_id")
def format_tax_id(world: World, tax_id: Document) -> dict[str, Any]:
    names = "id object country created customer type value verification"
    return {name: tax_id[name] for name in names.split()} | {
        "customer_account": None,
        "livemode": False,
        "owner": {"customer": tax_id["customer"], "customer_account": None, "type": "customer"},
    }


def on_invoices(world: World, customer: str) -> list[dict[str, str]]:
    """A customer's tax ids as an invoice keeps them."""
    found = world.select("tax_id", "customer = ?", (customer,))
    return [{"type": tax_id["type"], "value": tax_id["value"]} for tax_id in found]


def _owner(params: dict[str, Any]) -> str:
    owner = params.get("owner") or {"type": "self"}
    if owner["type"] != "customer":
        raise not_built(f"tax ids of an owner of type {owner['type']}")
    if not owner.get("customer"):
        raise missing("owner[customer]")
    return str(owner["customer"])


def _country(kind: str, value: str) -> str | None:
    if kind == "eu_vat":
        found = value[:2] if value[:2].isalpha() else None
        return {"EL": "GR", "XI": "GB"}.get(found or "", found)
    prefix = kind.partition("_")[0].upper()
    return None if kind == "eu_oss_vat" else prefix


def _outcome(kind: str, value: str) -> str | None:
    """What Stripe's values for tests lead to, with or without their country's letters."""
    return TEST_VALUES.get(value.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) if kind in REGISTERED else None


def _result(status: str, customer: Document | None = None) -> dict[str, Any]:
    known = customer if customer and status == "verified" else {}
    address = [part for part in (known.get("address") or {}).values() if part]
    return {"status": status, "verified_address": ", ".join(address) or None, "verified_name": known.get("name")}
