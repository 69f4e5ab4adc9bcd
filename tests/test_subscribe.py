"""One live attempt: whatever is clicked, lost or raced, it ends in one subscription and one charge."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
import sqlalchemy as sa

import attempts
import billing
import clock
import db
import operations
import readings
import sync
from models import Checkout, Customer, Invoice, Operation, Subscription
from tests.shop import pay

CREATE = ("POST", "/v1/subscriptions")


def charges(shop):
    return [charge for charge in shop.sandbox.client.v1.charges.list().data if charge.paid]


def alive(shop):
    listed = shop.sandbox.client.v1.subscriptions.list({"status": "all"}).data
    return [one for one in listed if one.status not in ("canceled", "incomplete_expired")]


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


def set_checkout(shop, **values):
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Checkout).values(values))


def age_key(shop, seconds, **values):
    """Let the key have been made so long ago, and nobody be asking with it now."""
    now = clock.wall()
    set_checkout(shop, started_at=now - seconds, asked_at=now - operations.PATIENCE, **values)


# --- asking again


def test_asking_twice_gives_the_same_secret(shop):
    """Two tabs with one plan are one attempt."""
    alice = shop.member()

    assert alice.subscribe() == alice.subscribe()
    assert len(alive(shop)) == 1


def test_two_hundred_clicks_at_once_are_one_subscription_and_one_charge(shop):
    """Each click has a connection of its own; all begin together."""
    alice = shop.member()
    token, cookies = alice.token(), alice.session.cookies.get_dict()
    gate = threading.Barrier(20)

    def click(_number):
        gate.wait()
        return requests.post(
            f"{shop.url}/create-subscription",
            json={"lookupKey": "premium_monthly"},
            headers={"X-CSRFToken": token},
            cookies=cookies,
            timeout=60,
        )

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(click, range(200)))

    secrets = {answer.json()["clientSecret"] for answer in answers if answer.status_code == 200}
    others = {refusal(answer) for answer in answers if answer.status_code != 200}
    assert len(secrets) == 1
    assert others <= {(409, "attempt_in_progress")}
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _number: pay(shop.sandbox, next(iter(secrets))), range(20)))
    assert (len(alive(shop)), len(charges(shop))) == (1, 1)
    assert len(shop.calls(*CREATE)) == 1


def test_while_one_is_being_created_the_next_waits(shop):
    """409 with Retry-After: the page asks again."""
    alice = shop.member()
    alice.subscribe()
    set_checkout(shop, state="creating", asked_at=clock.wall())

    answer = alice.send("/create-subscription", lookupKey="premium_monthly")

    assert refusal(answer) == (409, "attempt_in_progress")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("shop_settings", [{"RATELIMIT_ENABLED": "true", "LIMIT_PAY_ACCOUNT": "2 per hour"}])
def test_waiting_for_ones_own_order_is_not_limited(shop):
    """The page asks again for a minute, in each tab; who pays is not locked out for that."""
    alice = shop.member()
    alice.subscribe()
    set_checkout(shop, state="creating", asked_at=clock.wall())

    answers = [alice.send("/create-subscription", lookupKey="premium_monthly") for _ in range(4)]

    assert {refusal(answer) for answer in answers} == {(409, "attempt_in_progress")}
    set_checkout(shop, state="closed")
    alice.subscribe()
    assert alice.send("/create-subscription", lookupKey="premium_monthly").status_code == 429


# --- answers that got lost


def test_an_answer_that_got_lost_is_asked_for_again_with_the_same_key(shop):
    """Stripe did create it: the repetition finds it instead of making another."""
    alice = shop.member()
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions$", status=500, times=9, when="after")
    assert refusal(alice.send("/create-subscription", lookupKey="premium_monthly")) == (503, "billing_unavailable")
    shop.sandbox.control("DELETE", "faults")
    assert refusal(alice.send("/create-subscription", lookupKey="premium_monthly")) == (409, "attempt_in_progress")

    set_checkout(shop, asked_at=clock.wall() - operations.PATIENCE)
    attempt = alice.subscribe()

    assert [one.id for one in alive(shop)] == [attempt["subscriptionId"]]
    assert len({call["idempotency_key"] for call in shop.calls(*CREATE)}) == 1


def test_a_lost_attempt_of_another_plan_is_found_at_stripe_and_replaced(shop):
    """Nobody can pay for what they no longer want."""
    alice = shop.member()
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions$", status=500, times=9, when="after")
    alice.send("/create-subscription", lookupKey="basic_monthly")
    shop.sandbox.control("DELETE", "faults")
    set_checkout(shop, asked_at=clock.wall() - operations.PATIENCE)

    attempt = alice.subscribe("premium_monthly")

    (one,) = alive(shop)
    assert (one.id, one.to_dict()["items"]["data"][0]["price"]["lookup_key"]) == (
        attempt["subscriptionId"],
        "premium_monthly",
    )


def test_a_key_that_stripe_may_have_forgotten_is_not_used_again(shop):
    """After 20 hours Stripe is asked what there is."""
    alice = shop.member()
    first = alice.subscribe()
    age_key(shop, operations.KEY_LIFE, state="creating", subscription_id=None)

    assert alice.subscribe()["subscriptionId"] == first["subscriptionId"]
    assert len(shop.calls(*CREATE)) == 1


def test_using_a_key_again_does_not_make_it_younger(shop):
    """Asked for again and again while answers get lost: a day after the first time the key means nothing."""
    alice = shop.member()
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions$", status=500, times=99, when="before")
    alice.send("/create-subscription", lookupKey="premium_monthly")
    (lost,) = shop.rows(Checkout)
    age_key(shop, operations.KEY_LIFE - 60)
    alice.send("/create-subscription", lookupKey="premium_monthly")
    assert {call["idempotency_key"] for call in shop.calls(*CREATE)} == {lost["attempt"]}
    begun = shop.rows(Checkout)[0]["started_at"]
    age_key(shop, clock.wall() - begun + 61)
    shop.sandbox.control("DELETE", "faults")
    shop.sandbox.control("DELETE", "requests")

    alice.subscribe()

    (made,) = shop.calls(*CREATE)
    assert made["idempotency_key"] != lost["attempt"]


def test_a_definite_no_closes_the_attempt_at_once(shop):
    """The next click need not wait."""
    alice = shop.member()
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions$", status=400, times=1, when="before")

    assert alice.send("/create-subscription", lookupKey="premium_monthly").status_code == 409
    assert alice.subscribe()["intent"] == "payment"


def test_too_many_requests_at_stripe_close_the_attempt_and_say_when_to_come_back(shop):
    """429: nothing has begun."""
    alice = shop.member()
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions$", status=429, times=9, when="before")
    answer = alice.send("/create-subscription", lookupKey="premium_monthly")
    shop.sandbox.control("DELETE", "faults")

    assert refusal(answer) == (503, "billing_busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert alice.subscribe()["intent"] == "payment"


@pytest.mark.parametrize("gone", [False, True])
def test_somebody_who_gave_the_attempt_up_meanwhile_wins(shop, mocker, gone):
    """What was created too late is cancelled at once, unless somebody has done that already."""
    alice = shop.member()
    shop.sandbox.post("deliveries", {"mode": "drop"})
    create = billing.create_subscription

    def slow(*args):
        answer = create(*args)
        if gone:
            shop.sandbox.client.v1.subscriptions.cancel(answer.object["id"])
        set_checkout(shop, attempt="another", state="closed")
        return answer

    mocker.patch.object(billing, "create_subscription", side_effect=slow)
    answer = alice.send("/create-subscription", lookupKey="premium_monthly")

    assert refusal(answer) == (409, "attempt_in_progress")
    assert alive(shop) == []
    assert all(row["status"] in sync.ENDED for row in shop.rows(Subscription))


# --- another plan


def test_another_plan_replaces_an_unpaid_attempt(shop):
    """Two tabs with two plans: the later choice is the one that can be paid."""
    alice = shop.member()
    basic = alice.subscribe("basic_monthly")
    premium = alice.subscribe("premium_monthly")

    assert [one.id for one in alive(shop)] == [premium["subscriptionId"]]
    assert pay(shop.sandbox, basic["clientSecret"]).json()["error"]["code"] == "payment_intent_unexpected_state"
    assert pay(shop.sandbox, premium["clientSecret"]).json()["status"] == "succeeded"
    assert [charge.amount for charge in charges(shop)] == [1500]


def test_another_plan_waits_while_the_bank_is_asking(shop):
    """A payment in 3D Secure may still go through."""
    alice = shop.member()
    basic = alice.subscribe("basic_monthly")
    assert pay(shop.sandbox, basic["clientSecret"], "4000002500003155").json()["status"] == "requires_action"

    answer = alice.send("/create-subscription", lookupKey="premium_monthly")

    assert refusal(answer) == (409, "payment_in_progress")
    assert alice.subscribe("basic_monthly") == basic


def test_a_payment_that_wins_the_race_against_another_plan_is_given_back(shop, mocker):
    """Paid between our question and our cancellation: the money goes back, on record, and the customer is told."""
    alice = shop.member()
    basic = alice.subscribe("basic_monthly")
    ask = billing.invoice_intent
    paid: list[str] = []

    def pay_after_the_question(invoice_id):
        intent = ask(invoice_id)
        if not paid:
            paid.append(pay(shop.sandbox, basic["clientSecret"]).json()["status"])
        return intent

    mocker.patch.object(billing, "invoice_intent", side_effect=pay_after_the_question)
    attempt = alice.subscribe("premium_monthly")

    assert paid == ["succeeded"]
    assert "refunded" in attempt["notice"]
    (charge,) = charges(shop)
    assert (charge.amount, charge.amount_refunded) == (500, 500)
    assert [one.id for one in alive(shop)] == [attempt["subscriptionId"]]
    assert ("refund", "done") in {(row["kind"], row["state"]) for row in shop.rows(Operation)}


# --- a plan one already has


@pytest.mark.parametrize("lookup_key", ["basic_monthly", "premium_monthly"])
def test_a_subscriber_is_sent_to_the_account_page(shop, lookup_key):
    """Changing plan is another matter; a second subscription is never sold."""
    alice = shop.member()
    pay(shop.sandbox, alice.subscribe("basic_monthly")["clientSecret"])

    answer = alice.send("/create-subscription", lookupKey=lookup_key)

    assert refusal(answer) == (409, "already_subscribed")
    assert answer.json()["error"]["url"] == "/account"
    assert len(alive(shop)) == 1


def test_a_subscription_made_elsewhere_counts(shop):
    """Somebody subscribed the customer in Stripe's dashboard, and no event has come: Stripe is asked."""
    alice = shop.member()
    customer = alice.send("/create-customer").json()["customer"]["id"]
    shop.sandbox.post("deliveries", {"mode": "drop"})
    stripe = shop.sandbox.client.v1
    method = stripe.payment_methods.attach("pm_card_visa", {"customer": customer})
    stripe.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    price = stripe.prices.list({"lookup_keys": ["basic_monthly"]}).data[0].id
    stripe.subscriptions.create({"customer": customer, "items": [{"price": price}]})

    answer = alice.send("/create-subscription", lookupKey="premium_monthly")

    assert refusal(answer) == (409, "already_subscribed")
    assert alice.may_see("basic")


def test_subscribing_again_on_the_day_of_the_cancellation(shop):
    """A new subscription, paid anew."""
    alice = shop.member()
    first = alice.subscribe("basic_monthly")
    pay(shop.sandbox, first["clientSecret"])
    alice.send("/cancel-subscription", subscriptionId=first["subscriptionId"])

    second = alice.subscribe("basic_monthly")
    pay(shop.sandbox, second["clientSecret"])
    shop.settle()

    assert first["subscriptionId"] != second["subscriptionId"]
    assert len(charges(shop)) == 2
    assert alice.may_see("basic")


def test_an_attempt_that_expired_is_followed_by_a_new_one(shop):
    """After 23 hours Stripe gives up on it."""
    alice = shop.member()
    first = alice.subscribe("basic_monthly")
    shop.sandbox.advance(hours=24)
    shop.settle()

    second = alice.subscribe("basic_monthly")

    assert first["subscriptionId"] != second["subscriptionId"]
    assert [row["status"] for row in shop.rows(Subscription)] == ["incomplete_expired", "incomplete"]
    assert alice.get("/complete").status_code == 200


# --- currencies


@pytest.mark.parametrize(("currency", "amount"), [("usd", 1500), ("eur", 1500), ("aud", 2300)])
def test_each_currency_is_charged_as_shown(shop, currency, amount):
    """The amount on the page is the amount on the card."""
    alice = shop.member()
    pay(shop.sandbox, alice.subscribe("premium_monthly", currency=currency)["clientSecret"])

    assert [(charge.amount, charge.currency) for charge in charges(shop)] == [(amount, currency)]


def test_the_first_invoice_fixes_the_currency(shop):
    """Stripe cannot change it, and we say so with a way on."""
    alice = shop.member()
    alice.subscribe("basic_monthly", currency="eur")
    shop.settle()

    answer = alice.send("/create-subscription", lookupKey="basic_monthly", currency="usd")

    assert refusal(answer) == (409, "currency_fixed")
    assert "currency=eur" in answer.json()["error"]["url"]


def test_a_currency_fixed_behind_our_back_is_told_too(shop):
    """The event of the first invoice never came."""
    alice = shop.member()
    shop.sandbox.post("deliveries", {"mode": "drop"})
    first = alice.subscribe("basic_monthly", currency="eur")
    shop.sandbox.client.v1.subscriptions.cancel(first["subscriptionId"])

    answer = alice.send("/create-subscription", lookupKey="basic_monthly", currency="usd")

    assert refusal(answer) == (409, "currency_fixed")


# --- customers


def test_a_customer_is_made_once(shop):
    """However often it is asked for."""
    alice = shop.member()
    ids = {alice.send("/create-customer").json()["customer"]["id"] for _ in range(3)}

    assert len(ids) == 1
    assert len(shop.calls("POST", "/v1/customers")) == 1


def test_a_customer_whose_answer_got_lost_is_not_made_twice(shop):
    """The stored key makes Stripe answer with the first."""
    alice = shop.member()
    shop.sandbox.fault(method="POST", path="^/v1/customers$", status=500, times=9, when="after")
    assert alice.send("/create-customer").status_code == 503
    shop.sandbox.control("DELETE", "faults")

    alice.send("/create-customer")

    assert len(shop.sandbox.client.v1.customers.list().data) == 1
    assert len(shop.rows(Customer)) == 1


def test_a_lost_customer_is_found_by_its_mark_when_the_key_is_too_old(shop):
    """Stripe forgets keys after a day, not customers."""
    alice = shop.member()
    shop.sandbox.fault(method="POST", path="^/v1/customers$", status=500, times=9, when="after")
    alice.send("/create-customer")
    shop.sandbox.control("DELETE", "faults")
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Operation).where(Operation.kind == "create_customer").values(started_at=0))

    alice.send("/create-customer")

    assert len(shop.sandbox.client.v1.customers.list().data) == 1


def test_a_customer_deleted_at_stripe_is_replaced(shop):
    """The account can subscribe again."""
    alice = shop.member()
    old = alice.send("/create-customer").json()["customer"]["id"]
    shop.sandbox.client.v1.customers.delete(old)
    shop.settle()

    assert alice.subscribe()["intent"] == "payment"
    assert len([row for row in shop.rows(Customer) if row["deleted_at"] is None]) == 1


def test_details_go_to_stripe_when_the_customer_is_made(shop):
    """The guide's name, address and shipping."""
    alice = shop.member()
    address = {"line1": "1 Main St", "city": "Springfield", "country": "US", "postal_code": "12345"}
    customer = alice.send("/create-customer", name="Alice", address=address).json()["customer"]

    at_stripe = shop.sandbox.client.v1.customers.retrieve(customer["id"])
    assert (at_stripe.name, at_stripe.address.city, at_stripe.email) == ("Alice", "Springfield", "alice@example.com")
    assert customer["email"] == "alice@example.com"


# --- Stripe is down


@pytest.mark.parametrize("fault", [{"drop": True}, {"status": 500}, {"status": 503}])
def test_with_stripe_down_the_page_says_so_and_nothing_is_half_done(shop, fault):
    """503, no subscription, no trace; later it works."""
    alice = shop.member()
    shop.sandbox.fault(path="^/v1/", times=50, when="before", **fault)
    answer = alice.send("/create-subscription", lookupKey="premium_monthly")
    shop.sandbox.control("DELETE", "faults")

    assert refusal(answer) == (503, "billing_unavailable")
    assert (shop.rows(Subscription), shop.rows(Invoice)) == ([], [])
    assert alice.subscribe()["intent"] == "payment"


def test_a_time_out_is_told_and_repeated_safely(shop, mocker):
    """The sandbox can be slow, but not for longer than our patience: here the socket is dead."""
    alice = shop.member()
    alice.send("/create-customer")
    mocker.patch("requests.sessions.HTTPAdapter.send", side_effect=requests.exceptions.ReadTimeout)
    with shop.app.test_request_context("/"):
        from models import User

        user = db.session.scalars(sa.select(User)).one()
        plan = readings.find_plan(lookup_key="premium_monthly")
        assert plan
        with pytest.raises(billing.Unavailable):
            attempts.subscribe(user, plan)
    mocker.stopall()

    assert alice.subscribe()["intent"] == "payment"
    assert len(alive(shop)) == 1


def test_a_replayed_answer_is_not_taken_for_news(shop):
    """What a repeated key brings back was true then: the row is asked for instead."""
    alice = shop.member()
    attempt = alice.subscribe()
    with shop.app.app_context():
        customer = shop.rows(Customer)[0]["id"]
        row = shop.rows(Checkout)[0]
        pay(shop.sandbox, attempt["clientSecret"])
        shop.settle()
        noted = sync.note(customer)
        answer = billing.create_subscription(row["params"], row["attempt"])
        assert (answer.replayed, answer.object["status"]) == (True, "incomplete")
        sync.learn(noted, answer)

    assert [one["status"] for one in shop.rows(Subscription)] == ["active"]


def test_too_much_at_once_is_a_503_that_says_when_to_come_back(shop, mocker):
    """Not our failure, and nothing is lost."""
    alice = shop.member()
    mocker.patch.object(sync, "learn", side_effect=sync.Contended("sub_1"))

    answer = alice.send("/create-subscription", lookupKey="premium_monthly")

    assert refusal(answer) == (503, "busy")
    assert answer.headers["Retry-After"] == "2"


@pytest.mark.parametrize("has_method", [False, True])
def test_a_trial_asks_for_a_payment_method_unless_it_has_one(shop, has_method):
    """Staff began it in the dashboard; its setup intent is still open there."""
    alice = shop.member()
    customer = alice.send("/create-customer").json()["customer"]["id"]
    stripe = shop.sandbox.client.v1
    (price,) = stripe.prices.list({"lookup_keys": ["premium_monthly"]}).data
    trial = {"customer": customer, "items": [{"price": price.id}], "trial_period_days": 10}
    made = stripe.subscriptions.create({**trial, "payment_behavior": "default_incomplete"})
    assert made.pending_setup_intent
    if has_method:
        method = stripe.payment_methods.attach("pm_card_visa", {"customer": customer})
        stripe.subscriptions.update(made.id, {"default_payment_method": method.id})
    assert stripe.subscriptions.retrieve(made.id).pending_setup_intent

    answer = alice.send("/create-subscription", lookupKey="premium_monthly")

    if has_method:
        assert refusal(answer) == (409, "already_subscribed")
    else:
        assert answer.json()["intent"] == "setup"
