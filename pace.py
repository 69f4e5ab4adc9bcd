"""How fast Stripe may be called: a long run of calls keeps below the limit, and waits when Stripe is busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

PATIENCE = 8  # times in a row that Stripe may be busy
Answer = TypeVar("Answer")

sleep = time.sleep
_current: ContextVar[Pacer | None] = ContextVar("pacer", default=None)


class Pacer:
    """Spreads calls evenly over time."""

    def __init__(self, calls_a_second: float) -> None:
        self.gap = 1 / calls_a_second
        self.next_turn = 0.0

    def call(self, make: Callable[[], Answer], busy: type[Exception]) -> Answer:
        """Make a call when it is its turn, and again after `retry_after` seconds while Stripe is `busy`."""
        for _ in range(PATIENCE):
            self.wait_for_turn()
            try:
                return make()
            except busy as error:
                sleep(getattr(error, "retry_after", None) or 1)
        self.wait_for_turn()
        return make()

    def wait_for_turn(self) -> None:
        now = time.monotonic()
        if now < self.next_turn:
            sleep(self.next_turn - now)
        self.next_turn = max(now, self.next_turn) + self.gap


@contextmanager
def at_most(calls_a_second: float) -> Iterator[None]:
    """Make the calls in here no faster than that, and wait and repeat them when Stripe is busy."""
    token = _current.set(Pacer(calls_a_second))
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Pacer | None:
    return _current.get()
