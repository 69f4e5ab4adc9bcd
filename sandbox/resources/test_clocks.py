"""/v1/test_helpers/test_clocks: a time of their own for a few customers."""

from typing import Any

from stripe.params.test_helpers import (
    TestClockAdvanceParams,
    TestClockCreateParams,
    TestClockDeleteParams,
    TestClockListParams,
    TestClockRetrieveParams,
)

from sandbox import lists
from sandbox.billing import periods, subscribing
from sandbox.errors import StripeError
from sandbox.jobs import job
from sandbox.resources import customers
from sandbox.routes import route
from sandbox.store import Document
from sandbox.world import World, formats

KIND = "test_helpers.test_clock"
MOST_CUSTOMERS = 3
LIVES_FOR = 30 * periods.DAY
INTERVALS, YEARS = 2, 2  # how far one advance may go, with and without subscriptions


@route("POST /v1/test_helpers/test_clocks", TestClockCreateParams, "customer frozen_time name")
def create(world: World, params: dict[str, Any]) -> Document:
    customer = world.get("customer", params["customer"], "customer") if params.get("customer") else None
    if customer and customer.get("test_clock"):
        raise StripeError("This customer is already attached to a test clock.", param="customer")
    if customer:
        _check_within_reach(world, params["frozen_time"], world.now(), [customer["id"]])
    clock = world.create(
        KIND,
        "clock_",
        customers=[],
        frozen_time=periods.checked(params["frozen_time"], "frozen_time"),
        name=params.get("name"),
        status="ready",
        target=params["frozen_time"],
    )
    world.emit("test_helpers.test_clock.created", clock)
    world.schedule(clock["created"] + LIVES_FOR, "test_clock_expires", clock, by_world=True)
    if customer:
        _take_over(world, clock, customer)
    return clock


@route("GET /v1/test_helpers/test_clocks/<id>", TestClockRetrieveParams)
def retrieve(world: World, params: dict[str, Any], id: str) -> Document:
    return world.get(KIND, id)


@route("GET /v1/test_helpers/test_clocks", TestClockListParams, "ending_before limit starting_after")
def list_test_clocks(world: World, params: dict[str, Any]) -> lists.Page:
    return lists.page(world, KIND, params)


@route("POST /v1/test_helpers/test_clocks/<id>/advance", TestClockAdvanceParams, "frozen_time")
def advance(world: World, params: dict[str, Any], id: str) -> Document:
    """Answers at once, `advancing`; what falls due on the way happens after that, then the clock is `ready`."""
    clock, target = world.get(KIND, id), params["frozen_time"]
    if clock["status"] != "ready":
        raise StripeError("This test clock is being advanced: wait until its status is `ready`.", code="lock_timeout")
    if target <= clock["frozen_time"]:
        text = "The frozen time must be after the test clock's current frozen time."
        raise StripeError(text, param="frozen_time")
    _check_within_reach(world, target, clock["frozen_time"], clock["customers"])
    clock.update(status="advancing", target=target)
    world.save(clock)
    world.emit("test_helpers.test_clock.advancing", clock)
    world.schedule(target, "test_clock_arrives", clock)
    return clock


@route("DELETE /v1/test_helpers/test_clocks/<id>", TestClockDeleteParams)
def delete(world: World, params: dict[str, Any], id: str) -> Document:
    """Its customers go with it."""
    clock = world.get(KIND, id)
    for customer in clock["customers"]:
        found = world.find(customer, "customer")
        if found and not found.get("deleted"):
            customers.delete(world, {}, customer)
    world.emit("test_helpers.test_clock.deleted", clock)
    clock["deleted"] = True
    world.save(clock)
    world.store.db.execute("DELETE FROM jobs WHERE clock = ?", (id,))
    return clock


@job("test_clock_expires")
def expire(world: World, clock: Document) -> None:
    delete(world, {}, clock["id"])


@job("test_clock_arrives")
def arrive(world: World, clock: Document) -> None:
    """All that was due on the way is done, unless the last of it caused more."""
    query = "SELECT count(*) FROM jobs WHERE clock = ? AND due <= ?"
    if world.store.db.execute(query, (clock["id"], clock["target"])).fetchone()[0]:
        world.schedule(clock["target"], "test_clock_arrives", clock)
        return
    clock.update(frozen_time=clock["target"], status="ready")
    world.save(clock)
    world.emit("test_helpers.test_clock.ready", clock)


def attach(world: World, customer: Document) -> None:
    """A new customer of a test clock is counted. Raises Stripe's error when the clock has enough of them."""
    clock = world.get(KIND, customer["test_clock"], "test_clock")
    if len(clock["customers"]) >= MOST_CUSTOMERS:
        text = f"You can only attach up to {MOST_CUSTOMERS} customers to a test clock."
        raise StripeError(text, param="test_clock")
    clock["customers"] = [*clock["customers"], customer["id"]]
    world.save(clock)


def restrict(world: World, params: dict[str, Any], column: str, where: list[str], values: list[Any]) -> None:
    """Limit a list to the customers of the test clock that is asked for, or to those that have none."""
    id = params.get("test_clock")
    clocks = [world.get(KIND, id, "test_clock")] if id else world.select(KIND)
    customers = [customer for clock in clocks for customer in clock["customers"]]
    if id or customers:
        where.append(f"{column} {'IN' if id else 'NOT IN'} ({', '.join('?' for _ in customers)})")
        values += customers


def _take_over(world: World, clock: Document, customer: Document) -> None:
    """A customer that lived by the world's time, with all that is due for them, lives by the clock's."""
    customer["test_clock"] = clock["id"]
    world.save(customer)
    attach(world, customer)
    mine = "SELECT id FROM objects WHERE customer = ?"
    world.store.db.execute(f"UPDATE jobs SET clock = ? WHERE object IN ({mine})", (clock["id"], customer["id"]))


def _check_within_reach(world: World, target: int, now: int, customers: list[str]) -> None:
    """Raises Stripe's error for an instant that no single advance may lead to."""
    ends = [
        periods.after(now, recurring["interval"], recurring["interval_count"], INTERVALS)
        for customer in customers
        for subscription in world.select("subscription", "customer = ?", (customer,))
        if subscription["status"] not in subscribing.ENDED
        for item in subscribing.items_of(world, subscription)
        for recurring in [world.get("price", item["price"])["recurring"]]
    ]
    if target > (min(ends) if ends else periods.after(now, "year", 1, YEARS)):
        text = (
            f"A test clock can be advanced by at most {INTERVALS} intervals of its shortest subscription, or by "
            f"{YEARS} years without one."
        )
        raise StripeError(text, param="frozen_time")


@formats(KIND)
def format_test_clock(world: World, clock: Document) -> dict[str, Any]:
    advancing = {"advancing": {"target_frozen_time": clock["target"]}} if clock["status"] == "advancing" else {}
    return {
        "id": clock["id"],
        "object": KIND,
        "created": clock["created"],
        "deletes_after": clock["created"] + LIVES_FOR,
        "frozen_time": clock["frozen_time"],
        "livemode": False,
        "name": clock["name"],
        "status": clock["status"],
        "status_details": advancing,
    }
