"""Whatever is sent: an answer of Stripe's, never a stack trace, and a refusal changes nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from random import SystemRandom
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.stripe_requests import routes
from tests.chance import many
from tests.sandbox.acts import FORM, monthly, paying_customer
from tests.sandbox.test_portal import EVERYTHING
from tests.sandbox.wishes import ODD, Wish
from tests.sandbox_process import SECRET_KEY, SandboxProcess

ERROR_TYPES = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
BEARER = {"Authorization": f"Bearer {SECRET_KEY}"}
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"]
TEMPLATES = sorted({route.template for route in routes()})
OFTEN, DEEP = 300, 20_000

text = st.text(max_size=20)
odd_text = st.sampled_from(ODD)


class Fuzzed:
    """A small world, and whether it has changed."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox
        sandbox.post("deliveries", {"mode": "drop"})  # those that fail would change the state, again and again
        self.populate()
        self.state = sqlite3.connect(f"file:{sandbox.state}?mode=ro", uri=True, isolation_level=None)

    def populate(self) -> None:
        """Something of each kind that much else refers to."""
        subscription = paying_customer(self.sandbox)
        api = self.sandbox.client.v1
        self.now = self.sandbox.now()
        price, customer = monthly(api, 700), str(subscription.customer)
        phases: Any = [{"items": [{"price": price.id}]}]
        later: Any = {"customer": customer, "start_date": self.now + 90_000, "phases": phases}
        self.known = {
            "subscription": subscription.id,
            "customer": customer,
            "subscription_item": subscription["items"].data[0].id,
            "payment_method": str(subscription.default_payment_method),
            "invoice": str(api.invoices.list().data[0].id),
            "price": price.id,
            "product": str(price.product),
            "payment_intent": api.payment_intents.list().data[0].id,
            "charge": api.charges.list().data[0].id,
            "coupon": api.coupons.create({"percent_off": 10}).id,
            "tax_rate": api.tax_rates.create({"display_name": "VAT", "percentage": 20, "inclusive": False}).id,
            "schedule": api.subscription_schedules.create(later).id,
            "quote": api.quotes.create({"customer": customer, "line_items": [{"price": price.id}]}).id,
            "invoiceitem": api.invoice_items.create({"customer": customer, "amount": 100, "currency": "usd"}).id,
            "event": api.events.list({"limit": 1}).data[0].id,
        }
        self.ids = [*self.known.values(), "pm_card_visa", "cus_none"]

    def version(self) -> int:
        """Grows with each change of the sandbox's file."""
        return int(self.state.execute("PRAGMA data_version").fetchone()[0])

    def send(self, method: str, path: str, body: str | bytes | None, headers: dict[str, str]) -> tuple[int, str]:
        """Send it; look at the answer, and at what it left behind."""
        before = self.version()
        raw: Any = body.decode("latin-1") if isinstance(body, bytes) else body
        status, answered, said = self.sandbox.request(method, path, raw, {**BEARER, **headers})
        what = f"{method} {path} {body!r}: {status} {said}"
        assert status < 500, what
        if (status, answered["content-type"]) == (200, "application/pdf"):  # a quote's paper
            return status, said
        assert answered["content-type"].startswith("application/json"), what
        if method != "HEAD":
            answer = json.loads(said)
            assert ("error" in answer) == (status >= 400), what
            if status >= 400:
                assert answer["error"]["type"] in ERROR_TYPES, what
                assert answer["error"]["message"], what
        if status >= 400 and status != 402 and self.version() != before:  # what a card's refusal leaves behind stays
            assert self.refused_without_a_trace(method, path, raw, headers), f"it changed the state: {what}"
        return status, said

    def refused_without_a_trace(self, method: str, path: str, body: Any, headers: dict[str, str]) -> bool:
        """Another try tells what a request changes from what has just fallen due beside it."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            before = self.version()
            self.sandbox.request(method, path, body, {**BEARER, **headers})
            if self.version() == before:
                return True
        return False


@pytest.fixture
def fuzzed(sandbox: SandboxProcess) -> Iterator[Fuzzed]:
    world = Fuzzed(sandbox)
    with closing(world.state):
        yield world


def test_known_routes_with_any_parameters(fuzzed: Fuzzed) -> None:
    """Names that the route knows and others, values that fit and others, ids that exist and others."""
    for seed in range(2 * OFTEN):
        send_to_a_known_route(fuzzed, seed)


@pytest.mark.deep
def test_known_routes_very_often(fuzzed: Fuzzed) -> None:
    """The same at length, and others each time."""
    for _ in range(DEEP):
        send_to_a_known_route(fuzzed, SystemRandom().getrandbits(32))


def send_to_a_known_route(fuzzed: Fuzzed, seed: int) -> None:
    wish = Wish(seed, fuzzed.known, fuzzed.now)
    if wish.method == "POST":
        fuzzed.send("POST", wish.path, wish.form, FORM)
        return
    status, _ = fuzzed.send(wish.method, f"{wish.path}?{wish.form}", None, {})
    if wish.method == "DELETE" and status == 200:
        fuzzed.populate()


@many(OFTEN)
@given(data=st.data())
def test_any_path_method_and_body(fuzzed: Fuzzed, data: st.DataObject) -> None:
    """Bytes that are no form, types that are none, paths that lead nowhere."""
    method = data.draw(st.sampled_from(METHODS))
    path = data.draw(st.sampled_from(TEMPLATES) | text.map(lambda t: f"/v1/{t}")).replace("{}", fuzzed.ids[0])
    body = data.draw(st.none() | st.binary(max_size=200) | odd_text.map(lambda t: t.encode()))
    kind = data.draw(st.sampled_from(["application/x-www-form-urlencoded", "application/json", "text/plain", "", "x/"]))
    key = data.draw(st.none() | st.text("abc-é" + "x" * 3, max_size=300))
    headers = {"Content-Type": kind} | ({} if key is None else {"Idempotency-Key": key})
    if key and method == "POST":  # what a key has answered is remembered, refusals too
        status, _, said = fuzzed.sandbox.request(method, quote(path), "foo=1", {**BEARER, **FORM, **headers})
        assert status < 500, said
        return
    fuzzed.send(method, quote(path), body, headers)


PORTAL_PAGES = [
    "",
    "/flow",
    "/customer/update",
    "/payment-methods",
    "/payment-methods/{}/default",
    "/payment-methods/{}/remove",
    *(f"/subscriptions/{{}}/{verb}" for verb in ("cancel", "confirm", "keep", "pause", "renew", "resume", "update")),
]


@pytest.fixture
def portal(fuzzed: Fuzzed) -> str:
    """The path of a customer's link into a portal where everything may be done."""
    api = fuzzed.sandbox.client.v1
    price = api.prices.retrieve(fuzzed.ids[5])
    products = [{"product": str(price.product), "prices": [price.id]}]
    changes = {"enabled": True, "default_allowed_updates": ["price", "quantity"], "products": products}
    features: Any = EVERYTHING | {"subscription_update": changes, "subscription_pause": {"enabled": True}}
    configuration = api.billing_portal.configurations.create({"features": features})
    session = api.billing_portal.sessions.create({"configuration": configuration.id, "customer": fuzzed.ids[1]})
    return urlsplit(session.url).path


@many(OFTEN)
@given(data=st.data())
def test_the_portals_pages_with_anything_typed_in(fuzzed: Fuzzed, portal: str, data: st.DataObject) -> None:
    """A page each time, never a stack trace."""
    id = data.draw(st.sampled_from(fuzzed.ids) | text)
    path = portal + data.draw(st.sampled_from(PORTAL_PAGES)).format(quote(id, safe="") or "x")
    fields = "address_country comment email feedback name phone price quantity setup_intent tax_id_type tax_id_value"
    values = st.sampled_from([*fuzzed.ids, "eu_vat", "DE123456789"]) | odd_text | text
    form = urlencode(data.draw(st.dictionaries(st.sampled_from(fields.split()), values)), errors="replace")
    method = data.draw(st.sampled_from(["GET", "POST"]))
    sent = (path, form, FORM) if method == "POST" else (f"{path}?{form}", None, {})
    status, headers, page = fuzzed.sandbox.request(method, *sent)
    assert status < 500, page
    assert status in (302, 303) or headers["content-type"].startswith("text/html")


@many(OFTEN)
@given(expand=st.lists(st.lists(st.sampled_from(["data", "customer", "items", "latest_invoice", "object", "", "x"]))))
def test_any_expansion(fuzzed: Fuzzed, expand: list[list[str]]) -> None:
    """Along any path, or not at all."""
    query = urlencode([("expand[]", ".".join(path)) for path in expand])
    for id in (f"subscriptions/{fuzzed.ids[0]}", "subscriptions", "events"):
        fuzzed.send("GET", f"/v1/{id}?{query}", None, {})
