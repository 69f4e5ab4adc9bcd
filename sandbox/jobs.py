"""What happens as time passes: jobs that objects have scheduled, run in the order in which they are due."""

import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sandbox.clock import Clock
from sandbox.store import Document, Store
from sandbox.world import World

Job = Callable[[World, Document], None]
_kinds: dict[str, Job] = {}
Transaction = Callable[[int | None], AbstractContextManager[World]]
LONGEST_NAP = 60.0  # seconds of wall time


def job(kind: str) -> Callable[[Job], Job]:
    """The decorated function is run with an object when a job of this kind is due."""

    def register(function: Job) -> Job:
        _kinds[kind] = function
        return function

    return register


class Jobs:
    """Runs what is due: by itself as the clock ticks, and when the world is advanced."""

    def __init__(self, store: Store, clock: Clock, transaction: Transaction) -> None:
        self.store, self.clock, self.transaction = store, clock, transaction
        self.changed = threading.Event()
        self.stopped = False
        self.failures: list[str] = []
        self.thread = threading.Thread(target=self._tick, name="jobs", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopped = True
        self.changed.set()
        self.thread.join()

    def advance(self, to: int) -> None:
        """Move the world's time forward to `to`, running each job with `now` set to its due time."""
        with self.clock.advancing:
            while (due := self._next_due()) is not None and due["due"] <= to:
                self.clock.freeze(due["due"])
                self._run(due, due["due"])
            self.clock.run_on(to)

    def _tick(self) -> None:
        while not self.stopped:
            self.changed.clear()
            with self.clock.advancing:
                while (due := self._next_due()) is not None and due["due"] <= self.clock.now() and not self.stopped:
                    self._run(due, due["due"])
            while (due := self._next_due_on_test_clock()) is not None and not self.stopped:
                self._run(due, None)
            due = self._next_due()
            self.changed.wait(
                LONGEST_NAP if due is None else min(max(due["due"] - self.clock.now(), 0.05), LONGEST_NAP)
            )

    def _next_due(self) -> Any:
        with self.store.lock:
            return self.store.db.execute("SELECT * FROM jobs WHERE clock IS NULL ORDER BY due, id LIMIT 1").fetchone()

    def _next_due_on_test_clock(self) -> Any:
        """Test clocks stand still, but for the time that they are being advanced to."""
        with self.store.lock:
            for clock in self.store.select("test_helpers.test_clock"):
                query = "SELECT * FROM jobs WHERE clock = ? AND due <= ? ORDER BY due, id LIMIT 1"
                due = self.store.db.execute(query, (clock["id"], clock["target"])).fetchone()
                if due is not None:
                    return due
        return None

    def _run(self, due: Any, now: int | None) -> None:
        try:
            with self.transaction(now) as world:
                # The job may have been withdrawn between the look and the lock.
                if world.store.db.execute("DELETE FROM jobs WHERE id = ?", (due["id"],)).rowcount:
                    self._move_test_clock(world, due)
                    document = world.find(due["object"])
                    if document is not None and not document.get("deleted"):
                        _kinds[due["kind"]](world, document)
        except Exception:
            self.failures.append(f"{due['kind']} {due['object']}: {traceback.format_exc()}")
            traceback.print_exc()
            with self.store.transaction():
                self.store.db.execute("DELETE FROM jobs WHERE id = ?", (due["id"],))

    def _move_test_clock(self, world: World, due: Any) -> None:
        clock = world.find(due["clock"], "test_helpers.test_clock")
        if clock and clock["frozen_time"] < due["due"]:
            clock["frozen_time"] = due["due"]
            world.save(clock)
