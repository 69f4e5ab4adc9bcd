"""Faults on request: a Stripe that is slow, refuses, breaks, or loses its answer."""

import dataclasses
import re
import threading
from typing import Any


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

    def fits(self, method: str, path: str) -> bool:
        return self.times > 0 and self.method.upper() in ("", method) and re.search(self.path, path) is not None


class Faults:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.faults: list[Fault] = []

    def add(self, **wishes: Any) -> None:
        """Raises TypeError or re.error for wishes that make no sense."""
        fault = Fault(**wishes)
        re.compile(fault.path)
        with self.lock:
            self.faults.append(fault)

    def clear(self) -> None:
        with self.lock:
            self.faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that befalls this request, used up by one."""
        with self.lock:
            for fault in self.faults:
                if fault.fits(method, path):
                    fault.times -= 1
                    return fault
        return None
