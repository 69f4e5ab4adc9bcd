"""A quote on paper."""

from __future__ import annotations

from sandbox import money
from sandbox import pdf as writer
from sandbox.billing import lines, periods, quoting
from sandbox.pdf import MARGIN, WIDTH, Text
from sandbox.resources import account
from sandbox.store import Document
from sandbox.world import World


def pdf(world: World, quote: Document) -> bytes:
    """One page: who offers what to whom, until when, and what it comes to."""
    customer, sums = world.get("customer", quote["customer"]), quoting.sums(world, quote)
    facts = [
        f"Quote number {quote['number']}",
        f"Valid until {periods.day(quote['expires_at'])}",
        quote["header"] or "",
    ]
    texts = [Text(MARGIN, 80, "Quote", 20, bold=True)]
    texts += [Text(MARGIN, 105 + 14 * index, fact) for index, fact in enumerate(facts)]
    texts.append(Text(MARGIN, 165, account.NAME, bold=True))
    texts += [Text(300, 165, "For", bold=True), Text(300, 180, customer.get("name") or customer.get("email") or "")]
    y = 230.0
    texts += [Text(MARGIN, y, "Description", bold=True), Text(400, y, "Qty", bold=True, right=True)]
    texts.append(Text(WIDTH - MARGIN, y, "Amount", bold=True, right=True))
    for line in quote["lines"]:
        y += 15
        name = lines.product_name(world, world.get("price", line["price"]))
        texts += [Text(MARGIN, y, name), Text(400, y, str(line["quantity"]), right=True)]
        texts.append(Text(WIDTH - MARGIN, y, money.shown(line["amount"], quote["currency"]), right=True))
    totals = [("Due on acceptance", sums["upfront"])]
    if sums["recurring"]:
        interval, count = sums["recurring"]["interval"], sums["recurring"]["interval_count"]
        every = f"Each {interval}" if count == 1 else f"Every {count} {interval}s"
        totals.append((every, sums["recurring"]))
    for title, total in totals:
        y += 20
        shown = money.shown(total["amount_total"], quote["currency"])
        texts += [Text(400, y, title, bold=True, right=True), Text(WIDTH - MARGIN, y, shown, bold=True, right=True)]
    texts.append(Text(MARGIN, y + 40, quote["footer"] or ""))
    return writer.document([texts], f"Quote {quote['number']}")
