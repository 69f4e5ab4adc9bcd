"""The real thing under fire: three workers that are killed at random while customers come, pay, fail and leave.

Sandbox, app and workers are processes; deliveries are shuffled, doubled and overlap. At the end our tables are
Stripe's, to the last column, and no event that was acknowledged is missing in the ledger.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import sqlalchemy as sa
import stripe

import catalog
import config
import db
import sync
from app import Shop, create_app
from cli import tick
from copies import read
from models import Customer, Invoice, PaymentMethod, Subscription, WebhookEvent
from tests import postgres
from tests.conftest import SETTINGS
from tests.sandbox_process import ROOT, SandboxProcess
from tests.shop import Visitor, free_port, pay

WORKERS = 3
REST = 6  # seconds
KILLS, LONGEST = 2, 120  # workers that die at least; seconds that we wait for it
GOOD, FAILS_LATER, DECLINED = "4242424242424242", "4000000000000341", "4000000000000002"
CARDS = (GOOD, GOOD, GOOD, FAILS_LATER, DECLINED)
PASSWORD = "three small words"


class Served:
    """The app in a server with several workers, and somebody who kills them."""

    def __init__(self, environment: dict[str, str], url: str) -> None:
        self.url = url
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "app:create_app", "--http", "1"]
        command += ["--port", url.rpartition(":")[2], "--workers", str(WORKERS), "--blocking-threads", "4", "--no-ws"]
        command += ["--respawn-failed-workers", "--respawn-interval", "0.2", "--no-access-log"]
        self.process = psutil.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.killed = 0

    def wait(self) -> None:
        for _ in range(300):
            try:
                if requests.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except requests.ConnectionError:
                assert self.process.poll() is None, "the server has ended"
            threading.Event().wait(0.1)
        raise AssertionError("the server does not start")

    def kill_one(self) -> None:
        """Kill a worker while the others work; a server whose worker dies twice within seconds gives up."""
        old = [child for child in self.process.children() if time.time() - child.create_time() > REST]
        if len(old) == WORKERS:
            random.choice(old).send_signal(signal.SIGKILL)
            self.killed += 1

    @contextmanager
    def under_fire(self) -> Iterator[None]:
        """Kill a worker every now and then."""
        over = threading.Event()

        def shoot() -> None:
            while not over.wait(random.uniform(0.3, 1.5)):
                self.kill_one()

        thread = threading.Thread(target=shoot)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def stop(self) -> None:
        children = self.process.children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except psutil.TimeoutExpired:
            self.process.kill()
        for child in children:
            if child.is_running():
                child.kill()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/shop.db"
    else:
        with postgres.running() as server:
            yield server.create()


class Battle:
    """A shop, its Stripe and its customers."""

    def __init__(self, app: Shop, sandbox: SandboxProcess, served: Served, secret: str) -> None:
        self.app, self.sandbox, self.served, self.secret = app, sandbox, served, secret
        self.chance = random.Random(4)
        self.repeated = 0
        self.given_up = 0

    def sign_up(self, number: int) -> None:
        """Register, choose a plan and pay: somebody who tries again a few times, and then goes away."""
        visitor = Visitor(self.served.url)
        fields = {"email": f"person{number}@example.com", "password": PASSWORD}
        for attempt in range(8):
            try:
                if "/login" in visitor.get("/account").url:
                    visitor.submit("/register" if attempt % 2 == 0 else "/login", **fields, password_confirm=PASSWORD)
                answer = visitor.send("/create-subscription", lookupKey="basic_monthly")
                if answer.status_code == 200:
                    pay(self.sandbox, answer.json()["clientSecret"], CARDS[number % len(CARDS)])
                    return
                if answer.status_code == 409:
                    return
            except (requests.RequestException, IndexError, KeyError):
                self.served.wait()  # their worker has just been killed

    def live(self, months: int, kills: int) -> None:
        """Renewals come, fail and are taken back, while some customers leave.

        So many months, and more where the machine is too quick for so many workers to have been killed meanwhile.
        """
        lived, over = 0, time.monotonic() + LONGEST
        while lived < months or (self.served.killed < kills and time.monotonic() < over):
            lived += 1
            for subscription in self.sandbox.client.v1.subscriptions.list({"limit": 100}).auto_paging_iter():
                with suppress(stripe.InvalidRequestError):  # it ended before its turn came
                    self.decide(subscription)
            for _ in range(31):
                self.sandbox.advance(days=1)
            self.drain()

    def decide(self, subscription: Any) -> None:
        v1, fate = self.sandbox.client.v1, self.chance.random()
        if fate < 0.08:
            v1.subscriptions.cancel(subscription.id)
        elif fate < 0.2 and subscription.status == "active":
            v1.subscriptions.update(subscription.id, {"cancel_at_period_end": fate < 0.15})
        elif fate < 0.3:
            v1.customers.update(str(subscription.customer), {"name": f"Name {fate}"})

    def repeat(self, over: threading.Event) -> None:
        """Deliver again what was delivered before, several at once and in any order."""
        client = self.sandbox.make_client()
        with ThreadPoolExecutor(4) as pool:
            while not over.wait(0.05):
                events = client.v1.events.list({"limit": 50}).data
                for event in random.sample(events, min(8, len(events))):
                    pool.submit(self.deliver, event)
                    self.repeated += 1

    def deliver(self, event: Any) -> None:
        body = json.dumps(event.to_dict() if hasattr(event, "to_dict") else event, default=str)
        header = stripe.WebhookSignature.generate_signature_header(body, self.secret, int(time.time()))
        try:
            requests.post(f"{self.served.url}/webhook", data=body, headers={"Stripe-Signature": header}, timeout=30)
        except requests.RequestException:
            return  # a worker was killed; Stripe's own delivery counts

    def drain(self) -> None:
        """Let Stripe repeat what was not taken, until all is.

        Months pass in seconds here, so Stripe's three days of repeating may be over after one try: what it gave up is
        sent again by hand.
        """
        for _ in range(300):
            if not self.sandbox.get("deliveries/idle?timeout=20")["idle"]:
                continue
            left = [one for one in self.deliveries() if one["state"] != "delivered"]
            if not left:
                return
            for given_up in left:
                if given_up["state"] == "failed":
                    self.sandbox.post(f"deliveries/{given_up['id']}/retry")
                    self.given_up += 1
            self.sandbox.advance(hours=1)
        raise AssertionError("deliveries are still refused")

    def deliveries(self) -> list[dict[str, Any]]:
        return list(self.sandbox.get("deliveries?limit=1000000")["deliveries"])

    def differences(self) -> list[str]:
        """Where our tables are not what Stripe says."""
        v1 = self.sandbox.client.v1
        with self.app.app_context():
            prices = v1.prices.list({"limit": 100, "expand": ["data.currency_options"]}).data
            found = different([*v1.products.list({"limit": 100}).data, *prices])
            for customer_id in db.session.scalars(sa.select(Customer.id)).all():
                lists: list[tuple[type[Any], Any]] = [
                    (Subscription, v1.subscriptions.list({"customer": customer_id, "status": "all", "limit": 100})),
                    (Invoice, v1.invoices.list({"customer": customer_id, "limit": 100})),
                    (PaymentMethod, v1.customers.payment_methods.list(customer_id, {"limit": 100})),
                ]
                found += different(
                    [v1.customers.retrieve(customer_id), *(one for _, page in lists for one in page.data)]
                )
                for model, page in lists:
                    ours = set(db.session.scalars(sa.select(model.id).where(model.customer_id == customer_id)))
                    found += [f"{id} is not at Stripe" for id in ours - {one.id for one in page.data}]
        return found

    def lost(self) -> set[str]:
        """Events that were acknowledged and are not in the ledger, or not done there."""
        taken = {one["event"] for one in self.deliveries() if one["state"] == "delivered"}
        with self.app.app_context():
            states = dict(db.session.execute(sa.select(WebhookEvent.id, WebhookEvent.state)).all())
            ours = {str(id) for id in db.session.scalars(sa.select(Customer.id))}
            foreign = sa.select(WebhookEvent.id, WebhookEvent.customer_id).where(WebhookEvent.state == "foreign")
            left = {row.id for row in db.session.execute(foreign) if row.customer_id in ours}
        return left | {id for id in taken if states.get(id) not in ("done", "ignored", "foreign")}


def different(objects: list[Any]) -> list[str]:
    """What we hold otherwise than Stripe, or not at all."""
    found = []
    for obj in objects:
        copy = read(obj.to_dict())
        held = sync.hold(copy.model, copy.id)
        if held is None or held.copy != copy:
            found.append(f"{held} instead of {copy}")
    return found


@contextmanager
def battle(kind: str, folder: Path) -> Iterator[Battle]:
    with database(kind, folder) as address, SandboxProcess(folder / "sandbox.db", "--check") as sandbox:
        url = f"http://localhost:{free_port()}"
        endpoint = sandbox.client.v1.webhook_endpoints.create({"url": f"{url}/webhook", "enabled_events": ["*"]})
        assert endpoint.secret
        own = {
            **{name: value for name, value in SETTINGS.items() if isinstance(value, str)},
            "DATABASE_URL": address,
            "BASE_URL": url,
            "MAIL_SERVER": "127.0.0.1",
            "MAIL_PORT": "9",  # nobody there: mails wait in the outbox
            "STRIPE_API_BASE": sandbox.url,
            "STRIPE_JS_URL": f"{sandbox.url}/endive/stripe.js",
            "STRIPE_WEBHOOK_SECRET": endpoint.secret,
        }
        app = create_app(own)
        with app.app_context():
            db.migrations().upgrade()
            list(catalog.bring_in_line(catalog.load(config.ROOT / "catalog.toml")))
        served = Served(own, url)
        try:
            served.wait()
            yield Battle(app, sandbox, served, endpoint.secret)
        finally:
            served.stop()
            with app.app_context():
                db.engine().dispose()


def fight(kind: str, folder: Path, customers: int, months: int) -> None:
    with battle(kind, folder) as all:
        all.sandbox.post("deliveries", {"mode": "shuffle"})
        over = threading.Event()
        repeating = threading.Thread(target=all.repeat, args=[over])
        repeating.start()
        try:
            with all.served.under_fire():
                with ThreadPoolExecutor(4) as pool:
                    list(pool.map(all.sign_up, range(customers)))
                all.live(months, KILLS)
        finally:
            over.set()
            repeating.join()
        all.served.wait()
        all.drain()
        with all.app.app_context():
            tick()
        all.drain()

        assert all.served.killed >= KILLS
        assert all.repeated > customers
        with all.app.app_context():
            there = db.session.scalar(sa.select(sa.func.count()).select_from(Subscription))
        assert there and there > customers * 0.7
        assert all.lost() == set()
        assert all.differences() == []


DATABASES = pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])


@DATABASES
def test_killed_workers_lose_nothing(tmp_path: Path, kind: str) -> None:
    """40 customers, two renewals."""
    fight(kind, tmp_path, customers=40, months=2)


@pytest.mark.deep
@DATABASES
def test_killed_workers_lose_nothing_of_a_thousand_customers(tmp_path: Path, kind: str) -> None:
    """1,000 customers, two renewals."""
    fight(kind, tmp_path, customers=1_000, months=2)
