"""Faults on request: a Stripe that is slow, refuses, breaks, loses its answer, or takes so many requests a second."""

import dataclasses
import re
import threading
import time
from collections import deque
from typing import Any

from sandbox.errors import StripeError

TOO_MANY = "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
LOCKED = (
    "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. "
    "If you see this error intermittently, retry the request. If you see this error frequently and are making multiple "
    "concurrent requests to a single object, make your requests serially or at a lower rate. For more details, see "
    "https://stripe.com/docs/rate-limits#object-lock-timeouts."
)
LOCK = "lock"  # as a reason: not the rate is too high, but somebody else has the object


@dataclasses.dataclass
class Fault:
    """Befalls the next `times` requests that fit."""

    method: str = ""
    path: str = ""
    status: int = 0  # answer this ...
    drop: bool = False  # ... or close the socket
    delay: float = 0  # seconds
    times: int = 1
    when: str = "before"  # "after": the request is carried out, then its answer is replaced
    reason: str = "global-rate"  # of a 429: one of Stripe's, or "lock"

    def __post_init__(self) -> None:
        """Raises TypeError or re.error for wishes that make no sense."""
        re.compile(self.path)
        texts = (self.method, self.when, self.reason)
        if not all(isinstance(text, str) for text in texts) or not isinstance(self.drop, bool):
            raise TypeError("method, path, when and reason are texts, drop is true or false")
        if type(self.times) is not int or self.times < 0 or type(self.status) is not int:
            raise TypeError("times and status are whole numbers")
        if (self.status and not 400 <= self.status <= 599) or not isinstance(self.delay, int | float) or self.delay < 0:
            raise TypeError("status is an error's (400 to 599), delay a number of seconds")

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method.upper() in ("", method) and re.search(self.path, path) is not None

    def error(self) -> StripeError:
        """What is answered instead."""
        if self.status == 429 and self.reason == LOCK:
            return StripeError(LOCKED, status=429, code="lock_timeout")
        if self.status == 429:
            return StripeError(TOO_MANY, status=429, code="rate_limit")
        text = "An error occurred on our end, because the sandbox was asked for it."
        return StripeError(text, status=self.status, type="api_error")

    def headers(self) -> dict[str, str]:
        """A lock is soon free, so it may be tried again; a rate has a reason."""
        if self.status != 429:
            return {}
        return {"Stripe-Should-Retry": "true"} if self.reason == LOCK else {"Stripe-Rate-Limited-Reason": self.reason}


class Faults:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.faults: list[Fault] = []
        self.per_second = 0  # requests that are let through; 0: all
        self.lately: deque[float] = deque()

    def add(self, **wishes: Any) -> None:
        """Raises TypeError or re.error for wishes that make no sense: see Fault."""
        fault = Fault(**wishes)
        with self.lock:
            self.faults.append(fault)

    def limit(self, per_second: int) -> None:
        """Answer 429 to what comes faster than that; 0 for no limit."""
        with self.lock:
            self.per_second = per_second
            self.lately.clear()

    def clear(self) -> None:
        with self.lock:
            self.faults.clear()
            self.per_second = 0

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that befalls this request, used up by one."""
        if not self.faults and not self.per_second:
            return None
        with self.lock:
            for fault in self.faults:
                if fault.fits(method, path):
                    fault.times -= 1
                    return fault
            return Fault(status=429) if self._too_fast() else None

    def _too_fast(self) -> bool:
        if not self.per_second:
            return False
        now = time.monotonic()
        while self.lately and self.lately[0] <= now - 1:
            self.lately.popleft()
        if len(self.lately) >= self.per_second:
            return True
        self.lately.append(now)
        return False
