"""Webhook deliveries: signed, logged, repeated until the endpoint takes them."""

import hashlib
import hmac
import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sandbox.clock import Clock
from sandbox.events import Targets
from sandbox.store import Store

TIMEOUT = 30.0  # seconds, as `stripe listen` waits
MINUTE, HOUR = 60, 3600
BACK_OFF = (10, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR)
THEN_EVERY = 12 * HOUR
GIVE_UP_AFTER = 3 * 24 * HOUR
STOP_WAITS = 2.0  # seconds; what is under way then is delivered again after a restart
DUE = "state = 'pending' AND next_attempt <= ?"
SHUFFLE_WINDOW = 0.3  # seconds of wall time in which events gather before they are drawn from


def signature(payload: str, secrets: list[str], at: int) -> str:
    """The Stripe-Signature header, made at the wall clock's time; one signature for each secret that holds."""
    signed = f"{at}.{payload}".encode()
    digests = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={at}", *(f"v1={digest}" for digest in digests)])


def as_of(version: str | None, document: str) -> str:
    """An event as an endpoint of that API version gets it; only the name of the version differs."""
    if version is None:
        return document
    return json.dumps({**json.loads(document), "api_version": version}, ensure_ascii=False)


def post(url: str, payload: str, secrets: list[str]) -> int:
    """Send one delivery and say which status came back. Raises OSError or HTTPException if none did."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    try:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(payload, secrets, int(time.time())),
        }
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, payload.encode(), headers)
        return connection.getresponse().status
    finally:
        connection.close()


class Deliveries:
    """Delivers what is due: to each address one at a time and in order, unless the mode says otherwise.

    One thread looks for what is due; each address that there is something for has a thread of its own meanwhile, so
    that a slow one keeps no other waiting.
    """

    def __init__(self, store: Store, clock: Clock, targets: Targets, say: Callable[[str], None]) -> None:
        self.store, self.clock, self.targets, self.say = store, clock, targets, say
        self.changed = threading.Condition()
        self.lines: dict[str, threading.Thread] = {}  # by address
        self.stopped = False
        self.thread = threading.Thread(target=self._watch, name="deliveries", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopped = True
        self.wake()
        until = time.monotonic() + STOP_WAITS
        for thread in (self.thread, *self.lines.values()):
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def wake(self) -> None:
        """Look again: something was committed, or the clock moved."""
        with self.changed:
            self.changed.notify_all()

    def idle(self, timeout: float) -> bool:
        """Wait until nothing is due or under way; False if that did not come to pass in `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while self.lines or self.waiting():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 0.5))
        return True

    def waiting(self) -> set[str]:
        """The addresses at which something is due."""
        query = f"SELECT DISTINCT url FROM deliveries WHERE {DUE}"
        with self.store.lock:
            return {row["url"] for row in self.store.db.execute(query, (self.clock.now(),))}

    def flush(self) -> int:
        """Release what was held back; says how many."""
        with self.store.transaction():
            released = self.store.db.execute("UPDATE deliveries SET state = 'pending' WHERE state = 'held'").rowcount
        self.wake()
        return released

    def retry(self, id: int) -> bool:
        """Try a delivery again at once, whatever its state; False if there is none of that id."""
        with self.store.transaction():
            again = "UPDATE deliveries SET state = 'pending', next_attempt = ? WHERE id = ?"
            found = self.store.db.execute(again, (self.clock.now(), id)).rowcount
        self.wake()
        return bool(found)

    def _watch(self) -> None:
        while not self.stopped:
            with self.changed:
                for url in self.waiting() - self.lines.keys():
                    self.lines[url] = threading.Thread(target=self._work, args=(url,), name="deliveries", daemon=True)
                    self.lines[url].start()
                self.changed.wait(1.0)  # a retry may fall due as the clock ticks

    def _work(self, url: str) -> None:
        """Deliver what is due at one address, until nothing is."""
        try:
            while not self.stopped and (due := self._due(url)):
                if self.targets.mode == "shuffle":
                    time.sleep(SHUFFLE_WINDOW)
                    due = self._due(url)
                    random.shuffle(due)
                for delivery in due:
                    if not self.stopped:
                        self._attempt(delivery)
        finally:
            with self.changed:
                del self.lines[url]
                self.changed.notify_all()

    def _due(self, url: str) -> list[Any]:
        """The next that are due at one address."""
        query = f"SELECT * FROM deliveries WHERE {DUE} AND url = ? ORDER BY id LIMIT 200"
        with self.store.lock:
            return self.store.db.execute(query, (self.clock.now(), url)).fetchall()

    def _attempt(self, delivery: Any) -> None:
        with self.store.lock:
            event = self.store.db.execute("SELECT document FROM events WHERE id = ?", (delivery["event"],)).fetchone()
            secrets = self._secrets(delivery["endpoint"])
            version = self._version(delivery["endpoint"])
        if event is None or not secrets:  # the world was reset, or the endpoint is gone
            self._settle(delivery, "failed", None, "the event or its endpoint is gone")
            return
        self.say(f"  --> {delivery['type']} [{delivery['event']}]")
        status, error = None, None
        try:
            status = post(delivery["url"], as_of(version, event["document"]), secrets)
            self.say(f" <--  [{status}] POST {delivery['url']} [{delivery['event']}]")
        except (OSError, http.client.HTTPException, ValueError) as problem:
            error = f'Failed to POST: Post "{delivery["url"]}": {problem or type(problem).__name__}'
            self.say(f"           [ERROR] {error}")
        taken = status is not None and 200 <= status < 300
        self._settle(delivery, "delivered" if taken else "pending", status, error)

    def _secrets(self, endpoint: str | None) -> list[str]:
        """With what an endpoint's deliveries are signed: its secret, and those that were rolled and still hold."""
        if endpoint is None:
            rolled = json.loads(self.store.setting("rolled_secrets", "[]"))
            return [self.store.setting("signing_secret"), *self._still_good(rolled)]
        document = self.store.find(endpoint, "webhook_endpoint")
        if document is None or document.get("deleted"):
            return []
        return [document["secret"], *self._still_good(document.get("rolled_secrets", []))]

    def _still_good(self, rolled: list[dict[str, Any]]) -> list[str]:
        return [old["secret"] for old in rolled if old["until"] > self.clock.now()]

    def _version(self, endpoint: str | None) -> str | None:
        document = self.store.find(endpoint, "webhook_endpoint") if endpoint else None
        return None if document is None else document["api_version"]

    def _settle(self, delivery: Any, state: str, status: int | None, error: str | None) -> None:
        if self.stopped:
            return
        now, attempts = self.clock.now(), delivery["attempts"] + 1
        wait = BACK_OFF[attempts - 1] if attempts <= len(BACK_OFF) else THEN_EVERY
        if state == "pending" and now + wait > delivery["created"] + GIVE_UP_AFTER:
            state = "failed"
        with self.store.transaction():
            self.store.db.execute(
                "INSERT INTO attempts (delivery, at, status, error) VALUES (?, ?, ?, ?)",
                (delivery["id"], now, status, error),
            )
            self.store.db.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, next_attempt = ? WHERE id = ?",
                (state, attempts, now + wait if state == "pending" else None, delivery["id"]),
            )
