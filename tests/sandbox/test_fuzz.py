"""Whatever is sent: an answer of Stripe's, never a stack trace, and a refusal changes nothing."""

from __future__ import annotations

import json
import re
import sqlite3
import typing
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import is_typeddict

from contract.stripe_requests import routes
from contract.stripe_types import fields, members
from sandbox.routes import Router
from tests.chance import many
from tests.sandbox.acts import FORM, monthly, paying_customer
from tests.sandbox.test_portal import EVERYTHING
from tests.sandbox_process import SECRET_KEY, SandboxProcess

ERROR_TYPES = {"api_error", "card_error", "idempotency_error", "invalid_request_error"}
BEARER = {"Authorization": f"Bearer {SECRET_KEY}"}
METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD"]
ROUTER = Router()
BUILT = [route for route in routes() if ROUTER.match(route.method, route.template.replace("{}", "x"))]
TEMPLATES = sorted({route.template for route in routes()})
OFTEN, VERY_OFTEN = many(300), many(20_000, new=True)

text = st.text(max_size=20)
odd_text = st.sampled_from(["", "0", "-1", "true", "[]", "{}", "null", "'", "%", "é", "\x00", "9" * 40, "1e999", "NaN"])
names = st.sampled_from(["metadata", "expand", "customer", "items", "limit", "starting_after", "created", "currency"])


class Fuzzed:
    """A small world, and whether it has changed."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        self.sandbox = sandbox
        subscription = paying_customer(sandbox)
        api = sandbox.client.v1
        invoice = api.invoices.list().data[0]
        self.ids = [
            subscription.id,
            str(subscription.customer),
            subscription["items"].data[0].id,
            str(subscription.default_payment_method),
            str(invoice.id),
            monthly(api, 700).id,
            api.payment_intents.list().data[0].id,
            api.events.list({"limit": 1}).data[0].id,
            "pm_card_visa",
            "cus_none",
        ]
        self.state = sqlite3.connect(f"file:{sandbox.state}?mode=ro", uri=True, isolation_level=None)

    def version(self) -> int:
        """Grows with each change of the sandbox's file."""
        return int(self.state.execute("PRAGMA data_version").fetchone()[0])

    def send(self, method: str, path: str, body: str | bytes | None, headers: dict[str, str]) -> tuple[int, str]:
        """Send it; look at the answer, and at what it left behind."""
        before = self.version()
        raw: Any = body.decode("latin-1") if isinstance(body, bytes) else body
        status, answered, said = self.sandbox.request(method, path, raw, {**BEARER, **headers})
        assert answered["content-type"].startswith("application/json"), (status, said)
        assert status < 500, said
        if method != "HEAD":
            answer = json.loads(said)
            assert ("error" in answer) == (status >= 400)
            if status >= 400:
                assert answer["error"]["type"] in ERROR_TYPES
                assert answer["error"]["message"]
        if status >= 400 and status != 402:  # what a card's refusal leaves behind stays
            assert self.version() == before, f"{method} {path} {body!r} was refused ({status}) and changed the state"
        return status, said


@pytest.fixture
def fuzzed(sandbox: SandboxProcess) -> Iterator[Fuzzed]:
    world = Fuzzed(sandbox)
    with closing(world.state):
        yield world


@OFTEN
@given(data=st.data())
def test_known_routes_with_any_parameters(fuzzed: Fuzzed, data: st.DataObject) -> None:
    """Names that the route knows and others, values that fit and others, ids that exist and others."""
    send_to_a_known_route(fuzzed, data)


@pytest.mark.deep
@VERY_OFTEN
@given(data=st.data())
def test_known_routes_very_often(fuzzed: Fuzzed, data: st.DataObject) -> None:
    """The same at length, and others each time."""
    send_to_a_known_route(fuzzed, data)


def send_to_a_known_route(fuzzed: Fuzzed, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(BUILT))
    path = route.template
    while "{}" in path:
        path = path.replace("{}", quote(data.draw(st.sampled_from(fuzzed.ids) | text), safe="") or "x", 1)
    known = fields(route.params) if route.params else {}
    chosen = data.draw(st.lists(st.sampled_from(sorted(known)), max_size=4)) if known else []
    chosen += [name for name, field in known.items() if field.required and data.draw(st.integers(0, 9))]
    params = [pair for name in chosen for pair in plausible(data, fuzzed, known[name].annotation, name)]
    if data.draw(st.integers(0, 3)):
        params = [(name, value) for name, value in params if is_built(route, name)]
    params += data.draw(st.lists(st.tuples(names | text, odd_text | text), max_size=1))
    form = urlencode(params, errors="replace")
    if route.method == "POST":
        fuzzed.send("POST", path, form, FORM)
    else:
        fuzzed.send(route.method, f"{path}?{form}", None, {})


def is_built(route: Any, name: str) -> bool:
    found = ROUTER.match(route.method, route.template.replace("{}", "x"))
    assert found
    path = re.sub(r"\.\d+", "", name.replace("[", ".").replace("]", ""))
    return any(path == built or path.startswith(f"{built}.") for built in found[0].built)


def plausible(data: st.DataObject, fuzzed: Fuzzed, annotation: Any, name: str) -> list[tuple[str, str]]:
    """The form fields of a value that fits the annotation, more or less."""
    if data.draw(st.integers(0, 19)) == 0:
        return [(name, data.draw(odd_text | text))]
    kind = data.draw(st.sampled_from(members(annotation)))
    origin = typing.get_origin(kind) or kind
    if origin is typing.Literal:
        return [(name, str(data.draw(st.sampled_from(typing.get_args(kind)))))]
    if origin is list:
        size = data.draw(st.integers(0, 2))
        inner = typing.get_args(kind)[0]
        return [pair for i in range(size) for pair in plausible(data, fuzzed, inner, f"{name}[{i}]")]
    if is_typeddict(origin):
        known = fields(origin)
        inside = [n for n, field in known.items() if field.required or data.draw(st.integers(0, 3)) == 0]
        return [pair for n in inside for pair in plausible(data, fuzzed, known[n].annotation, f"{name}[{n}]")]
    if origin is bool:
        return [(name, data.draw(st.sampled_from(["true", "false"])))]
    if origin in (int, float, Decimal):
        return [(name, str(data.draw(st.integers(-2, 100) | st.integers() | st.just(fuzzed.sandbox.now() + 90_000))))]
    if origin is str:
        return [(name, data.draw(st.sampled_from([*fuzzed.ids, "usd", "carol@example.com"]) | text))]
    return [(f"{name}[k]", data.draw(text))]


@OFTEN
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


@OFTEN
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


@OFTEN
@given(expand=st.lists(st.lists(st.sampled_from(["data", "customer", "items", "latest_invoice", "object", "", "x"]))))
def test_any_expansion(fuzzed: Fuzzed, expand: list[list[str]]) -> None:
    """Along any path, or not at all."""
    query = urlencode([("expand[]", ".".join(path)) for path in expand])
    for id in (f"subscriptions/{fuzzed.ids[0]}", "subscriptions", "events"):
        fuzzed.send("GET", f"/v1/{id}?{query}", None, {})
