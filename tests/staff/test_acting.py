"""Acting for customers, on record."""

import pytest
import sqlalchemy as sa

import clock
import db
from models import Outbox, Subscription, SubscriptionItem
from tests.shop import pay
from tests.staff.people import act, actions, at_stripe, cancel, mails, staff_member, user_id


def test_cancelling_at_the_period_end_is_done_and_on_record(alice, sam, shop):
    """Who, whom, what, why, when, and Stripe's request id."""
    page = cancel(sam, alice).text

    assert "The subscription ends with the period that is paid for." in page
    assert at_stripe(shop, alice).cancel_at_period_end
    (action,) = actions(shop)
    (sent,) = shop.calls("POST", f"/v1/subscriptions/{alice.subscription}")
    event = shop.sandbox.events("customer.subscription.updated")[-1]
    assert sent["idempotency_key"] == action["id"]
    assert (event.request.id, event.request.idempotency_key) == (action["request_id"], action["id"])
    told = {name: action[name] for name in ("staff_email", "user_id", "kind", "subject", "reason", "state")}
    assert told == {
        "staff_email": "staff@example.com",
        "user_id": alice.id,
        "kind": "cancel_at_period_end",
        "subject": alice.subscription,
        "reason": "They asked by phone.",
        "state": "done",
    }
    assert abs(action["at"] - clock.wall()) < 100
    assert alice.may_see("premium")
    assert "Ends on" in alice.get("/account").text


def test_an_action_is_noted_at_stripes_time(alice, sam, shop):
    """So that it stands beside the events that it led to, also in a world that is weeks ahead."""
    shop.sandbox.advance(days=20)

    cancel(sam, alice)

    (action,) = actions(shop)
    event = shop.sandbox.events("customer.subscription.updated")[-1]
    assert 0 <= action["at"] - event.created <= 2
    assert action["started_at"] < event.created - 19 * 86400


def test_cancelling_now_ends_access_at_once(alice, sam, shop):
    """And says so."""
    page = cancel(sam, alice, "now").text

    assert "The subscription has ended." in page
    assert at_stripe(shop, alice).status == "canceled"
    assert not alice.may_see("basic")
    assert [(row["kind"], row["state"]) for row in actions(shop)] == [("cancel_now", "done")]


def test_a_cancellation_is_taken_back(alice, sam, shop):
    """Until it happens."""
    cancel(sam, alice)

    page = act(sam, alice, "resume", subscription=alice.subscription).text

    assert "The subscription renews again." in page
    assert not at_stripe(shop, alice).cancel_at_period_end
    assert {row["kind"]: row["state"] for row in actions(shop)} == {"cancel_at_period_end": "done", "resume": "done"}


def test_the_customer_is_told_what_was_done_for_them_once(alice, sam, shop):
    """By mail: once an action, and not of one that changed nothing."""
    shop.app.config["MAIL_SERVER"] = "mail.example.com"  # what mails say stays in the outbox
    cancel(sam, alice)
    cancel(sam, alice)
    act(sam, alice, "resume", subscription=alice.subscription)
    act(sam, alice, "resume", subscription=alice.subscription)
    shop.settle()

    told = {row["kind"]: row for row in shop.rows(Outbox) if row["kind"].endswith("_for_you")}
    ids = {row["kind"]: row["id"] for row in actions(shop) if row["request_id"]}
    assert mails(shop, "cancelled_for_you") == [ids["cancel_at_period_end"]]
    assert mails(shop, "resumed_for_you") == [ids["resume"]]
    end = shop.app.jinja_env.filters["day"](shop.rows(SubscriptionItem)[0]["current_period_end"])
    assert told["cancelled_for_you"]["recipient"] == "alice@example.com"
    assert told["cancelled_for_you"]["subject"] == f"Your Premium subscription ends on {end}"
    assert f"{shop.url}/account" in told["cancelled_for_you"]["text"]
    assert "goes on as before, at $15.00 per month." in told["resumed_for_you"]["text"]
    assert mails(shop, "ending_planned") == []


def test_an_end_at_once_is_told_as_every_end_is(alice, sam, shop):
    """One mail, not two."""
    cancel(sam, alice)
    cancel(sam, alice, "now")
    shop.settle()

    assert mails(shop, "subscription_ended") == [alice.subscription]
    assert len(mails(shop, "cancelled_for_you")) == 1


def test_what_has_ended_is_not_resumed_and_the_try_is_on_record(alice, sam, shop):
    """A clear no."""
    cancel(sam, alice, "now")

    page = act(sam, alice, "resume", subscription=alice.subscription).text

    assert "That did not work. This subscription has ended." in page
    assert {row["kind"]: row["state"] for row in actions(shop)}["resume"] == "failed"


def test_pressing_twice_does_it_once_at_stripe(alice, sam, shop):
    """The second finds it done and says so."""
    cancel(sam, alice)

    assert "It was so already." in cancel(sam, alice).text
    assert len(shop.calls("POST", f"/v1/subscriptions/{alice.subscription}")) == 1
    assert [row["state"] for row in actions(shop)] == ["done", "done"]


def test_resync_makes_our_rows_equal_to_stripes(alice, sam, shop):
    """Also where an event got lost."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Subscription).values(status="past_due", cancel_at=5))

    page = act(sam, alice, "resync").text

    assert "Everything here is as Stripe has it now." in page
    (row,) = shop.rows(Subscription)
    assert (row["status"], row["cancel_at"]) == ("active", None)
    assert [(row["kind"], row["state"]) for row in actions(shop)] == [("resync", "done")]


@pytest.mark.parametrize(
    ("what", "fields", "status"),
    [
        ("cancel", {"when": "now"}, 400),
        ("cancel", {"when": "now", "reason": "   "}, 400),
        ("cancel", {"when": "now", "reason": "x" * 501}, 400),
        ("cancel", {"when": "never", "reason": "x"}, 400),
        ("cancel", {"reason": "x"}, 400),
        ("cancel", {"when": "now", "reason": "x", "subscription": ""}, 400),
        ("cancel", {"when": "now", "reason": "x", "subscription": "sub_other"}, 404),
        ("resume", {"subscription": "sub_other"}, 404),
        ("resume", {"subscription": "x" * 300}, 400),
    ],
)
def test_bad_input_does_nothing(alice, sam, shop, what, fields, status):
    """Told by name; nothing is asked of Stripe and nothing is on record."""
    shop.sandbox.control("DELETE", "requests")

    answer = act(sam, alice, what, **({"subscription": alice.subscription} | fields))

    assert (answer.status_code, actions(shop), shop.sandbox.requests()) == (status, [], [])


def test_a_subscription_of_somebody_else_is_not_reached_through_a_customers_page(alice, sam, shop):
    """What the bar says is whom it is done for."""
    shop.member("bob@example.com")
    alice.id = user_id(shop, "bob@example.com")

    assert cancel(sam, alice, "now").status_code == 404
    assert at_stripe(shop, alice).status == "active"


def test_nothing_is_done_by_get(alice, sam):
    """A link in a mail does nothing."""
    for path in ("cancel", "resume", "resync"):
        assert sam.get(f"/staff/customers/{alice.id}/{path}").status_code == 405


def test_nothing_is_done_without_the_pages_token(alice, sam, shop):
    """Nor by a form of another site."""
    fields = {"subscription": alice.subscription, "when": "now", "reason": "x"}

    answer = sam.session.post(f"{sam.url}/staff/customers/{alice.id}/cancel", data=fields, timeout=30)

    assert (answer.status_code, actions(shop)) == (400, [])


def test_for_who_is_no_customer_there_is_nothing_to_resync(sam, shop):
    """A clear no."""
    bob = shop.member("bob@example.com")
    bob.id = user_id(shop, "bob@example.com")

    assert act(sam, bob, "resync").status_code == 409


def test_staff_who_act_for_staff_are_on_record_too(sam, shop):
    """Allowed, and seen by the others."""
    other = staff_member(shop, "otto@example.com")
    attempt = other.subscribe("basic_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    other.id, other.subscription = user_id(shop, "otto@example.com"), attempt["subscriptionId"]

    page = cancel(sam, other).text

    assert "You act for <strong>otto@example.com</strong>" in page
    assert [(row["staff_email"], row["user_id"]) for row in actions(shop)] == [("staff@example.com", other.id)]
