"""The world's time: the wall clock plus an offset that only grows."""

import threading
import time

from sandbox.store import Store


class Clock:
    """Ticks with the wall clock; while the world is being advanced it stands at the job that is being run."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.advancing = threading.Lock()
        self.frozen_at: int | None = None
        with store.lock:
            self.offset = int(store.setting("clock_offset", "0"))

    def now(self) -> int:
        """World time in whole seconds UTC."""
        return self.frozen_at if self.frozen_at is not None else int(time.time()) + self.offset

    def freeze(self, at: int) -> None:
        self.frozen_at = max(at, self.now())

    def run_on(self, at: int) -> None:
        """Tick again, from `at`."""
        with self.store.lock:
            self.offset = max(self.offset, at - int(time.time()))
            self.store.set_setting("clock_offset", str(self.offset))
            self.frozen_at = None

    def reset(self) -> None:
        self.offset, self.frozen_at = 0, None
