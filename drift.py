"""What a comparison of our tables with Stripe found, and how far it came."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

import db
import sync
from models import SyncRun

EQUAL, DIFFERENT, MISSING, GONE = "equal", "different", "missing", "gone"
OUTCOMES = (EQUAL, DIFFERENT, MISSING, GONE)
LINKS = ("hosted_invoice_url", "invoice_pdf")  # Stripe may spell them anew at each question
KEPT_LINES = 1000
RESUMED_WITHIN = 24 * 3600  # seconds after its beginning that a run that was cut off is gone on with
WORDS = {DIFFERENT: "corrected", MISSING: "missing here", GONE: "gone at Stripe"}
WORDS_OF_A_DRY_RUN = {**WORDS, DIFFERENT: "different"}


def difference(held: sync.Held | None, copy: sync.Copy) -> tuple[str, list[str]]:
    """What our row is against Stripe's state, with the columns that differ."""
    if held is None:
        # Nobody misses the row that would say that a customer is entitled to nothing.
        return (EQUAL if copy.columns.get("lookup_keys") == [] else MISSING), []
    ours, theirs = held.copy.columns, copy.columns
    columns = [name for name, value in theirs.items() if ours[name] != value and name not in LINKS]
    if held.copy.items != copy.items:
        columns.append("items")
    if held.gone:
        columns.append("deleted_at")
    return (DIFFERENT if columns else EQUAL), columns


class Report:
    """Counts for each kind of object, and a line for each that was not equal."""

    def __init__(self, *, dry_run: bool = False, kept: dict[str, Any] | None = None) -> None:
        self.dry_run = dry_run
        kept = kept or {}
        self.counts: dict[str, dict[str, int]] = kept.get("counts", {})
        self.lines: list[tuple[str, str, str, list[str]]] = kept.get("lines", [])
        self.without_account: list[str] = kept.get("without_account", [])
        self.unfinished: list[str] = kept.get("unfinished", [])
        self.notes: list[str] = []

    def to_keep(self) -> dict[str, Any]:
        """As JSON, for `kept` of the run that goes on with it."""
        return {name: getattr(self, name) for name in ("counts", "lines", "without_account", "unfinished")}

    def add(self, kind: str, outcome: str, id: str, columns: Iterable[str] = ()) -> None:
        counts = self.counts.setdefault(kind, dict.fromkeys(OUTCOMES, 0))
        counts[outcome] += 1
        if outcome != EQUAL and len(self.lines) < KEPT_LINES:
            self.lines.append((kind, id, outcome, list(columns)))

    @property
    def drift(self) -> int:
        """How many rows were not equal."""
        return sum(counts[outcome] for counts in self.counts.values() for outcome in OUTCOMES if outcome != EQUAL)

    def text(self, limit: int) -> Iterator[str]:
        """The report, line by line, with at most `limit` of the rows that were not equal."""
        words = WORDS_OF_A_DRY_RUN if self.dry_run else WORDS
        yield from self.notes
        for kind, counts in self.counts.items():
            found = ", ".join(f"{counts[outcome]} {word}" for outcome, word in words.items() if counts[outcome])
            yield f"{kind}: {counts[EQUAL]} equal" + (f", {found}" if found else "")
        for kind, id, outcome, columns in self.lines[:limit]:
            yield f"  {kind} {id} {words[outcome]}" + (f": {', '.join(columns)}" if columns else "")
        if self.drift > limit:
            yield f"  and {self.drift - limit} more"
        if self.without_account:
            yield (
                f"{len(self.without_account)} customers of Stripe's were made by a shop like this one, but have no "
                f"account here: {', '.join(self.without_account[:limit])}"
            )
        for problem in self.unfinished[:limit]:
            yield f"not finished: {problem}"
        if not self.drift:
            yield "No drift: our tables equal Stripe's."
        elif self.dry_run:
            yield f"{self.drift} rows differ. Nothing was written: leave --dry-run out to put them right."
        else:
            yield f"{self.drift} rows differed and were put right."


class Overtaken(Exception):
    """Another `flask sync` went on with this run."""


@dataclass
class Run:
    """How far we came, in the database; the one who works on it is named there."""

    started_at: int
    kind: str
    cursor: str | None
    report: Report
    runner: str | None

    @classmethod
    def unsaved(cls, now: int, kinds: Sequence[str]) -> Run:
        return cls(now, kinds[0], None, Report(dry_run=True), None)

    @classmethod
    def begin(cls, now: int, kinds: Sequence[str], anew: bool) -> Run:
        """Go on with the run that was cut off, or begin one. `now` is Stripe's."""
        runner = uuid.uuid4().hex
        row: dict[str, Any] = {"started_at": now, "kind": kinds[0], "cursor": None, "found": {}}
        with db.write() as tx:
            there = tx.execute(sa.select(SyncRun.__table__)).mappings().first()
            if there and there["kind"] in kinds and there["started_at"] > now - RESUMED_WITHIN and not anew:
                row = dict(there)
                tx.execute(sa.update(SyncRun).values(runner=runner))
            else:
                there = None
                tx.execute(sa.delete(SyncRun))
                tx.execute(sa.insert(SyncRun).values(id=1, runner=runner, **row))
        run = cls(row["started_at"], row["kind"], row["cursor"], Report(kept=row["found"]), runner)
        if there:
            run.report.notes.append(f"Went on with the run that was cut off at {run.kind} {run.cursor or ''}".rstrip())
        return run

    def save(self, kind: str, cursor: str | None) -> None:
        """Note how far we came. Raises Overtaken."""
        self._change(sa.update(SyncRun).values(kind=kind, cursor=cursor, found=self.report.to_keep()))

    def end(self) -> None:
        self._change(sa.delete(SyncRun))

    def _change(self, statement: Any) -> None:
        if self.runner is None:
            return
        with db.write() as tx:
            if not tx.execute(statement.where(SyncRun.runner == self.runner)).rowcount:
                raise Overtaken
