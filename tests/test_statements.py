"""What a page costs: SQL statements, and calls to Stripe."""

import pytest
import sqlalchemy as sa

import db
import ledger
from tests.shop import pay


@pytest.fixture
def count(shop):
    """Count the statements of one request to the running shop."""
    seen = []

    def note(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    with shop.app.app_context():
        engine = db.engine()
    sa.event.listen(engine, "before_cursor_execute", note)

    def count(visitor, path):
        seen.clear()
        assert visitor.get(path).status_code < 400
        return list(seen)

    yield count
    sa.event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def alice(shop):
    alice = shop.member()
    pay(shop.sandbox, alice.subscribe()["clientSecret"])
    shop.settle()
    return alice


@pytest.mark.parametrize("page", ["basic", "premium"])
def test_a_member_page_makes_two_statements(count, alice, page):
    """The user, and the gate."""
    statements = count(alice, f"/members/{page}")

    assert len(statements) <= 2, statements


@pytest.mark.parametrize("path", ["/healthz", "/static/css/base.css", "/privacy"])
def test_what_needs_no_user_does_not_look_for_one(count, shop, path):
    """A stranger costs no statement."""
    assert count(shop.visitor(), path) == []


@pytest.mark.parametrize("path", ["/healthz", "/static/css/base.css"])
def test_health_and_static_files_cost_a_member_nothing_either(count, alice, path):
    """Whoever asks."""
    assert count(alice, path) == []


def test_the_gate_does_not_grow_with_the_customers(shop, count, alice):
    """Every step of its plan is a search by an index."""
    gate = count(alice, "/members/basic")[-1]
    with shop.app.app_context(), db.reader().connect() as connection:
        values = tuple("1" for _ in range(gate.count("?")))
        steps = [row[-1] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + gate, values)]

    assert "customers" in gate
    assert steps
    assert not [step for step in steps if step.startswith("SCAN")], steps


@pytest.mark.parametrize("wanted", [{}, {"state": "foreign"}, {"event_type": "invoice.created"}])
def test_what_is_left_to_do_is_found_without_reading_the_ledger(app, statements, wanted):
    """By the index of unfinished events alone, once a minute."""
    with app.app_context(), db.reader().connect() as connection:
        ledger.unfinished(**wanted)
        query = statements[-1]
        values = tuple("1" for _ in range(query.count("?")))
        steps = [row[-1] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query, values)]

    assert "SEARCH webhook_events USING INDEX ix_webhook_events_unfinished (state=?)" in steps
