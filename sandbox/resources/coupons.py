"""/v1/coupons"""

import secrets
import string
from typing import Any

from stripe.params import (
    CouponCreateParams,
    CouponDeleteParams,
    CouponListParams,
    CouponRetrieveParams,
    CouponUpdateParams,
)

from sandbox import lists, money
from sandbox.billing import discounting
from sandbox.errors import StripeError, missing, not_built, too_small
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats, includes

LONGEST = 1000  # months


@route(
    "POST /v1/coupons",
    CouponCreateParams,
    "amount_off applies_to.products currency currency_options duration duration_in_months id max_redemptions metadata "
    "name percent_off redeem_by",
)
def create(world: World, params: dict[str, Any]) -> Document:
    id = params.get("id") or "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(8))
    if id.endswith("_"):
        raise not_built("coupon ids that end in an underscore")
    if world.find(id, "coupon"):
        raise StripeError("Coupon already exists.", code="resource_already_exists")
    for product in (params.get("applies_to") or {}).get("products") or []:
        world.get("product", product, "applies_to[products]")
    duration = params.get("duration", "once")
    coupon = world.create(
        "coupon",
        id,
        applies_to=params.get("applies_to"),
        duration=duration,
        duration_in_months=_months(params, duration),
        max_redemptions=params.get("max_redemptions"),
        metadata=merge_metadata({}, params.get("metadata")),
        name=params.get("name"),
        redeem_by=params.get("redeem_by"),
        times_redeemed=0,
        **_worth(params),
    )
    world.emit("coupon.created", coupon)
    return coupon


@route("GET /v1/coupons/<id>", CouponRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("coupon", id)


@route("POST /v1/coupons/<id>", CouponUpdateParams, "currency_options metadata name")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    coupon = world.get("coupon", id)
    changes: dict[str, Any] = {"name": params["name"]} if "name" in params else {}
    if "metadata" in params:
        changes["metadata"] = merge_metadata(coupon["metadata"], params["metadata"])
    if "currency_options" in params:
        changes["currency_options"] = coupon["currency_options"] | _options(params)
    world.update(coupon, "coupon.updated", **changes)
    return coupon


@route("DELETE /v1/coupons/<id>", CouponDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    """Nobody can redeem it any more; those who have it keep it."""
    coupon = world.get("coupon", id)
    world.emit("coupon.deleted", coupon)
    coupon["deleted"] = True
    world.save(coupon)
    return coupon


@route("GET /v1/coupons", CouponListParams, "created ending_before limit starting_after")
def list_coupons(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, "coupon", params)


@formats("coupon")
def format_coupon(world: World, coupon: Document) -> dict[str, Any]:
    return {
        "id": coupon["id"],
        "object": "coupon",
        "amount_off": coupon["amount_off"],
        "created": coupon["created"],
        "currency": coupon["currency"],
        "duration": coupon["duration"],
        "duration_in_months": coupon["duration_in_months"],
        "livemode": False,
        "max_redemptions": coupon["max_redemptions"],
        "metadata": coupon["metadata"],
        "name": coupon["name"],
        "percent_off": coupon["percent_off"],
        "redeem_by": coupon["redeem_by"],
        "times_redeemed": coupon["times_redeemed"],
        "valid": discounting.is_valid(coupon, world.now()),
    }


@includes("coupon", "applies_to")
def applies_to(world: World, id: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = world.get("coupon", id)["applies_to"]
    return found


@includes("coupon", "currency_options")
def currency_options(world: World, id: str) -> dict[str, Any]:
    coupon = world.get("coupon", id)
    own = {coupon["currency"]: {"amount_off": coupon["amount_off"]}} if coupon["currency"] else {}
    return own | dict(coupon["currency_options"])


@formats("discount")
def format_discount(world: World, discount: Document) -> dict[str, Any]:
    return {
        "id": discount["id"],
        "object": "discount",
        "checkout_session": None,
        "customer": discount["customer"],
        "customer_account": None,
        "end": discount["end"],
        "invoice": discount["invoice"],
        "invoice_item": discount["invoice_item"],
        "promotion_code": discount["promotion_code"],
        "source": {"coupon": discount["coupon"], "type": "coupon"},
        "start": discount["start"],
        "subscription": discount["subscription"],
        "subscription_item": discount["subscription_item"],
    }


def _worth(params: dict[str, Any]) -> dict[str, Any]:
    percent, amount = params.get("percent_off"), params.get("amount_off")
    if (percent is None) == (amount is None):
        text = "You must specify either a `percent_off` or an `amount_off`, and not both."
        raise StripeError(text, param="percent_off")
    if amount is None:
        assert percent is not None
        if not 0 < percent <= 100:
            text = "Invalid percent_off: must be more than 0 and at most 100."
            raise StripeError(text, code="parameter_invalid_integer", param="percent_off")
        return {"amount_off": None, "currency": None, "currency_options": {}, "percent_off": float(percent)}
    if amount <= 0:
        raise too_small(1, "amount_off")
    if not params.get("currency"):
        raise missing("currency")
    currency = money.currency(params["currency"])
    return {"amount_off": amount, "currency": currency, "currency_options": _options(params), "percent_off": None}


def _options(params: dict[str, Any]) -> dict[str, Any]:
    given = (params.get("currency_options") or {}).items()
    return {money.currency(code): {"amount_off": option["amount_off"]} for code, option in given}


def _months(params: dict[str, Any], duration: str) -> int | None:
    months: int | None = params.get("duration_in_months")
    if duration == "repeating" and months is None:
        raise missing("duration_in_months")
    if duration != "repeating" and months is not None:
        text = "`duration_in_months` can only be set if `duration` is `repeating`."
        raise StripeError(text, param="duration_in_months")
    if months is not None and not 1 <= months <= LONGEST:
        text = f"This value must be between 1 and {LONGEST}."
        raise StripeError(text, code="parameter_invalid_integer", param="duration_in_months")
    return months
