"""Webhooks a second, against a bare view that checks the signature and commits the same two statements on its own."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa
import stripe

import db
from app import create_app
from dev import THREADS
from models import Customer, Subscription
from tests import stripe_objects as objects
from tests.conftest import SETTINGS
from tests.shop import free_port

ROOT = Path(__file__).parents[2]
CONNECTIONS, BYTES = 16, 5_000
ROUNDS, EVENTS = 5, 2_000
MEMORY_EVENTS = int(os.environ.get("BENCH_EVENTS", "100000"))
ROWS = int(os.environ.get("BENCH_ROWS", "1000000"))
SUBSCRIPTIONS = 2_000  # that the events are about
SECRET = "whsec_tests"
START = 1_700_000_000


class Server:
    """One granian, with the settings of `make serve`."""

    def __init__(self, factory: str, folder: Path, rows: int = 0) -> None:
        self.port = free_port()
        file = folder / f"{factory.partition(':')[0]}{rows}.db"
        own = {name: value for name, value in SETTINGS.items() if isinstance(value, str)}
        own |= {"DATABASE_URL": f"sqlite:///{file}", "BASE_URL": f"http://localhost:{self.port}"}
        prepare(own, rows)
        command = [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--factory",
            factory,
            "--no-ws",
            "--http",
            "1",
        ]
        command += ["--port", str(self.port), "--blocking-threads", THREADS, "--no-access-log"]
        self.process = psutil.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **own},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.sent = 0
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
            which = number % SUBSCRIPTIONS
            obj = objects.subscription(f"sub_{which}", f"cus_{which}", latest_invoice=f"in_{number}")
            obj["items"]["data"][0]["id"] = f"si_{which}"
            obj["metadata"] = {"note": "x" * (BYTES - 1_300)}
            event = objects.event(obj, "customer.subscription.updated", created=START + number // SUBSCRIPTIONS * 5)
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
                    while not answer.endswith(b"}\n"):
                        answer += wire.recv(4096)
                    times.append(time.perf_counter() - started)
                    assert answer.startswith(b"HTTP/1.1 200"), answer

        threads = [threading.Thread(target=connection) for _ in range(CONNECTIONS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(times) == events
        return events / (time.perf_counter() - started), sorted(times)


def prepare(own: dict[str, str], rows: int) -> None:
    """A migrated database with the customers of all events, and more subscriptions."""
    app = create_app(own)
    with app.app_context():
        db.migrations().upgrade()
        known = {"known_from": 0, "known_to": 0}
        with db.write() as tx:
            tx.execute(sa.insert(Customer), [{"id": f"cus_{n}", **known} for n in range(SUBSCRIPTIONS)])
        facts: dict[str, Any] = {"status": "active", "created": 0, "currency": "usd", "cancel_at_period_end": False}
        for first in range(0, rows, 50_000):
            ids = range(first, min(first + 50_000, rows))
            values = [{"id": f"sub_x{n:09}", "customer_id": f"cus_x{n}", **facts, **known} for n in ids]
            with db.write() as tx:
                tx.execute(sa.insert(Subscription), values)
        db.engine().dispose()


@contextmanager
def served(*servers: Server) -> Iterator[None]:
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def run() -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare, shop = Server("tests.bench._bare:create_app", folder), Server("app:create_app", folder)
        with served(bare, shop):
            yield from compare(bare, shop)
            before = shop.memory()
            for _ in range(MEMORY_EVENTS // 10_000):
                shop.rate(10_000)
            yield f"memory, before and after {MEMORY_EVENTS} events", f"{before:.0f}, {shop.memory():.0f} MB", "flat"
        few, many = Server("app:create_app", folder, rows=1), Server("app:create_app", folder, rows=ROWS)
        with served(few, many):
            ratios = [many.rate(EVENTS)[0] / few.rate(EVENTS)[0] for _ in range(ROUNDS)]
            yield f"with {ROWS} subscriptions / with few", f"{statistics.median(ratios):.2f}", "at least 0.9"


def compare(bare: Server, shop: Server) -> Iterator[tuple[str, str, str]]:
    found: dict[Server, list[tuple[float, list[float]]]] = {bare: [], shop: []}
    for round in range(ROUNDS + 1):
        for server, rounds in found.items():
            measured = server.rate(EVENTS)
            if round:  # the first one is for warming up
                rounds.append(measured)
    for server, name in ((bare, "bare view"), (shop, "shop")):
        rate = statistics.median(rate for rate, _ in found[server])
        late = statistics.median(times[len(times) * 99 // 100] for _, times in found[server])
        yield f"{name}, {CONNECTIONS} connections, events of {BYTES / 1000:.0f} KB", f"{rate:.0f}/s", ""
        yield f"{name}, 99 of 100 within", f"{late * 1000:.0f} ms", ""
    pairs = list(zip(found[bare], found[shop], strict=True))
    ratio = statistics.median(ours / theirs for (theirs, _), (ours, _) in pairs)
    tails = statistics.median(
        ours[len(ours) * 99 // 100] / bare[len(bare) * 99 // 100] for (_, bare), (_, ours) in pairs
    )
    yield "shop / bare view, median of the rounds", f"{ratio:.2f}", "at least 1.0"
    yield "99th percentile, shop / bare view", f"{tails:.2f}", "at most 1.0"
