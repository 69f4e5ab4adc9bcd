"""Events are taken one after the other, and nobody's waiting holds up the rest."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO

import pytest
import sqlalchemy as sa

import db
import turns
from models import Customer, WebhookEvent
from tests.shop import free_port, served
from tests.stripe_objects import event, product, subscription
from tests.test_webhooks import CREATED, sign

PATIENCE = 20  # seconds after which a test gives up


def ask_at_once(app, *environs):
    """One request for each, all at the same time."""
    in_turn = turns.InTurn(app, "/webhook", 1_000)
    requests = [{**environ, "wsgi.input": BytesIO()} for environ in environs]
    threads = [threading.Thread(target=in_turn, args=[environ, unused]) for environ in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def unused(*_):
    """What these apps answer nobody looks at."""


EVENT, PAGE = {"PATH_INFO": "/webhook", "CONTENT_LENGTH": "0"}, {"PATH_INFO": "/account"}


def test_events_go_one_after_the_other():
    """However many come at once."""
    inside, most = [], []

    def app(_environ, _start_response):
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.005)
        inside.pop()

    ask_at_once(app, *[EVENT] * 8)
    assert (len(most), max(most)) == (8, 1)


def test_pages_do_not_wait_for_their_turn():
    """They are let in while an event is."""
    together = threading.Barrier(3, timeout=PATIENCE)
    ask_at_once(lambda *_: together.wait(), EVENT, PAGE, PAGE)
    assert not together.broken


def test_who_waits_lets_the_next_one_in():
    """All of them wait at the same time."""
    together = threading.Barrier(3, timeout=PATIENCE)

    def app(_environ, _start_response):
        with turns.given_up():
            together.wait()

    ask_at_once(app, EVENT, EVENT, EVENT)
    assert not together.broken


@pytest.mark.parametrize("length", [{"CONTENT_LENGTH": "1001"}, {"HTTP_TRANSFER_ENCODING": "chunked"}])
def test_a_body_that_is_none_of_stripes_is_left_unread(length):
    """Too long, or of no known length: such a request does not wait for its turn either."""
    environ = {"PATH_INFO": "/webhook", "wsgi.input": None, **length}
    with turns._turn:
        assert turns.InTurn(lambda *_: [b"unread"], "/webhook", 1_000)(environ, unused) == [b"unread"]


def test_what_is_given_up_is_not_given_up_again():
    """It may be another's by then."""

    def app(_environ, _start_response):
        with turns.given_up(), turns._turn, turns.given_up():
            assert turns._turn.locked()

    ask_at_once(app, EVENT)


def test_an_error_gives_the_turn_back():
    """During the work, and during a wait."""

    def fail(environ, _start_response):
        if environ.get("waits"):
            with turns.given_up():
                raise ZeroDivisionError
        raise ZeroDivisionError

    for environ in (EVENT, {**EVENT, "waits": True}, EVENT):
        with pytest.raises(ZeroDivisionError):
            turns.InTurn(fail, "/webhook", 1_000)({**environ, "wsgi.input": BytesIO()}, unused)
    with turns.given_up():  # it is no longer ours, so there is nothing to give back
        test_events_go_one_after_the_other()


def new_product(event_id):
    return event(product(), "product.created", created=CREATED, id=event_id)


def posting(payload, port):
    body = json.dumps(payload).encode()
    head = f"POST /webhook HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n"
    head += f"Stripe-Signature: {sign(body)}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode(), body


def answer(wire):
    wire.settimeout(PATIENCE)
    return wire.recv(4096).partition(b"\r\n")[0].split()[1]


def rows(app):
    with app.app_context():
        return dict(db.session.execute(sa.select(WebhookEvent.id, WebhookEvent.state)).all())


def test_a_body_that_does_not_come_holds_nobody_up(app):
    """Anybody may start to send one."""
    port = free_port()
    with served(app, port), closing(socket.create_connection(("127.0.0.1", port))) as slow:
        head, body = posting(new_product("evt_slow"), port)
        slow.sendall(head + body[:10])
        with closing(socket.create_connection(("127.0.0.1", port))) as quick:
            quick.sendall(b"".join(posting(new_product("evt_quick"), port)))
            assert answer(quick) == b"200"
            assert rows(app) == {"evt_quick": "done"}
        slow.sendall(body[10:])
        assert answer(slow) == b"200"
    assert rows(app).keys() == {"evt_slow", "evt_quick"}


def test_a_question_that_stripe_leaves_open_holds_nobody_up(make_app):
    """Stripe may take seconds for one answer, while other events need none."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        app = make_app(STRIPE_API_BASE=f"http://localhost:{silent.getsockname()[1]}")
        with app.app_context(), db.write() as tx:
            tx.execute(sa.insert(Customer).values(id="cus_1", known_from=0, known_to=0))
        port = free_port()
        with served(app, port), closing(socket.create_connection(("127.0.0.1", port))) as asking:
            old = event(subscription(), "customer.subscription.updated", created=CREATED)
            old |= {"id": "evt_asks", "api_version": "2019-01-01"}
            asking.sendall(b"".join(posting(old, port)))
            question, _ = silent.accept()  # it asks, and is not answered
            with closing(question), closing(socket.create_connection(("127.0.0.1", port))) as quick:
                quick.sendall(b"".join(posting(new_product("evt_quick"), port)))
                assert answer(quick) == b"200"
                assert rows(app) == {"evt_quick": "done"}
            silent.close()
            assert answer(asking) == b"500"
    assert rows(app) == {"evt_quick": "done", "evt_asks": "failed"}


def test_many_events_at_once_are_all_taken(app):
    """Some wait for their turn, some for the commit of others."""
    port = free_port()

    def send(number):
        with closing(socket.create_connection(("127.0.0.1", port))) as wire:
            wire.sendall(b"".join(posting(new_product(f"evt_{number}"), port)))
            return answer(wire)

    with served(app, port), ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(80))) == {b"200"}
    assert set(rows(app).values()) == {"done"}
    assert len(rows(app)) == 80
