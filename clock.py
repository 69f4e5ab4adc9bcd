"""The time, for billing.

Stripe's time is the one that counts: a test clock, or the sandbox's world, may be months ahead of this machine.
So `now` for a customer is the later of the wall clock and the newest thing heard about that customer.
"""

from __future__ import annotations

import time


def wall() -> int:
    """Unix seconds, UTC, by this machine's clock."""
    return int(time.time())


def now(known_to: int | None) -> int:
    """Unix seconds, UTC, for a customer whose newest row is Stripe's state as of `known_to`."""
    return max(wall(), known_to or 0)
