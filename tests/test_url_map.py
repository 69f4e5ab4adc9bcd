"""Every route, visited by everybody: by a stranger, by another customer with Alice's ids, and by staff.

A new route needs a line in ROUTES.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
import requests

from models import Customer, Invoice, StaffAction, Subscription, User, WebhookEvent
from tests.shop import RunningShop, Visitor, pay
from tests.staff.people import staff_member, user_id

ALICE = "alice@example.com"


@dataclass(frozen=True)
class Route:
    """What is sent to a route, and the status for a stranger, a customer and staff. `{...}` are ids of Alice's."""

    rule: str
    stranger: int
    customer: int
    staff: int
    path: str = ""  # where the rule has variables
    query: dict[str, str] = field(default_factory=dict)
    json: dict[str, Any] | None = None
    form: dict[str, str] | None = None

    def visit(self, visitor: Visitor, ids: dict[str, str]) -> requests.Response:
        """Send it, without following where it leads."""
        method, rule = self.rule.split(" ", 1)
        body: dict[str, Any] = {}
        if self.json is not None:
            body = {"json": filled(self.json, ids)}
        elif self.form is not None:
            body = {"data": filled(self.form, ids)}
        return visitor.session.request(
            method,
            visitor.url + (self.path or rule).format(**ids),
            params=filled(self.query, ids),
            headers={"X-CSRFToken": visitor.token()},
            allow_redirects=False,
            timeout=60,
            **body,
        )


def filled(values: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    return {name: value.format(**ids) if isinstance(value, str) else value for name, value in values.items()}


SUBSCRIPTION = {"subscriptionId": "{subscription}"}
STAFF_CUSTOMER = "/staff/customers/<int(max=2147483647):user_id>"
CHANGE = {**SUBSCRIPTION, "newPriceLookupKey": "basic_monthly"}
FOR_ALICE = {"subscription": "{subscription}", "when": "period_end", "reason": "She asked."}

ROUTES = [
    # For everybody
    Route("GET /", 200, 200, 200),
    Route("GET /config", 200, 200, 200),
    Route("GET /privacy", 200, 200, 200),
    Route("GET /healthz", 200, 200, 200),
    Route("GET /readyz", 200, 200, 200),
    Route("GET /static/<path:filename>", 200, 200, 200, path="/static/css/base.css"),
    Route("POST /webhook", 400, 400, 400, json={"id": "evt_1", "type": "invoice.paid"}),
    # Accounts: who is signed in is led on
    Route("GET /login", 200, 302, 302),
    Route("POST /login", 200, 302, 302, form={"email": ALICE, "password": "not hers at all"}),
    Route("GET /register", 200, 302, 302),
    Route("POST /register", 200, 302, 302, form={"email": "not an address"}),
    Route("GET /reset", 200, 200, 200),
    Route("POST /reset", 200, 200, 200, form={"email": "not an address"}),
    Route("GET /reset/<token>", 302, 302, 302, path="/reset/forged"),
    Route("POST /reset/<token>", 302, 302, 302, path="/reset/forged", form={"password": "a new one for Alice"}),
    Route("GET /confirm", 200, 200, 200),
    Route("POST /confirm", 200, 200, 200, form={"email": "not an address"}),
    Route("GET /confirm/<token>", 302, 302, 302, path="/confirm/forged"),
    Route("POST /confirm/<token>", 302, 302, 302, path="/confirm/forged", form={}),
    Route("GET /change", 302, 200, 200),
    Route("POST /change", 303, 200, 200, form={"password": "not mine", "new_password": "x"}),
    Route("GET /change-email", 302, 200, 200),
    Route("POST /change-email", 303, 200, 200, form={"email": "not an address", "password": "not mine"}),
    Route("GET /change-email/<token>", 302, 302, 302, path="/change-email/forged"),
    Route("GET /verify", 302, 200, 200),
    Route("POST /verify", 303, 200, 200, form={"password": "not mine"}),
    # For customers: what is Alice's does not exist for others
    Route("GET /account", 302, 200, 200),
    Route("GET /account/invoices", 302, 200, 200),
    Route("GET /account/plan", 302, 302, 302),
    Route("GET /members/basic", 302, 403, 403),
    Route("GET /members/premium", 302, 403, 403),
    Route("GET /subscribe", 302, 200, 200, query={"price": "basic_monthly"}),
    Route("GET /subscriptions", 401, 200, 200),
    Route("GET /complete", 302, 200, 200, query={"payment_intent_client_secret": "{secret}"}),
    Route("POST /complete/sync", 401, 200, 200, json={}),
    Route("POST /create-customer", 401, 400, 400, json={"email": ALICE}),
    Route("POST /create-subscription", 401, 404, 404, json={"lookupKey": "basic_monthly", "customerId": "{customer}"}),
    Route("POST /cancel-subscription", 401, 404, 404, json=SUBSCRIPTION),
    Route("POST /resume-subscription", 401, 404, 404, json=SUBSCRIPTION),
    Route("GET /invoice-preview", 401, 404, 404, query=CHANGE),
    Route("POST /update-subscription", 401, 404, 404, json=CHANGE),
    Route("POST /undo-change", 401, 404, 404, json=SUBSCRIPTION),
    Route("GET /payment-method", 302, 200, 200),
    Route("POST /create-setup-intent", 401, 400, 400, json={"customer": "{customer}"}),
    Route("POST /payment-method", 401, 404, 404, json={"setupIntentId": "{setup_intent}"}),
    Route("GET /pay", 302, 302, 302),
    Route("GET /pay/<invoice_id>", 302, 404, 404, path="/pay/{invoice}"),
    Route("POST /pay-invoice", 401, 404, 404, json={"invoiceId": "{invoice}"}),
    Route("GET /account/details", 302, 200, 200),
    Route("POST /billing-details", 401, 400, 400, json={"customer": "{customer}"}),
    Route("POST /create-portal-session", 401, 400, 400, json={"customer": "{customer}"}),
    Route("GET /account/export", 302, 200, 200),
    Route("GET /account/delete", 302, 200, 200),
    Route("POST /delete-account", 401, 400, 400, json={"password": "not mine"}),
    # For staff
    Route("GET /staff/customers", 302, 403, 200, query={"q": ALICE}),
    Route(f"GET {STAFF_CUSTOMER}", 302, 403, 200, path="/staff/customers/{user}"),
    Route(f"POST {STAFF_CUSTOMER}/cancel", 303, 403, 303, path="/staff/customers/{user}/cancel", form=FOR_ALICE),
    Route(f"POST {STAFF_CUSTOMER}/resume", 303, 403, 303, path="/staff/customers/{user}/resume", form=FOR_ALICE),
    Route(f"POST {STAFF_CUSTOMER}/resync", 303, 403, 303, path="/staff/customers/{user}/resync", form={}),
    Route("GET /staff/events", 302, 403, 200),
    Route("GET /staff/actions", 302, 403, 200),
    Route("POST /staff/events/<event_id>/replay", 303, 403, 409, path="/staff/events/{event}/replay", form={}),
    # The end of a visit
    Route("POST /logout", 302, 302, 302, form={}),
]


@pytest.fixture
def ids(shop: RunningShop) -> dict[str, str]:
    """Alice has Premium, and is about to replace her card. These are the ids of what is hers."""
    alice = shop.member(ALICE)
    attempt = alice.subscribe("premium_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    setup = alice.send("/create-setup-intent", {}).json()
    shop.settle()
    return {
        "user": str(user_id(shop, ALICE)),
        "customer": shop.rows(Customer)[0]["id"],
        "subscription": attempt["subscriptionId"],
        "secret": attempt["clientSecret"],
        "setup_intent": setup["clientSecret"].split("_secret_")[0],
        "invoice": shop.rows(Invoice)[0]["id"],
        "event": next(row["id"] for row in shop.rows(WebhookEvent) if row["state"] == "done" and row["customer_id"]),
    }


def test_every_route_is_in_the_table(app):
    """Whoever adds one says who may visit it."""
    there = {f"{method} {rule}" for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}}

    assert {route.rule for route in ROUTES} == there


def expected(who: str) -> dict[str, int]:
    return {route.rule: getattr(route, who) for route in ROUTES}


def test_a_stranger_gets_public_pages_only(shop, ids):
    """The rest leads to the log-in page, or is a 401."""
    answers = {route.rule: route.visit(shop.visitor(), ids) for route in ROUTES}

    assert {rule: answer.status_code for rule, answer in answers.items()} == expected("stranger")
    assert {rule for rule, answer in answers.items() if tells_of_alice(answer, ids)} == set()
    own = [
        route.rule
        for route in ROUTES
        if (route.stranger, route.customer) != (302, 302) and route.stranger in (302, 303)
    ]
    assert {rule for rule in own if "/login" not in answers[rule].headers["Location"]} == set()


def test_for_another_customer_what_is_alices_does_not_exist(shop, ids):
    """404, or 403 where only staff may go; nothing of hers is told or changed."""
    mallory = shop.member("mallory@example.com")
    before = all_rows(shop)
    shop.sandbox.control("DELETE", "requests")

    answers = {route.rule: route.visit(mallory, ids) for route in ROUTES}

    assert {rule: answer.status_code for rule, answer in answers.items()} == expected("customer")
    assert {rule for rule, answer in answers.items() if tells_of_alice(answer, ids)} == set()
    shop.settle()
    assert all_rows(shop) == before
    assert [sent["path"] for sent in shop.sandbox.requests() if sent["method"] != "GET"] == []


def test_staff_reach_alice_through_staff_pages_only(shop, ids):
    """Elsewhere they are customers like any other."""
    sam = staff_member(shop)

    answers = {route.rule: route.visit(sam, ids) for route in ROUTES}

    assert {rule: answer.status_code for rule, answer in answers.items()} == expected("staff")
    assert {rule for rule, answer in answers.items() if tells_of_alice(answer, ids)} == {
        "GET /staff/customers",
        f"GET {STAFF_CUSTOMER}",
        "GET /staff/events",
        "GET /staff/actions",
    }
    assert {row["kind"] for row in shop.rows(StaffAction)} == {"cancel_at_period_end", "resume", "resync"}


def tells_of_alice(answer: requests.Response, ids: dict[str, str]) -> bool:
    """Whether an answer holds something of hers that was not sent with the question."""
    hers = (ALICE, ids["customer"], ids["subscription"], ids["invoice"], ids["setup_intent"], ids["secret"])
    sent = unquote(f"{answer.request.url} {answer.request.body!r}")
    return any(id in answer.text for id in hers if id not in sent)


def all_rows(shop: RunningShop) -> list[Any]:
    return [shop.rows(model) for model in (Customer, Subscription, Invoice, StaffAction, User)]
