"""The world as one transaction sees it: what is stored, what time it is, who asks, what happens."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sandbox import errors, events
from sandbox.clock import Clock
from sandbox.ids import new_id
from sandbox.store import Document, Store

Formatter = Callable[["World", Document], dict[str, Any]]
Include = Callable[["World", str], Any]

_formatters: dict[str, Formatter] = {}
_includes: dict[tuple[str, str], Include] = {}


def formats(kind: str) -> Callable[[Formatter], Formatter]:
    """The decorated function makes the wire object of a stored one."""

    def register(function: Formatter) -> Formatter:
        _formatters[kind] = function
        return function

    return register


def includes(kind: str, field: str) -> Callable[[Include], Include]:
    """The decorated function, given an object's id, makes a field that is sent only when expand asks for it."""

    def register(function: Include) -> Include:
        _includes[kind, field] = function
        return function

    return register


@dataclasses.dataclass(frozen=True)
class Caller:
    """Who asks: nobody (the world's own clockwork), a server with its secret key, or a browser."""

    request_id: str | None = None
    idempotency_key: str | None = None
    publishable: bool = False
    client_secret: str | None = None
    origin: str = ""  # where the sandbox's own pages are


class World:
    """Lives for one transaction, whose time stands still."""

    def __init__(
        self, store: Store, clock: Clock, caller: Caller, targets: events.Targets, now: int | None = None
    ) -> None:
        self.store = store
        self.caller = caller
        self.targets = targets
        self.account = store.setting("account")
        self.happened = False  # an event was recorded
        self.scheduled = False  # a job was
        self.known: dict[str, Document] = {}  # one copy of each object, so that no change to it is lost
        self._now = clock.now() if now is None else now
        self.pretended: int | None = None  # in a rehearsal: what time it is made to be

    def now(self, customer: str | None = None) -> int:
        """World time, or that of the customer's test clock."""
        if self.pretended is not None:
            return self.pretended
        clock = self.test_clock(self.find(customer, "customer")) if customer else None
        return self._now if clock is None else int(clock["frozen_time"])

    def test_clock(self, document: Document | None) -> Document | None:
        """The test clock that rules an object: the customer's whose it is, or itself."""
        if document is None or document["object"] == "test_helpers.test_clock":
            return document
        owner = document if document["object"] == "customer" else self.find(document.get("customer"), "customer")
        return self.find(owner.get("test_clock"), "test_helpers.test_clock") if owner else None

    def test_clock_id(self, document: Document) -> str | None:
        clock = self.test_clock(document)
        return clock["id"] if clock else None

    @contextmanager
    def rehearsal(self) -> Iterator["World"]:
        """The same world to try things out in, and to pretend another time: nothing that is done in it stays."""
        tried = copy.copy(self)
        tried.known, tried.targets = {}, events.Targets()
        self.store.db.execute("SAVEPOINT rehearsal")
        try:
            yield tried
        finally:
            self.store.db.execute("ROLLBACK TO rehearsal")
            self.store.db.execute("RELEASE rehearsal")

    @property
    def origin(self) -> str:
        """Where the pages are that Stripe would host."""
        return self.store.setting("origin", "http://127.0.0.1:12111")

    # Objects

    def new_id(self, prefix: str) -> str:
        return new_id(prefix, self.account, self._now)

    def create(self, kind: str, id: str, **fields: Any) -> Document:
        """Store a new object; its id is a prefix (`cus_`) to be completed, or whole."""
        whole = self.new_id(id[:-1]) if id.endswith("_") else id
        document = Document({"id": whole, "object": kind, **fields})
        clock = self.test_clock(document)
        document["created"] = self._now if clock in (None, document) else clock["frozen_time"]
        if self.pretended is not None:
            document["created"] = self.pretended
        self.store.insert(document)
        self.known[whole] = document
        return document

    def save(self, document: Document) -> None:
        self.store.save(document)

    def find(self, id: str | None, kind: str | None = None) -> Document | None:
        """The object of that id, deleted ones too, or None."""
        if not id:
            return None
        document = self.known.get(id)
        if document is None or kind not in (None, document["object"]):
            document = self.store.find(id, kind)
            if document is not None:
                self.known[id] = document
        return document

    def select(self, kind: str, where: str = "", values: tuple[Any, ...] = (), *, tail: str = "") -> list[Document]:
        """The objects of a kind that are not deleted and, as stored, fulfil an SQL condition; oldest first."""
        found = self.store.select(kind, where, values, tail=tail)
        return [self.known.setdefault(document["id"], document) for document in found]

    def get(self, kind: str, id: str, param: str | None = None) -> Document:
        """The object of that id. Raises errors.no_such when there is none, or when it was deleted."""
        document = self.find(id, kind)
        if document is None or document.get("deleted"):
            raise errors.no_such(kind, id, param)
        return document

    def wire(self, document: Document) -> dict[str, Any]:
        """The object as Stripe would send it, nothing expanded."""
        if document.get("deleted"):
            return {"id": document["id"], "object": document["object"], "deleted": True}
        return _formatters[document["object"]](self, document)

    def include(self, kind: str, field: str, id: str) -> tuple[bool, Any]:
        """Whether such a field exists on request only, and its value."""
        function = _includes.get((kind, field))
        return (True, function(self, id)) if function else (False, None)

    # What happens

    def emit(self, type: str, document: Document, before: dict[str, Any] | None = None) -> None:
        """Record an event with the object as it is now; `before` is its earlier wire form."""
        events.record(self, type, self.wire(document), before)

    def update(self, document: Document, event: str | None = None, **changes: Any) -> bool:
        """Change and save an object; if that shows on the wire, record the event. Says whether it showed."""
        before = self.wire(document)
        document.update(changes)
        self.save(document)
        after = self.wire(document)
        if before == after:
            return False
        if event:
            events.record(self, event, after, before)
        return True

    def schedule(self, due: int, kind: str, document: Document, *, by_world: bool = False) -> None:
        """Have the job of that kind run on the object when its time is `due`: its test clock's, if it has one.

        by_world: when the world's is, all the same.
        """
        self.scheduled = True
        job = due, kind, document["id"], None if by_world else self.test_clock_id(document)
        self.store.db.execute("INSERT INTO jobs (due, kind, object, clock) VALUES (?, ?, ?, ?)", job)

    def unschedule(self, document: Document, *kinds: str) -> None:
        marks = ", ".join("?" for _ in kinds)
        self.store.db.execute(
            f"DELETE FROM jobs WHERE object = ? AND kind IN ({marks})",
            (document["id"], *kinds),
        )
