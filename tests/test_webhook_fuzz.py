"""Whatever is sent to the endpoint, signed or not: never a 500, and what is refused changes no row."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
import sqlalchemy as sa
import stripe
from hypothesis import given
from hypothesis import strategies as st

import billing
import db
import ledger
import sync
from models import Customer, Product, User, WebhookEvent
from tests import stripe_objects as objects
from tests.chance import many
from webhooks import HANDLERS

SECRET = "whsec_tests"
NOW = 1_700_000_000

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("x" * 300) | st.just(2**70)
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)
SAMPLES: list[dict[str, Any]] = [
    objects.customer(),
    objects.product(),
    objects.subscription(),
    objects.invoice(),
    objects.payment_method(),
    objects.schedule(),
    objects.entitlements("cus_1", "basic"),
    {"id": "pi_1", "object": "payment_intent", "customer": "cus_1", "payment_details": {"order_reference": "in_1"}},
    {"id": "ch_1", "object": "charge", "customer": "cus_1"},
    {"id": "dp_1", "object": "dispute", "charge": "ch_1"},
    {"id": "seti_1", "object": "setup_intent", "customer": "cus_1", "payment_method": "pm_1", "metadata": {}},
]
BEFORE = {
    "customer": "cus_1",
    "status": "incomplete",
    "items": {"data": [{"id": "si_1", "price": {"id": "price_2"}}]},
}


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(*before, key) for key, _ in items] + [
        path for key, inner in items for path in paths(inner, (*before, key))
    ]


@st.composite
def spoiled_events(draw: st.DrawFn) -> Any:
    """An event with a few places replaced or taken out."""
    event_type = draw(st.sampled_from(sorted(HANDLERS)))
    about = [obj for obj in SAMPLES if obj["object"] == (ledger.kind_of(event_type) or event_type.split(".")[0])]
    obj = copy.deepcopy(draw(st.sampled_from(about or SAMPLES) | st.sampled_from(SAMPLES)))
    event = objects.event(obj, event_type, created=NOW + draw(st.integers(-5, 5)))
    event["id"] = f"evt_{draw(st.integers(0, 10**9))}"
    if draw(st.booleans()):
        event["data"]["previous_attributes"] = copy.deepcopy(BEFORE)
    for _ in range(draw(st.integers(0, 3))):
        place: Any = event
        *way, last = draw(st.sampled_from(paths(event)))
        try:
            for key in way:
                place = place[key]
            if draw(st.booleans()):
                place[last] = draw(anything)
            else:
                del place[last]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier replacement took the place away
    return event


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


bodies = st.binary(max_size=300) | anything.map(as_bytes) | spoiled_events().map(as_bytes)
parts = st.sampled_from(["t", "v1", "v0", "", "="]) | st.text(st.characters(codec="latin-1"), max_size=5)
pairs = st.tuples(parts, st.integers().map(str) | st.text(st.characters(codec="latin-1"), max_size=70))
headers = st.lists(pairs.map("=".join), max_size=4).map(",".join)


@pytest.fixture
def stocked(app, monkeypatch):
    """A shop with a member and what they pay for, and a Stripe that has just that."""
    with app.app_context(), db.write() as tx:
        user = {"email": "alice@example.com", "fs_uniquifier": "x", "active": True, "is_staff": False}
        user_id = tx.scalar(sa.insert(User).values(user).returning(User.id))
        tx.execute(sa.insert(Customer).values(id="cus_1", user_id=user_id, known_from=NOW, known_to=NOW))
        row: dict[str, Any] = {
            "key": "basic",
            "name": "Basic",
            "description": None,
            "active": True,
            "opens": [],
            "features": [],
        }
        tx.execute(sa.insert(Product).values(id="prod_1", known_from=NOW, known_to=NOW, **row))

    def retrieve(kind: str, id: str, *, quick: bool = False) -> billing.Answer:
        id.encode()  # it is part of an address
        for sample in SAMPLES:
            if (sample["object"], sample.get("id")) == (kind, id):
                return billing.Answer(sample, NOW, 1, None)
        raise billing.Missing

    monkeypatch.setattr(billing, "retrieve", retrieve)
    with app.app_context():
        for sample in (objects.subscription(), objects.invoice(billing_reason="subscription_cycle")):
            sync.learn({}, billing.Answer(sample, NOW, 1, None))
    monkeypatch.setattr(app.logger, "disabled", True)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


def fuzz(app: Any, examples: int) -> None:
    client = app.test_client()

    def rows() -> Any:
        with app.app_context():
            tables = (Customer, Product, WebhookEvent)
            return [db.session.execute(sa.select(table.__table__)).all() for table in tables]

    @many(examples)
    @given(body=bodies, header=headers)
    def unsigned(body: bytes, header: str) -> None:
        before = rows()
        answer = client.post(
            "/webhook", data=body, headers={"Stripe-Signature": header.replace("\r", "").replace("\n", "")}
        )
        assert answer.status_code == 400
        assert rows() == before

    @many(examples)
    @given(body=bodies)
    def signed(body: bytes) -> None:
        text = body.decode("utf-8", "replace")
        signature = stripe.WebhookSignature.generate_signature_header(text, SECRET, int(time.time()))
        before = rows()
        answer = client.post("/webhook", data=body, headers={"Stripe-Signature": signature})
        assert answer.status_code in (200, 400), answer.get_data(as_text=True)
        assert answer.status_code == 200 or rows() == before

    unsigned()
    signed()


def test_a_mail_that_cant_be_made_of_an_event_holds_nothing_up(stocked):
    """Another API release may show otherwise what the mail is about: the row is right all the same."""
    told = objects.subscription()
    del told["items"]
    event = objects.event(told, "customer.subscription.updated", created=NOW + 1)
    event["data"]["previous_attributes"] = BEFORE
    body = json.dumps(event)
    signature = stripe.WebhookSignature.generate_signature_header(body, SECRET, int(time.time()))

    answer = stocked.test_client().post("/webhook", data=body, headers={"Stripe-Signature": signature})

    assert (answer.status_code, answer.json) == (200, {"status": "done"})


INTENT = {"id": "pi_1", "object": "payment_intent", "customer": "cus_1"}


@pytest.mark.parametrize("odd", [["cus_1"], {"id": {}}, 10**30, "\ud800", "\0", "x" * 300], ids=ascii)
@pytest.mark.parametrize(
    ("obj", "name", "event_type"),
    [
        (objects.tax_id(), "customer", "customer.tax_id.updated"),
        (objects.entitlements("cus_1"), "customer", "entitlements.active_entitlement_summary.updated"),
        ({"id": "dp_1", "object": "dispute"}, "charge", "charge.dispute.created"),
        (INTENT, "payment_details", "payment_intent.succeeded"),
        (INTENT, "payment_details", "payment_intent.processing"),
    ],
    ids=["tax_id", "entitlements", "dispute", "paid", "processing"],
)
def test_an_odd_id_breaks_nothing(stocked, obj, name, event_type, odd):
    """Whatever stands where an id belongs; even if we know by other ways whose it is."""
    value = {"order_reference": odd} if name == "payment_details" and not isinstance(odd, list) else odd
    event = objects.event({**obj, name: value}, event_type, created=NOW + 1)
    event["data"]["previous_attributes"] = {"customer": "cus_1"}
    body = json.dumps(event)
    signature = stripe.WebhookSignature.generate_signature_header(body, SECRET, int(time.time()))

    answer = stocked.test_client().post("/webhook", data=body, headers={"Stripe-Signature": signature})

    assert answer.status_code == 200


def test_no_request_breaks_the_endpoint(stocked):
    """Odd headers and bodies are refused, odd events are asked about or ignored."""
    fuzz(stocked, 200)


@pytest.mark.deep
def test_no_request_of_twenty_thousand_breaks_the_endpoint(stocked):
    """The same, at length."""
    fuzz(stocked, 10_000)
