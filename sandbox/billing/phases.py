"""The phases of a subscription schedule as they were asked for: checked, with their dates worked out."""

from typing import Any

from sandbox.billing import periods
from sandbox.errors import StripeError, missing
from sandbox.resources import tax_rates
from sandbox.resources.subscription_items import check_together, checked_item, inline_price
from sandbox.store import Document
from sandbox.world import World

MOST_PHASES = 10
LONGEST_PHASE = 1000  # intervals
KEPT = "billing_cycle_anchor collection_method default_payment_method description discounts invoice_settings"
ASKED = (
    "add_invoice_items billing_cycle_anchor collection_method currency default_payment_method default_tax_rates "
    "description discounts duration end_date invoice_settings.days_until_due items.discounts items.metadata items.plan "
    "items.price items.price_data items.quantity items.tax_rates metadata proration_behavior start_date trial trial_end"
)

Phase = dict[str, Any]


def built() -> str:
    """What of a phase the sandbox acts on, as routes name parameters."""
    return " ".join(f"phases.{name}" for name in ASKED.split())


def checked(
    world: World, given: list[dict[str, Any]], start: int, now: int, mode: str, currency: str | None
) -> list[Phase]:
    """The phases one after the other, the first from `start`. Raises Stripe's error for what can't be."""
    if not given:
        raise missing("phases")
    if len(given) > MOST_PHASES:
        raise StripeError(f"A subscription schedule can have up to {MOST_PHASES} phases.", param="phases")
    periods.checked(start, "start_date")
    made: list[Phase] = []
    for index, wish in enumerate(given):
        where = f"phases[{index}]"
        begins = made[-1]["end_date"] if made else start
        if index and wish.get("start_date") not in (None, begins):
            text = "The `start_date` of a phase must be the `end_date` of the phase before it."
            raise StripeError(text, param=f"{where}[start_date]")
        phase = _checked(world, wish, where, begins, mode, currency or (made[0]["currency"] if made else None))
        phase["end_date"] = _end(world, wish, phase, where, now, last=index == len(given) - 1)
        phase["trial_end"] = _trial_end(wish, phase, where)
        made.append(phase)
    return made


def of_subscription(world: World, subscription: Document, items: list[Document]) -> Phase:
    """The one phase of a subscription that is adopted: what it is now, until its period ends."""
    return {
        "add_invoice_items": [],
        "billing_cycle_anchor": None,
        "collection_method": subscription["collection_method"],
        "currency": subscription["currency"],
        "default_payment_method": subscription["default_payment_method"],
        "default_tax_rates": subscription["default_tax_rates"],
        "description": subscription["description"],
        "discounts": [{"discount": id} for id in subscription["discounts"]],
        "end_date": min(item["current_period_end"] for item in items),
        "invoice_settings": None,
        "items": [
            {"discounts": [], **{name: item[name] for name in ("metadata", "price", "quantity", "tax_rates")}}
            for item in items
        ],
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": min(item["current_period_start"] for item in items),
        "trial_end": subscription["trial_end"] if subscription["status"] == "trialing" else None,
    }


def _checked(world: World, wish: dict[str, Any], where: str, start: int, mode: str, currency: str | None) -> Phase:
    items = []
    for index, item in enumerate(wish["items"]):
        at = f"{where}[items][{index}]"
        rates = tax_rates.checked(world, item.get("tax_rates"), f"{at}[tax_rates]")
        items.append({**checked_item(world, item, at), "discounts": item.get("discounts") or [], "tax_rates": rates})
    currency = wish.get("currency") or currency or world.get("price", items[0]["price"])["currency"]
    check_together(world, items, currency, mode)
    return {
        **{name: wish.get(name) for name in KEPT.split()},
        "add_invoice_items": [
            _added(world, added, f"{where}[add_invoice_items][{index}]")
            for index, added in enumerate(wish.get("add_invoice_items") or [])
        ],
        "currency": currency,
        "default_tax_rates": tax_rates.checked(world, wish.get("default_tax_rates"), f"{where}[default_tax_rates]"),
        "items": items,
        "metadata": wish.get("metadata") or {},
        "proration_behavior": wish.get("proration_behavior", "create_prorations"),
        "start_date": start,
    }


def _added(world: World, wish: dict[str, Any], where: str) -> dict[str, Any]:
    if not wish.get("price_data"):
        if not wish.get("price"):
            raise missing(f"{where}[price]")
        world.get("price", wish["price"], f"{where}[price]")
        return wish
    rest = {name: value for name, value in wish.items() if name != "price_data"}
    return {**rest, "price": inline_price(world, wish["price_data"])["id"]}


def _end(world: World, wish: dict[str, Any], phase: Phase, where: str, now: int, *, last: bool) -> int:
    if "end_date" in wish and "duration" in wish:
        text = f"You may only specify one of these parameters: {where}[end_date], {where}[duration]."
        raise StripeError(text, param=f"{where}[end_date]")
    end = wish.get("end_date")
    if end is None:
        duration = wish.get("duration")
        if duration is None and not last:
            raise missing(f"{where}[end_date]")
        if duration and not 1 <= duration.get("interval_count", 1) <= LONGEST_PHASE:
            text = f"Invalid interval_count: must be between 1 and {LONGEST_PHASE}."
            raise StripeError(text, param=f"{where}[duration][interval_count]")
        duration = duration or world.get("price", phase["items"][0]["price"])["recurring"]
        end = periods.after(phase["start_date"], duration["interval"], duration.get("interval_count", 1), 1)
    if end == "now":
        end = now
    periods.checked(end, f"{where}[end_date]")
    if end <= phase["start_date"]:
        text = "The `end_date` of a phase must be after its `start_date`."
        raise StripeError(text, param=f"{where}[end_date]")
    return int(end)


def _trial_end(wish: dict[str, Any], phase: Phase, where: str) -> int | None:
    end: int | None = phase["end_date"] if wish.get("trial") else wish.get("trial_end")
    if end is not None and not phase["start_date"] <= end <= phase["end_date"]:
        raise StripeError("The `trial_end` must be within the phase.", param=f"{where}[trial_end]")
    return end


def differs(world: World, phase: Phase, items: list[Document]) -> bool:
    """Whether a subscription's items are others than the phase's."""
    wanted = sorted((item["price"], item["quantity"]) for item in phase["items"])
    return wanted != sorted((item["price"], item["quantity"]) for item in items)


def wishes(phase: Phase, items: list[Document]) -> list[dict[str, Any]]:
    """The items of an update that gives a subscription the phase's: those with the same price stay what they are,
    then others take the place of what goes.
    """
    left, made, new = {item["price"]: item for item in items}, [], []
    for wanted in phase["items"]:
        kept = left.pop(wanted["price"], None)
        wish = {name: wanted[name] for name in ("price", "quantity", "metadata")}
        wish |= {"discounts": wanted["discounts"]} if wanted["discounts"] else {}
        wish |= {"tax_rates": wanted["tax_rates"]} if wanted["tax_rates"] else {}
        if kept is not None:
            made.append({**wish, "id": kept["id"]})
        else:
            new.append(wish)
    for wish, old in zip(new, left.values(), strict=False):
        made.append({**wish, "id": old["id"]})
    made += new[len(left) :]
    return made + [{"id": old["id"], "deleted": True} for old in list(left.values())[len(new) :]]
