"""From sign-up to access and back, over HTTP: app, sandbox and webhooks as they really talk."""

from models import Checkout, Invoice, PaymentMethod, Price, Product, Subscription, WebhookEvent
from tests.shop import pay


def test_register_choose_pay_get_in_cancel_get_out(shop):
    """The product's main job."""
    alice = shop.member()
    assert not alice.may_see("premium")

    attempt = alice.subscribe("premium_monthly")
    assert attempt["intent"] == "payment"
    assert pay(shop.sandbox, attempt["clientSecret"]).json()["status"] == "succeeded"
    shop.settle()

    assert alice.may_see("premium")
    assert alice.may_see("basic")
    cancelled = alice.send("/cancel-subscription", subscriptionId=attempt["subscriptionId"]).json()
    assert (cancelled["status"], cancelled["subscription"]["status"]) == ("canceled", "canceled")
    assert not alice.may_see("premium")
    shop.settle()
    assert not alice.may_see("basic")


def test_tables_follow_stripe(shop):
    """What the pages read is what Stripe has."""
    alice = shop.member()
    attempt = alice.subscribe("basic_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()

    (subscription,) = shop.rows(Subscription)
    (invoice,) = shop.rows(Invoice)
    (method,) = shop.rows(PaymentMethod)
    assert subscription["status"] == "active"
    assert subscription["default_payment_method"] == method["id"]
    assert (invoice["status"], invoice["total"], invoice["amount_paid"]) == ("paid", 500, 500)
    assert (method["brand"], method["last4"]) == ("visa", "4242")
    assert [row["state"] for row in shop.rows(Checkout)] == ["closed"]
    assert {row["state"] for row in shop.rows(WebhookEvent)} <= {"done", "ignored"}
    assert {row["lookup_key"] for row in shop.rows(Price)} == {"basic_monthly", "premium_monthly"}
    assert {row["key"] for row in shop.rows(Product)} == {"basic", "premium"}
