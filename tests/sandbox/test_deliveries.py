"""Webhook deliveries: signed, in order, repeated, and disturbed on request."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.clock import Clock
from sandbox.deliveries import Deliveries
from sandbox.events import Targets
from sandbox.store import Store
from tests.sandbox.acts import monthly, paying_customer, refused
from tests.sandbox.conftest import Receiver
from tests.sandbox_process import SandboxProcess


def test_deliveries_are_signed_and_in_order(sandbox: SandboxProcess, endpoint: Any, receiver: Receiver) -> None:
    """The receiver checks each signature as a shop does; the order is that of the events."""
    paying_customer(sandbox)
    sandbox.idle()
    assert [event.id for event in receiver.received] == [event.id for event in sandbox.events()]
    for body, header in zip(receiver.bodies, receiver.signatures, strict=True):
        assert stripe.WebhookSignature.verify_header(body.decode(), header, receiver.secret, 300)
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.WebhookSignature.verify_header(body.decode(), header, "whsec_other", 300)


def test_payload_is_the_recorded_event(sandbox: SandboxProcess, endpoint: Any, receiver: Receiver) -> None:
    """Unexpanded, with the API's version and the request that caused it, and the ids that payments have."""
    paying_customer(sandbox)
    sandbox.idle()
    events = {event["type"]: event for event in map(json.loads, receiver.bodies)}
    created = events["customer.subscription.created"]
    assert list(created) == [
        "id",
        "object",
        "api_version",
        "created",
        "data",
        "livemode",
        "pending_webhooks",
        "request",
        "type",
    ]
    assert created["api_version"] == "2026-10-28.endive"
    assert created["pending_webhooks"] == 1
    assert created["request"]["id"].startswith("req_")
    assert created["data"]["object"]["latest_invoice"].startswith("in_")
    assert "confirmation_secret" not in events["invoice.paid"]["data"]["object"]
    assert created["id"].startswith("evt_1")
    assert events["payment_intent.succeeded"]["id"].startswith("evt_3")
    assert events["charge.succeeded"]["id"].startswith("evt_3")
    assert sandbox.client.v1.events.retrieve(created["id"]).pending_webhooks == 0


def test_an_endpoint_of_another_version_gets_events_that_say_so(
    sandbox: SandboxProcess, stripe_api: Any, receiver: Receiver
) -> None:
    made = stripe_api.webhook_endpoints.create(
        {"url": receiver.url, "enabled_events": ["*"], "api_version": "2020-08-27"}
    )
    receiver.secret = made.secret
    paying_customer(sandbox)
    sandbox.idle()
    assert {event.api_version for event in receiver.received} == {"2020-08-27"}
    assert {event.api_version for event in sandbox.events()} == {"2026-10-28.endive"}


def test_endpoint_gets_only_what_it_asked_for(sandbox: SandboxProcess, stripe_api: Any, receiver: Receiver) -> None:
    wanted = ["customer.created", "invoice.paid"]
    made = stripe_api.webhook_endpoints.create({"url": receiver.url, "enabled_events": wanted})
    receiver.secret = made.secret
    paying_customer(sandbox)
    sandbox.idle()
    assert receiver.types() == wanted
    stripe_api.webhook_endpoints.update(made.id, {"disabled": True})
    stripe_api.customers.create({})
    sandbox.idle()
    assert receiver.types() == wanted


def test_secret_is_told_only_at_creation(stripe_api: Any, endpoint: Any) -> None:
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in stripe_api.webhook_endpoints.retrieve(endpoint.id)
    assert [one.id for one in stripe_api.webhook_endpoints.list({}).data] == [endpoint.id]
    assert stripe_api.webhook_endpoints.delete(endpoint.id).deleted is True
    assert refused(stripe_api.webhook_endpoints.retrieve, endpoint.id).http_status == 404
    params = {"url": "nowhere", "enabled_events": ["*"]}
    assert refused(stripe_api.webhook_endpoints.create, params).http_status == 400


def test_refused_delivery_is_tried_again_on_the_worlds_clock(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    """Only 2xx counts: after 10 seconds, then a minute, and so on, newly signed each time."""
    receiver.answers = [500, 302]
    stripe_api.customers.create({})
    sandbox.idle()
    event = sandbox.events("customer.created")[0]
    assert event.pending_webhooks == 1
    assert [one.id for one in stripe_api.events.list({"delivery_success": False}).data] == [event.id]
    assert len(receiver.received) == 1
    sandbox.advance(seconds=11)
    sandbox.idle()
    assert len(receiver.received) == 2
    sandbox.advance(seconds=61)
    sandbox.idle()
    assert [one.id for one in receiver.received] == [event.id] * 3
    tries = sandbox.get("deliveries")["deliveries"][0]["tries"]
    assert [one["status"] for one in tries] == [500, 302, 200]
    assert stripe_api.events.retrieve(event.id).pending_webhooks == 0
    for header in receiver.signatures:
        assert abs(int(header.partition(",")[0][2:]) - time.time()) < 60, "signed at the wall clock's time"


def test_deliveries_are_given_up_after_three_days(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    receiver.answers = [500] * 50
    stripe_api.customers.create({})
    sandbox.idle()
    for _ in range(14):
        sandbox.advance(hours=12)
        sandbox.idle()
    delivery = sandbox.get("deliveries")["deliveries"][0]
    assert delivery["state"] == "failed"
    assert 5 < delivery["attempts"] < 15


def test_held_deliveries_go_when_they_are_let_go(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    sandbox.post("deliveries", {"mode": "hold"})
    paying_customer(sandbox)
    sandbox.idle()
    assert receiver.received == []
    count = len(sandbox.events())
    assert sandbox.post("deliveries/flush")["released"] == count
    sandbox.idle()
    assert len(receiver.received) == count


def test_shuffled_deliveries_all_arrive_in_another_order(
    sandbox: SandboxProcess, endpoint: Any, receiver: Receiver
) -> None:
    sandbox.post("deliveries", {"mode": "hold"})
    paying_customer(sandbox)
    sandbox.post("deliveries", {"mode": "shuffle"})
    sandbox.post("deliveries/flush")
    sandbox.idle()
    expected = [event.id for event in sandbox.events()]
    arrived = [event.id for event in receiver.received]
    assert sorted(arrived) == sorted(expected)
    assert arrived != expected, "one chance in 10^13 that this is luck"


def test_doubled_and_dropped_deliveries(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    sandbox.post("deliveries", {"mode": "duplicate"})
    stripe_api.customers.create({})
    sandbox.idle()
    assert receiver.types() == ["customer.created"] * 2
    assert receiver.received[0].id == receiver.received[1].id
    sandbox.post("deliveries", {"mode": "drop"})
    product = stripe_api.products.create({"name": "x"})
    sandbox.idle()
    assert len(receiver.received) == 2
    sandbox.post("deliveries", {"mode": "deliver"})
    lost = sandbox.events("product.created")[0]
    sandbox.post(f"events/{lost.id}/resend")
    sandbox.idle()
    assert receiver.received[2].id == lost.id
    assert receiver.received[2].data.object.id == product.id


def test_only_some_types_are_disturbed(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    sandbox.post("deliveries", {"mode": "drop", "types": ["product.*"]})
    monthly(stripe_api)
    sandbox.idle()
    assert receiver.types() == ["price.created"]


@pytest.mark.parametrize(("order", "turn"), [("recorded", 1), ("reversed", -1)])
def test_what_was_recorded_is_replayed(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver, order: str, turn: int
) -> None:
    stripe_api.customers.create({})
    since = sandbox.mark()
    monthly(stripe_api)
    sandbox.idle()
    receiver.received.clear()
    assert sandbox.post("deliveries/replay", {"since": since, "order": order})["replayed"] == 2
    sandbox.idle()
    assert receiver.types() == ["product.created", "price.created"][::turn]


def test_rolled_secret_signs_for_a_while_beside_the_new_one(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    """A receiver that knows either secret takes the delivery, until the old one's time is over."""
    old = receiver.secret
    new = sandbox.post(f"webhook_endpoints/{endpoint.id}/roll", {"keep_for": 3600})["secret"]
    stripe_api.customers.create({})
    sandbox.idle()
    receiver.secret = new
    stripe_api.customers.create({})
    sandbox.idle()
    assert receiver.types() == ["customer.created"] * 2
    assert [header.count("v1=") for header in receiver.signatures] == [2, 2]
    sandbox.advance(hours=2)
    stripe_api.customers.create({})
    sandbox.idle()
    assert receiver.signatures[-1].count("v1=") == 1
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(receiver.bodies[-1].decode(), receiver.signatures[-1], old, 300)


def test_delivery_is_tried_again_on_request(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    receiver.answers = [500]
    stripe_api.customers.create({})
    sandbox.idle()
    delivery = sandbox.get("deliveries")["deliveries"][0]
    sandbox.post(f"deliveries/{delivery['id']}/retry")
    sandbox.idle()
    assert sandbox.get("deliveries")["deliveries"][0]["state"] == "delivered"


def test_slow_endpoint_keeps_nobody_else_waiting(
    sandbox: SandboxProcess, stripe_api: Any, endpoint: Any, receiver: Receiver
) -> None:
    """Each address has its own line; in each the order is that of the events."""
    slow, gate = Receiver(), threading.Event()

    class Waits(list[int]):
        def __bool__(self) -> bool:  # called before each answer
            assert gate.wait(timeout=30)
            return False

    slow.answers = Waits()
    slow.secret = stripe_api.webhook_endpoints.create({"url": slow.url, "enabled_events": ["*"]}).secret
    try:
        monthly(stripe_api)
        for _ in range(100):
            if len(receiver.received) == 2:
                break
            assert not sandbox.get("deliveries/idle?timeout=0.1")["idle"]
        assert receiver.types() == ["product.created", "price.created"]
        assert slow.types() == ["product.created"]
        gate.set()
        sandbox.idle()
        assert slow.types() == ["product.created", "price.created"]
    finally:
        gate.set()
        slow.close()


def test_address_with_much_to_do_hides_no_other(tmp_path: Path) -> None:
    store = Store(tmp_path / "sandbox.db")
    urls = ["http://localhost/busy"] * 1000 + ["http://localhost/other"]
    columns = "event, type, state, created, next_attempt, url"
    query = f"INSERT INTO deliveries ({columns}) VALUES ('evt_1', 'x', 'pending', 1, 1, ?)"
    with store.transaction():
        store.db.executemany(query, [(url,) for url in urls])
    deliveries = Deliveries(store, Clock(store), Targets(), print)
    assert deliveries.waiting() == {"http://localhost/busy", "http://localhost/other"}


def test_answer_comes_before_the_delivery(sandbox: SandboxProcess, stripe_api: Any, receiver: Receiver) -> None:
    """A receiver that asks the API while it is being told does not wait for itself."""
    made = stripe_api.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    receiver.secret = made.secret
    seen: list[str] = []

    class Asks(list[int]):
        def __bool__(self) -> bool:  # called as each delivery is answered
            seen.extend(customer.id for customer in stripe_api.customers.list({}).data)
            return False

    receiver.answers = Asks()
    customer = stripe_api.customers.create({})
    sandbox.idle()
    assert seen == [customer.id]


def test_forwarding_prints_what_stripe_listen_prints(tmp_path: Path, receiver: Receiver) -> None:
    """The ready line, then a line per event and per answer; only the types that were asked for."""
    options = ("--forward-to", receiver.url, "--events", "product.*,price.created")
    with SandboxProcess(tmp_path / "sandbox.db", *options) as sandbox:
        receiver.secret = sandbox.signing_secret
        sandbox.client.v1.customers.create({})
        monthly(sandbox.client.v1)
        sandbox.idle()
        assert receiver.types() == ["product.created", "price.created"]
        ids = [event.id for event in receiver.received]
    assert "Ready! You are using Stripe API Version [2026-10-28.endive]." in sandbox.lines[1]
    printed = [line.partition(" ")[2][8:] for line in sandbox.lines[2:]]  # without date and time
    assert printed == [
        f"   --> product.created [{ids[0]}]",
        f"  <--  [200] POST {receiver.url} [{ids[0]}]",
        f"   --> price.created [{ids[1]}]",
        f"  <--  [200] POST {receiver.url} [{ids[1]}]",
    ]


def test_dead_receiver_is_told_and_tried_again(tmp_path: Path) -> None:
    with SandboxProcess(tmp_path / "sandbox.db", "--forward-to", "http://127.0.0.1:9/webhook") as sandbox:
        sandbox.client.v1.customers.create({})
        sandbox.idle()
        delivery = sandbox.get("deliveries")["deliveries"][0]
        assert (delivery["state"], delivery["attempts"]) == ("pending", 1)
    assert any("[ERROR] Failed to POST: Post" in line for line in sandbox.lines)
