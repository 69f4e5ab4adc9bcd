"""/v1/promotion_codes"""

import secrets
import string
from typing import Any

from stripe.params import (
    PromotionCodeCreateParams,
    PromotionCodeListParams,
    PromotionCodeRetrieveParams,
    PromotionCodeUpdateParams,
)

from sandbox import lists
from sandbox.billing import discounting
from sandbox.errors import StripeError
from sandbox.params import merge_metadata
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats


@route(
    "POST /v1/promotion_codes",
    PromotionCodeCreateParams,
    "active code customer expires_at max_redemptions metadata promotion restrictions.first_time_transaction "
    "restrictions.minimum_amount restrictions.minimum_amount_currency",
)
def create(world: World, params: dict[str, Any]) -> Document:
    coupon = world.get("coupon", params["promotion"].get("coupon") or "", "promotion[coupon]")
    text = params.get("code") or "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(8))
    _check(world, params, coupon, text)
    code = world.create(
        "promotion_code",
        "promo_",
        active=params.get("active", True),
        code=text,
        coupon=coupon["id"],
        customer=params.get("customer"),
        expires_at=params.get("expires_at", coupon["redeem_by"]),
        max_redemptions=params.get("max_redemptions"),
        metadata=merge_metadata({}, params.get("metadata")),
        restrictions={"first_time_transaction": False, "minimum_amount": None, "minimum_amount_currency": None}
        | (params.get("restrictions") or {}),
        times_redeemed=0,
    )
    world.emit("promotion_code.created", code)
    return code


@route("GET /v1/promotion_codes/<id>", PromotionCodeRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get("promotion_code", id)


@route("POST /v1/promotion_codes/<id>", PromotionCodeUpdateParams, "active metadata")
def update(world: World, params: dict[str, Any], id: str) -> Document:
    code = world.get("promotion_code", id)
    changes: dict[str, Any] = {}
    if "active" in params:
        if params["active"] and not discounting.is_valid(code, world.now()):
            raise StripeError("A promotion code that is used up or expired can't be active again.", param="active")
        changes["active"] = params["active"]
    if "metadata" in params:
        changes["metadata"] = merge_metadata(code["metadata"], params["metadata"])
    world.update(code, "promotion_code.updated", **changes)
    return code


@route(
    "GET /v1/promotion_codes",
    PromotionCodeListParams,
    "active code coupon created customer ending_before limit starting_after",
)
def list_promotion_codes(world: World, params: dict[str, Any]) -> lists.Page:
    where, values = lists.created_range(params.get("created"))
    if "code" in params:
        where.append("lower(json_extract(document, '$.code')) = ?")
        values.append(params["code"].lower())
    for name in ("active", "coupon"):
        if name in params:
            where.append(f"json_extract(document, '$.{name}') = ?")
            values.append(params[name])
    if "customer" in params:
        where.append("customer = ?")
        values.append(params["customer"])
    return lists.cut(world, "promotion_code", params, where, values)


@formats("promotion_code")
def format_promotion_code(world: World, code: Document) -> dict[str, Any]:
    return {
        "id": code["id"],
        "object": "promotion_code",
        "active": code["active"] and discounting.is_valid(code, world.now()),
        "code": code["code"],
        "created": code["created"],
        "customer": code["customer"],
        "customer_account": None,
        "expires_at": code["expires_at"],
        "livemode": False,
        "max_redemptions": code["max_redemptions"],
        "metadata": code["metadata"],
        "promotion": {"coupon": code["coupon"], "type": "coupon"},
        "restrictions": code["restrictions"],
        "times_redeemed": code["times_redeemed"],
    }


def _check(world: World, params: dict[str, Any], coupon: Document, text: str) -> None:
    same = "lower(json_extract(document, '$.code')) = ? AND json_extract(document, '$.active')"
    for other in world.select("promotion_code", same, (text.lower(),)):
        if discounting.is_valid(other, world.now()) and params.get("customer") in (None, other["customer"]):
            raise StripeError(f"An active promotion code with `code: {text}` already exists.", param="code")
    if params.get("customer"):
        world.get("customer", params["customer"], "customer")
    expires, until = params.get("expires_at"), coupon["redeem_by"]
    if expires is not None and until is not None and expires > until:
        raise StripeError("`expires_at` can't be later than the coupon's `redeem_by`.", param="expires_at")
    most, of_coupon = params.get("max_redemptions"), coupon["max_redemptions"]
    if most is not None and of_coupon is not None and most > of_coupon:
        raise StripeError("`max_redemptions` can't be more than the coupon's.", param="max_redemptions")
