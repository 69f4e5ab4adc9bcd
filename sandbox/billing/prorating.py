"""What a change in the middle of a period gives back and charges, to the second."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from sandbox import money
from sandbox.billing import lines, modes, reckoning
from sandbox.billing.lines import Line
from sandbox.store import Document
from sandbox.world import World

MOST_INVOICES = 100  # of one subscription that are searched for what its running period was charged


def credits(world: World, subscription: Document, item: Document, at: int) -> list[Line]:
    """Lines that give back the time from `at` to the end of the item's period.

    Flexible billing gives back what was really debited for it, classic what it would cost now.
    """
    end = item["current_period_end"]
    if at >= end or lines.is_metered(world, item):
        return []
    if modes.is_classic(subscription):
        start, natural_end = lines.natural_period(world, subscription, item, at)
        amount = _part(reckoning.alone(world, subscription, item), (end - at, natural_end - start))
        where = _where_debited(world, subscription, item, at)
        return [_credit(world, subscription, item, item, amount, (at, end), where)]
    found = []
    for debit, where in _debits(world, subscription, item, at):
        span = debit["period"]
        share = span["end"] - at, span["end"] - span["start"]
        off = _shares(debit["discount_amounts"], (-share[0], share[1])) if _itemizes(subscription) else []
        amount = _part(debit["amount"] if off else lines.net(debit), share)
        line = _credit(world, subscription, item, debit, amount, (at, span["end"]), where)
        found.append(line | {"discount_amounts": off})
    return found


def debit(world: World, subscription: Document, item: Document, at: int) -> list[Line]:
    """The line that charges the time from `at` to the end of the item's period."""
    end = item["current_period_end"]
    if at >= end or lines.is_metered(world, item):
        return []
    return [part(world, subscription, item, (at, end))]


def part(world: World, subscription: Document, item: Document, span: tuple[int, int]) -> Line:
    """The line that charges a part of a period, at the item's price and discounts."""
    start, end = lines.natural_period(world, subscription, item, span[0])
    share, off = (span[1] - span[0], end - start), []
    if modes.is_classic(subscription):
        whole = reckoning.alone(world, subscription, item)
    elif _itemizes(subscription):
        whole, amounts = reckoning.itemized(world, subscription, item)
        off = _shares(amounts, share)
    else:
        whole = reckoning.net(world, subscription, item)
    line = lines.proration(world, subscription, item, money.rounded(_part(whole, share)), span)
    return line | {"discount_amounts": off}


def _itemizes(subscription: Document) -> bool:
    """Whether prorations show their discounts, rather than being net of them."""
    return bool((subscription["billing_mode"]["flexible"] or {}).get("proration_discounts") == "itemized")


def _shares(amounts: list[dict[str, Any]], share: tuple[int, int]) -> list[dict[str, Any]]:
    return [{**one, "amount": money.rounded(_part(one["amount"], share))} for one in amounts]


def _part(amount: Decimal | int, share: tuple[int, int]) -> Decimal:
    """So many seconds of so many; multiplied first, so that halves stay halves."""
    return Decimal(amount) * share[0] / share[1]


def _credit(
    world: World,
    subscription: Document,
    item: Document,
    of: dict[str, Any],
    amount: Decimal,
    span: tuple[int, int],
    where: dict[str, Any] | None,
) -> Line:
    credited = {"price": of["price"], "quantity": of["quantity"], "credited_items": where}
    return lines.proration(world, subscription, item, -money.rounded(amount), span, credited=credited)


def _debits(world: World, subscription: Document, item: Document, at: int) -> Iterator[tuple[Line, dict[str, Any]]]:
    """What was debited for the item and the time after `at`, and not given back yet; and where it stands."""
    charged: list[tuple[Line, dict[str, Any]]] = []
    credited: set[str] = set()
    for line, where in _lines_of(world, subscription):
        if line["subscription_item"] != item["id"]:
            continue
        if line["credited_items"]:
            credited |= _named(line["credited_items"])
        elif line["amount"] > 0 and line["period"]["end"] > at and _in_running_period(item, line):
            charged.append((line, where))
    for line, where in charged:
        if not credited & {line["id"], line["invoice_item"]}:
            yield line, where


def _in_running_period(item: Document, line: Line) -> bool:
    return bool(line["period"]["start"] >= item["current_period_start"])


def _lines_of(world: World, subscription: Document) -> Iterator[tuple[Line, dict[str, Any]]]:
    """The subscription's lines that count, newest first: of what waits and of invoices that are not void."""
    mine = (subscription["id"],)
    for pending in world.select("invoiceitem", "subscription = ? AND status = 'pending'", mine):
        yield {**pending["line"], "invoice_item": pending["id"]}, {"invoice_item": pending["id"]}
    newest = f"ORDER BY sequence DESC LIMIT {MOST_INVOICES}"
    for invoice in world.select("invoice", "subscription = ? AND status <> 'void'", mine, tail=newest):
        for line in invoice["lines"]:
            yield line, {"invoice": invoice["id"], "invoice_line_items": [line["id"]]}


def _named(credited: dict[str, Any]) -> set[str]:
    return {*credited.get("invoice_line_items", ()), credited.get("invoice_item", "")}


def _where_debited(world: World, subscription: Document, item: Document, at: int) -> dict[str, Any] | None:
    return next(
        (where for _, where in _debits(world, subscription, item, at)), {"invoice": "", "invoice_line_items": []}
    )
