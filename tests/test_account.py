"""The account settings page: cancelling, taking it back, and what is not one's own."""

import pytest

from models import Checkout, Subscription
from tests.shop import pay


@pytest.fixture
def alice(shop):
    """Alice has Premium."""
    alice = shop.member()
    attempt = alice.subscribe("premium_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    shop.settle()
    alice.subscription = attempt["subscriptionId"]
    return alice


def cancel(visitor, **fields):
    return visitor.send("/cancel-subscription", **{"subscriptionId": visitor.subscription, **fields})


def test_the_page_tells_plan_price_renewal_card_and_invoices(alice):
    """All of it from our own tables."""
    page = alice.get("/account").text

    for words in ("Premium", "$15.00", "Renews on", "Visa •••• 4242", "Active", "-0001"):
        assert words in page


def test_the_price_says_so_when_discounts_come_off_it(alice, shop):
    """Our tables do not hold how much; the invoices and quotes tell that."""
    assert "before discounts" not in alice.get("/account").text
    v1 = shop.sandbox.client.v1
    coupon = v1.coupons.create({"percent_off": 50, "duration": "forever"})

    v1.subscriptions.update(alice.subscription, {"discounts": [{"coupon": coupon.id}]})
    shop.settle()

    for path in ("/account", "/account/plan"):
        assert "$15.00 per month, before discounts" in alice.get(path).text


def test_a_second_subscription_is_shown_and_can_be_cancelled(alice, shop):
    """The shop sells one; somebody with Stripe's dashboard gave her another, and she pays for both."""
    v1 = shop.sandbox.client.v1
    [basic] = v1.prices.list({"lookup_keys": ["basic_monthly"]}).data
    customer = v1.subscriptions.retrieve(alice.subscription).customer
    method = v1.customers.payment_methods.list(customer).data[0].id
    second = v1.subscriptions.create(
        {"customer": customer, "items": [{"price": basic.id}], "default_payment_method": method}
    )
    shop.settle()

    page = alice.get("/account").text
    assert "$15.00 per month" in page
    assert "$5.00 per month" in page
    assert page.count('action="/cancel-subscription"') == 2
    for id in (alice.subscription, second.id):
        assert alice.send("/cancel-subscription", subscriptionId=id, atPeriodEnd=True).status_code == 200
    assert alice.get("/account").text.count("Keep my subscription") == 2


def test_without_a_subscription_the_page_points_to_the_plans(shop):
    """The empty state."""
    page = shop.member("bob@example.com").get("/account").text

    assert "No subscription" in page
    assert "See the plans" in page


def test_an_order_that_is_not_paid_is_nobodys_plan_yet(alice, shop):
    """The plans say "Your plan" of what one has, not of what one looked at."""
    bob = shop.member("bob@example.com")
    bob.subscribe("premium_monthly")
    shop.settle()

    assert "Your plan" not in bob.get("/").text
    assert "Your plan" in alice.get("/").text
    assert 'href="/account/plan">Change to Basic' in alice.get("/").text


def test_the_return_page_asks_on_while_an_order_is_open(shop):
    """And no longer: what is paid needs no more questions."""
    bob = shop.member("bob@example.com")
    attempt = bob.subscribe("basic_monthly")
    before = bob.send("/complete/sync", {}).json()
    pay(shop.sandbox, attempt["clientSecret"])
    after = bob.send("/complete/sync", {}).json()

    assert (before["state"], before["open"], before["access"]) == ("incomplete", True, False)
    assert (after["state"], after["open"], after["access"]) == ("active", False, True)


def test_a_subscriber_who_opens_the_payment_page_is_sent_to_the_account(alice):
    """The back button, or an old link."""
    answer = alice.get("/subscribe?price=premium_monthly", allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/account")


def test_cancelling_now_is_what_the_bare_route_does(alice, shop):
    """As in the guide."""
    answer = cancel(alice).json()

    assert (answer["status"], answer["subscription"]["status"]) == ("canceled", "canceled")
    assert not alice.may_see("basic")


def test_cancelling_at_the_period_end_keeps_access_until_then(alice, shop):
    """Paid is paid."""
    answer = cancel(alice, atPeriodEnd=True, reason="too_expensive", comment="Sorry.").json()

    assert (answer["status"], answer["cancel_at_period_end"]) == ("active", True)
    assert alice.may_see("premium")
    assert "Ends on" in alice.get("/account").text
    at_stripe = shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription)
    assert (at_stripe.cancellation_details.feedback, at_stripe.cancellation_details.comment) == (
        "too_expensive",
        "Sorry.",
    )
    shop.sandbox.advance(days=32)
    shop.settle()
    assert not alice.may_see("premium")


def test_a_cancellation_can_be_taken_back(alice, shop):
    """Until it happens."""
    cancel(alice, atPeriodEnd=True)

    answer = alice.send("/resume-subscription", subscriptionId=alice.subscription)

    assert (answer.status_code, answer.json()["cancel_at_period_end"]) == (200, False)
    shop.sandbox.advance(days=40)
    shop.settle()
    assert alice.may_see("premium")


def test_cancelling_twice_is_a_success(alice, shop):
    """What is gone is gone."""
    assert [cancel(alice).status_code, cancel(alice).status_code] == [200, 200]
    assert cancel(alice, atPeriodEnd=True).json()["status"] == "canceled"
    assert len(shop.calls("DELETE", f"/v1/subscriptions/{alice.subscription}")) == 1


def test_cancelling_at_the_period_end_twice_asks_stripe_for_one_change(alice, shop):
    """The second finds it done."""
    assert [cancel(alice, atPeriodEnd=True).status_code for _ in range(2)] == [200, 200]
    assert len(shop.calls("POST", f"/v1/subscriptions/{alice.subscription}")) == 1


def test_what_has_ended_is_not_resumed(alice):
    """A clear no, with the way on."""
    cancel(alice)

    answer = alice.send("/resume-subscription", subscriptionId=alice.subscription)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "subscription_ended")


def test_resuming_what_was_not_cancelled_is_a_success(alice):
    """Safe to press again."""
    assert alice.send("/resume-subscription", subscriptionId=alice.subscription).status_code == 200


def test_an_unpaid_attempt_can_be_dropped(shop):
    """Also at "period end": it has none."""
    bob = shop.member("bob@example.com")
    bob.subscription = bob.subscribe("basic_monthly")["subscriptionId"]

    assert cancel(bob, atPeriodEnd=True).json()["status"] in ("canceled", "incomplete_expired")
    shop.settle()
    assert [row["state"] for row in shop.rows(Checkout)] == ["closed"]


@pytest.mark.parametrize("path", ["/cancel-subscription", "/resume-subscription"])
def test_another_customers_subscription_does_not_exist(alice, shop, path):
    """404, and nothing happens to it."""
    mallory = shop.member("mallory@example.com")

    answer = mallory.send(path, subscriptionId=alice.subscription)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert alice.may_see("premium")


def test_with_stripe_down_nothing_is_cancelled_and_it_is_safe_to_press_again(alice, shop):
    """503, then it works."""
    shop.sandbox.fault(path="^/v1/", status=500, times=50)
    assert cancel(alice).status_code == 503
    shop.sandbox.control("DELETE", "faults")

    assert alice.may_see("premium")
    assert cancel(alice).json()["status"] == "canceled"


def test_a_cancellation_whose_answer_got_lost_is_a_success_when_pressed_again(alice, shop):
    """It had happened."""
    shop.sandbox.fault(method="DELETE", path="^/v1/subscriptions/", status=500, times=9, when="after")
    assert cancel(alice).status_code == 503
    shop.sandbox.control("DELETE", "faults")

    assert cancel(alice).json()["status"] == "canceled"
    shop.settle()
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]


def test_subscriptions_are_told_with_stripes_names(alice):
    """GET /subscriptions reads our tables."""
    (one,) = alice.get("/subscriptions").json()["subscriptions"]["data"]

    assert (one["id"], one["status"], one["customer"][:4]) == (alice.subscription, "active", "cus_")
    assert one["items"]["data"][0]["price"]["lookup_key"] == "premium_monthly"


def test_reading_calls_stripe_never(alice, shop):
    """Every page that is only read."""
    shop.sandbox.control("DELETE", "requests")

    for path in (
        "/",
        "/account",
        "/members/basic",
        "/members/premium",
        "/config",
        "/subscriptions",
        "/privacy",
        "/complete",
    ):
        assert alice.get(path).status_code == 200

    assert shop.sandbox.requests() == []
