"""Coupons and promotion codes in use: who gets which discount, and for how long."""

from typing import Any

from sandbox.billing import periods
from sandbox.errors import StripeError, no_such
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World

MOST_DISCOUNTS = 20


def coupon_of(world: World, discount: str) -> Document:
    """What a discount is worth; a coupon that was deleted still counts for those who have it."""
    found = world.find(world.get("discount", discount)["coupon"], "coupon")
    assert found is not None
    return found


def amount_off(coupon: Document, currency: str) -> int | None:
    """What a coupon takes off in a currency; None if it has no such currency."""
    if coupon["currency"] == currency:
        return int(coupon["amount_off"])
    option = coupon["currency_options"].get(currency)
    return None if option is None else int(option["amount_off"])


def running(world: World, subscription: Document) -> list[str]:
    """The subscription's discounts that have not come to their end."""
    now = world.now(subscription["customer"])
    return [id for id in subscription["discounts"] if (world.get("discount", id)["end"] or now + 1) > now]


def redeem(
    world: World,
    given: list[dict[str, Any]] | None,
    customer: Document,
    old: list[str],
    param: str = "discounts",
    *,
    new: bool = False,
    **on: str,
) -> list[str]:
    """The discounts that a request asks for, on a subscription, an item or an invoice; an empty list leaves the old.

    Raises Stripe's error for coupons and codes that can't be used.
    """
    if given is None:
        return []
    if len(given) > MOST_DISCOUNTS:
        raise StripeError(f"You can apply up to {MOST_DISCOUNTS} discounts.", param=param)
    if not given:
        return old
    return [_redeem(world, wish, customer, old, f"{param}[{index}]", on, new=new) for index, wish in enumerate(given)]


def _redeem(
    world: World,
    wish: dict[str, Any],
    customer: Document,
    old: list[str],
    param: str,
    on: dict[str, str],
    *,
    new: bool,
) -> str:
    if wish.get("discount"):
        if wish["discount"] not in old:
            raise no_such("discount", wish["discount"], f"{param}[discount]")
        return str(wish["discount"])
    code = None
    if wish.get("promotion_code"):
        code = world.get("promotion_code", wish["promotion_code"], f"{param}[promotion_code]")
        _check_code(world, code, customer, f"{param}[promotion_code]", new=new)
    coupon = world.get("coupon", code["coupon"] if code else wish.get("coupon", ""), f"{param}[coupon]")
    kept = next((id for id in old if not code and world.get("discount", id)["coupon"] == coupon["id"]), None)
    if kept:
        return kept
    if not is_valid(coupon, world.now(customer["id"])):
        raise StripeError(f"This coupon has expired: {coupon['id']}", code="coupon_expired", param=f"{param}[coupon]")
    currency = customer["currency"]
    if coupon["amount_off"] is not None and currency and amount_off(coupon, currency) is None:
        text = f"The coupon {coupon['id']} has no amount in the currency {currency}."
        raise StripeError(text, param=f"{param}[coupon]")
    for redeemed in filter(None, (coupon, code)):
        redeemed["times_redeemed"] += 1
        world.save(redeemed)
    return str(_create(world, coupon, code, customer, on)["id"])


def _create(world: World, coupon: Document, code: Document | None, customer: Document, on: dict[str, str]) -> Document:
    now = world.now(customer["id"])
    months = coupon["duration_in_months"] if coupon["duration"] == "repeating" else None
    discount = world.create(
        "discount",
        "di_",
        coupon=coupon["id"],
        customer=customer["id"],
        end=periods.after(now, "month", months, 1) if months else None,
        promotion_code=code["id"] if code else None,
        start=now,
        **{"invoice": None, "invoice_item": None, "subscription": None, "subscription_item": None} | on,
    )
    world.emit("customer.discount.created", discount)
    if discount["end"]:
        world.schedule(discount["end"], "end_discount", discount)
    return discount


def is_valid(redeemable: Document, now: int) -> bool:
    """Whether a coupon or a code can still be redeemed."""
    until, most = redeemable.get("redeem_by") or redeemable.get("expires_at"), redeemable["max_redemptions"]
    return (until is None or now < until) and (most is None or redeemable["times_redeemed"] < most)


def _check_code(world: World, code: Document, customer: Document, param: str, *, new: bool) -> None:
    coupon = world.find(code["coupon"], "coupon")
    now = world.now(customer["id"])
    usable = code["active"] and is_valid(code, now) and coupon and not coupon.get("deleted") and is_valid(coupon, now)
    if not usable:
        raise StripeError(
            f"This promotion code is not valid: {code['code']}", code="promotion_code_invalid", param=param
        )
    if code["restrictions"]["minimum_amount"] and not new:
        text = "Promotion codes with amount restrictions can't be applied to a subscription's update or to an item."
        raise StripeError(text, param=param)
    if code["customer"] not in (None, customer["id"]):
        raise StripeError("This promotion code cannot be redeemed by this customer.", param=param)
    paid = "customer = ? AND status = 'paid'"
    if code["restrictions"]["first_time_transaction"] and world.select(
        "invoice", paid, (customer["id"],), tail="LIMIT 1"
    ):
        text = "This promotion code cannot be redeemed because the associated customer has prior transactions."
        raise StripeError(text, param=param)


def check_minimum(world: World, discounts: list[str], amount: int) -> None:
    """Raises Stripe's error when a promotion code asks for more than a new subscription comes to."""
    for id in discounts:
        code = world.find(world.get("discount", id)["promotion_code"], "promotion_code")
        least = code["restrictions"]["minimum_amount"] if code else None
        if code and amount < (least or 0):
            text = f"The promotion code {code['code']} is for amounts of at least {least}."
            raise StripeError(text, param="discounts")


def use_up(world: World, invoice: Document) -> None:
    """An invoice was finalized: what was good for one invoice is gone from its subscription."""
    subscription = world.find(invoice["subscription"], "subscription")
    if subscription is None or not subscription["discounts"] or not invoice["discounts"]:
        return
    once = [id for id in invoice["discounts"] if coupon_of(world, id)["duration"] == "once"]
    for id in once:
        remove(world, world.get("discount", id))


def withdraw(world: World, id: str) -> None:
    """A discount was taken away by hand, from what has forgotten it already."""
    discount = world.get("discount", id)
    world.unschedule(discount, "end_discount")
    world.emit("customer.discount.deleted", discount)


@job("end_discount")
def remove(world: World, discount: Document) -> None:
    """Take a discount away from what has it."""
    subscription = world.find(discount["subscription"], "subscription")
    item = world.find(discount["subscription_item"], "subscription_item")
    for holder in filter(None, (item, subscription)):
        if discount["id"] in holder["discounts"]:
            left = [id for id in holder["discounts"] if id != discount["id"]]
            world.emit("customer.discount.deleted", discount)
            event = "customer.subscription.updated" if holder["object"] == "subscription" else None
            world.update(holder, event, discounts=left)
