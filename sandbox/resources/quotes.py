"""/v1/quotes"""

from typing import Any

from stripe.params import (
    QuoteAcceptParams,
    QuoteCancelParams,
    QuoteComputedUpfrontLineItemsListParams,
    QuoteCreateParams,
    QuoteFinalizeQuoteParams,
    QuoteLineItemListParams,
    QuoteListParams,
    QuotePdfParams,
    QuoteRetrieveParams,
    QuoteUpdateParams,
)

from sandbox import lists, quote_paper
from sandbox.billing import opening, periods, quoting
from sandbox.errors import StripeError, missing, not_built
from sandbox.jobs import job
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats, includes

VALID_FOR = 30 * periods.DAY  # seconds
TEXTS = ("description", "footer", "header")
BUILT = (
    f"{' '.join(TEXTS)} collection_method customer expires_at invoice_settings.days_until_due line_items.price "
    "line_items.price_data line_items.quantity metadata subscription_data.description subscription_data.effective_date "
    "subscription_data.metadata subscription_data.trial_period_days"
)


@route("POST /v1/quotes", QuoteCreateParams, f"{BUILT} from_quote")
def create(world: World, params: dict[str, Any]) -> Document:
    source, revision = None, False
    if params.get("from_quote"):
        source = world.get("quote", params["from_quote"]["quote"], "from_quote[quote]")
        revision = params["from_quote"].get("is_revision", False)
        if source["status"] == "draft" or (revision and source["status"] != "open"):
            text = f"The quote `{source['id']}` cannot be revised because it is {source['status']}."
            raise StripeError(text, param="from_quote[quote]")
    nothing: dict[str, Any] = dict.fromkeys(
        (*TEXTS, "customer", "days_until_due", "invoice", "number", "subscription", "subscription_schedule")
    )
    copied = {} if source is None else {name: source[name] for name in (*TEXTS, "customer", "lines", "metadata")}
    quote = world.create(
        "quote",
        "qt_",
        **nothing
        | {
            "accepted_at": None,
            "billing_mode": opening.billing_mode(None, "flexible", world.now()),
            "canceled_at": None,
            "collection_method": "charge_automatically",
            "currency": None,
            "expires_at": world.now() + VALID_FOR,
            "finalized_at": None,
            "from_quote": source and {"is_revision": revision, "quote": source["id"]},
            "lines": [],
            "metadata": {},
            "revision": source["revision"] + 1 if source and revision else 1,
            "series": source["series"] if source and revision else None,
            "status": "draft",
            "subscription_data": {} if source is None else source["subscription_data"],
        }
        | copied,
    )
    _set(world, quote, params)
    world.emit("quote.created", quote)
    return quote


@route("GET /v1/quotes/<id>", QuoteRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("quote", id)


@route("POST /v1/quotes/<id>", QuoteUpdateParams, f"{BUILT} line_items.id")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    quote = world.get("quote", id)
    if quote["status"] != "draft" and params.keys() - {"expand", "metadata"}:
        text = f"You can only update a quote while it is a draft; this one is {quote['status']}."
        raise StripeError(text)
    _set(world, quote, params)  # Stripe has no event for it
    return quote


@route("GET /v1/quotes", QuoteListParams, "customer ending_before limit starting_after status")
def list_quotes(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, "quote", params, customer=params.get("customer"), status=params.get("status"))


@route("POST /v1/quotes/<id>/finalize", QuoteFinalizeQuoteParams, "expires_at")
def finalize(world: World, params: dict[str, Any], id: str) -> Document:
    """Number it, and leave it open until it is accepted, canceled or too old."""
    quote = world.get("quote", id)
    _check_status(quote, "finalize", "draft")
    if not quote["customer"]:
        raise missing("customer")
    if not quote["lines"]:
        raise missing("line_items")
    now = world.now(quote["customer"])
    quote["expires_at"] = params.get("expires_at", quote["expires_at"])
    periods.checked(quote["expires_at"], "expires_at", after=now)
    customer = world.get("customer", quote["customer"])
    if quote["series"] is None:
        earlier = "customer = ? AND json_extract(document, '$.revision') = 1 AND status <> 'draft'"
        count = len(world.select("quote", earlier, (customer["id"],)))
        quote["series"] = f"QT-{customer['invoice_prefix']}-{count + 1:04}"
    quote.update(finalized_at=now, number=f"{quote['series']}-{quote['revision']}", status="open")
    world.save(quote)
    world.schedule(quote["expires_at"], "expire_quote", quote)
    world.emit("quote.finalized", quote)
    return quote


@route("POST /v1/quotes/<id>/accept", QuoteAcceptParams)
def accept(world: World, params: dict[str, Any], id: str) -> Document:
    """The subscription, schedule or invoice that was quoted comes into being."""
    quote = world.get("quote", id)
    _check_status(quote, "accept", "open")
    world.unschedule(quote, "expire_quote")
    made = quoting.accept(world, quote)
    quote.update(accepted_at=world.now(quote["customer"]), status="accepted", **made)
    world.save(quote)
    world.emit("quote.accepted", quote)
    origin = world.find((quote["from_quote"] or {}).get("quote"), "quote")
    if origin and quote["from_quote"]["is_revision"] and origin["status"] == "open":
        _cancel(world, origin)
    return quote


@route("POST /v1/quotes/<id>/cancel", QuoteCancelParams)
def cancel(world: World, params: dict[str, Any], id: str) -> Document:
    quote = world.get("quote", id)
    _check_status(quote, "cancel", "draft", "open")
    _cancel(world, quote)
    return quote


@job("expire_quote")
def expire(world: World, quote: Document) -> None:
    """Nobody accepted it in time."""
    if quote["status"] == "open":
        _cancel(world, quote)


@route("GET /v1/quotes/<id>/line_items", QuoteLineItemListParams, "ending_before limit starting_after")
def list_line_items(world: World, params: dict[str, Any], id: str) -> dict[str, Any]:
    quote = world.get("quote", id)
    data = [quoting.format_line(world, line) for line in quote["lines"]]
    return lists.cut_whole(data, params, f"/v1/quotes/{id}/line_items", "item")


@route(
    "GET /v1/quotes/<id>/computed_upfront_line_items",
    QuoteComputedUpfrontLineItemsListParams,
    "ending_before limit starting_after",
)
def list_upfront(world: World, params: dict[str, Any], id: str) -> dict[str, Any]:
    quote = world.get("quote", id)
    data = [quoting.format_line(world, line) for line in quoting.upfront_lines(world, quote)]
    return lists.cut_whole(data, params, f"/v1/quotes/{id}/computed_upfront_line_items", "item")


@route("GET /v1/quotes/<id>/pdf", QuotePdfParams)
def pdf(world: World, params: dict[str, Any], id: str) -> bytes:
    quote = world.get("quote", id)
    if quote["status"] == "draft":
        raise StripeError("A draft quote has no PDF: finalize it first.")
    return quote_paper.pdf(world, quote)


@formats("quote")
def format_quote(world: World, quote: Document) -> dict[str, Any]:
    names = (
        "id object collection_method created currency customer description expires_at footer from_quote header invoice "
        "metadata number status subscription subscription_schedule"
    )
    data, computed = quote["subscription_data"], quoting.sums(world, quote)
    return {name: quote[name] for name in names.split()} | {
        "amount_subtotal": computed["upfront"]["amount_subtotal"],
        "amount_total": computed["upfront"]["amount_total"],
        "application": None,
        "application_fee_amount": None,
        "application_fee_percent": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "computed": computed,
        "customer_account": None,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {
            "custom_fields": None,
            "days_until_due": quote["days_until_due"],
            "description": None,
            "footer": None,
            "issuer": {"type": "self"},
        },
        "livemode": False,
        "on_behalf_of": None,
        "status_transitions": {name: quote[name] for name in ("accepted_at", "canceled_at", "finalized_at")},
        "subscription_data": {
            "billing_mode": {name: quote["billing_mode"][name] for name in ("flexible", "type")},
            "description": data.get("description"),
            "effective_date": data.get("effective_date"),
            "metadata": data.get("metadata") or {},
            "trial_period_days": data.get("trial_period_days"),
        },
        "test_clock": world.test_clock_id(quote) if quote["customer"] else None,
        "total_details": computed["upfront"]["total_details"],
        "transfer_data": None,
    }


@includes("quote", "line_items")
def line_items(world: World, id: str) -> dict[str, Any]:
    return list_line_items(world, {}, id)


def _set(world: World, quote: Document, params: dict[str, Any]) -> None:
    """Carry out what a request asks of a quote, and save it."""
    for name in (*TEXTS, "collection_method", "expires_at"):
        if name in params:
            quote[name] = params[name]
    if "customer" in params:
        quote["customer"] = world.get("customer", params["customer"], "customer")["id"]
    if "metadata" in params:
        quote["metadata"] = merge_metadata(quote["metadata"], params["metadata"])
    if "invoice_settings" in params:
        quote["days_until_due"] = params["invoice_settings"].get("days_until_due", quote["days_until_due"])
    if "subscription_data" in params:
        quote["subscription_data"] = quote["subscription_data"] | params["subscription_data"]
    if quote["subscription_data"].get("effective_date") == "current_period_end":
        raise not_built("quotes that begin with the current period's end")
    if "line_items" in params:
        known = {line["id"]: line for line in quote["lines"]}
        wishes = [{**known.get(wish.get("id", ""), {}), **wish} for wish in params["line_items"] or []]
        customer = world.get("customer", quote["customer"]) if quote["customer"] else None
        quote["lines"] = quoting.checked_lines(world, wishes, customer)
    if "expires_at" in params:
        periods.checked(quote["expires_at"], "expires_at", after=world.now(quote["customer"]))
    if quote["collection_method"] == "send_invoice" and quote["days_until_due"] is None:
        raise missing("invoice_settings[days_until_due]")
    quote["currency"] = world.get("price", quote["lines"][0]["price"])["currency"] if quote["lines"] else None
    world.save(quote)


def _check_status(quote: Document, verb: str, *allowed: str) -> None:
    if quote["status"] not in allowed:
        wanted = " or ".join(f"`{status}`" for status in allowed)
        text = f"You cannot {verb} a quote with the status `{quote['status']}`: it must be {wanted}."
        raise StripeError(text)


def _cancel(world: World, quote: Document) -> None:
    world.unschedule(quote, "expire_quote")
    quote.update(canceled_at=world.now(quote["customer"]), status="canceled")
    world.save(quote)
    world.emit("quote.canceled", quote)
