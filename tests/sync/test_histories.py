"""Whatever order, doubling, overlap, loss or crash the deliveries meet, our tables end where Stripe is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

import db
from app import Shop, create_app
from tests.chance import many
from tests.conftest import SETTINGS
from tests.sync.histories import KINDS, History

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
    app.logger.disabled = False  # it is the same for all apps of a process
    with app.app_context():
        db.engine().dispose()
    shutil.rmtree(folder)


def play(shop: Shop, *, losses: bool, examples: int, new: bool = False) -> None:
    @many(examples, new=new, shrink=False)
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
    """The same at length, and other histories each time."""
    play(shop, losses=losses, examples=5_000, new=True)
