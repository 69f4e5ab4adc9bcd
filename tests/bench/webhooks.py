"""Webhooks a second, against a bare view that checks the signature and commits the same two statements on its own."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import stripe

import db
import dev
from app import create_app
from tests import stripe_objects as objects
from tests.bench import met, shown
from tests.conftest import SETTINGS
from tests.shop import free_port

ROOT = Path(__file__).parents[2]
CONNECTIONS, BYTES = 16, 5_000
ROUNDS, EVENTS = 11, 1_000
LONG = {False: 10_000, True: 100_000}  # events over which memory is looked at
FEW, MANY = 2_000, {False: 100_000, True: 1_000_000}  # subscriptions, which the events are about in turn
STRIDE = 7_919  # a prime: events in a row are about rows that are far apart
THREADS = os.environ.get("THREADS", dev.THREADS)
GROWTH = 5  # megabytes that memory may grow
SECRET = "whsec_tests"
START = 1_700_000_000


class Server:
    """One granian, with the settings of `make serve`."""

    def __init__(self, factory: str, folder: Path, rows: int = FEW) -> None:
        self.port, self.rows, self.sent = free_port(), rows, 0
        file = folder / f"{factory.partition(':')[0]}{rows}.db"
        own = {name: value for name, value in SETTINGS.items() if isinstance(value, str)}
        own |= {"DATABASE_URL": f"sqlite:///{file}", "BASE_URL": f"http://localhost:{self.port}"}
        prepare(own, rows)
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", factory, "--no-ws"]
        command += ["--http", "1", "--port", str(self.port), "--blocking-threads", THREADS, "--no-access-log"]
        self.process = psutil.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **own, "LOG_LEVEL": "INFO"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None
                time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def memory(self) -> float:
        """Megabytes that the workers keep for themselves."""
        return sum(child.memory_info().rss for child in self.process.children()) / 1e6

    def requests(self, count: int) -> list[bytes]:
        """The next events, signed: each is newer than the last one about its subscription."""
        made = []
        for number in range(self.sent, self.sent + count):
            which = number * STRIDE % self.rows
            obj = objects.subscription(f"sub_{which}", f"cus_{which}", latest_invoice=f"in_{number}")
            obj["items"]["data"][0]["id"] = f"si_{which}"
            obj["metadata"] = {"note": "x" * (BYTES - 1_300)}
            event = objects.event(obj, "customer.subscription.updated", created=START + number)
            body = json.dumps(event | {"id": f"evt_{number}"})
            signature = stripe.WebhookSignature.generate_signature_header(body, SECRET, int(time.time()))
            head = f"POST /webhook HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: application/json\r\n"
            head += f"Stripe-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
            made.append((head + body).encode())
        self.sent += count
        return made

    def rate(self, events: int) -> tuple[float, list[float]]:
        """Send that many from 16 connections; events a second, and how long each took."""
        waiting = iter(self.requests(events))
        lock, times = threading.Lock(), []
        refused: list[bytes] = []

        def connection() -> None:
            with socket.create_connection(("127.0.0.1", self.port)) as wire:
                while True:
                    with lock:
                        request = next(waiting, None)
                    if request is None:
                        return
                    started = time.perf_counter()
                    wire.sendall(request)
                    answer = wire.recv(4096)
                    while answer.startswith(b"HTTP/1.1 200") and not answer.endswith(b"}\n"):
                        answer += wire.recv(4096)
                    if not answer.startswith(b"HTTP/1.1 200"):
                        refused.append(answer)
                        return
                    times.append(time.perf_counter() - started)

        threads = [threading.Thread(target=connection) for _ in range(CONNECTIONS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not refused, refused[0]
        return events / (time.perf_counter() - started), sorted(times)


def prepare(own: dict[str, str], rows: int) -> None:
    """A migrated database with so many customers, each with a subscription to one thing, which the events leave."""
    app = create_app(own)
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {rows - 1}) "
    with app.app_context():
        db.migrations().upgrade()
        with db.write() as tx:
            for insert in (
                "INSERT INTO customers (id, version, known_from, known_to) SELECT 'cus_' || i, 1, 0, 0 FROM n",
                "INSERT INTO subscriptions (id, customer_id, status, created, currency, cancel_at_period_end, "
                "discounted, version, known_from, known_to) "
                "SELECT 'sub_' || i, 'cus_' || i, 'active', 0, 'usd', 0, 0, 1, 0, 0 FROM n",
                "INSERT INTO subscription_items (id, subscription_id, price_id, product_id, quantity, unit_amount, "
                "interval, interval_count, current_period_start, current_period_end) SELECT 'si_' || i, 'sub_' || i, "
                "'price_1', 'prod_1', 1, 500, 'month', 1, 1000, 2000 FROM n",
            ):
                into, _, select = insert.partition("SELECT")
                tx.exec_driver_sql(f"{into} {numbers} SELECT {select}")
        db.engine().dispose()


@contextmanager
def served(*servers: Server) -> Iterator[None]:
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def run(deep: bool) -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare, shop = Server("tests.bench._bare:create_app", folder), Server("app:create_app", folder)
        with served(bare, shop):
            yield "what one commit costs here, median", f"{one_commit(folder) * 1000:.2f} ms", ""
            yield from compare(bare, shop)
            yield memory(shop, LONG[deep])
        few = Server("app:create_app", folder / "few", FEW)
        many = Server("app:create_app", folder / "many", MANY[deep])
        with served(few, many):
            theirs, ours = in_turn("few and many rows", few, many)
            ratio = statistics.median(many / few for (few, _), (many, _) in zip(theirs, ours, strict=True))
        yield f"with {MANY[deep]:,} subscriptions / with {FEW:,}", f"{ratio:.2f}", met(ratio >= 0.9, "at least 0.9")


def one_commit(folder: Path) -> float:
    """Seconds that the disk takes for a commit of one row: what sharing commits can save."""
    took = []
    with closing(sqlite3.connect(folder / "commits.db", isolation_level=None)) as connection:
        connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)")
        for number in range(300):
            started = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            took.append(time.perf_counter() - started)
    return statistics.median(took)


def in_turn(label: str, first: Server, second: Server) -> list[list[tuple[float, list[float]]]]:
    """Rounds of each, the one right after the other: what else the machine does, it does to both."""
    found: list[list[tuple[float, list[float]]]] = [[], []]
    for turn in shown(label, range(ROUNDS + 1)):
        order = [(first, found[0]), (second, found[1])]
        for server, rounds in order if turn % 2 else reversed(order):
            measured = server.rate(EVENTS)
            if turn:  # the first one is for warming up
                rounds.append(measured)
    return found


def compare(bare: Server, shop: Server) -> Iterator[tuple[str, str, str]]:
    theirs, ours = in_turn("bare view and shop", bare, shop)
    for rounds, name in ((theirs, "bare view"), (ours, "shop")):
        rate = statistics.median(rate for rate, _ in rounds)
        late = statistics.median(p99(times) for _, times in rounds)
        yield f"{name}, {CONNECTIONS} connections, events of {BYTES / 1000:.0f} KB", f"{rate:.0f}/s", ""
        yield f"{name}, 99 of 100 within", f"{late * 1000:.0f} ms", ""
    pairs = list(zip(theirs, ours, strict=True))
    ratio = statistics.median(our / their for (their, _), (our, _) in pairs)
    tails = statistics.median(p99(our) / p99(their) for (_, their), (_, our) in pairs)
    yield f"shop / bare view, median of {ROUNDS} rounds", f"{ratio:.2f}", met(ratio >= 1.0, "at least 1.0")
    yield "99th percentile, shop / bare view", f"{tails:.2f}", met(tails <= 1.0, "at most 1.0")


def p99(times: list[float]) -> float:
    return times[len(times) * 99 // 100]


def memory(shop: Server, events: int) -> tuple[str, str, str]:
    before = shop.memory()
    for _ in shown("memory", range(events // 1_000)):
        shop.rate(1_000)
    after = shop.memory()
    aim = met(after - before <= GROWTH, f"flat (at most {GROWTH} MB more)")
    return f"memory, before and after {events:,} events", f"{before:.0f}, {after:.0f} MB", aim
