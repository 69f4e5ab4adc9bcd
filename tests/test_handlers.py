"""What each type of event leads to, by name: a row, a question and a row, or an entry in the ledger alone."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

import billing
import db
import ledger
import subscriptions
import sync
import webhooks
from copies import READERS, identity
from models import BankOrder, Customer, User, WebhookEvent
from tests import stripe_objects as objects

CREATED = 1_700_000_000

# What an event's payload is about, and in the second place how Stripe says that it stands.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "product": (objects.product(), objects.product(name="As Stripe has it")),
    "price": (objects.price(), objects.price(currency_options={"eur": {"unit_amount": 480}})),
    "customer": (objects.customer(), objects.customer(name="As Stripe has it")),
    "tax_id": (objects.tax_id(), objects.tax_id(verification={"status": "verified"})),
    "subscription": (objects.subscription(), objects.subscription(cancel_at=7_000)),
    "invoice": (objects.invoice(), objects.invoice(amount_remaining=250)),
    "payment_method": (objects.payment_method(), objects.payment_method(type="link", link={})),
    "subscription_schedule": (objects.schedule(), objects.schedule(status="released")),
    billing.ENTITLEMENTS: (objects.entitlements("cus_1", "basic"), objects.entitlements("cus_1", "premium")),
}

TOLD = [
    "product.created",
    "product.updated",
    "customer.created",
    "customer.updated",
    "customer.tax_id.created",
    "customer.tax_id.updated",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "invoice.created",
    "invoice.finalized",
    "invoice.finalization_failed",
    "invoice.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.payment_attempt_required",
    "invoice.will_be_due",
    "invoice.overdue",
    "invoice.overpaid",
    "invoice.sent",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "payment_method.attached",
    "payment_method.updated",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "entitlements.active_entitlement_summary.updated",
    "subscription_schedule.created",
    "subscription_schedule.updated",
    "subscription_schedule.expiring",
    "subscription_schedule.completed",
    "subscription_schedule.released",
    "subscription_schedule.aborted",
    "subscription_schedule.canceled",
]
ASKED = ["price.created", "price.updated"]
GONE = ["product.deleted", "price.deleted", "customer.deleted", "customer.tax_id.deleted", "invoice.deleted"]
ENTERED = [
    "invoice.upcoming",
    "payment_intent.processing",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "setup_intent.succeeded",
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
]

OTHER_VERSIONS = [
    None,
    "2020-08-27",
    "2024-06-20",
    "2025-02-24.acacia",
    "2025-03-31.basil",
    "2026-05-27.dahlia",
    "2026-10-28.preview",
    "2027-03-31.fir",
]


class Stripe:
    """Answers questions about what it has, and remembers them."""

    def __init__(self) -> None:
        self.has: dict[str | None, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []

    def retrieve(self, kind: str, id: str, *, quick: bool = False) -> billing.Answer:
        self.asked.append((kind, id))
        if id not in self.has:
            raise billing.Missing
        return billing.Answer(self.has[id], CREATED + 5, 1, None)


@pytest.fixture
def stripe(app, monkeypatch) -> Iterator[Stripe]:
    """A customer of ours, and a Stripe that has nothing yet."""
    made = Stripe()
    monkeypatch.setattr(billing, "retrieve", made.retrieve)
    with app.app_context():
        with db.write() as tx:
            tx.execute(sa.insert(Customer).values(id="cus_1", known_from=0, known_to=0))
        yield made


def take(event_type: str, obj: dict[str, Any], **changes: Any) -> None:
    """As the endpoint does with what it has checked."""
    event = objects.event(copy.deepcopy(obj), event_type, created=CREATED, **changes)
    assert webhooks.take(event) == ({"status": "done"}, 200)
    assert db.session.scalar(sa.select(WebhookEvent.state).where(WebhookEvent.id == event["id"])) == "done"


def held(obj: dict[str, Any]) -> sync.Held:
    found = sync.hold(READERS[obj["object"]][0], str(identity(obj)))
    assert found is not None
    return found


def about(event_type: str) -> str:
    kind = ledger.kind_of(event_type)
    assert kind is not None
    return kind


def test_a_customer_that_a_repeated_key_brought_back_is_as_old_as_their_first_event(app, stripe):
    """The answer shows what was true when they were made: an event from before it came is news all the same."""
    answer = billing.Answer(objects.customer("cus_2", created=CREATED - 5), CREATED + 60, 1, None, replayed=True)
    with db.write() as tx:
        made = {"email": "alice@example.com", "fs_uniquifier": "x", "active": True, "is_staff": False}
        user_id = tx.scalar(sa.insert(User).values(made).returning(User.id))
    user = db.session.get(User, user_id)
    assert user is not None

    subscriptions.adopt(answer, user, "none")
    take("customer.updated", objects.customer("cus_2", name="Alice"))

    assert held(objects.customer("cus_2")).copy.columns["name"] == "Alice"


def test_all_that_is_handled_is_named_here():
    """And nothing else is."""
    assert sorted([*TOLD, *ASKED, *GONE, *ENTERED]) == sorted(webhooks.HANDLERS)


@pytest.mark.parametrize("event_type", TOLD)
def test_an_event_tells_how_its_object_stands(stripe, event_type):
    """What it says is written, and Stripe is not asked."""
    told, _ = KINDS[about(event_type)]

    take(event_type, told)

    assert held(told).copy == sync.read(told)
    assert (held(told).known_from, held(told).known_to, stripe.asked) == (CREATED, CREATED, [])


@pytest.mark.parametrize("event_type", ASKED)
def test_of_a_price_only_stripe_can_tell(stripe, event_type):
    """Its event lacks what it costs in other currencies."""
    told, true = KINDS["price"]
    stripe.has["price_1"] = true

    take(event_type, told)

    assert held(told).copy.columns["currency_options"] == {"usd": 500, "eur": 480}
    assert stripe.asked == [("price", "price_1")]


@pytest.mark.parametrize("event_type", GONE)
def test_what_is_gone_is_kept_and_marked(stripe, event_type):
    """Once Stripe has said so, too; no later news brings it back."""
    kind = about(event_type)
    told, _ = KINDS[kind]
    alive = objects.event(told, f"{event_type.rpartition('.')[0]}.updated", created=CREATED + 9)

    take(event_type, told)
    webhooks.take(alive)

    assert held(told).gone
    assert set(stripe.asked) == {(kind, told["id"])}


@pytest.mark.parametrize(
    ("event_type", "obj"),
    [
        ("invoice.upcoming", {"object": "invoice", "customer": "cus_1", "parent": None}),
        ("payment_intent.succeeded", {"id": "pi_1", "object": "payment_intent", "customer": "cus_1"}),
        ("setup_intent.succeeded", {"id": "seti_1", "object": "setup_intent", "customer": "cus_1"}),
        ("charge.refunded", {"id": "ch_1", "object": "charge", "customer": "cus_1"}),
    ],
)
def test_what_no_table_has_a_place_for_is_entered(stripe, event_type, obj):
    """Staff see it; no question is asked."""
    take(event_type, obj)

    assert stripe.asked == []


@pytest.mark.parametrize("what", ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"])
def test_a_dispute_is_entered_for_its_charges_customer(stripe, what):
    """It names only the charge."""
    stripe.has["ch_1"] = {"id": "ch_1", "object": "charge", "customer": "cus_1"}

    take(f"charge.dispute.{what}", {"id": "dp_1", "object": "dispute", "charge": "ch_1"})

    assert db.session.scalar(sa.select(WebhookEvent.customer_id)) == "cus_1"


@pytest.mark.parametrize(("what", "column"), [("processing", "since"), ("payment_failed", "failed_at")])
def test_a_banks_order_is_noted(stripe, what, column):
    """When it got the order, or when that came to nothing."""
    details = {"order_reference": "in_1"}
    intent = {"id": "pi_1", "object": "payment_intent", "customer": "cus_1", "payment_details": details}

    take(f"payment_intent.{what}", intent)

    assert db.session.scalar(sa.select(getattr(BankOrder, column))) == CREATED


@pytest.mark.parametrize("event_type", [*TOLD, *ASKED, *GONE, *ENTERED])
def test_an_object_of_another_kind_than_the_type_says_is_ignored(stripe, event_type):
    """Nothing of it is read."""
    event = objects.event({"object": "account", "customer": "cus_1"}, event_type, created=CREATED)

    assert webhooks.take(event) == ({"status": "ignored"}, 200)


@pytest.mark.parametrize("kind", ["payment_method", "tax_id", billing.ENTITLEMENTS])
def test_what_does_not_say_that_it_is_on_a_test_clock_is_asked_for_if_its_customer_is(stripe, kind):
    """Its events are stamped in the customer's time, which can't be compared with an answer's."""
    told, true = KINDS[kind]
    stripe.has[identity(true)] = true
    with db.write() as tx:
        tx.execute(sa.update(Customer).values(test_clock="clock_1"))

    take(next(name for name in TOLD if about(name) == kind), told)

    assert held(true).copy == sync.read(true)
    assert stripe.asked == [(kind, identity(true))]


def before_basil(obj: dict[str, Any]) -> dict[str, Any]:
    """An object in the shape that it had before 2025-03-31."""
    old = copy.deepcopy(obj)
    if old["object"] == "subscription":
        for item in old["items"]["data"]:
            old["current_period_start"] = item.pop("current_period_start")
            old["current_period_end"] = item.pop("current_period_end")
        old |= {"plan": {"id": "price_1", "amount": 500}, "discount": None}
    elif old["object"] == "invoice":
        parent = old.pop("parent")
        old |= {"subscription": parent["subscription_details"]["subscription"], "paid": False, "charge": None}
    elif old["object"] == "product":
        old["features"] = old.pop("marketing_features")  # before 2024-04-10
    return old


@pytest.mark.parametrize("kind", KINDS)
def test_another_versions_payload_leads_to_a_question(stripe, kind):
    """The row is what Stripe answers in our version, whatever the payload says and however it is made."""
    told, true = KINDS[kind]
    stripe.has[identity(true)] = true
    types = [name for name in (*TOLD, *ASKED) if about(name) == kind]

    for event_type, api_version in itertools.product(types, OTHER_VERSIONS):
        old = before_basil(told) if (api_version or "") < "2025-03-31" else told
        take(event_type, old, id=f"evt_{event_type}_{api_version}", api_version=api_version)
        assert held(true).copy == sync.read(true), (event_type, api_version)

    assert stripe.asked == [(kind, identity(true))] * len(types) * len(OTHER_VERSIONS)


@pytest.mark.parametrize("kind", ["product", "subscription", "invoice"])
def test_an_old_shape_under_our_versions_name_is_not_believed(stripe, kind):
    """What our columns can't be read from is asked for."""
    told, true = KINDS[kind]
    stripe.has[true["id"]] = true

    for event_type in (name for name in TOLD if about(name) == kind):
        take(event_type, before_basil(told))
        assert held(true).copy == sync.read(true), event_type


@pytest.mark.parametrize("api_version", ["2026-09-30.endive", "2026-10-28.endive", "2027-01-27.endive"])
def test_our_own_trains_other_months_are_believed(stripe, api_version):
    """They only add."""
    told, _ = KINDS["subscription"]

    take("customer.subscription.updated", told, api_version=api_version)

    assert held(told).copy == sync.read(told)
    assert stripe.asked == []


@pytest.mark.parametrize("event_type", ["payment_intent.succeeded", "payment_intent.payment_failed", "charge.refunded"])
def test_another_versions_payment_writes_no_row(stripe, event_type):
    """Before 2025-03-31 it named its invoice itself; the invoice's own events tell."""
    obj = {"id": "pi_1", "object": event_type.split(".")[0], "customer": "cus_1", "invoice": "in_1", "charges": {}}

    for api_version in OTHER_VERSIONS:
        take(event_type, obj, id=f"evt_{api_version}", api_version=api_version)

    assert db.session.scalar(sa.select(sa.func.count()).select_from(BankOrder)) == 0
