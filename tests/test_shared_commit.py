"""Deliveries that wait to commit share a transaction, and none of them notices."""

import sqlite3
import threading

import pytest
import sqlalchemy as sa
from flask import current_app

import db
from models import Customer, SubscriptionItem


@pytest.fixture
def executed(app):
    """What SQLite itself is told."""
    seen = []

    def listen(raw, *_):
        raw.set_trace_callback(seen.append)

    with app.app_context():
        engine = db.engine()
    sa.event.listen(engine, "checkout", listen)
    yield seen
    sa.event.remove(engine, "checkout", listen)


def insert(tx, id):
    tx.execute(sa.insert(Customer).values(id=id, known_from=0, known_to=0))
    return id


def write_at_once(app, *works):
    """Have each thread wait for its turn, then let the first of them commit; what each got, or the error."""
    found = {}

    def run(number, work):
        with app.app_context():
            try:
                found[number] = db.write_together(work)
            except Exception as error:
                found[number] = type(error)

    with app.app_context():
        group = current_app.extensions["shop.group"]
    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    with group.turn:
        for thread in threads:
            thread.start()
        while len(group.waiting) < len(works):
            pass
    for thread in threads:
        thread.join(timeout=20)
    return [found[number] for number in range(len(works))]


def ids(app):
    with app.app_context():
        return sorted(db.session.scalars(sa.select(Customer.id)))


def test_those_who_wait_share_one_commit(app, executed):
    """Five writers, one transaction; each gets its own answer."""
    got = write_at_once(app, *(lambda tx, n=n: insert(tx, f"cus_{n}") for n in range(5)))

    assert got == ids(app) == [f"cus_{n}" for n in range(5)]
    assert executed.count("COMMIT") == 1


def test_one_that_fails_takes_no_other_along(app):
    """The others are done again, each for itself; the one that failed is told so."""

    def fail(tx):
        insert(tx, "cus_1")
        raise ValueError

    got = write_at_once(app, lambda tx: insert(tx, "cus_0"), fail, lambda tx: insert(tx, "cus_2"))

    assert got == ["cus_0", ValueError, "cus_2"]
    assert ids(app) == ["cus_0", "cus_2"]


def test_alone_it_is_a_write_like_any_other(app):
    """Nobody waits for company, and an error is the caller's."""
    assert write_at_once(app, lambda tx: insert(tx, "cus_0")) == ["cus_0"]
    assert write_at_once(app, lambda tx: 1 // 0) == [ZeroDivisionError]
    assert ids(app) == ["cus_0"]


def test_a_commit_that_fails_leaves_nothing_open(app):
    """Who goes on with the same connection, as to note the failure, can write."""
    orphan = {"id": "si_1", "subscription_id": "sub_none", "price_id": "price_1", "product_id": "prod_1"}
    orphan |= {"current_period_start": 0, "current_period_end": 0}
    with app.app_context():
        with pytest.raises(sqlite3.IntegrityError), db.write() as tx:
            tx.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            tx.execute(sa.insert(SubscriptionItem).values(orphan))
        db.write_together(lambda tx: insert(tx, "cus_0"))

    assert ids(app) == ["cus_0"]
