"""The endpoint: what it refuses, what it enters in the ledger, what it does once."""

import json
import time

import pytest
import sqlalchemy as sa
import stripe

import db
from models import Customer, Invoice, Product, Subscription, WebhookEvent
from tests.stripe_objects import event, invoice, product, subscription

SECRET = "whsec_tests"
CREATED = 1_700_000_000


def sign(body: bytes, secret: str = SECRET, at: int | None = None) -> str:
    timestamp = int(time.time()) if at is None else at
    return stripe.WebhookSignature.generate_signature_header(body.decode("utf-8", "surrogatepass"), secret, timestamp)


@pytest.fixture
def deliver(client):
    """Post an event as Stripe does."""

    def deliver(payload, **headers):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers.setdefault("Stripe-Signature", sign(body))
        return client.post("/webhook", data=body, headers=headers, content_type="application/json")

    return deliver


@pytest.fixture
def rows(app):
    """All rows of a table, as dicts."""

    def rows(model):
        with app.app_context():
            return [dict(row) for row in db.session.execute(sa.select(model.__table__)).mappings()]

    return rows


@pytest.fixture
def ours(app):
    """Make cus_1 a customer of this shop."""
    with app.app_context(), db.write() as tx:
        tx.execute(sa.insert(Customer).values(id="cus_1", known_from=0, known_to=0))


def ledger(rows):
    return [(row["id"], row["state"]) for row in rows(WebhookEvent)]


PRODUCT_CREATED = event(product(), "product.created", created=CREATED, id="evt_1")


def test_a_signed_event_takes_effect_and_is_entered_as_done(deliver, rows):
    """The row and the ledger come together."""
    assert deliver(PRODUCT_CREATED).status_code == 200

    assert ledger(rows) == [("evt_1", "done")]
    assert [(row["name"], row["known_to"]) for row in rows(Product)] == [("Basic", CREATED)]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "t=1,v1=",
        "t=,v1=abc",
        "t=abc,v1=abc",
        "v1=abc",
        "t=99999999999999999999,v1=abc",
        "t=1;v1=abc",
        "t=1,v0=abc",
        "=,=",
        ",,,",
    ],
)
def test_an_odd_signature_header_is_a_400(deliver, rows, header):
    """Whatever the header holds, nothing is written."""
    assert deliver(PRODUCT_CREATED, **{"Stripe-Signature": header}).status_code == 400

    assert (ledger(rows), rows(Product)) == ([], [])


def test_the_log_tells_of_events_that_were_not_taken(deliver, caplog):
    """The ledger tells of the others."""
    with caplog.at_level("INFO"):
        deliver(PRODUCT_CREATED)
        deliver(PRODUCT_CREATED, **{"Stripe-Signature": "nonsense"})
    lines = [record.getMessage() for record in caplog.records if record.name == "access"]
    assert [line.split()[:3] for line in lines] == [["POST", "/webhook", "400"]]


def test_another_secret_is_refused(deliver, rows):
    """A signature by somebody else's secret changes nothing."""
    body = json.dumps(PRODUCT_CREATED).encode()

    assert deliver(body, **{"Stripe-Signature": sign(body, "whsec_other")}).status_code == 400
    assert ledger(rows) == []


def test_a_changed_body_is_refused(deliver, rows):
    """One byte more, and the signature no longer fits."""
    body = json.dumps(PRODUCT_CREATED).encode()

    assert deliver(body + b" ", **{"Stripe-Signature": sign(body)}).status_code == 400
    assert ledger(rows) == []


@pytest.mark.parametrize(("age", "status"), [(299, 200), (302, 400)])
def test_an_old_signature_is_refused_after_300_seconds(deliver, age, status):
    """Replays end after five minutes."""
    body = json.dumps(PRODUCT_CREATED).encode()

    assert deliver(body, **{"Stripe-Signature": sign(body, at=int(time.time()) - age)}).status_code == status


@pytest.mark.parametrize("secret", ["whsec_old", "whsec_new"])
def test_any_of_several_secrets_will_do(make_app, secret):
    """While a secret is rolled, both are right."""
    client = make_app(STRIPE_WEBHOOK_SECRET="whsec_old, whsec_new").test_client()
    body = json.dumps(PRODUCT_CREATED).encode()

    assert client.post("/webhook", data=body, headers={"Stripe-Signature": sign(body, secret)}).status_code == 200


def test_without_a_secret_everything_is_a_503(make_app):
    """The check is never skipped."""
    client = make_app(STRIPE_WEBHOOK_SECRET="").test_client()
    body = json.dumps(PRODUCT_CREATED).encode()

    assert client.post("/webhook", data=body, headers={"Stripe-Signature": sign(body)}).status_code == 503


def test_a_large_body_is_a_413(deliver, rows):
    """256 KiB are enough for any event."""
    assert deliver(b"x" * (256 * 1024 + 1)).status_code == 413
    assert ledger(rows) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b"1" * 5000,
        b"[" * 100_000,
        b'{"id": NaN}',
        b'"\\ud800"',
    ],
    ids=lambda body: body[:12].decode(),
)
def test_a_signed_body_that_is_no_json_object_is_a_400(deliver, rows, body):
    """Even who has the secret can't break it."""
    assert deliver(body).status_code == 400
    assert ledger(rows) == []


def without(name):
    return {key: value for key, value in PRODUCT_CREATED.items() if key != name}


@pytest.mark.parametrize(
    "payload",
    [
        without("id"),
        without("type"),
        without("created"),
        without("livemode"),
        without("data"),
        {**PRODUCT_CREATED, "id": ""},
        {**PRODUCT_CREATED, "id": 7},
        {**PRODUCT_CREATED, "id": "e" * 256},
        {**PRODUCT_CREATED, "id": "evt\0"},
        {**PRODUCT_CREATED, "id": "evt\ud800"},
        {**PRODUCT_CREATED, "type": ["product.created"]},
        {**PRODUCT_CREATED, "created": "1700000000"},
        {**PRODUCT_CREATED, "created": True},
        {**PRODUCT_CREATED, "created": -1},
        {**PRODUCT_CREATED, "created": 2**53 + 1},
        {**PRODUCT_CREATED, "created": 1.5},
        {**PRODUCT_CREATED, "livemode": "false"},
        {**PRODUCT_CREATED, "data": []},
        {**PRODUCT_CREATED, "data": {"object": None}},
        {**PRODUCT_CREATED, "data": {"object": {"object": 5}}},
        {**PRODUCT_CREATED, "data": {"object": {"object": "product", "id": 5}}},
    ],
)
def test_a_signed_object_that_is_no_event_is_a_400(deliver, rows, payload):
    """Shape is checked before anything is done."""
    assert deliver(payload).status_code == 400
    assert ledger(rows) == []


def test_a_type_that_is_not_handled_is_entered_as_ignored(deliver, rows):
    """Stripe may send more than we need."""
    charge = {"id": "ch_1", "object": "charge"}

    assert deliver(event(charge, "charge.succeeded", created=CREATED, id="evt_2")).status_code == 200
    assert ledger(rows) == [("evt_2", "ignored")]


def test_an_event_of_the_other_mode_is_ignored(deliver, rows):
    """Live events do not change a test shop."""
    assert deliver({**PRODUCT_CREATED, "livemode": True}).status_code == 200
    assert (ledger(rows), rows(Product)) == ([("evt_1", "ignored")], [])


def test_somebody_elses_customer_is_foreign(deliver, rows):
    """An account may have other customers than the shop's."""
    payload = event(subscription(customer="cus_other"), "customer.subscription.created", created=CREATED, id="evt_3")

    assert deliver(payload).status_code == 200
    assert (ledger(rows), rows(Subscription)) == ([("evt_3", "foreign")], [])


def test_a_doubled_event_takes_effect_once(deliver, rows):
    """The second delivery is already done."""
    deliver(PRODUCT_CREATED)
    before = rows(Product)

    assert deliver(PRODUCT_CREATED).json == {"status": "already done"}
    assert rows(Product) == before


def test_a_newer_event_wins_and_an_older_one_is_dropped(deliver, rows):
    """Whatever comes first, the newer state stays."""
    old = event(product(name="Old"), "product.created", created=CREATED, id="evt_old")
    new = event(product(name="New"), "product.updated", created=CREATED + 10, id="evt_new")

    assert [deliver(new).status_code, deliver(old).status_code] == [200, 200]
    assert [row["name"] for row in rows(Product)] == ["New"]
    assert ledger(rows) == [("evt_new", "done"), ("evt_old", "done")]


def test_the_same_snapshot_in_the_same_second_only_moves_the_version(deliver, rows):
    """Whoever asked Stripe before must start over."""
    deliver(PRODUCT_CREATED)
    deliver(event(product(), "product.updated", created=CREATED, id="evt_again"))

    assert [(row["version"], row["known_to"]) for row in rows(Product)] == [(2, CREATED)]


def test_two_different_snapshots_of_one_second_need_stripe(deliver, rows):
    """Without an answer nothing is guessed: 500, and Stripe sends again."""
    deliver(PRODUCT_CREATED)
    answer = deliver(event(product(name="Other"), "product.updated", created=CREATED, id="evt_same_second"))

    assert answer.status_code == 500
    assert [row["name"] for row in rows(Product)] == ["Basic"]
    assert ("evt_same_second", "failed") in ledger(rows)


@pytest.mark.parametrize("api_version", ["2025-03-31.basil", "2022-11-15", None])
def test_another_api_versions_payload_is_never_copied(deliver, rows, api_version):
    """Its fields mean other things: Stripe is asked."""
    answer = deliver({**PRODUCT_CREATED, "api_version": api_version})

    assert answer.status_code == 500  # Stripe does not answer here
    assert rows(Product) == []


def test_a_test_clocks_snapshot_is_never_copied(deliver, rows, ours):
    """Its time can't be compared with ours."""
    payload = event(subscription(test_clock="clock_1"), "customer.subscription.created", created=CREATED)

    assert deliver(payload).status_code == 500
    assert rows(Subscription) == []


def test_a_failed_event_is_done_when_it_comes_again(deliver, rows):
    """`failed` is not the end of it."""
    strange = {**PRODUCT_CREATED, "api_version": "2020-08-27"}

    assert deliver(strange).status_code == 500
    assert deliver(PRODUCT_CREATED).status_code == 200
    assert [(row["state"], row["attempts"]) for row in rows(WebhookEvent)] == [("done", 2)]


def test_stripe_is_not_kept_waiting_for_a_renewals_draft(deliver, rows, ours):
    """It charges only after a 2xx: the event is kept for `flask tick`."""
    strange = event(invoice(), "invoice.created", created=CREATED, id="evt_draft", api_version="2020-08-27")

    assert deliver(strange).status_code == 200
    assert (ledger(rows), rows(Invoice)) == ([("evt_draft", "failed")], [])


def test_a_canceled_subscription_never_comes_back(deliver, rows, ours):
    """A later snapshot changes other columns, not the status."""
    ended = event(subscription(status="canceled"), "customer.subscription.deleted", created=CREATED)
    odd = event(subscription(status="active", cancel_at=5), "customer.subscription.updated", created=CREATED + 9)

    assert [deliver(ended).status_code, deliver(odd).status_code] == [200, 200]
    assert [(row["status"], row["cancel_at"]) for row in rows(Subscription)] == [("canceled", 5)]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("paid", "open", "paid"),
        ("paid", "void", "paid"),
        ("void", "paid", "void"),
        ("open", "draft", "open"),
        ("uncollectible", "open", "uncollectible"),
        ("uncollectible", "paid", "paid"),
        ("open", "void", "void"),
    ],
)
def test_an_invoice_only_moves_up(deliver, rows, ours, first, second, kept):
    """draft < open < uncollectible < paid | void."""
    deliver(event(invoice(status=first), "invoice.updated", created=CREATED))
    deliver(event(invoice(status=second), "invoice.updated", created=CREATED + 9))

    assert [row["status"] for row in rows(Invoice)] == [kept]


def test_items_are_replaced_with_their_subscription(deliver, app, ours):
    """A changed plan leaves no old item behind."""
    from models import SubscriptionItem

    changed = subscription()
    changed["items"]["data"][0] = {**changed["items"]["data"][0], "id": "si_2"}
    deliver(event(subscription(), "customer.subscription.created", created=CREATED))
    deliver(event(changed, "customer.subscription.updated", created=CREATED + 9))

    with app.app_context():
        assert list(db.session.scalars(sa.select(SubscriptionItem.id))) == ["si_2"]


def test_the_user_is_not_looked_up(deliver, statements):
    """A delivery costs no statement for who is signed in."""
    deliver(PRODUCT_CREATED)

    assert not [statement for statement in statements if "users" in statement]


def test_no_cookie_and_no_csrf_token_are_needed(deliver):
    """Stripe has neither; its signature is the check."""
    answer = deliver(PRODUCT_CREATED)

    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (200, None)
