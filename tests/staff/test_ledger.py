"""The ledger of webhook events, and doing again what failed."""

import pytest
import sqlalchemy as sa

import db
from models import Customer, Subscription, WebhookEvent
from tests.staff.people import actions


@pytest.fixture
def failed_event(alice, shop):
    """An event that could not be brought into effect; what it tells is not here."""
    (customer,) = shop.rows(Customer)
    failed = {
        "id": "evt_failed",
        "type": "customer.subscription.updated",
        "created": 5,
        "object_id": alice.subscription,
    }
    failed |= {
        "customer_id": customer["id"],
        "state": "failed",
        "attempts": 3,
        "error": "Unavailable('no')",
        "received_at": 5,
    }
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.insert(WebhookEvent).values(failed))
        tx.execute(sa.update(Subscription).values(status="past_due"))
    return failed["id"]


def test_the_ledger_shows_failures_on_top(failed_event, sam):
    """However old they are."""
    page = sam.get("/staff/events").text

    assert "1 failed" in page
    assert page.index("evt_failed") < page.index("Latest first")
    assert "Unavailable(&#39;no&#39;)" in page
    assert "3 attempts" in page


def test_a_failed_event_is_done_again(failed_event, alice, sam, shop):
    """Stripe is asked how things stand; the action is on record for the customer."""
    page = sam.submit(f"/staff/events/{failed_event}/replay").text

    assert "The event has been brought into effect." in page
    assert [row["status"] for row in shop.rows(Subscription)] == ["active"]
    assert {row["id"]: row["state"] for row in shop.rows(WebhookEvent)}[failed_event] == "done"
    (action,) = actions(shop)
    assert (action["kind"], action["subject"], action["user_id"], action["state"]) == (
        "replay",
        failed_event,
        alice.id,
        "done",
    )


def test_what_was_done_for_no_customer_is_shown_too(failed_event, sam, shop):
    """A product's event belongs to nobody: the list of all that staff did names it."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(WebhookEvent).where(WebhookEvent.id == failed_event).values(customer_id=None))
    assert "Nothing yet" in sam.get("/staff/actions").text

    sam.submit(f"/staff/events/{failed_event}/replay", reason="It was red.")

    page = sam.get("/staff/actions").text
    for words in ("Do an event again", "staff@example.com", failed_event, "“It was red.”", "Done"):
        assert words in page


def test_an_event_that_fails_again_says_so(failed_event, sam, shop):
    """And stays on the list."""
    shop.sandbox.fault(path="^/v1/subscriptions/", status=500, times=9)

    page = sam.submit(f"/staff/events/{failed_event}/replay").text

    assert "That did not work. The event failed again" in page
    assert [row["state"] for row in actions(shop)] == ["failed"]


def test_only_failed_events_are_done_again(alice, sam, shop):
    """What is done is done; what is none of ours is not there."""
    done = next(row["id"] for row in shop.rows(WebhookEvent) if row["state"] == "done")

    assert sam.submit(f"/staff/events/{done}/replay").status_code == 409
    assert sam.submit("/staff/events/evt_nothing/replay").status_code == 404
    assert actions(shop) == []


def test_a_failed_event_can_be_done_again_from_the_customers_history(failed_event, alice, sam):
    """And one comes back there."""
    page = sam.get(f"/staff/customers/{alice.id}", params={"show": "events"}).text
    assert f"/staff/events/{failed_event}/replay" in page

    answer = sam.submit(f"/staff/events/{failed_event}/replay", user_id=str(alice.id))

    assert answer.url.endswith(f"/staff/customers/{alice.id}")


@pytest.mark.parametrize(
    ("asked", "there", "not_there"),
    [
        ({"state": "failed"}, "evt_failed", "invoice.<wbr>paid"),
        ({"state": "done"}, "invoice.<wbr>paid", "evt_failed"),
        ({"q": "customer.subscription.u"}, "evt_failed", "invoice.<wbr>paid"),
        ({"q": "evt_failed"}, "evt_failed", "invoice.<wbr>paid"),
        ({"q": "cus_none"}, "No event is like that", "invoice.<wbr>paid"),
    ],
)
def test_the_ledger_is_filtered(failed_event, sam, asked, there, not_there):
    """By state, by how the type begins, by whole ids."""
    page = sam.get("/staff/events", params=asked).text.split('id="events-title"')[1]

    assert there in page
    assert not_there not in page


def test_the_ledger_warns_when_stripe_has_fallen_silent(alice, sam, shop):
    """Customers are there, but nothing came for days."""
    assert "No event of Stripe’s has come" not in sam.get("/staff/events").text
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(WebhookEvent).values(received_at=WebhookEvent.received_at - 50 * 3600))

    assert "No event of Stripe’s has come for 50 hours." in sam.get("/staff/events").text
