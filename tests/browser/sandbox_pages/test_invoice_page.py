"""The hosted invoice page and the PDF: what a customer finds behind an invoice's links."""

import http.client
import re
import zlib
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.sandbox.acts import NEEDS_3DS, NO_FUNDS, customer_with, monthly, subscribe
from tests.sandbox_process import SandboxProcess

pytestmark = pytest.mark.browser

GOOD = "4242424242424242"


def unpaid(sandbox: SandboxProcess, card: str | None = None) -> Any:
    """An open invoice of 5 dollars, of a customer with that card or with none."""
    stripe = sandbox.client.v1
    customer = customer_with(stripe, card) if card else stripe.customers.create({"email": "carol@example.com"})
    return subscribe(stripe, customer.id, monthly(stripe).id).latest_invoice


def type_card(page: Page, number: str) -> None:
    frame = page.frame_locator('iframe[title="Secure payment input frame"]').first
    for name, value in {"number": number, "expiry": "1240", "cvc": "123"}.items():
        frame.locator(f'[name="{name}"]').fill(value)
    if frame.locator('[name="postalCode"]').is_visible():
        frame.locator('[name="postalCode"]').fill("12345")


def state(page: Page) -> Any:
    return page.locator("#state")


def test_invoice_is_paid_with_a_card_typed_in(sandbox: SandboxProcess, page: Page) -> None:
    invoice = unpaid(sandbox)
    page.goto(invoice.hosted_invoice_url)
    expect(state(page)).to_have_text("due")
    expect(page.get_by_role("cell", name="1 × Basic (at $5.00 / month)")).to_be_visible()
    button = page.get_by_role("button", name="Pay $5.00")
    expect(button).to_be_enabled()
    type_card(page, NO_FUNDS)
    button.click()
    expect(page.get_by_role("alert")).to_have_text("Your card has insufficient funds.")
    type_card(page, GOOD)
    button.click()
    expect(state(page)).to_contain_text("paid on")
    assert sandbox.client.v1.invoices.retrieve(invoice.id).status == "paid"
    expect(button).to_have_count(0)


def test_invoice_is_paid_with_a_saved_card(sandbox: SandboxProcess, page: Page) -> None:
    invoice = unpaid(sandbox, "pm_card_visa")
    page.goto(invoice.hosted_invoice_url)
    expect(page.get_by_label("Visa •••• 4242")).to_be_checked()
    page.locator("#saved").get_by_role("button").click()
    expect(state(page)).to_contain_text("paid on")
    assert sandbox.client.v1.invoices.retrieve(invoice.id).status == "paid"


def test_saved_card_whose_bank_asks_for_its_holder(sandbox: SandboxProcess, page: Page) -> None:
    invoice = unpaid(sandbox, "pm_card_authenticationRequired")
    page.goto(invoice.hosted_invoice_url)
    page.locator("#saved").get_by_role("button").click()
    challenge = page.frame_locator('iframe[src*="/3ds/"]')
    challenge.get_by_role("button", name="Complete").click()
    expect(state(page)).to_contain_text("paid on")


def test_saved_card_that_is_declined(sandbox: SandboxProcess, page: Page) -> None:
    invoice = unpaid(sandbox, "pm_card_chargeCustomerFail")
    page.goto(invoice.hosted_invoice_url)
    page.locator("#saved").get_by_role("button").click()
    expect(page.locator(".problem")).to_have_text("Your card was declined.")
    expect(state(page)).to_have_text("due")


def test_new_card_whose_bank_asks_for_its_holder(sandbox: SandboxProcess, page: Page) -> None:
    page.goto(unpaid(sandbox).hosted_invoice_url)
    expect(page.get_by_role("button", name="Pay $5.00")).to_be_enabled()
    type_card(page, NEEDS_3DS)
    page.get_by_role("button", name="Pay $5.00").click()
    page.frame_locator('iframe[src*="/3ds/"]').get_by_role("button", name="Complete").click()
    expect(state(page)).to_contain_text("paid on")


def test_pdf_says_what_the_page_says(sandbox: SandboxProcess) -> None:
    """A file whose table of contents is right, with the invoice's lines and sums in it."""
    invoice = sandbox.client.v1.invoices.retrieve(unpaid(sandbox).id)
    path = str(invoice.invoice_pdf).removeprefix(sandbox.url)
    document = pdf_of(sandbox, path)
    for number, place in enumerate(re.findall(rb"^(\d{10}) 00000 n", document, re.M), 1):
        assert document[int(place) :].startswith(b"%d 0 obj" % number)
    start = int(re.findall(rb"startxref\n(\d+)", document)[-1])
    assert document[start:].startswith(b"xref")
    text = "\n".join(
        zlib.decompress(stream).decode("cp1252") for stream in re.findall(rb"stream\n(.+?)\nendstream", document, re.S)
    )
    for expected in (f"Invoice number {invoice.number}", "1 × Basic \\(at $5.00 / month\\)", "($5.00)", "$5.00 due"):
        assert expected in text


def test_links_that_were_made_up_lead_nowhere(sandbox: SandboxProcess) -> None:
    """Nor do those of another sandbox, or of a world that is gone."""
    path = str(unpaid(sandbox).hosted_invoice_url).removeprefix(sandbox.url).partition("?")[0]
    assert sandbox.request("GET", path)[0] == 200
    for wrong in (path[:-1], path + "0", path.replace("test_", "live_"), "/i/acct_1/test_", "/i/acct_1/x"):
        assert sandbox.request("GET", wrong)[0] == 404
    sandbox.reset()
    assert sandbox.request("GET", path)[0] == 404


def pdf_of(sandbox: SandboxProcess, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
    connection.request("GET", path)
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Type"]) == (200, "application/pdf")
    return response.read()
