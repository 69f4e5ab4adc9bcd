"""Quotes: from a draft to what accepting them makes."""

from typing import Any

import pytest
import stripe

from tests.sandbox.acts import customer_with, monthly, refused, types
from tests.sandbox_process import DAY, SECRET_KEY, SandboxProcess


def once(stripe_api: Any, amount: int = 2000) -> Any:
    """A price that is charged once."""
    product = stripe_api.products.create({"name": "Set-up"})
    return stripe_api.prices.create({"product": product.id, "currency": "usd", "unit_amount": amount})


def quote(stripe_api: Any, customer: str, *prices: Any, **more: Any) -> Any:
    items = [{"price": price.id} for price in prices]
    return stripe_api.quotes.create({"customer": customer, "line_items": items} | more)


def test_an_accepted_quote_becomes_a_subscription(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """What is charged once stands on the first invoice beside the first period."""
    customer = customer_with(stripe_api)
    data = {"metadata": {"seat": "7"}, "description": "As quoted"}
    made = quote(stripe_api, customer.id, monthly(stripe_api), once(stripe_api), subscription_data=data)
    assert (made.status, made.number, made.amount_total, made.currency) == ("draft", None, 2500, "usd")
    assert (made.computed.recurring.amount_total, made.computed.recurring.interval) == (500, "month")
    mark = sandbox.mark()
    opened = stripe_api.quotes.finalize_quote(made.id)
    assert (opened.status, opened.number) == ("open", f"QT-{customer.invoice_prefix}-0001-1")
    accepted = stripe_api.quotes.accept(made.id, {"expand": ["subscription.latest_invoice"]})
    subscription = accepted.subscription
    assert (accepted.status, subscription.status, subscription.description) == ("accepted", "active", "As quoted")
    assert (subscription.metadata["seat"], subscription.latest_invoice.total) == ("7", 2500)
    told = types(sandbox.events(since=mark))
    assert told[0] == "quote.finalized"
    assert told.index("customer.subscription.created") < told.index("quote.accepted")


def test_without_a_method_the_first_invoice_waits_to_be_paid(stripe_api: Any) -> None:
    """By its own page, or with its confirmation secret."""
    customer = stripe_api.customers.create()
    made = quote(stripe_api, customer.id, monthly(stripe_api))
    stripe_api.quotes.finalize_quote(made.id)
    accepted = stripe_api.quotes.accept(made.id, {"expand": ["subscription.latest_invoice"]})
    assert (accepted.subscription.status, accepted.subscription.latest_invoice.status) == ("incomplete", "open")


@pytest.mark.stripe_verified
def test_a_trial_is_free_until_it_ends(stripe_api: Any) -> None:
    """Nothing is due at once; the recurring amount is what comes later."""
    customer, trial = customer_with(stripe_api), {"trial_period_days": 14}
    made = quote(stripe_api, customer.id, monthly(stripe_api), subscription_data=trial)
    assert (made.amount_total, made.computed.recurring.amount_total) == (0, 500)
    assert stripe_api.quotes.computed_upfront_line_items.list(made.id).data == []
    stripe_api.quotes.finalize_quote(made.id)
    accepted = stripe_api.quotes.accept(made.id, {"expand": ["subscription"]})
    assert accepted.subscription.status == "trialing"


@pytest.mark.stripe_verified
def test_what_is_charged_once_becomes_a_draft_invoice(stripe_api: Any) -> None:
    """With the quote as its parent; somebody finalizes it."""
    customer = customer_with(stripe_api)
    made = quote(stripe_api, customer.id, once(stripe_api))
    assert made.computed.recurring is None
    stripe_api.quotes.finalize_quote(made.id)
    invoice = stripe_api.quotes.accept(made.id, {"expand": ["invoice"]}).invoice
    assert (invoice.status, invoice.billing_reason, invoice.total) == ("draft", "quote_accept", 2000)
    assert (invoice.auto_advance, invoice.parent.quote_details.quote) == (False, made.id)
    assert stripe_api.invoices.pay(invoice.id).status == "paid"


def test_what_begins_later_becomes_a_schedule(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The subscription comes into being on that day."""
    customer, start = customer_with(stripe_api), sandbox.now() + 10 * DAY
    made = quote(stripe_api, customer.id, monthly(stripe_api), subscription_data={"effective_date": start})
    stripe_api.quotes.finalize_quote(made.id)
    accepted = stripe_api.quotes.accept(made.id)
    assert (accepted.subscription, accepted.invoice) == (None, None)
    schedule = stripe_api.subscription_schedules.retrieve(accepted.subscription_schedule)
    assert (schedule.status, schedule.phases[0].start_date) == ("not_started", start)
    sandbox.advance_to(start)
    assert stripe_api.subscriptions.list({"customer": customer.id}).data[0].start_date == start


def test_a_revision_takes_the_place_of_its_quote(stripe_api: Any) -> None:
    """It has the number of the old one with a count of its own, and ends it when it is accepted."""
    customer, price = customer_with(stripe_api), monthly(stripe_api)
    first = quote(stripe_api, customer.id, price)
    assert "cannot be revised" in refused(stripe_api.quotes.create, {"from_quote": {"quote": first.id}}).user_message
    number = stripe_api.quotes.finalize_quote(first.id).number
    second = stripe_api.quotes.create({"from_quote": {"quote": first.id, "is_revision": True}})
    item = stripe_api.quotes.line_items.list(second.id).data[0]
    changed = stripe_api.quotes.update(second.id, {"line_items": [{"id": item.id, "quantity": 3}]})
    assert changed.amount_total == 1500
    assert stripe_api.quotes.finalize_quote(second.id).number == number.replace("-0001-1", "-0001-2")
    stripe_api.quotes.accept(second.id)
    assert stripe_api.quotes.retrieve(first.id).status == "canceled"


def test_a_quote_is_good_until_it_expires(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Thirty days unless told; then it is canceled and can't be accepted."""
    made = quote(stripe_api, customer_with(stripe_api).id, monthly(stripe_api))
    assert made.expires_at == made.created + 30 * DAY
    stripe_api.quotes.finalize_quote(made.id, {"expires_at": sandbox.now() + 3 * DAY})
    sandbox.advance(days=3)
    assert stripe_api.quotes.retrieve(made.id).status == "canceled"
    assert types(sandbox.events())[-1] == "quote.canceled"
    assert "`canceled`" in refused(stripe_api.quotes.accept, made.id).user_message


def test_lines_are_listed_a_page_at_a_time(stripe_api: Any) -> None:
    """And can be expanded."""
    prices = [once(stripe_api, amount) for amount in (100, 200, 300)]
    made = quote(stripe_api, customer_with(stripe_api).id, *prices, expand=["line_items"])
    assert [line.amount_total for line in made.line_items.data] == [100, 200, 300]
    pages = stripe_api.quotes.line_items.list(made.id, {"limit": 2})
    assert ([line.description for line in pages.auto_paging_iter()], pages.has_more) == (["Set-up"] * 3, True)


def test_the_pdf_is_one_once_it_is_finalized(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Not before."""
    made = quote(stripe_api, customer_with(stripe_api).id, monthly(stripe_api), header="Hello (you)")
    path, key = f"/v1/quotes/{made.id}/pdf", {"Authorization": f"Bearer {SECRET_KEY}"}
    assert sandbox.request("GET", path, None, key)[0] == 400
    stripe_api.quotes.finalize_quote(made.id)
    addresses: Any = {"api": sandbox.url, "files": sandbox.url}
    paper = stripe.StripeClient(SECRET_KEY, base_addresses=addresses).v1.quotes.pdf(made.id).io.read()
    assert paper.startswith(b"%PDF-1.4") and paper.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize("verb", ["accept", "finalize_quote", "cancel", "update"])
def test_what_is_over_stays_as_it_is(sandbox: SandboxProcess, stripe_api: Any, verb: str) -> None:
    """A canceled quote can't be opened, accepted, canceled again or edited."""
    made = quote(stripe_api, customer_with(stripe_api).id, monthly(stripe_api))
    stripe_api.quotes.cancel(made.id)
    mark = sandbox.mark()
    params = {"description": "New"} if verb == "update" else {}
    assert refused(getattr(stripe_api.quotes, verb), made.id, params).http_status == 400
    assert sandbox.events(since=mark) == []


def test_bad_quotes_are_refused_by_name(stripe_api: Any) -> None:
    """Nothing to sell, nobody to sell to, two currencies, a time that is over or that no calendar has."""
    customer, price = customer_with(stripe_api).id, monthly(stripe_api)
    euros = monthly(stripe_api, currency="eur")
    assert refused(quote, stripe_api, customer, price, euros).param == "line_items"
    items = [{"price": "price_none"}]
    error = refused(stripe_api.quotes.create, {"customer": customer, "line_items": items})
    assert (error.code, error.param) == ("resource_missing", "line_items[0][price]")
    good = quote(stripe_api, customer, price)
    for at in (1, 10**17):
        assert refused(lambda at=at: quote(stripe_api, customer, price, expires_at=at)).param == "expires_at"
        assert refused(stripe_api.quotes.finalize_quote, good.id, {"expires_at": at}).param == "expires_at"
    mail = {"collection_method": "send_invoice"}
    assert refused(lambda: quote(stripe_api, customer, price, **mail)).param == "invoice_settings[days_until_due]"
    nobodys = stripe_api.quotes.create({"line_items": [{"price": price.id}]})
    assert refused(stripe_api.quotes.finalize_quote, nobodys.id).param == "customer"
    empty = stripe_api.quotes.create({"customer": customer})
    assert refused(stripe_api.quotes.finalize_quote, empty.id).param == "line_items"
