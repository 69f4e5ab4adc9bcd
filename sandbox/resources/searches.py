"""GET /v1/<things>/search"""

from collections.abc import Callable
from typing import Any

from stripe.params import (
    ChargeSearchParams,
    CustomerSearchParams,
    InvoiceSearchParams,
    PaymentIntentSearchParams,
    PriceSearchParams,
    ProductSearchParams,
    SubscriptionSearchParams,
)

from sandbox import lists, searching
from sandbox.errors import StripeError
from sandbox.routes import route
from sandbox.world import World

PAYMENT: dict[str, type] = {"amount": int, "created": int, "currency": str, "customer": str, "metadata": dict}
SEARCHED: dict[str, tuple[str, Any, dict[str, type]]] = {
    "charges": ("charge", ChargeSearchParams, PAYMENT | {"disputed": bool, "refunded": bool, "status": str}),
    "customers": (
        "customer",
        CustomerSearchParams,
        {"created": int, "email": str, "metadata": dict, "name": str, "phone": str},
    ),
    "invoices": (
        "invoice",
        InvoiceSearchParams,
        {"created": int, "currency": str, "customer": str, "metadata": dict, "number": str}
        | {"receipt_number": str, "status": str, "subscription": str, "total": int},
    ),
    "payment_intents": ("payment_intent", PaymentIntentSearchParams, PAYMENT | {"status": str}),
    "prices": (
        "price",
        PriceSearchParams,
        {"active": bool, "currency": str, "lookup_key": str, "metadata": dict, "product": str, "type": str},
    ),
    "products": (
        "product",
        ProductSearchParams,
        {"active": bool, "description": str, "metadata": dict, "name": str, "shippable": bool, "url": str},
    ),
    "subscriptions": (
        "subscription",
        SubscriptionSearchParams,
        {"canceled_at": int, "created": int, "metadata": dict, "status": str},
    ),
}


def _search(path: str, kind: str, fields: dict[str, type]) -> Callable[[World, dict[str, Any]], dict[str, Any]]:
    def search(world: World, params: dict[str, Any]) -> dict[str, Any]:
        """What fits the query, newest first. It is looked for among all there is, so it takes its time."""
        fits, size, start = searching.parse(params["query"], fields), lists.limit(params), _start(params)
        found = [
            wire
            for document in world.select(kind, tail="ORDER BY sequence DESC")
            if fits((wire := world.wire(document)) | _hidden(document, fields))
        ]
        more = len(found) > start + size
        answer: dict[str, Any] = {
            "object": "search_result",
            "data": found[start : start + size],
            "has_more": more,
            "next_page": f"page_{start + size}" if more else None,
            "url": f"/v1/{path}/search",
        }
        if "total_count" in (params.get("expand") or []):
            params["expand"].remove("total_count")
            answer["total_count"] = len(found)
        return answer

    return search


def _hidden(document: dict[str, Any], fields: dict[str, type]) -> dict[str, Any]:
    """What can be searched for and is not at the top of the wire object."""
    return {"subscription": document.get("subscription")} if "subscription" in fields else {}


def _start(params: dict[str, Any]) -> int:
    page = params.get("page", "page_0").removeprefix("page_")
    if not page.isascii() or not page.isdigit() or len(page) > 9:
        raise StripeError(f"Invalid page: {params['page']}", param="page")
    return int(page)


for _path, (_kind, _params, _fields) in SEARCHED.items():
    route(f"GET /v1/{_path}/search", _params, "limit page query")(_search(_path, _kind, _fields))
