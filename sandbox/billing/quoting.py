"""What stands on a quote, what it comes to, and what accepting it makes."""

from typing import Any

from sandbox import money
from sandbox.billing import adding, drafting, lines, periods, pricing
from sandbox.errors import StripeError, missing
from sandbox.resources import invoice_items, prices, subscription_items, subscription_schedules, subscriptions
from sandbox.store import Document
from sandbox.world import World

MOST_LINES = 20
Line = dict[str, Any]


def checked_lines(world: World, given: list[dict[str, Any]], customer: Document | None) -> list[Line]:
    """The lines that were asked for, in one currency. Raises Stripe's error for what can't be quoted."""
    if len(given) > MOST_LINES:
        raise StripeError(f"A quote can have up to {MOST_LINES} line items.", param="line_items")
    made = [_checked(world, wish, f"line_items[{index}]") for index, wish in enumerate(given)]
    found = [world.get("price", line["price"]) for line in made]
    currencies = {price["currency"] for price in found}
    if len(currencies) > 1:
        text = "All line items of a quote must have the same currency."
        raise StripeError(text, param="line_items")
    recurring = [line for line, price in zip(made, found, strict=True) if price["recurring"]]
    if recurring:
        subscription_items.check_together(world, recurring, found[0]["currency"], "classic")
    if customer and made:
        subscription_items.check_customer_currency(customer, found[0]["currency"])
    return made


def _checked(world: World, wish: dict[str, Any], where: str) -> Line:
    if wish.get("price_data"):
        price = prices.create(world, {**wish["price_data"], "active": False})
    elif not wish.get("price"):
        raise missing(f"{where}[price]")
    else:
        price = world.get("price", wish["price"], f"{where}[price]")
        if not price["active"]:
            text = "The price specified is inactive. This field only accepts active prices."
            raise StripeError(text, param=f"{where}[price]")
    quantity = subscription_items.checked_quantity(price, wish.get("quantity"), f"{where}[quantity]")
    amount = 0 if prices.is_metered(price) else money.rounded(pricing.amount(price, quantity, price["currency"]))
    return {"id": world.new_id("li"), "amount": amount, "price": price["id"], "quantity": quantity}


def sums(world: World, quote: Document) -> dict[str, Any]:
    """What is due when it is accepted, and what each period costs then."""
    recurring = _recurring(world, quote)
    trial = quote["subscription_data"].get("trial_period_days")
    later = [line for line in recurring if trial]
    upfront = sum(line["amount"] for line in quote["lines"] if line not in later)
    each = None
    if recurring:
        interval = world.get("price", recurring[0]["price"])["recurring"]
        each = _totals(sum(line["amount"] for line in recurring)) | {
            "interval": interval["interval"],
            "interval_count": interval["interval_count"],
        }
    return {"recurring": each, "upfront": _totals(upfront)}


def format_line(world: World, line: Line) -> dict[str, Any]:
    price = world.get("price", line["price"])
    return {
        "id": line["id"],
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": line["amount"],
        "amount_tax": 0,
        "amount_total": line["amount"],
        "currency": price["currency"],
        "description": lines.product_name(world, price),
        "price": world.wire(price),
        "quantity": line["quantity"],
    }


def upfront_lines(world: World, quote: Document) -> list[Line]:
    """The lines that are due at once."""
    later = _recurring(world, quote) if quote["subscription_data"].get("trial_period_days") else []
    return [line for line in quote["lines"] if line not in later]


def accept(world: World, quote: Document) -> dict[str, str]:
    """Make what was quoted: a subscription, a schedule for one that begins later, or an invoice. Says which."""
    recurring = _recurring(world, quote)
    if not recurring:
        return {"invoice": _invoice(world, quote)["id"]}
    start = quote["subscription_data"].get("effective_date")
    if start and start > world.now(quote["customer"]):
        return {"subscription_schedule": subscription_schedules.create(world, _schedule(world, quote, start))["id"]}
    return {"subscription": subscriptions.create(world, _subscription(world, quote))["id"]}


def _subscription(world: World, quote: Document) -> dict[str, Any]:
    data, customer = quote["subscription_data"], world.get("customer", quote["customer"])
    by_mail = quote["collection_method"] == "send_invoice"
    payable = by_mail or customer["default_payment_method"]
    wish: dict[str, Any] = {
        "collection_method": quote["collection_method"],
        "customer": quote["customer"],
        "days_until_due": quote["days_until_due"] if by_mail else None,
        "description": data.get("description"),
        "metadata": data.get("metadata"),
        "payment_behavior": "allow_incomplete" if payable else "default_incomplete",
        "trial_period_days": data.get("trial_period_days"),
    }
    return {name: value for name, value in wish.items() if value is not None} | _contents(world, quote)


def _schedule(world: World, quote: Document, start: int) -> dict[str, Any]:
    recurring = world.get("price", _recurring(world, quote)[0]["price"])["recurring"]
    length = {name: recurring[name] for name in ("interval", "interval_count")}
    phase: dict[str, Any] = {"duration": length, **_contents(world, quote)}
    trial = quote["subscription_data"].get("trial_period_days")
    if trial:
        phase["trial_end"] = start + trial * periods.DAY
    if quote["collection_method"] == "send_invoice":
        phase["collection_method"] = "send_invoice"
        phase["invoice_settings"] = {"days_until_due": quote["days_until_due"]}
    metadata = quote["subscription_data"].get("metadata") or {}
    return {
        "customer": quote["customer"],
        "end_behavior": "release",
        "phases": [phase | {"metadata": metadata}],
        "start_date": start,
    }


def _contents(world: World, quote: Document) -> dict[str, Any]:
    recurring = _recurring(world, quote)
    items = [_item(world, line) for line in recurring]
    once = [_item(world, line) for line in quote["lines"] if line not in recurring]
    return {"items": items} | ({"add_invoice_items": once} if once else {})


def _item(world: World, line: Line) -> dict[str, Any]:
    metered = prices.is_metered(world.get("price", line["price"]))
    return {"price": line["price"]} | ({} if metered else {"quantity": line["quantity"]})


def _invoice(world: World, quote: Document) -> Document:
    """A draft, which waits for somebody to finalize it."""
    customer, currency = world.get("customer", quote["customer"]), quote["currency"]
    wishes = [{"price": line["price"], "quantity": line["quantity"]} for line in quote["lines"]]
    items = [
        invoice_items.create(world, customer, adding.line(world, customer, wish, currency), currency=currency)
        for wish in wishes
    ]
    invoice = drafting.make(
        world,
        customer,
        auto_advance=False,
        billing_reason="quote_accept",
        collection_method=quote["collection_method"],
        currency=currency,
        days_until_due=quote["days_until_due"],
        lines=[lines.for_pending(world, item) for item in items],
        quote=quote["id"],
    )
    for item in items:
        item.update(status="invoiced", invoice=invoice["id"])
        world.save(item)
    world.emit("invoice.created", invoice)
    return invoice


def _recurring(world: World, quote: Document) -> list[Line]:
    return [line for line in quote["lines"] if world.get("price", line["price"])["recurring"]]


def _totals(amount: int) -> dict[str, Any]:
    details = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
    return {"amount_subtotal": amount, "amount_total": amount, "total_details": details}
