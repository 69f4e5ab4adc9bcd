"""`flask events`: the ledger, seen and worked with from the command line."""

import pytest
import sqlalchemy as sa

import cli_sync
import clock
import db
from models import Subscription, WebhookEvent
from tests.shop import pay

DAY = 86400


@pytest.fixture
def alice(shop):
    """Somebody who pays for Premium."""
    alice = shop.member()
    attempt = alice.subscribe()
    alice.subscription = attempt["subscriptionId"]
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    return alice


def flask(shop, *words):
    result = shop.app.test_cli_runner().invoke(args=["events", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.output, result.exit_code


def cancel_unheard(shop, alice):
    """Stripe can't be asked, and an event needs a question: it fails."""
    set_rows(shop, sa.update(Subscription).values(known_to=2**40, status="trialing"))
    shop.sandbox.fault(method="GET", path="^/v1/subscriptions/", status=500, times=50)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    shop.settle()
    shop.sandbox.control("DELETE", "faults")
    (row,) = [row for row in shop.rows(WebhookEvent) if row["type"] == "customer.subscription.deleted"]
    assert row["state"] == "failed"
    return row["id"]


def set_rows(shop, statement):
    with shop.app.app_context(), db.write() as tx:
        tx.execute(statement)


def state_of(shop, event_id):
    return {row["id"]: row["state"] for row in shop.rows(WebhookEvent)}.get(event_id)


# --- list


def test_events_are_listed_newest_first(shop, alice):
    """When, state, attempts, type, id, object."""
    lines = flask(shop, "list", "--limit", "1000")[0].splitlines()

    assert len(lines) == len(shop.rows(WebhookEvent))
    assert sorted((line[:19] for line in lines), reverse=True) == [line[:19] for line in lines]
    assert any(line.split()[2:5:2] == ["done", "customer.subscription.created"] for line in lines)


def test_a_list_has_its_limit(shop, alice):
    """Fifty unless told otherwise."""
    assert len(flask(shop, "list", "--limit", "3")[0].splitlines()) == 3


def test_failed_ones_alone_with_the_reason(shop, alice):
    """What to look at first."""
    assert flask(shop, "list", "--failed")[0] == "There are none.\n"
    event_id = cancel_unheard(shop, alice)

    output = flask(shop, "list", "--failed")[0]

    assert event_id in output
    assert "Unavailable" in output
    assert {line.split()[2] for line in output.splitlines() if line[0] != " "} == {"failed"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("invoice.paid", {"invoice.paid"}),
        ("product.*", {"product.created"}),
        ("payment_method.%", set()),
        ("payment.method.*", set()),
        ("p_ice.created", set()),
    ],
)
def test_one_type_alone(shop, alice, wanted, expected):
    """A star stands for the rest; nothing else does."""
    output = flask(shop, "list", "--type", wanted)[0]

    assert {line.split()[4] for line in output.splitlines() if not line.startswith("There")} == expected


# --- show


def test_an_event_is_shown_with_stripes_own(shop, alice):
    """Our row, then the JSON."""
    (row,) = [row for row in shop.rows(WebhookEvent) if row["type"] == "invoice.paid"]

    output = flask(shop, "show", row["id"])[0]

    assert "state        done" in output
    assert f'"id": "{row["id"]}"' in output
    assert "api_version  2026-10-28.endive" in output


def test_an_event_that_stripe_forgot_is_still_shown(shop, alice):
    """After 30 days; only the row is left."""
    (row,) = [row for row in shop.rows(WebhookEvent) if row["type"] == "invoice.paid"]
    set_rows(shop, sa.insert(WebhookEvent).values({**row, "id": "evt_old"}))

    output, status = flask(shop, "show", "evt_old")

    assert status == 0
    assert "Stripe no longer has it" in output


def test_an_event_that_never_came_is_told(shop, alice):
    """With what to do."""
    event_id = shop.sandbox.mark()
    set_rows(shop, sa.delete(WebhookEvent))

    assert "events replay" in flask(shop, "show", event_id)[0]


def test_an_event_of_nobody_is_no_event(shop):
    """Neither here nor there."""
    assert flask(shop, "show", "evt_nothing")[1] == 1
    assert flask(shop, "replay", "evt_nothing")[1] == 1


# --- replay


def test_a_failed_event_is_done_on_replay(shop, alice):
    """And its effect with it."""
    event_id = cancel_unheard(shop, alice)

    output, status = flask(shop, "replay", event_id)

    assert (output, status) == (f"{event_id} done\n", 0)
    assert state_of(shop, event_id) == "done"
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]


def test_all_that_failed(shop, alice):
    """None is left."""
    cancel_unheard(shop, alice)

    output, status = flask(shop, "replay", "--failed")

    assert status == 0, output
    assert flask(shop, "list", "--failed")[0] == "There are none.\n"
    assert "None has failed" in flask(shop, "replay", "--failed")[0]


def test_one_that_fails_again_is_told(shop, alice):
    """Status 1."""
    event_id = cancel_unheard(shop, alice)
    shop.sandbox.fault(method="GET", path="^/v1/subscriptions/", status=500, times=50)

    output, status = flask(shop, "replay", event_id)

    assert status == 1
    assert f"{event_id} failed" in output
    assert state_of(shop, event_id) == "failed"


def test_a_failed_event_that_stripe_forgot_leads_to_a_question(shop, alice):
    """Its object is asked for."""
    event_id = cancel_unheard(shop, alice)
    set_rows(shop, sa.update(WebhookEvent).where(WebhookEvent.id == event_id).values(id="evt_old"))

    assert flask(shop, "replay", "evt_old")[0] == "evt_old done\n"
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]


def test_an_event_that_never_came_can_be_taken(shop, alice):
    """From Stripe, by its id."""
    shop.sandbox.post("deliveries", {"mode": "drop"})
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    (event,) = shop.sandbox.events("customer.subscription.deleted")

    assert flask(shop, "replay", event.id)[0] == f"{event.id} done\n"
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]


def test_one_that_was_done_is_asked_about(shop, alice):
    """Which heals a row that is wrong all the same."""
    (event,) = shop.sandbox.events("customer.subscription.created")
    set_rows(shop, sa.update(Subscription).values(status="unpaid"))

    flask(shop, "replay", event.id)

    assert [row["status"] for row in shop.rows(Subscription)] == ["active"]


def test_replay_wants_one_or_the_failed_ones(shop):
    """Not both, not neither."""
    assert flask(shop, "replay")[1] == 2
    assert flask(shop, "replay", "evt_1", "--failed")[1] == 2


# --- prune


def test_old_rows_go_and_unfinished_ones_stay(shop, alice, monkeypatch):
    """Whatever their age; a few at a time."""
    monkeypatch.setattr(cli_sync, "PRUNED_AT_ONCE", 2)
    (row,) = [row for row in shop.rows(WebhookEvent) if row["type"] == "invoice.paid"]
    fresh = len(shop.rows(WebhookEvent))
    old = clock.wall() - 91 * DAY
    for state in ("done", "ignored", "failed", "foreign"):
        for number in range(5):
            values = {**row, "id": f"evt_{state}_{number}", "state": state, "received_at": old}
            set_rows(shop, sa.insert(WebhookEvent).values(values))

    output, status = flask(shop, "prune", "--days", "90")

    assert (output, status) == ("Deleted 10 events.\n", 0)
    assert len(shop.rows(WebhookEvent)) == fresh + 10
    assert {row["state"] for row in shop.rows(WebhookEvent) if row["received_at"] == old} == {"failed", "foreign"}


def test_what_stripe_may_send_again_is_not_pruned(shop):
    """It sends again for up to 30 days."""
    assert flask(shop, "prune", "--days", "30")[1] == 2


@pytest.mark.parametrize("words", [["events", "list"], ["events", "show"], ["events", "replay"], ["events", "prune"]])
def test_help_has_an_example(app, words):
    """Each command says how it is used."""
    result = app.test_cli_runner().invoke(args=[*words, "--help"])

    assert result.exit_code == 0
    assert "Example" in result.output
