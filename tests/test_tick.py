"""`flask tick`: what is due gets done, also when it runs twice at once."""

import pytest
import sqlalchemy as sa

import clock
import db
import operations
from models import Checkout, Invoice, Subscription, WebhookEvent
from tests.shop import pay


@pytest.fixture
def tick(shop):
    def tick():
        result = shop.app.test_cli_runner().invoke(args=["tick"])
        assert result.exit_code == 0, result.output

    return tick


def test_with_nothing_due_nothing_happens(shop, tick):
    """No call to Stripe once a minute for nothing."""
    shop.sandbox.control("DELETE", "requests")
    tick()

    assert shop.sandbox.requests() == []


def test_a_draft_that_could_not_be_asked_for_is_asked_for(shop, tick):
    """Stripe had its 200, so that it goes on to charge."""
    alice = shop.member()
    pay(shop.sandbox, alice.subscribe()["clientSecret"])
    shop.settle()
    invoice = shop.rows(Invoice)[0]["id"]
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.delete(Invoice))
        tx.execute(
            sa.update(WebhookEvent)
            .where(WebhookEvent.object_id == invoice, WebhookEvent.type == "invoice.created")
            .values(state="failed")
        )

    tick()

    assert [row["id"] for row in shop.rows(Invoice)] == [invoice]
    assert "failed" not in {row["state"] for row in shop.rows(WebhookEvent)}


def test_an_attempt_whose_key_is_too_old_is_closed(shop, tick):
    """Nobody is waiting any more."""
    shop.member().subscribe()
    with shop.app.app_context(), db.write() as tx:
        old = clock.wall() - operations.KEY_LIFE - 1
        tx.execute(sa.update(Checkout).values(state="creating", started_at=old))

    tick()

    assert [row["state"] for row in shop.rows(Checkout)] == ["closed"]


def test_a_young_attempt_is_left_alone(shop, tick):
    """It is under way."""
    shop.member().subscribe()
    tick()

    assert [row["state"] for row in shop.rows(Checkout)] == ["open"]


def test_a_subscription_whose_first_debit_failed_later_is_cancelled_once(shop, tick):
    """Stripe leaves it active; nothing was ever paid for it."""
    alice = shop.member()
    attempt = alice.subscribe("basic_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Invoice).values(status="void", amount_paid=0))
    assert not alice.may_see("basic")

    tick()
    tick()

    assert len(shop.calls("DELETE", f"/v1/subscriptions/{attempt['subscriptionId']}")) == 1
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]
