"""A sandbox in a process of its own, for tests: start it, move its clock, ask what it saw, stop it."""

import http.client
import json
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import stripe

SECRET_KEY, PUBLISHABLE_KEY = "sk_test_sandbox", "pk_test_sandbox"
ROOT = Path(__file__).resolve().parent.parent
DAY = 86400
PATIENCE = 600  # seconds: a day in which a thousand customers renew is long


class SandboxProcess:
    """`python -m sandbox` on a free port; leave it as a context manager or with stop()."""

    def __init__(self, state: Path, *options: str, port: int = 0) -> None:
        self.state = state
        command = [sys.executable, "-m", "sandbox", "serve", "--port", str(port), "--state", str(state), *options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
        )
        self.lines: list[str] = []
        self.port, self.signing_secret = self._ready()
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = self.make_client()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _ready(self) -> tuple[int, str]:
        """Wait for the line that says so. Raises RuntimeError with the output when the process ends instead."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "Ready!" in line:
                secret = re.search(r"whsec_\w+", line)
                port = re.search(r"http://127\.0\.0\.1:(\d+)", "\n".join(self.lines))
                assert secret and port
                return int(port[1]), secret[0]
        raise RuntimeError("the sandbox did not start:\n" + "\n".join(self.lines))

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def __enter__(self) -> "SandboxProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> int:
        """End it as Ctrl-C or a supervisor would; says its exit code."""
        self.process.terminate()
        code = self.process.wait(timeout=20)
        self._reader.join(timeout=5)
        return code

    def make_client(self, key: str = SECRET_KEY, **options: Any) -> stripe.StripeClient:
        """A client of the sandbox that does not retry by itself, unless told to."""
        addresses: Any = {"api": self.url}
        return stripe.StripeClient(key, base_addresses=addresses, **({"max_network_retries": 0} | options))

    def request(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], str]:
        """A raw HTTP request: status, headers in lower case, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body.encode() if body is not None else None, headers or {})
            response = connection.getresponse()
            said = response.read().decode(errors="replace")
            return response.status, {k.lower(): v for k, v in response.getheaders()}, said
        finally:
            connection.close()

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the sandbox itself, at /_sandbox/<path>. Raises AssertionError when it refuses."""
        text = None if body is None else json.dumps(body)
        status, _, answer = self.request(method, f"/_sandbox/{path}", text, {"Content-Type": "application/json"})
        assert status == 200, f"{method} /_sandbox/{path}: {status} {answer}"
        found: dict[str, Any] = json.loads(answer)
        return found

    def get(self, path: str) -> dict[str, Any]:
        return self.control("GET", path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self.control("POST", path, body or {})

    def reset(self) -> None:
        """An empty world; the signing secret stays."""
        self.post("reset")

    def now(self) -> int:
        return int(self.get("clock")["now"])

    def advance(self, seconds: int = 0, *, days: int = 0, hours: int = 0) -> int:
        """Move the world's time on and say what it then is."""
        return int(self.post("advance", {"seconds": seconds + days * DAY + hours * 3600})["now"])

    def advance_to(self, instant: int) -> int:
        return int(self.post("advance", {"to": instant})["now"])

    def idle(self, timeout: float = 30) -> None:
        """Wait until no delivery is due or under way. Raises AssertionError if that takes too long."""
        assert self.get(f"deliveries/idle?timeout={timeout}")["idle"], "deliveries are still under way"

    def requests(self) -> list[dict[str, Any]]:
        """The API requests since the last reset."""
        return list(self.get("requests")["requests"])

    def violations(self) -> list[str]:
        """With --check: requests and answers that stripe-python's types do not allow."""
        return list(self.get("violations")["violations"])

    def fault(self, **wishes: Any) -> None:
        """Befall coming requests: method, path, status or drop or delay, times, when."""
        self.post("faults", wishes)

    def mark(self) -> str:
        """The newest event's id, to ask later what came after it."""
        newest = self.client.v1.events.list({"limit": 1}).data
        return newest[0].id if newest else ""

    def events(self, *types: str, since: str = "") -> list[Any]:
        """The events of those types, oldest first: all of the last 30 days, or what came after a mark."""
        if since:
            found = list(self.client.v1.events.list({"limit": 100, "ending_before": since}).auto_paging_iter())
        else:
            found = list(self.client.v1.events.list({"limit": 100}).auto_paging_iter())[::-1]
        return [event for event in found if not types or event.type in types]
