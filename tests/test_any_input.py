"""Whatever is sent to whatever route, by whomever: never a failure of ours, and what every answer carries."""

from __future__ import annotations

import copy
import json
import re
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

import staff_members
from models import Customer, Invoice, SetupIntent, Subscription, User, WebhookEvent
from tests.chance import many
from tests.conftest import PASSWORD, Browser
from tests.shop import RunningShop, pay
from tests.test_url_map import CHANGE, ROUTES, SUBSCRIPTION, Route, filled

ALICE, STAFF, STRANGER = "alice@example.com", "staff@example.com", "a stranger"
ADDRESS = {"line1": "1 Main St", "line2": "x", "city": "Paris", "state": "x", "postal_code": "75001", "country": "FR"}
# What a good request holds, where the table of routes has less.
WHOLE: dict[str, dict[str, Any]] = {
    "POST /create-customer": {"name": "Alice", "address": ADDRESS, "shipping": {"name": "Alice", "address": ADDRESS}},
    "POST /create-subscription": {"lookupKey": "basic_monthly", "currency": "usd"},
    "POST /billing-details": {"name": "A", "address": ADDRESS, "taxId": {"type": "eu_vat", "value": "FR12345678901"}},
    "POST /update-subscription": {**CHANGE, "quote": "x"},
    "POST /cancel-subscription": {**SUBSCRIPTION, "atPeriodEnd": True, "reason": "other", "comment": "x"},
    "POST /pay-invoice": {"invoiceId": "{invoice}", "savedMethod": True},
    "POST /create-setup-intent": {},
    "POST /create-portal-session": {},
    "POST /staff/events/<event_id>/replay": {"reason": "x", "user_id": "1"},
    "GET /staff/customers": {"q": "alice", "page": "1"},
    "GET /staff/events": {"q": "invoice.", "state": "failed", "page": "1"},
    "GET /staff/actions": {"page": "1"},
    "GET /account/invoices": {"page": "1"},
    "GET /account/plan": {"price": "basic_monthly"},
    "GET /login": {"next": "/account"},
    "GET /": {"currency": "eur"},
}  # fmt: skip
TEXTS = st.text(max_size=20) | st.sampled_from([
    "", " ", "\0", "a\0b", "x" * 256, "x" * 5000, "é", "\u202e", "🦊" * 90, "%", "_", "'; --", "-1", "0", "1e9", "٣",
    "9" * 25, "99999999999", "9" * 5000, "null", "../..", "..%2f", "https://evil.example", "//evil.example",
    "\r\nX: y", "{{7*7}}", "%s", "<script>", "now", "eur", "premium_monthly", "{subscription}", "{customer}", "{event}",
])  # fmt: skip
SCALARS = TEXTS | st.none() | st.booleans() | st.integers() | st.floats() | st.just("\ud800") | st.just(2**70)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2))
TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain",
         "application/json; charset=utf-16", "multipart/form-data", "", "é/x"]  # fmt: skip


class Senders:
    """Browsers of Alice, who has a plan, of staff, and of a stranger."""

    def __init__(self, shop: RunningShop) -> None:
        self.app, self.url = shop.app, shop.url
        alice = shop.member(ALICE)
        attempt = alice.subscribe("premium_monthly")
        pay(shop.sandbox, attempt["clientSecret"])
        alice.send("/create-setup-intent", {})
        shop.settle()
        self.ids = {
            "user": str(shop.rows(User)[0]["id"]),
            "customer": shop.rows(Customer)[0]["id"],
            "subscription": shop.rows(Subscription)[0]["id"],
            "secret": attempt["clientSecret"],
            "setup_intent": shop.rows(SetupIntent)[0]["id"],
            "invoice": shop.rows(Invoice)[0]["id"],
            "event": shop.rows(WebhookEvent)[0]["id"],
        }
        with shop.app.app_context():
            self.passwords = {ALICE: PASSWORD, STAFF: str(staff_members.add(STAFF))}
        self.browsers: dict[str, tuple[Browser, str]] = {}

    def browser(self, who: str) -> tuple[Browser, str]:
        """With its CSRF token; signed in again if what was sent before has signed it out."""
        if who not in self.browsers or (who in self.passwords and not self.browsers[who][0].signed_in()):
            browser = Browser(self.app)
            browser.environ_base["HTTP_HOST"] = urlsplit(self.url).netloc
            if who in self.passwords:
                answer = browser.submit("/login", email=who, password=self.passwords[who])
                assert answer.status_code == 302, answer.get_data(as_text=True)
            self.browsers[who] = browser, browser.csrf_token()
        return self.browsers[who]


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body."""
    items = list(value.items()) if isinstance(value, dict) else []
    return [(*before, key) for key, _ in items] + [way for key, inner in items for way in paths(inner, (*before, key))]


@st.composite
def requests_to_send(draw: st.DrawFn) -> tuple[Route, dict[str, Any], dict[str, Any]]:
    """A route, its variables, and how it is asked: rightly, with a few places spoiled, or with anything."""
    route = draw(st.sampled_from(ROUTES))
    good = WHOLE.get(route.rule, route.json if route.json is not None else route.form or route.query)
    fields = copy.deepcopy(good)
    for _ in range(draw(st.integers(0, 2))):
        ways = paths(fields)
        place: Any = fields
        *way, last = draw(st.sampled_from(ways)) if ways else ("odd",)
        for key in way:
            place = place[key]
        if draw(st.integers(0, 3)) or last not in place:
            place[last] = draw(VALUES)
        else:
            del place[last]
    variables = (
        {name: draw(TEXTS) for name in re.findall(r"(\w+)>", route.rule)} if draw(st.integers(0, 3)) == 0 else {}
    )
    how: dict[str, Any] = {"json": fields} if route.json is not None else {"form": fields}
    if route.rule.startswith("GET"):
        how = {"query": fields}
    if draw(st.integers(0, 4)) == 0:
        body = draw(st.binary(max_size=50) | VALUES.map(lambda value: json.dumps(value).encode()))
        how = {"data": body, "content_type": draw(st.sampled_from(TYPES))}
    return route, variables, how


def send(senders: Senders, who: str, route: Route, variables: dict[str, Any], how: dict[str, Any]) -> Any:
    browser, token = senders.browser(who)
    method, rule = route.rule.split(" ", 1)
    path = (route.path or rule).format(**senders.ids)
    if variables:
        path = re.sub(r"<(?:[^>]*:)?(\w+)>", lambda match: quote(variables[match[1]], safe="/%"), rule)
    options: dict[str, Any] = {name: how[name] for name in ("data", "content_type") if name in how}
    if "json" in how:
        options = {"data": json.dumps(put_in(how["json"], senders.ids)), "content_type": "application/json"}
    if "form" in how:
        options = {"data": as_text(how["form"], senders.ids)}
    if "query" in how:
        options = {"query_string": as_text(how["query"], senders.ids)}
    return browser.open(path, method=method, headers={"X-CSRFToken": token}, **options)


def put_in(value: Any, ids: dict[str, str]) -> Any:
    """With the ids in their places."""
    if isinstance(value, dict):
        return {put_in(key, ids): put_in(inner, ids) for key, inner in value.items()}
    if isinstance(value, str) and value[1:-1] in ids:
        return filled({"": value}, ids)[""]
    return value


def as_text(fields: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    def text(value: Any) -> str:
        return str(put_in(value, ids)).encode("utf-8", "replace").decode()

    return {text(name): [text(one) for one in value] if isinstance(value, list) else text(value)
            for name, value in fields.items()}  # fmt: skip


def judge(senders: Senders, who: str, route: Route, answer: Any) -> None:
    """What holds for every answer."""
    text = answer.get_data(as_text=True)
    assert answer.status_code < 500, f"{route.rule} by {who}: {answer.status_code} {text[-300:]}"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sk_test_" not in text
    home = urlsplit(urljoin(senders.url, answer.headers.get("Location", "/").replace("\\", "/")))
    assert home.netloc == urlsplit(senders.url).netloc, answer.headers["Location"]
    if who in senders.passwords and "/static/" not in answer.request.path and "/logout" not in answer.request.path:
        assert answer.headers["Cache-Control"] == "no-store", route.rule
    if route.stranger == 401 and answer.request.path == route.rule.split(" ")[1]:
        assert answer.is_json, route.rule
        assert answer.status_code == 200 or answer.json["error"]["request_id"]
    if who == STRANGER and route.stranger in (302, 401):
        assert answer.status_code in (route.stranger, 303, 308, 400, 404, 413, 415), route.rule
    if who == ALICE and "/staff/" in route.rule:
        assert answer.status_code in (403, 404, 308), route.rule


def fuzz(shop: RunningShop, examples: int) -> None:
    senders = Senders(shop)

    @many(examples)
    @given(request=requests_to_send(), who=st.sampled_from((ALICE, STAFF, STRANGER)))
    def never_fails(request: Any, who: str) -> None:
        judge(senders, who, request[0], send(senders, who, *request))

    shop.app.logger.disabled = True
    try:
        never_fails()
    finally:
        shop.app.logger.disabled = False  # it is the same for all apps of a process


def test_nothing_that_is_sent_breaks_a_route(shop):
    """Good requests, slightly spoiled ones and rubbish, by Alice, staff and a stranger."""
    fuzz(shop, 300)


@pytest.mark.deep
def test_nothing_of_ten_thousand_that_are_sent_breaks_a_route(shop):
    """The same, at length."""
    fuzz(shop, 10_000)
