"""Deliveries that wait to commit share a transaction, and none of them notices."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa
from flask import current_app

import db
from models import Customer, SubscriptionItem
from tests import postgres


@pytest.fixture
def executed(app):
    """What SQLite itself is told."""
    seen: list[str] = []

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
    """Have each thread wait while another commits; what each then got, or the error."""
    found = {}
    begun, all_wait = threading.Event(), threading.Event()

    def run(number, work):
        with app.app_context():
            try:
                found[number] = db.write_together(work)
            except BaseException as error:
                found[number] = type(error)

    def hold_up(_tx):
        begun.set()
        assert all_wait.wait(20)

    with app.app_context():
        group = current_app.extensions["shop.group"]
    threads = [threading.Thread(target=run, args=(-1, hold_up))]
    threads[0].start()
    assert begun.wait(20)
    threads += [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads[1:]:
        thread.start()
    while len(group.waiting) < len(works):
        pass
    all_wait.set()
    for thread in threads:
        thread.join(timeout=20)
    return [found[number] for number in range(len(works))]


def ids(app):
    with app.app_context():
        return sorted(db.session.scalars(sa.select(Customer.id)))


def test_those_who_wait_share_one_commit(app, executed):
    """Five writers, one transaction after the one that they waited for; each gets its own answer."""
    got = write_at_once(app, *(lambda tx, n=n: insert(tx, f"cus_{n}") for n in range(5)))

    assert got == ids(app) == [f"cus_{n}" for n in range(5)]
    assert executed.count("COMMIT") == 2


def test_one_that_fails_takes_no_other_along(app):
    """The others are done again, each for itself; the one that failed is told so."""

    def fail(tx):
        insert(tx, "cus_1")
        raise ValueError

    got = write_at_once(app, lambda tx: insert(tx, "cus_0"), fail, lambda tx: insert(tx, "cus_2"))

    assert got == ["cus_0", ValueError, "cus_2"]
    assert ids(app) == ["cus_0", "cus_2"]


def test_one_that_is_done_does_not_wait_for_the_next(app):
    """Whoever comes while others commit is the next one's business, not theirs."""
    first_is_back = threading.Event()

    def first():
        with app.app_context():
            db.write_together(lambda tx: queue_second() or insert(tx, "cus_0"))
        first_is_back.set()

    def second():
        with app.app_context():
            db.write_together(lambda tx: insert(tx, f"cus_{first_is_back.wait(20)}"))

    def queue_second():
        following.start()
        while not group.waiting:
            pass

    with app.app_context():
        group = current_app.extensions["shop.group"]
    following = threading.Thread(target=second)
    first()
    following.join(timeout=20)

    assert ids(app) == ["cus_0", "cus_True"]


def test_nobody_is_told_that_it_is_done_when_the_process_ends(app):
    """Those who were to be done each for itself are not done either."""
    errors = iter((ValueError, SystemExit))

    def end(tx):
        raise next(errors)

    assert write_at_once(app, end, lambda tx: insert(tx, "cus_0")) == [SystemExit, SystemExit]


@pytest.fixture
def impatient(monkeypatch):
    """Wait for no other writer."""
    monkeypatch.setattr(db, "LOCK_TIMEOUT", 0)


@pytest.mark.usefixtures("impatient")
def test_when_another_process_writes_for_too_long_all_of_them_have_waited(app, executed):
    """None of them waits as long again for itself."""
    with app.app_context():
        group = current_app.extensions["shop.group"]
        group.waiting = others = [db._Share(lambda tx: insert(tx, "cus_0")) for _ in range(3)]
        with closing(sqlite3.connect(str(db.engine().url.database))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(sqlite3.OperationalError):
                db.write_together(lambda tx: insert(tx, "cus_1"))

    assert executed.count("BEGIN IMMEDIATE") == 1
    assert {type(share.error) for share in others} == {sqlite3.OperationalError}
    assert ids(app) == []


def test_alone_it_is_a_write_like_any_other(app):
    """Nobody waits for company, and an error is the caller's."""
    assert write_at_once(app, lambda tx: insert(tx, "cus_0")) == ["cus_0"]
    assert write_at_once(app, lambda tx: 1 // 0) == [ZeroDivisionError]
    assert ids(app) == ["cus_0"]


def test_a_commit_that_fails_leaves_nothing_open(app):
    """Who goes on with the same connection, as to note the failure, can write."""
    orphan: dict[str, Any] = {
        "id": "si_1",
        "subscription_id": "sub_none",
        "price_id": "price_1",
        "product_id": "prod_1",
    }
    orphan |= {"current_period_start": 0, "current_period_end": 0}
    with app.app_context():
        with pytest.raises(sqlite3.IntegrityError), db.write() as tx:
            tx.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            tx.execute(sa.insert(SubscriptionItem).values(orphan))
        db.write_together(lambda tx: insert(tx, "cus_0"))

    assert ids(app) == ["cus_0"]


def test_a_connection_that_breaks_is_not_kept(app):
    """Though it can't even roll back."""
    with app.app_context():
        with pytest.raises(sa.exc.ProgrammingError), db.write() as tx:
            raw: Any = tx.connection.dbapi_connection
            raw.close()
            insert(tx, "cus_0")
        with db.write() as tx:
            insert(tx, "cus_1")

    assert ids(app) == ["cus_1"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def on_any_database(request, make_app):
    if request.param == "sqlite":
        yield make_app()
        return
    with postgres.running() as server:
        yield make_app(DATABASE_URL=server.create())


def test_no_number_of_threads_is_too_many(on_any_database):
    """Each keeps a connection, and has its session's beside it."""
    threads = 45
    together = threading.Barrier(threads)

    def read(_):
        with on_any_database.app_context():
            db.find(db.Prepared(lambda _: sa.select(1)))
            together.wait(20)
            return db.session.scalar(sa.select(1))

    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(read, range(threads))) == [1] * threads
