"""Stripe is down in the middle of an action."""

import pytest
import sqlalchemy as sa

import db
import staff_actions
import subscriptions
from models import StaffAction
from tests.staff.people import act, actions, at_stripe, cancel, mails


def age_actions(shop):
    """Let the patience with open actions run out."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(StaffAction).values(started_at=StaffAction.started_at - 2 * staff_actions.PATIENCE))


def tick(shop):
    result = shop.app.test_cli_runner().invoke(args=["tick"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(("when", "state", "note"), [
    ("before", "failed", staff_actions.DID_NOT_HAPPEN),
    ("after", "done", staff_actions.HAPPENED),
])  # fmt: skip
def test_an_action_whose_answer_got_lost_is_settled_by_the_tick(alice, sam, shop, when, state, note):
    """It asks Stripe, does nothing itself, and says what it found."""
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions/", status=500, times=9, when=when)

    page = cancel(sam, alice).text

    assert staff_actions.UNKNOWN in page
    assert "Not known yet" in page
    shop.sandbox.control("DELETE", "faults")
    tick(shop)
    assert [row["state"] for row in actions(shop)] == ["intended"]
    age_actions(shop)
    tick(shop)
    assert [(row["state"], row["note"]) for row in actions(shop)] == [(state, note)]
    assert at_stripe(shop, alice).cancel_at_period_end == (when == "after")
    tick(shop)
    assert mails(shop, "cancelled_for_you") == ([actions(shop)[0]["id"]] if when == "after" else [])


def test_what_cannot_be_looked_up_does_not_hold_up_the_rest(alice, sam, shop, mocker):
    """All that can be is settled, and the failure is told."""
    cancel(sam, alice)
    cancel(sam, alice, "now")
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(StaffAction).values(state="intended"))
    age_actions(shop)
    real = staff_actions._what_became_of
    refused = mocker.patch.object(
        staff_actions,
        "_what_became_of",
        side_effect=lambda action: real(action) if action.kind == "cancel_now" else 1 / 0,
    )

    result = shop.app.test_cli_runner().invoke(args=["tick"])

    assert refused.call_count == 2
    assert isinstance(result.exception, ExceptionGroup)
    assert {row["kind"]: row["state"] for row in actions(shop)} == {
        "cancel_at_period_end": "intended",
        "cancel_now": "done",
    }


def test_with_stripe_down_pressing_again_later_works(alice, sam, shop):
    """Each press is on record."""
    shop.sandbox.fault(path="^/v1/", status=500, times=50)
    cancel(sam, alice, "now")
    assert alice.may_see("premium")
    shop.sandbox.control("DELETE", "faults")

    assert "The subscription has ended." in cancel(sam, alice, "now").text
    assert sorted(row["state"] for row in actions(shop)) == ["done", "intended"]


def test_an_action_is_settled_once_stripe_is_back(alice, sam, shop):
    """A tick without Stripe leaves it open."""
    shop.sandbox.fault(path="^/v1/subscriptions/", status=500, times=99)
    cancel(sam, alice)
    age_actions(shop)
    tick(shop)
    assert [row["state"] for row in actions(shop)] == ["intended"]
    shop.sandbox.control("DELETE", "faults")

    tick(shop)

    assert [row["state"] for row in actions(shop)] == ["failed"]


def test_a_cut_off_resync_is_done_again(alice, sam, shop):
    """It only asks."""
    shop.sandbox.fault(path="^/v1/customers/", status=500, times=9)
    act(sam, alice, "resync")
    shop.sandbox.control("DELETE", "faults")
    age_actions(shop)

    tick(shop)

    assert [row["state"] for row in actions(shop)] == ["done"]


def test_what_stripe_refuses_is_on_record_as_failed(alice, sam, shop):
    """With its request id."""
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions/", status=429, times=9)

    assert "That did not work." in cancel(sam, alice).text
    (action,) = actions(shop)
    assert action["state"] == "failed"
    assert action["request_id"].startswith("req_")


def test_what_somebody_else_has_found_out_already_stays_so(alice, sam, shop, mocker):
    """An answer that comes after the tick has settled the action changes nothing, and tells nobody."""
    real = subscriptions.cancel

    def slowly(*args, **more):
        done = real(*args, **more)
        with db.write() as tx:
            tx.execute(sa.update(StaffAction).values(state="failed", note="settled"))
        return done

    mocker.patch.object(subscriptions, "cancel", slowly)
    cancel(sam, alice)

    assert [(row["state"], row["note"]) for row in actions(shop)] == [("failed", "settled")]
    assert mails(shop, "cancelled_for_you") == []


@pytest.mark.parametrize(
    ("kind", "state"), [("cancel_at_period_end", "done"), ("cancel_now", "done"), ("resume", "failed")]
)
def test_of_what_has_ended_each_open_action_says_whether_it_holds(alice, sam, shop, kind, state):
    """An end keeps the promise of a cancellation, not that of taking one back."""
    cancel(sam, alice, "now")
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(StaffAction).values(state="intended", kind=kind))
    age_actions(shop)

    tick(shop)

    assert [row["state"] for row in actions(shop)] == [state]


def test_an_action_that_was_killed_in_the_middle_is_settled_too(alice, sam, shop, monkeypatch):
    """Stripe had done it; the process died before it could say so."""

    def die(*_args):
        raise SystemError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(staff_actions, "_note", die)
        assert cancel(sam, alice).status_code == 500
    assert [row["state"] for row in actions(shop)] == ["intended"]
    age_actions(shop)

    tick(shop)

    assert [(row["state"], row["note"]) for row in actions(shop)] == [("done", staff_actions.HAPPENED)]
    assert len(shop.calls("POST", f"/v1/subscriptions/{alice.subscription}")) == 1
