"""A test of the test: with any clause of the rule taken away, the histories fail.

One short history for each clause tells the rule from the rule without it, in no time and always; and most are found
soon by chance, too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

import billing
import sync
import webhooks
from app import Shop
from tests.sync.histories import History
from tests.sync.stripe_world import World
from tests.sync.test_histories import Plan, play, shop  # noqa: F401 - a fixture


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


MUTATIONS: dict[str, tuple[Any, str, Any]] = {
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

# ---------------------------------------------------------------------------------------------------------------------
# One history for each, of the customer's name: Alice, Bob, and Alice again. It is nobody's when the customer is made.
# What the numbers mean, tests/sync/histories.py tells in `act`.

Deeds = list[tuple[int, int]]
CHANGE, CHANGE_TOLD_TWICE, CHANGE_TOLD_IN_OTHER_RELEASE = (0, 1), (0, 3), (0, 11)
HALF_A_SECOND, SOON_A_SECOND, A_SECOND = (4, 3), (4, 4), (4, 6)
DELIVER, DELIVER_THIRD_LAST, RECONCILE, CRASH = (7, 1), (7, 17), (18, 2), (16, 0)


def first(steps: int) -> Deeds:
    """The first of those that are under way goes on."""
    return [(10, 0)] * steps


def second(steps: int) -> Deeds:
    return [(10, 1)] * steps


TO_THE_END = 40  # steps that nothing takes more of
PLAIN = Plan(
    hurried=False, kinds=[], skews=[0] * 4, date_skew=0, clock=None, known=True, lost=frozenset(), stride=1, deeds=[]
)
MADE = [DELIVER, *first(TO_THE_END)]
SHORT: dict[str, Plan] = {
    # Of two events of one second the later comes first.
    "greater or equal for greater": replace(PLAIN, deeds=[*MADE, CHANGE, CHANGE, DELIVER, *first(TO_THE_END)]),
    # While a question is on its way with Alice, Bob's news is written.
    "no version check": replace(
        PLAIN,
        deeds=[
            *MADE,
            CHANGE,
            DELIVER,
            *first(4),
            A_SECOND,
            A_SECOND,
            A_SECOND,
            A_SECOND,
            CHANGE,
            DELIVER,
            *second(3),
            *first(TO_THE_END),
        ],
    ),
    "ledger first": replace(PLAIN, deeds=[DELIVER, *first(2), CRASH]),
    # Read, changed, and dated nearly a second later by a clock that is ahead; the event's clock is behind.
    "call time cut off": replace(
        PLAIN,
        skews=[-10] * 4,
        date_skew=10,
        deeds=[HALF_A_SECOND, RECONCILE, *first(2), CHANGE, SOON_A_SECOND, *first(TO_THE_END)],
    ),
    # Stripe's API lags five seconds behind its events.
    "no max(Date, created)": replace(
        PLAIN, hurried=True, date_skew=-50, deeds=[*MADE, CHANGE, CHANGE, DELIVER, *first(TO_THE_END)]
    ),
    # While a question is on its way with Bob, it is Alice again, as we have it.
    "nothing touched on equality": replace(
        PLAIN,
        deeds=[
            *[*MADE, A_SECOND, CHANGE, DELIVER, *first(3), CHANGE, DELIVER, *first(4), CHANGE, DELIVER, *second(5)],
            *first(TO_THE_END),
        ],
    ),
    # Alice, Bob, Alice: asked about because of the last, which another release tells, while the first comes once more.
    "an equal answer leaves the bounds": replace(
        PLAIN,
        deeds=[
            *[*MADE, A_SECOND, CHANGE_TOLD_TWICE, DELIVER, *first(3), A_SECOND, CHANGE, A_SECOND],
            *[CHANGE_TOLD_IN_OTHER_RELEASE, DELIVER, *first(2), DELIVER_THIRD_LAST, *second(5), *first(TO_THE_END)],
        ],
    ),
    # An answer of today, then events that were stamped by a clock an hour and more ahead.
    "test clocks not excepted": replace(PLAIN, clock=50_000, deeds=[CHANGE, CHANGE, RECONCILE, *first(TO_THE_END)]),
    # Two deliveries of the second look before either writes; the older one writes last.
    "write without compare": replace(PLAIN, deeds=[*MADE, CHANGE, A_SECOND, CHANGE, DELIVER, *first(TO_THE_END)]),
    # Events are stamped a second ahead of an answer's date.
    "no margin": replace(PLAIN, skews=[10] * 4, deeds=[CHANGE, CHANGE, RECONCILE, *first(TO_THE_END)]),
    # A draft is deleted, and that comes before the draft does.
    "nothing kept of what was gone before it came": replace(
        PLAIN, kinds=[1], deeds=[(0, 31), DELIVER, *first(TO_THE_END)]
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_clause_of_the_rule_is_needed(shop: Shop, monkeypatch: pytest.MonkeyPatch, mutation: str) -> None:  # noqa: F811
    """A history that the rule passes fails without the clause."""
    History(shop, SHORT[mutation]).play()
    monkeypatch.setattr(*MUTATIONS[mutation])

    with pytest.raises(AssertionError):
        History(shop, SHORT[mutation]).play()


def test_what_was_gone_before_its_customer_was_ours_stays_gone(shop: Shop) -> None:  # noqa: F811
    """Taking up the end of a draft keeps what its beginning, still on its way, must not bring back."""
    deeds = [(0, 31), DELIVER, *first(TO_THE_END), (19, 1), *first(TO_THE_END)]

    History(shop, replace(PLAIN, known=False, kinds=[1], deeds=deeds)).play()


def test_a_detached_method_may_have_been_on_a_test_clock(shop: Shop) -> None:  # noqa: F811
    """Its last event does not say whose it was, and a clock may be behind: it must not be taken for late."""
    deeds = [DELIVER, *first(TO_THE_END), (0, 33)]

    History(shop, replace(PLAIN, kinds=[2], clock=-50_000, deeds=deeds)).play()


@pytest.mark.deep
@pytest.mark.parametrize(
    "mutation",
    [
        "greater or equal for greater",
        "no version check",
        "ledger first",
        "no max(Date, created)",
        "write without compare",
    ],
)
def test_chance_finds_it_too(shop: Shop, monkeypatch: pytest.MonkeyPatch, mutation: str) -> None:  # noqa: F811
    """Histories that nobody thought out fail without the clause."""
    monkeypatch.setattr(*MUTATIONS[mutation])

    with pytest.raises((AssertionError, BaseExceptionGroup)):
        play(shop, losses=False, examples=10_000)
