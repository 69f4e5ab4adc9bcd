"""Whatever order, doubling, overlap, loss or crash the deliveries meet, our tables end where Stripe is."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import billing
import db
import sync
import webhooks
from app import Shop, create_app
from tests.conftest import SETTINGS
from tests.sync.histories import KINDS, History
from tests.sync.stripe_world import World

RAM = "/dev/shm" if Path("/dev/shm").is_dir() else None


@dataclass(frozen=True)
class Plan:
    """All that a history leaves to chance."""

    hurried: bool  # all is over in two seconds, but Stripe's API lags behind its events by more than our margin
    kinds: list[int]
    skews: list[int]
    date_skew: int
    clock: int | None
    known: bool
    lost: frozenset[int]
    stride: int
    deeds: list[tuple[int, int]]


@st.composite
def plans(draw: st.DrawFn, *, losses: bool) -> Plan:
    hurried = not losses and draw(st.sampled_from([False, False, False, True]))
    skew = st.just(0) if hurried else st.sampled_from([-10, 0, 10]) | st.integers(-10, 10)  # tenths
    return Plan(
        hurried=hurried,
        kinds=draw(st.lists(st.integers(0, len(KINDS) - 1), min_size=1, max_size=3)),
        skews=draw(st.lists(skew, min_size=4, max_size=4)),
        date_skew=draw(st.integers(-50, 0) if hurried else skew),
        clock=draw(st.none() | st.none() | st.sampled_from([-50_000, 50_000])),
        known=hurried or draw(st.sampled_from([True, True, True, False])),
        lost=frozenset(draw(st.lists(st.integers(0, 20), max_size=6))) if losses else frozenset(),
        stride=draw(st.sampled_from([1, 7, 11, 13])),
        deeds=draw(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 255)), min_size=25, max_size=90)),
    )


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """An app on a real file whose commits need not survive a power cut."""
    folder = Path(tempfile.mkdtemp(dir=RAM))
    app = create_app({**SETTINGS, "DATABASE_URL": f"sqlite:///{folder}/shop.db"})
    app.logger.disabled = True
    with app.app_context():
        sa.event.listen(db.engine(), "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
        db.migrations().upgrade()
    yield app
    with app.app_context():
        db.engine().dispose()
    shutil.rmtree(folder)


def many(examples: int, *phases: Phase) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=not phases,
        suppress_health_check=list(HealthCheck),
        phases=phases or (Phase.generate,),
    )


def play(shop: Shop, *, losses: bool, examples: int) -> None:
    @many(examples)
    @given(plan=plans(losses=losses))
    def history(plan: Plan) -> None:
        History(shop, plan).play()

    history()


def test_once_every_event_came_our_tables_are_stripes(shop: Shop) -> None:
    """Any order, doubled, overlapping, cut off: no row goes back, and all end right."""
    play(shop, losses=False, examples=150)


def test_what_was_lost_is_healed_by_a_sync(shop: Shop) -> None:
    """Events that never come leave a gap only until the next reconciliation."""
    play(shop, losses=True, examples=70)


@pytest.mark.deep
@pytest.mark.parametrize("losses", [False, True])
def test_ten_thousand_histories(shop: Shop, losses: bool) -> None:
    """The same, at length."""
    play(shop, losses=losses, examples=5_000)


# A test of the test: with any clause of the rule taken away it must fail.


def newer_or_as_new(known_to: Any, created: int) -> Any:
    return known_to <= created


def any_version(table: Any, id: str, _version: int) -> Any:
    return sa.update(table).where(table.c.id == id)


def ledger_first(event: Any, settle: sync.Settle) -> None:
    sync.only(settle)
    sync.event(event, lambda tx: None)


def bounds_by_date_alone(answer: billing.Answer, _created: int | None) -> dict[str, int]:
    return {"known_from": answer.date - answer.took - sync.MARGIN, "known_to": answer.date + sync.MARGIN}


def touch_nothing(_held: sync.Held, settle: sync.Settle | None, _marks: Any = None) -> bool:
    sync.only(settle or (lambda tx: None))
    return True


touch = sync.touch


def touch_the_version(held: sync.Held, settle: sync.Settle | None, _marks: Any = None) -> bool:
    return touch(held, settle)


def newer_but_for_the_write(known_to: Any, created: int) -> Any:
    return sa.true() if isinstance(known_to, sa.Column) else known_to < created


MUTATIONS = {
    "greater or equal for greater": (sync, "is_newer", newer_or_as_new),
    "no version check": (sync, "at_version", any_version),
    "ledger first": (webhooks, "HANDLERS", dict.fromkeys(webhooks.HANDLERS, ledger_first)),
    "call time cut off": (World, "took", staticmethod(math.floor)),
    "no max(Date, created)": (sync, "bounds", bounds_by_date_alone),
    "nothing touched on equality": (sync, "touch", touch_nothing),
    "an equal answer leaves the bounds": (sync, "touch", touch_the_version),
    "test clocks not excepted": (sync, "on_test_clock", lambda _obj: False),
    "write without compare": (sync, "is_newer", newer_but_for_the_write),
    "no margin": (sync, "MARGIN", 0),
    "nothing kept of what was gone before it came": (sync, "last_of_gone", lambda _obj: None),
}


SOON_FOUND = ("greater or equal for greater", "ledger first", "test clocks not excepted", "write without compare")
DEEP = [
    pytest.param(name, marks=() if name in SOON_FOUND else pytest.mark.deep, id=name.replace(" ", "-"))
    for name in MUTATIONS
]


@pytest.mark.parametrize("mutation", DEEP)
def test_each_clause_of_the_rule_is_needed(shop: Shop, monkeypatch: pytest.MonkeyPatch, mutation: str) -> None:
    """The histories find every mutation of the rule."""
    monkeypatch.setattr(*MUTATIONS[mutation])

    with pytest.raises((AssertionError, BaseExceptionGroup)):
        play(shop, losses=False, examples=3_000)
