"""Play one history: a simulated Stripe, deliveries that overlap, stop half-way and come twice, and our real tables.

Every delivery is a greenlet that stops before and after each transaction and at three moments of each question; the
history says which of them goes on. So every interleaving of steps can be played, and played again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest import mock

import sqlalchemy as sa
from greenlet import GreenletExit, getcurrent, greenlet

import billing
import db
import ledger
import subscriptions
import sync
import webhooks
from copies import ENTITLEMENTS, READERS, read
from models import Customer, SubscriptionItem, WebhookEvent
from tests.sync.stripe_world import CUSTOMER, START, Thing, World

TABLES: list[Any] = [SubscriptionItem, WebhookEvent, *(model for model, _ in READERS.values())]
KINDS = ("subscription", "invoice", "payment_method", "product", ENTITLEMENTS, "subscription_schedule", "subscription")
TICKS = (1, 2, 3, 5, 8, 9, 10, 13, 19, 25)
HURRY = 19  # tenths

Key = tuple[str, str]  # a row's table and id
Plan = Any  # see test_histories.plans


class WentBack(AssertionError):
    """A row shows a state that Stripe had left before the one it showed last."""


class History:
    def __init__(self, app: Any, plan: Plan) -> None:
        self.app, self.plan = app, plan
        self.world = World(self.pause, date_skew=plan.date_skew)
        self.hub = getcurrent()
        self.running: list[tuple[greenlet, int | None]] = []  # with the number of the event that it takes
        self.taken: dict[int, int] = {}  # how often each event was acknowledged
        self.seen: dict[str, int] = {}  # the state of each thing that its row has got to
        self.versions_seen: dict[Key, int] = {}
        self.wrote = False
        self.turns = 0

    # Stopping and going on

    def pause(self) -> None:
        if getcurrent() is not self.hub:
            self.hub.switch()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        self.pause()
        with self.real_write() as tx:
            yield tx
        self.wrote = True
        self.pause()

    def write_alone(self, work: Any) -> Any:
        """Each its own commit: greenlets, being one thread, can't wait for each other's."""
        with self.write() as tx:
            return work(tx)

    def start(self, work: Any, event: int | None = None) -> None:
        def run() -> None:
            with self.app.app_context():
                work()

        self.running.append((greenlet(run), event))

    def step(self, which: int) -> None:
        """Let one of those that are under way go on to its next stop."""
        if not self.running:
            return
        worker, _ = self.running[which % len(self.running)]
        worker.switch()
        self.after(worker)

    def crash(self, which: int) -> None:
        """End one of them where it is: its process is killed."""
        if not self.running:
            return
        worker, _ = self.running[which % len(self.running)]
        worker.throw(GreenletExit)
        self.after(worker)

    def after(self, worker: greenlet) -> None:
        self.running = [(one, event) for one, event in self.running if not one.dead]
        if self.wrote:
            self.wrote = False
            self.look_forward()

    # What may happen

    def deliver(self, number: int) -> None:
        event = copy.deepcopy(self.world.events[number])
        assert event["type"] in webhooks.HANDLERS

        def take() -> None:
            if webhooks.take(event)[1] == 200:
                self.taken[number] = self.taken.get(number, 0) + 1

        self.start(take, number)

    def adopt(self) -> None:
        """The customer becomes ours."""

        def work() -> None:
            noted = self.world.retrieve("customer", CUSTOMER)
            subscriptions.adopt(noted, SimpleNamespace(id=None), "none")  # type: ignore[arg-type]

        self.start(tolerant(work))

    def is_ours(self) -> bool:
        return (Customer.__tablename__, CUSTOMER) in self.versions_seen or self.plan.known

    def use_answer(self) -> None:
        """Somebody uses the shop: Stripe is asked, and all that it tells is learned."""

        def work() -> None:
            noted = sync.note(CUSTOMER)
            for page in billing.subscriptions_of(CUSTOMER):
                sync.learn(noted, page, *page.object["data"])

        self.start(tolerant(work))

    def reconcile(self) -> None:
        self.start(tolerant(lambda: sync.customer(CUSTOMER)))

    def tick(self, tenths: int) -> None:
        self.world.now += tenths
        if self.plan.hurried:
            self.world.now = min(self.world.now, START + HURRY)

    def act(self, deed: int, n: int) -> None:
        world, events = self.world, self.world.events
        if deed <= 3:
            world.change([*world.things.values()][n % len(world.things)], n // len(world.things))
        elif deed <= 6:
            self.tick(TICKS[n % len(TICKS)])
        elif deed <= 9:
            waiting = [number for number in range(len(events)) if number not in self.taken and number not in self.lost]
            choice = waiting if n % 8 else [number for number in range(len(events)) if number not in self.lost]
            if choice and len(self.running) < 6:
                self.deliver(choice[-1 - n // 8 % len(choice)])
        elif deed <= 15:
            self.step(n)
        elif deed == 16:
            self.crash(n)
        elif self.plan.hurried:
            pass
        elif deed == 17 and n % 4 == 0:
            world.failing += 1
        elif deed == 18 and len(self.running) < 6:
            (self.use_answer if n % 2 else self.reconcile)()
        elif deed == 19 and n % 2 and not self.is_ours():
            self.adopt()

    # All of it

    def play(self) -> None:
        """Raises AssertionError where our tables are not what they must be."""
        world, plan = self.world, self.plan
        self.real_write = db.write
        self.lost = plan.lost
        pages = {name: world.pages(kind) for name, kind in LISTS.items()}
        asked: dict[str, Any] = {"retrieve": world.retrieve, "event": world.event, "ask": nobody, **pages}
        writes: dict[str, Any] = {"write": self.write, "write_together": self.write_alone}
        with mock.patch.multiple(billing, **asked), mock.patch.multiple(db, **writes):
            try:
                self.begin()
                for deed, n in plan.deeds:
                    self.act(deed, n)
                world.failing = 0
                self.deliver_the_rest()
                if self.lost:
                    self.heal()
            finally:  # who is under way when something is found to be wrong keeps a connection
                for worker, _ in self.running:
                    worker.throw(GreenletExit)
        self.compare()

    def begin(self) -> None:
        plan = self.plan
        world = self.world
        for model in TABLES:
            with self.app.app_context(), self.real_write() as tx:
                tx.execute(sa.delete(model))
        world.add("customer", CUSTOMER, plan.skews[0], plan.clock)
        if plan.known:
            with self.app.app_context(), self.real_write() as tx:
                clock = world.things[CUSTOMER].now["test_clock"]  # type: ignore[index]
                tx.execute(sa.insert(Customer).values(id=CUSTOMER, known_from=0, known_to=0, test_clock=clock))
        for place, which in enumerate(plan.kinds):
            kind = KINDS[which]
            id = f"entitlements of {CUSTOMER}" if kind == ENTITLEMENTS else f"{kind}_{which}"
            clocked = None if kind == "product" else plan.clock
            if id not in world.things:
                world.now += TICKS[place]
                world.add(kind, id, plan.skews[1 + place], clocked)

    def deliver_the_rest(self) -> None:
        """Every event that is not lost is sent until it is taken; then comes a tick."""
        if not self.is_ours():
            self.adopt()
        events = range(len(self.world.events))
        for _ in range(50):
            under_way = {event for _, event in self.running}
            left = [number for number in events if number not in {*self.taken, *self.lost, *under_way}]
            for number in sorted(left, key=lambda number: number * self.plan.stride % 31):
                self.deliver(number)
                while len(self.running) > 3:
                    self.tick(1)
                    self.step(self.turn())
            self.finish()
            if all(number in self.taken or number in self.lost for number in events):
                break
        else:
            raise AssertionError("an event is never taken")
        self.start(tick)
        self.finish()

    def heal(self) -> None:
        def work() -> None:
            sync.customer(CUSTOMER)
            for thing in self.world.things.values():
                if thing.kind == "product":
                    sync.ask("product", thing.id)

        self.start(work)
        self.finish()

    def turn(self) -> int:
        self.turns += 1
        return self.turns * self.plan.stride

    def finish(self) -> None:
        while self.running:
            self.tick(1)
            self.step(self.turn())

    # What must hold

    def rows(self, rows: set[Key] | None = None) -> dict[str, tuple[Thing, sync.Held | None]]:
        """Of the things in those rows, or of all, what we hold."""
        found = {}
        with self.app.app_context():
            for id, thing in self.world.things.items():
                model, key = READERS[thing.kind][0], CUSTOMER if thing.kind == ENTITLEMENTS else id
                if rows is None or (model.__tablename__, key) in rows:
                    found[id] = thing, sync.hold(model, key)
        return found

    def versions(self) -> dict[Key, int]:
        """The version of every row, at little cost; a customer and what they are entitled to share their id."""
        tables = [model.__tablename__ for model, _ in READERS.values()]
        query = " UNION ALL ".join(f"SELECT '{table}', id, version FROM {table}" for table in tables)
        with self.app.app_context():
            raw = db.engine().raw_connection()
            try:
                return {(table, id): version for table, id, version in raw.cursor().execute(query).fetchall()}
            finally:
                raw.close()

    def look_forward(self) -> None:
        """Each row shows what it showed before, or something that came later."""
        versions = self.versions()
        assert versions.keys() >= self.versions_seen.keys(), "a row has gone"
        changed = {key for key, version in versions.items() if self.versions_seen.get(key) != version}
        self.versions_seen = versions
        for id, (thing, held) in self.rows(changed).items():
            if held is None or (id == CUSTOMER and held.known_to == 0):
                continue  # not here, or made by hand
            first = self.seen.get(id, 0)
            shows = (n for n in range(first, len(thing.states)) if is_shown(thing.states[n], held))
            at = next(shows, None)
            if at is None:
                raise WentBack(f"{id}: {held} after state {first} of {thing.states}")
            self.seen[id] = at

    def compare(self) -> None:
        """Our tables are Stripe's, and the ledger knows each event that was acknowledged."""
        for id, (thing, held) in self.rows().items():
            if held is None:
                # Of what is gone, and of what was never told and is nobody's or named by nothing, nothing need be here.
                findable = thing.now and thing.now.get("customer") and thing.kind != "subscription_schedule"
                assert thing.now is None or (self.lost and not findable), f"{id} is not here"
                continue
            assert is_shown(thing.now, held), f"{id} is {thing.now}, and here {held}"
        with self.app.app_context():
            done = set(db.session.scalars(sa.select(WebhookEvent.id).where(WebhookEvent.state == "done")))
        assert {f"evt_{number}" for number in self.taken} <= done


LISTS = {
    "subscriptions_of": "subscription",
    "invoices_of": "invoice",
    "payment_methods_of": "payment_method",
    "tax_ids_of": "tax_id",
}


def nobody(*_call: Any, **_how: Any) -> Any:
    raise AssertionError("a question that the simulated Stripe does not know")


def is_shown(state: Any, held: sync.Held) -> bool:
    if state is None or held.gone:
        return state is None and held.gone
    return read(state) == held.copy


def tick() -> None:
    for event_id in ledger.unfinished(event_type="invoice.created"):
        ledger.replay(event_id)
    ledger.take_up()


def tolerant(work: Any) -> Any:
    """A request that fails tells its user so; nothing else comes of it."""

    def run() -> None:
        with suppress(billing.BillingError, sync.Contended):
            work()

    return run


__all__ = ["START", "History", "WentBack"]
