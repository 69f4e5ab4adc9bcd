"""An invoice in words, for its page and its PDF."""

from __future__ import annotations

import textwrap
from typing import Any

from sandbox import methods, money
from sandbox import pdf as writer
from sandbox.billing import invoicing, periods
from sandbox.pdf import MARGIN, WIDTH, Text
from sandbox.resources import account
from sandbox.store import Document
from sandbox.world import World

ROWS_PER_PAGE = 34
AMOUNTS = {
    "card": "{brand} •••• {last4}",
    "sepa_debit": "SEPA Direct Debit •••• {last4}",
    "au_becs_debit": "BECS Direct Debit •••• {last4}",
}


def invoice(world: World, document: Document) -> dict[str, Any]:
    """Number, dates, who owes whom what for what."""
    wire, code = world.wire(document), document["currency"]
    discounts = sum(one["amount"] for one in wire["total_discount_amounts"])
    taxes = sum(one["amount"] for one in wire["total_taxes"])
    due = invoicing.amount_due(document)
    totals = [("Subtotal", wire["subtotal"])]
    totals += [("Discount", -discounts)] if discounts else []
    totals += [("Tax", taxes)] if taxes else []
    totals += [("Total", wire["total"])]
    totals += [("Applied balance", due - wire["total"])] if due != wire["total"] else []
    totals += [("Amount paid", -wire["amount_paid"])] if wire["amount_paid"] else []
    paid_at = wire["status_transitions"]["paid_at"]
    return {
        "number": wire["number"],
        "status": wire["status"],
        "issued": periods.day(wire["status_transitions"]["finalized_at"]),
        "paid": periods.day(paid_at) if paid_at else None,
        "due": money.shown(wire["amount_remaining"], code),
        "total": money.shown(wire["total"], code),
        "to": _address(wire),
        "lines": [_line(line, code) for line in wire["lines"]["data"]],
        "totals": [(name, money.shown(amount, code)) for name, amount in totals],
        "footer": wire["footer"],
    }


def method(world: World, document: Document) -> dict[str, str]:
    details = methods.kind_of(document).details(world, document)
    known = {"brand": details.get("brand", "").title(), "last4": details["last4"]}
    return {"id": document["id"], "name": AMOUNTS[document["type"]].format(**known)}


def pdf(world: World, document: Document) -> bytes:
    """The invoice on paper, on as many pages as its lines need."""
    shown = invoice(world, document)
    rows = [row for line in shown["lines"] for row in _rows(line)]
    chunks = [rows[start : start + ROWS_PER_PAGE] for start in range(0, len(rows), ROWS_PER_PAGE)] or [[]]
    pages = []
    for number, chunk in enumerate(chunks, 1):
        texts = _head(shown) if number == 1 else []
        y = 270.0 if number == 1 else 80.0
        texts += [Text(MARGIN, y, "Description", bold=True), Text(400, y, "Qty", bold=True, right=True)]
        texts.append(Text(WIDTH - MARGIN, y, "Amount", bold=True, right=True))
        for description, quantity, amount in chunk:
            y += 15
            texts += [Text(MARGIN, y, description), Text(400, y, quantity, right=True)]
            texts.append(Text(WIDTH - MARGIN, y, amount, right=True))
        if number == len(chunks):
            texts += _foot(shown, y + 25)
        texts.append(Text(WIDTH - MARGIN, 810, f"{shown['number']} - Page {number} of {len(chunks)}", 8, right=True))
        pages.append(texts)
    return writer.document(pages, f"Invoice {shown['number']}")


def _head(shown: dict[str, Any]) -> list[Text]:
    texts = [Text(MARGIN, 80, "Invoice", 20, bold=True)]
    facts = [f"Invoice number {shown['number']}", f"Date of issue {shown['issued']}"]
    facts += [f"Date paid {shown['paid']}"] if shown["paid"] else []
    texts += [Text(MARGIN, 105 + 14 * index, fact) for index, fact in enumerate(facts)]
    texts.append(Text(MARGIN, 165, account.NAME or "Sandbox", bold=True))
    texts.append(Text(300, 165, "Bill to", bold=True))
    texts += [Text(300, 180 + 14 * index, part) for index, part in enumerate(shown["to"][:5])]
    summary = f"{shown['total']} paid on {shown['paid']}" if shown["paid"] else f"{shown['due']} due"
    if shown["status"] == "void":
        summary = "This invoice is void"
    return [*texts, Text(MARGIN, 235, summary, 14, bold=True)]


def _foot(shown: dict[str, Any], y: float) -> list[Text]:
    texts = []
    for name, amount in [*shown["totals"], ("Amount due", shown["due"])]:
        bold = name == "Amount due"
        texts += [Text(400, y, name, bold=bold), Text(WIDTH - MARGIN, y, amount, bold=bold, right=True)]
        y += 15
    texts += [Text(MARGIN, y + 15, shown["footer"])] if shown["footer"] else []
    return texts


def _rows(line: dict[str, str]) -> list[tuple[str, str, str]]:
    first, *more = textwrap.wrap(line["description"], 58) or [""]
    return [
        (first, line["quantity"], line["amount"]),
        *((part, "", "") for part in more),
        *([(line["period"], "", "")] if line["period"] else []),
    ]


def _line(line: dict[str, Any], code: str) -> dict[str, str]:
    start, end = line["period"]["start"], line["period"]["end"]
    return {
        "description": line["description"] or "",
        "quantity": str(line["quantity"] or ""),
        "amount": money.shown(line["amount"], code),
        "period": f"{periods.day(start)} - {periods.day(end)}" if start != end else "",
    }


def _address(wire: dict[str, Any]) -> list[str]:
    address = wire["customer_address"] or {}
    town = " ".join(filter(None, (address.get("postal_code"), address.get("city"), address.get("state"))))
    parts = (wire["customer_name"], wire["customer_email"], address.get("line1"), address.get("line2"), town)
    return [part for part in (*parts, address.get("country")) if part]
