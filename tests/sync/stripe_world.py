"""A simulated Stripe for the histories: objects with a past, whole seconds, clocks that differ, slow answers.

Time passes in tenths of a second. A question is asked, read and dated at three different moments, with a pause before
each in which anything else may happen.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import billing
from tests import stripe_objects as objects

START = 17_000_000_000  # tenths
OTHER_RELEASE = "2024-06-20"
CUSTOMER = "cus_1"
Row = dict[str, Any]


@dataclass
class Thing:
    """One object at Stripe, with all states it was ever in; None is the end of one that can be deleted."""

    kind: str
    id: str
    states: list[Row | None]
    skew: int  # tenths that the clock which stamps its events differs by
    clock: int | None = None  # tenths that its test clock is ahead; it is then stamped in that time

    @property
    def now(self) -> Row | None:
        return self.states[-1]


@dataclass
class World:
    pause: Callable[[], None]
    now: int = START
    date_skew: int = 0
    things: dict[str, Thing] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)
    failing: int = 0  # how many of the next questions get no answer
    questions: int = 0

    def add(self, kind: str, id: str, skew: int = 0, clock: int | None = None) -> Thing:
        thing = Thing(kind, id, [], skew, clock)
        self.things[id] = thing
        self.become(thing, FIRST[kind](id), "created")
        return thing

    def become(self, thing: Thing, state: Row | None, what: str, *, twice: bool = False, old: bool = False) -> None:
        """Give a thing a new state, and tell so in an event, or in two."""
        before = thing.states[-1] if thing.states else None
        if state is not None and "test_clock" in state:
            state["test_clock"] = None if thing.clock is None else "clock_1"
        thing.states.append(state)
        shown = copy.deepcopy(state if state is not None else before)
        assert shown is not None
        stamp = (self.now + thing.skew + (thing.clock or 0)) // 10
        for _ in range(1 + twice):
            what = TYPES.get((thing.kind, what), what)
            event = objects.event(shown, f"{PREFIX[thing.kind]}.{what}", created=stamp, id=f"evt_{len(self.events)}")
            if before is not None:
                event["data"]["previous_attributes"] = {"customer": before.get("customer")}
            if old:
                event["api_version"] = OTHER_RELEASE
                if thing.kind == "subscription":  # as it was before 2025-03-31
                    event["data"]["object"] = as_before_basil(shown)
            self.events.append(event)

    def change(self, thing: Thing, choice: int) -> None:
        """Let something happen to a thing, as far as Stripe allows it to."""
        if thing.now is None or not thing.now.get("customer", True):
            return  # deleted, or detached: nothing happens to it any more
        state = CHANGE[thing.kind](copy.deepcopy(thing.now), choice)
        ends = thing.kind in ("product", "invoice") and choice % 16 == 15
        if ends and (thing.kind == "product" or thing.now["status"] == "draft"):
            self.become(thing, None, "deleted")
        elif state != thing.now or choice % 5 == 0:  # an event without a change is possible, too
            self.become(thing, state, "updated", twice=choice % 3 == 0, old=choice % 11 == 0)

    # What billing asks

    def retrieve(self, kind: str, id: str, *, quick: bool = False) -> billing.Answer:
        def look() -> Row:
            thing = self.things.get(id if kind != billing.ENTITLEMENTS else f"entitlements of {id}")
            if thing is None:
                return objects.entitlements(id) if kind == billing.ENTITLEMENTS else {}
            if thing.now is None:
                return {"id": id, "object": kind, "deleted": True} if kind == "product" else {}
            return thing.now

        answer = self.answer(look)
        if not answer.object:
            raise billing.Missing
        return answer

    def event(self, id: str) -> billing.Answer:
        return self.answer(lambda: next(event for event in self.events if event["id"] == id))

    def pages(self, kind: str) -> Callable[[str], Iterator[billing.Answer]]:
        """A list of all of a kind, one to a page."""

        def listing(_customer: str) -> Iterator[billing.Answer]:
            for thing in [thing for thing in self.things.values() if thing.kind == kind]:
                yield self.answer(partial(page_of, thing))

        return listing

    def answer(self, look: Callable[[], Row]) -> billing.Answer:
        self.questions += 1
        asked = self.now
        self.pause()
        if self.failing:
            self.failing -= 1
            raise billing.Unavailable
        found = copy.deepcopy(look())
        self.pause()
        date = (self.now + self.date_skew) // 10
        self.pause()
        return billing.Answer(found, date, self.took((self.now - asked) / 10), None)

    took = staticmethod(math.ceil)


def page_of(thing: Thing) -> Row:
    state = thing.now
    return {"data": [state] if state and state["customer"] else []}


def as_before_basil(subscription: Row) -> Row:
    """The period on the subscription, not on its items."""
    old = copy.deepcopy(subscription)
    for item in old["items"]["data"]:
        old["current_period_start"] = item.pop("current_period_start")
        old["current_period_end"] = item.pop("current_period_end")
    return old


def toggle(state: Row, name: str, one: Any, other: Any) -> None:
    state[name] = other if state[name] == one else one


def change_subscription(state: Row, choice: int) -> Row:
    steps = {
        "incomplete": ("active", "incomplete_expired"),
        "active": ("past_due", "canceled"),
        "past_due": ("active", "canceled"),
    }
    if choice % 4 == 0:
        toggle(state, "cancel_at", None, 5_000)
    elif choice % 4 == 1:
        toggle(state["items"]["data"][0], "id", f"si_1_{state['id']}", f"si_2_{state['id']}")
    elif state["status"] in steps:
        state["status"] = steps[state["status"]][choice % 16 == 3]
    return state


def change_invoice(state: Row, choice: int) -> Row:
    steps = {"draft": ("open", "open"), "open": ("paid", "uncollectible"), "uncollectible": ("paid", "void")}
    if choice % 2 and state["status"] in steps:
        state["status"] = steps[state["status"]][choice % 8 == 3]
    else:
        toggle(state, "amount_remaining", 500, 250)
    return state


def change_customer(state: Row, _choice: int) -> Row:
    toggle(state, "name", "Alice", "Bob")
    return state


def change_product(state: Row, _choice: int) -> Row:
    toggle(state, "name", "Basic", "Plain")
    return state


def change_method(state: Row, choice: int) -> Row:
    if choice % 16 == 0:
        state["customer"] = None
    else:
        toggle(state["card"], "exp_year", 2040, 2041)
    return state


def change_entitlements(_state: Row, choice: int) -> Row:
    return objects.entitlements(CUSTOMER, *(("basic", "premium")[: choice % 3]))


def change_schedule(state: Row, choice: int) -> Row:
    if choice % 4 == 3 and state["status"] == "active":
        state |= {"status": "released", "subscription": None, "released_subscription": "sub_1", "current_phase": None}
    toggle(state, "metadata", {"purpose": "downgrade"}, {})
    return state


def new_subscription(id: str) -> Row:
    new = objects.subscription(id, CUSTOMER, "incomplete")
    new["items"]["data"][0]["id"] = f"si_1_{id}"
    return new


FIRST: dict[str, Callable[[str], Row]] = {
    "customer": objects.customer,
    "product": objects.product,
    "subscription": new_subscription,
    "invoice": lambda id: objects.invoice(id, CUSTOMER, "draft"),
    "payment_method": objects.payment_method,
    "subscription_schedule": objects.schedule,
    billing.ENTITLEMENTS: lambda id: objects.entitlements(CUSTOMER),
}
CHANGE = {
    "customer": change_customer,
    "product": change_product,
    "subscription": change_subscription,
    "invoice": change_invoice,
    "payment_method": change_method,
    "subscription_schedule": change_schedule,
    billing.ENTITLEMENTS: change_entitlements,
}
PREFIX = {kind: kind for kind in CHANGE} | {"subscription": "customer.subscription"}
TYPES = {("payment_method", "created"): "attached", (billing.ENTITLEMENTS, "created"): "updated"}
