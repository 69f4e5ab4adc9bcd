"""Test clocks: a time of their own for a few customers, through the API alone."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.sandbox.acts import PATIENCE, advance_clock, customer_with, monthly, refused, types
from tests.sandbox_process import SandboxProcess

START = 1_767_225_600  # 1 January 2026
DAY = 86400


@pytest.fixture
def advanced(stripe_api: Any) -> Callable[[str, int], Any]:
    """Advance a clock, and wait until it is ready."""
    return partial(advance_clock, stripe_api)


@pytest.fixture
def clock(stripe_api: Any) -> Any:
    return stripe_api.test_helpers.test_clocks.create({"frozen_time": START, "name": "A year"})


@pytest.fixture
def carol(stripe_api: Any, clock: Any) -> Any:
    """A customer on the clock, with a good card."""
    made = stripe_api.customers.create({"email": "carol@example.com", "test_clock": clock.id})
    method = stripe_api.payment_methods.attach("pm_card_visa", {"customer": made.id})
    return stripe_api.customers.update(made.id, {"invoice_settings": {"default_payment_method": method.id}})


def test_renewals_come_as_the_clock_is_advanced(
    sandbox: SandboxProcess, stripe_api: Any, clock: Any, carol: Any, advanced: Any
) -> None:
    """Everything of the customer bears the clock's time; the world's stands."""
    price = monthly(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": carol.id, "items": [{"price": price.id}]})
    assert (subscription.created, subscription.test_clock) == (START, clock.id)
    assert (carol.created, carol.test_clock) == (START, clock.id)
    before, world_time = sandbox.mark(), sandbox.now()
    ready = advanced(clock.id, START + 32 * DAY)
    assert (ready.status, ready.frozen_time) == ("ready", START + 32 * DAY)
    invoices = stripe_api.invoices.list({"customer": carol.id}).data
    assert [(one.status, one.created - START) for one in invoices] == [("paid", 31 * DAY), ("paid", 0)]
    assert invoices[0].status_transitions.paid_at == START + 31 * DAY + 3600
    assert invoices[0].test_clock == clock.id
    happened = sandbox.events(since=before)
    assert (happened[0].type, happened[-1].type) == (
        "test_helpers.test_clock.advancing",
        "test_helpers.test_clock.ready",
    )
    assert {"customer.subscription.updated", "invoice.created", "invoice.paid"} <= set(types(happened))
    renewed = next(event for event in happened if event.type == "invoice.created")
    assert renewed.created == START + 31 * DAY
    assert sandbox.now() - world_time < PATIENCE
    stranger = customer_with(stripe_api)
    assert stranger.created >= world_time


def test_world_moves_no_test_clock(sandbox: SandboxProcess, stripe_api: Any, clock: Any, carol: Any) -> None:
    price = monthly(stripe_api, recurring={"interval": "week"})
    subscription = stripe_api.subscriptions.create({"customer": carol.id, "items": [{"price": price.id}]})
    sandbox.advance(days=20)
    assert len(stripe_api.invoices.list({"subscription": subscription.id}).data) == 1
    assert stripe_api.test_helpers.test_clocks.retrieve(clock.id).frozen_time == START


def test_lists_leave_customers_of_clocks_out(stripe_api: Any, clock: Any, carol: Any) -> None:
    price = monthly(stripe_api).id
    mine = stripe_api.subscriptions.create({"customer": carol.id, "items": [{"price": price}]})
    other = customer_with(stripe_api)
    theirs = stripe_api.subscriptions.create({"customer": other.id, "items": [{"price": price}]})

    def ids(service: Any, **params: Any) -> list[str]:
        return [one.id for one in service.list(params).data]

    assert ids(stripe_api.customers) == [other.id]
    assert ids(stripe_api.customers, test_clock=clock.id) == [carol.id]
    assert ids(stripe_api.subscriptions) == [theirs.id]
    assert ids(stripe_api.subscriptions, test_clock=clock.id) == [mine.id]
    assert ids(stripe_api.subscriptions, customer=carol.id) == [mine.id]
    assert ids(stripe_api.test_helpers.test_clocks) == [clock.id]


def test_limits_of_clocks(stripe_api: Any, clock: Any, carol: Any) -> None:
    """Forwards only, two intervals at most, three customers."""
    for at in (-1, 10**17):
        assert refused(stripe_api.test_helpers.test_clocks.create, {"frozen_time": at}).param == "frozen_time"
    clocks = stripe_api.test_helpers.test_clocks
    assert refused(clocks.advance, clock.id, {"frozen_time": START}).param == "frozen_time"
    assert refused(clocks.advance, clock.id, {"frozen_time": START + 732 * DAY}).param == "frozen_time"
    stripe_api.subscriptions.create({"customer": carol.id, "items": [{"price": monthly(stripe_api).id}]})
    assert refused(clocks.advance, clock.id, {"frozen_time": START + 60 * DAY}).param == "frozen_time"
    for _ in range(2):
        stripe_api.customers.create({"test_clock": clock.id})
    error = refused(stripe_api.customers.create, {"test_clock": clock.id})
    assert (error.http_status, error.param) == (400, "test_clock")
    assert refused(stripe_api.customers.create, {"test_clock": "clock_nothing"}).http_status == 400
    assert refused(clocks.retrieve, "clock_nothing").http_status == 404


def test_clock_takes_its_customers_along(sandbox: SandboxProcess, stripe_api: Any, clock: Any, carol: Any) -> None:
    assert stripe_api.test_helpers.test_clocks.delete(clock.id).deleted is True
    assert stripe_api.customers.retrieve(carol.id).deleted is True
    assert refused(stripe_api.test_helpers.test_clocks.retrieve, clock.id).http_status == 404
    assert types(sandbox.events())[-2:] == ["customer.deleted", "test_helpers.test_clock.deleted"]


def test_forgotten_clock_goes_after_thirty_days(sandbox: SandboxProcess, stripe_api: Any, clock: Any) -> None:
    sandbox.advance_to(clock.deletes_after)
    assert refused(stripe_api.test_helpers.test_clocks.retrieve, clock.id).http_status == 404


def test_customer_who_is_there_gets_a_clock(stripe_api: Any, advanced: Any) -> None:
    """What was due for them falls due by the clock from then on, which is no further on than an advance would lead."""
    customer = customer_with(stripe_api)
    price = monthly(stripe_api)
    subscription = stripe_api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    now = subscription.created
    far = {"frozen_time": now + 64 * DAY, "customer": customer.id}
    assert refused(stripe_api.test_helpers.test_clocks.create, far).param == "frozen_time"
    clock = stripe_api.test_helpers.test_clocks.create({"frozen_time": now, "customer": customer.id})
    assert stripe_api.customers.retrieve(customer.id).test_clock == clock.id
    advanced(clock.id, now + 32 * DAY)
    assert len(stripe_api.invoices.list({"subscription": subscription.id}).data) == 2
