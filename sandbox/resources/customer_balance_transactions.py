"""/v1/customers/<customer>/balance_transactions: what a customer is owed (below zero) or owes, and why."""

from typing import Any

from stripe.params import (
    CustomerBalanceTransactionCreateParams,
    CustomerBalanceTransactionListParams,
    CustomerBalanceTransactionRetrieveParams,
    CustomerBalanceTransactionUpdateParams,
)

from sandbox import lists, money
from sandbox.errors import StripeError, missing, no_such
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND = "customer_balance_transaction"


@route(
    "POST /v1/customers/<customer>/balance_transactions",
    CustomerBalanceTransactionCreateParams,
    "amount currency description metadata",
)
def create(world: World, params: dict[str, Any], customer: str) -> Document:
    """Adjust the balance by an amount in the smallest unit; below zero it pays coming invoices."""
    for name in ("amount", "currency"):
        if params.get(name) is None:
            raise missing(name)
    owner, currency = world.get("customer", customer), money.currency(params["currency"])
    if owner["currency"] not in (None, currency):
        text = f"The customer's balance is in {owner['currency']}; it cannot be adjusted in {currency}."
        raise StripeError(text, param="currency")
    world.update(owner, "customer.updated", balance=owner["balance"] + params["amount"], currency=currency)
    more = {"description": params.get("description"), "metadata": merge_metadata({}, params.get("metadata"))}
    return record(world, owner, params["amount"], "adjustment", **more)


@route(
    "GET /v1/customers/<customer>/balance_transactions",
    CustomerBalanceTransactionListParams,
    "created ending_before invoice limit starting_after",
)
def list_transactions(world: World, params: dict[str, Any], customer: str) -> lists.Page:
    world.get("customer", customer)
    return lists.page(world, KIND, params, customer=customer, invoice=params.get("invoice"))


@route("GET /v1/customers/<customer>/balance_transactions/<id>", CustomerBalanceTransactionRetrieveParams)
def retrieve(world: World, params: dict[str, Any], customer: str, id: str) -> Document:
    transaction = world.get(KIND, id)
    if transaction["customer"] != customer:
        raise no_such(KIND, id)
    return transaction


@route(
    "POST /v1/customers/<customer>/balance_transactions/<id>",
    CustomerBalanceTransactionUpdateParams,
    "description metadata",
)
def update(world: World, params: dict[str, Any], customer: str, id: str) -> Document:
    transaction = retrieve(world, {}, customer, id)
    if "description" in params:
        transaction["description"] = params["description"]
    if "metadata" in params:
        transaction["metadata"] = merge_metadata(transaction["metadata"], params["metadata"])
    world.save(transaction)
    return transaction


@formats(KIND)
def format_transaction(world: World, transaction: Document) -> dict[str, Any]:
    names = "id object amount created currency customer description ending_balance invoice metadata type"
    return {name: transaction[name] for name in names.split()} | {
        "checkout_session": None,
        "credit_note": None,
        "customer_account": None,
        "livemode": False,
    }


def record(world: World, customer: Document, amount: int, kind: str, **fields: Any) -> Document:
    """Note why a balance, already changed, was changed by an amount.

    kind: Stripe's word, such as applied_to_invoice. fields: invoice, currency, description, metadata.
    """
    known: dict[str, Any] = {
        "currency": customer["currency"] or "usd",
        "description": None,
        "invoice": None,
        "metadata": {},
    }
    return world.create(
        KIND,
        "cbtxn_",
        amount=amount,
        customer=customer["id"],
        ending_balance=customer["balance"],
        type=kind,
        **known | fields,
    )
