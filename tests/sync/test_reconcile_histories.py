"""A whole reconciliation, at any moment of a history and at its end: no row goes back, and all end where Stripe is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from unittest import mock

import pytest
from hypothesis import given

import billing
import drift
import reconcile
from tests.chance import many
from tests.sync.histories import History, tolerant
from tests.sync.test_histories import Plan, plans, shop  # noqa: F401 - a fixture


def page_of(thing: Any) -> dict[str, Any]:
    """A page with one object, as it is when asked, or none if it is gone."""
    return {"data": [thing.now] if thing.now else []}


class Reconciled(History):
    """Reconciles all that Stripe has rather than one customer; two at once overtake each other."""

    def play(self) -> None:
        lists = {kind: self.everybodys(kind) for kind in reconcile.LISTS}
        of_customer = {kind: self.world.pages(kind) for kind in reconcile.OF_CUSTOMER}
        asked: dict[str, Any] = {"account": lambda: self.world.answer(lambda: {"id": "acct_1"})}
        with (
            mock.patch.dict(reconcile.LISTS, lists),
            mock.patch.dict(reconcile.OF_CUSTOMER, of_customer),
            mock.patch.multiple(billing, has_features=lambda: True, **asked),
        ):
            super().play()

    def everybodys(self, kind: str) -> Callable[..., Iterator[billing.Answer]]:
        """The list over everybody; customers and products that are gone are in none."""

        def listing(starting_after: str = "") -> Iterator[billing.Answer]:
            for thing in [thing for thing in self.world.things.values() if thing.kind == kind]:
                yield self.world.answer(functools.partial(page_of, thing))

        return listing

    def work(self) -> None:
        with suppress(drift.Overtaken):
            reconcile.everything(dry_run=False, anew=True, show=lambda _kind, _count: None)

    def reconcile(self) -> None:
        self.start(tolerant(self.work))

    def heal(self) -> None:
        self.start(self.work)
        self.finish()


def play(shop: Any, *, losses: bool, examples: int) -> None:  # noqa: F811
    @many(examples, shrink=False)
    @given(plan=plans(losses=losses))
    def history(plan: Plan) -> None:
        Reconciled(shop, plan).play()

    history()


@pytest.mark.parametrize("losses", [False, True])
def test_a_reconciliation_at_any_moment(shop: Any, losses: bool) -> None:  # noqa: F811
    """Between and during deliveries, doubled, cut off; with events lost for good it heals all."""
    play(shop, losses=losses, examples=20)


@pytest.mark.deep
@pytest.mark.parametrize("losses", [False, True])
def test_many_reconciliations(shop: Any, losses: bool) -> None:  # noqa: F811
    """The same, at length."""
    play(shop, losses=losses, examples=3_000)
