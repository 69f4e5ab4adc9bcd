"""One SQLite file that holds the sandbox's world."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.ids import random_text

# What objects are looked up and filtered by; a document's own field of that name fills the column.
INDEXED = ("customer", "subscription", "invoice", "payment_intent", "product", "email", "lookup_key")
LAST_ROW = 2**62  # after every sequence, and every other number of a row
COLUMNS = (*INDEXED, "status")  # too many share a status for an index to be of use

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    sequence INTEGER PRIMARY KEY, type TEXT NOT NULL, id TEXT NOT NULL, created INTEGER, deleted INTEGER NOT NULL,
    {", ".join(f"{name} TEXT" for name in COLUMNS)}, document TEXT NOT NULL, UNIQUE (id, type));
CREATE INDEX IF NOT EXISTS objects_by_type ON objects (type, sequence);
{
    "".join(
        f"CREATE INDEX IF NOT EXISTS objects_by_{name} ON objects (type, {name}, sequence) WHERE {name} IS NOT NULL;"
        for name in INDEXED
    )
}
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, created INTEGER NOT NULL,
    recorded INTEGER NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_type ON events (type, sequence);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, type TEXT NOT NULL, endpoint TEXT, url TEXT NOT NULL,
    state TEXT NOT NULL, created INTEGER NOT NULL, next_attempt INTEGER, attempts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (state, id);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, at INTEGER NOT NULL, status INTEGER, error TEXT);
CREATE INDEX IF NOT EXISTS attempts_by_delivery ON attempts (delivery);
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY, due INTEGER NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, clock TEXT);
CREATE INDEX IF NOT EXISTS jobs_by_clock ON jobs (clock, due, id);
CREATE INDEX IF NOT EXISTS jobs_by_object ON jobs (object);
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, at INTEGER NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, fingerprint TEXT NOT NULL,
    request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (at);
"""
WORLD_TABLES = ("objects", "events", "deliveries", "attempts", "jobs", "idempotency")


class Document(dict[str, Any]):
    """An object as it is stored; `formats` makes of it what Stripe would send."""


class Store:
    """Every use of it happens while `lock` is held: there is a single writer."""

    def __init__(self, path: str | Path) -> None:
        self.lock = threading.RLock()
        if str(path) != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=OFF")
        self.db.execute("PRAGMA busy_timeout=5000")
        self._upgrade()
        self.db.executescript(SCHEMA)
        with self.transaction():
            self._first_settings()

    def _upgrade(self) -> None:
        """A file of an older sandbox gets what has been added since."""
        columns = {row["name"] for row in self.db.execute("PRAGMA table_info(events)")}
        if columns and "recorded" not in columns:
            self.db.execute("ALTER TABLE events ADD COLUMN recorded INTEGER NOT NULL DEFAULT 0")
            self.db.execute("UPDATE events SET recorded = created")

    def _first_settings(self) -> None:
        first = {
            "signing_secret": "whsec_" + random_text(64),
            "account": "acct_1" + random_text(15),
            "link_key": random_text(64),
        }
        for name, value in first.items():
            self.db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, value))

    def close(self) -> None:
        with self.lock:
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; takes the lock."""
        with self.lock:
            self.db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    def reset(self) -> None:
        """An empty world with a new account; the signing secret stays, as the CLI's does."""
        with self.transaction():
            for table in WORLD_TABLES:
                self.db.execute(f"DELETE FROM {table}")
            self.db.execute("DELETE FROM settings WHERE name NOT IN ('signing_secret', 'origin')")
            self._first_settings()

    def setting(self, name: str, default: str = "") -> str:
        row = self.db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row["value"] if row else default

    def set_setting(self, name: str, value: str) -> None:
        self.db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    # Objects

    def insert(self, document: Document) -> None:
        columns = ", ".join(COLUMNS)
        marks = ", ".join("?" for _ in COLUMNS)
        self.db.execute(
            f"INSERT INTO objects (type, id, created, deleted, document, {columns}) VALUES (?, ?, ?, ?, ?, {marks})",
            (document["object"], document["id"], document.get("created"), *_stored(document)),
        )

    def save(self, document: Document) -> None:
        columns = ", ".join(f"{name} = ?" for name in COLUMNS)
        self.db.execute(
            f"UPDATE objects SET deleted = ?, document = ?, {columns} WHERE id = ? AND type = ?",
            (*_stored(document), document["id"], document["object"]),
        )

    def find(self, id: str, type: str | None = None) -> Document | None:
        """The object of that id, deleted ones too, or None."""
        query, values = "SELECT document FROM objects WHERE id = ?", [id]
        if type:
            query, values = query + " AND type = ?", [id, type]
        row = self.db.execute(query, values).fetchone()
        return Document(json.loads(row["document"])) if row else None

    def sequence(self, id: str, type: str) -> int | None:
        row = self.db.execute("SELECT sequence FROM objects WHERE id = ? AND type = ?", (id, type)).fetchone()
        return row["sequence"] if row else None

    def select(self, type: str, where: str = "", values: tuple[Any, ...] = (), *, tail: str = "") -> list[Document]:
        """The objects of a type that are not deleted, oldest first unless tail orders otherwise."""
        query = f"SELECT document FROM objects WHERE type = ? AND NOT deleted {where and 'AND ' + where}"
        rows = self.db.execute(f"{query} {tail or 'ORDER BY sequence'}", (type, *values))
        return [Document(json.loads(row["document"])) for row in rows]

    def counts(self) -> dict[str, int]:
        rows = self.db.execute("SELECT type, count(*) AS n FROM objects WHERE NOT deleted GROUP BY type ORDER BY type")
        return {row["type"]: row["n"] for row in rows}


def _stored(document: Document) -> tuple[Any, ...]:
    values = (document.get(name) for name in COLUMNS)
    texts = (value if isinstance(value, str) else None for value in values)
    return int(bool(document.get("deleted"))), json.dumps(document, ensure_ascii=False), *texts
