"""What is cut off, raced or asked for twice at the worst moment: no second customer, no money kept, no change lost."""

import dataclasses
import re
from typing import Any

import pytest
import sqlalchemy as sa

import attempts
import billing
import catalog
import clock
import config
import db
import mail
import operations
import readings
import refunds
import subscriptions
from models import Checkout, Customer, Operation, Subscription, User
from tests.shop import pay
from tests.test_subscribe import alive, charges, refusal, set_checkout


@pytest.fixture
def alice(shop):
    return shop.member()


@pytest.fixture
def tick(shop):
    """`flask tick`, a minute later."""

    def tick():
        with shop.app.app_context(), db.write() as tx:
            tx.execute(sa.update(Operation).values(started_at=Operation.started_at - operations.PATIENCE))
        return shop.app.test_cli_runner().invoke(args=["tick"])

    return tick


@pytest.fixture
def pays_after(shop, mocker):
    """Pay at the moment when a question to Stripe has just been answered, once."""

    def pays_after(question, attempt):
        ask = getattr(billing, question)
        paid: list[str] = []

        def then_pay(*args):
            answer = ask(*args)
            if not paid:
                paid.append(pay(shop.sandbox, attempt["clientSecret"]).json()["status"])
            return answer

        mocker.patch.object(billing, question, side_effect=then_pay)
        return paid

    return pays_after


def money_kept(shop):
    return sum(charge.amount - charge.amount_refunded for charge in charges(shop))


# --- customers


def test_who_became_a_customer_between_two_looks_becomes_none_again(alice, shop, mocker):
    """The first request ends while the second has looked already, but written nothing down yet."""
    look, looks = readings.customer_of, []

    def slow_look(user_id):
        looks.append(found := look(user_id))
        if len(looks) == 1:
            alice.send("/create-customer")
        return found

    with shop.app.test_request_context("/"):
        user = db.session.scalars(sa.select(User)).one()
        mocker.patch.object(readings, "customer_of", side_effect=slow_look)
        customer = subscriptions.ensure_customer(user)

    assert looks[0] is None
    assert [one.id for one in shop.sandbox.client.v1.customers.list().data] == [customer.id]
    assert {row["state"] for row in shop.rows(Operation) if row["kind"] == "create_customer"} == {"done"}


def test_a_lost_customer_is_looked_for_until_stripe_answers(alice, shop):
    """Its key is too old, and the first look for it fails."""
    shop.sandbox.fault(method="POST", path="^/v1/customers$", status=500, times=9, when="after")
    alice.send("/create-customer")
    shop.sandbox.control("DELETE", "faults")
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Operation).where(Operation.kind == "create_customer").values(started_at=0))
    shop.sandbox.fault(method="GET", path="^/v1/customers$", status=500, times=9)
    assert alice.send("/create-customer").status_code == 503
    shop.sandbox.control("DELETE", "faults")

    alice.send("/create-customer")

    assert len(shop.sandbox.client.v1.customers.list().data) == len(shop.rows(Customer)) == 1


def test_what_came_of_a_lost_customer_is_taken_up(alice, shop):
    """Somebody subscribed them in Stripe's dashboard before we heard that they are ours."""
    shop.sandbox.fault(method="POST", path="^/v1/customers$", status=500, times=9, when="after")
    alice.send("/create-customer")
    shop.sandbox.control("DELETE", "faults")
    stripe = shop.sandbox.client.v1
    customer = stripe.customers.list().data[0].id
    method = stripe.payment_methods.attach("pm_card_visa", {"customer": customer})
    price = stripe.prices.list({"lookup_keys": ["basic_monthly"]}).data[0].id
    stripe.subscriptions.create(
        {"customer": customer, "items": [{"price": price}], "default_payment_method": method.id}
    )
    shop.settle()
    assert not alice.may_see("basic")

    alice.send("/create-customer")

    assert alice.may_see("basic")


# --- subscribing


@pytest.mark.parametrize("ended_meanwhile", [False, True])
def test_a_subscription_whose_first_debit_never_arrived_makes_room_for_a_new_one(alice, shop, mocker, ended_meanwhile):
    """Active at Stripe, its first invoice void: it is ended, by us or by somebody faster, and can be bought again."""
    dead = alice.subscribe("basic_monthly")
    pay(shop.sandbox, dead["clientSecret"])
    shop.settle()
    ask = billing.retrieve_checkout

    def as_after_a_failed_debit(id):
        answer = ask(id)
        if id != dead["subscriptionId"]:
            return answer
        if ended_meanwhile:
            shop.sandbox.client.v1.subscriptions.cancel(id)
        invoice = {**answer.object["latest_invoice"], "status": "void"}
        return dataclasses.replace(answer, object={**answer.object, "latest_invoice": invoice})

    mocker.patch.object(billing, "retrieve_checkout", side_effect=as_after_a_failed_debit)

    attempt = alice.subscribe("basic_monthly")

    assert [one.id for one in alive(shop)] == [attempt["subscriptionId"]]
    assert attempt["subscriptionId"] != dead["subscriptionId"]


def test_an_old_answer_that_a_key_brings_back_takes_nobodys_access(alice, shop):
    """Paid on Stripe's own page after our answer got lost; then asked for again, and Stripe goes down in between."""
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions$", status=500, times=9, when="after")
    alice.send("/create-subscription", lookupKey="premium_monthly")
    shop.sandbox.control("DELETE", "faults")
    pay(shop.sandbox, shop.sandbox.client.v1.payment_intents.list().data[0].client_secret)
    shop.settle()
    set_checkout(shop, asked_at=clock.wall() - operations.PATIENCE)
    shop.sandbox.fault(method="GET", path="^/v1/subscriptions/", status=500, times=9)

    assert alice.send("/create-subscription", lookupKey="premium_monthly").status_code == 503

    shop.sandbox.control("DELETE", "faults")
    assert [row["status"] for row in shop.rows(Subscription)] == ["active"]
    assert alice.may_see("premium")


def test_a_price_that_was_replaced_while_its_page_was_open_is_not_sold(alice, shop, tmp_path):
    """Nobody pays another amount than the page showed."""
    page = alice.get("/subscribe?price=premium_monthly&currency=usd").text
    (shown,) = re.findall(r'data-price-id="([^"]+)"', page)
    dearer = tmp_path / "catalog.toml"
    dearer.write_text((config.ROOT / "catalog.toml").read_text().replace("unit_amount = 1500", "unit_amount = 2500"))
    with shop.app.app_context():
        assert list(catalog.bring_in_line(catalog.load(dearer)))

    answer = alice.send("/create-subscription", priceId=shown, currency="usd")

    assert refusal(answer) == (404, "unknown_price")
    assert shop.rows(Checkout) == []


# --- races


@pytest.fixture
def after_listing(mocker):
    """Do something right after Stripe has listed a customer's subscriptions, once."""

    def after_listing(act):
        listed = billing.subscriptions_of
        done: list[bool] = []

        def then_act(customer_id):
            yield from list(listed(customer_id))
            if not done:
                done.append(True)
                act()

        mocker.patch.object(billing, "subscriptions_of", side_effect=then_act)

    return after_listing


def test_who_saw_nothing_at_stripe_just_before_another_began_goes_on_with_that(alice, shop, after_listing):
    """Two tabs, after a cancellation: the second one overtakes the first."""
    first = alice.subscribe("premium_monthly")
    alice.send("/cancel-subscription", subscriptionId=first["subscriptionId"])
    shop.settle()
    overtaking = []
    after_listing(lambda: overtaking.append(alice.subscribe("premium_monthly")))

    attempt = alice.subscribe("premium_monthly")

    assert overtaking == [attempt]
    assert [one.id for one in alive(shop)] == [attempt["subscriptionId"]]


def test_an_answer_that_comes_late_but_before_another_plan_is_begun_counts(alice, shop, after_listing):
    """A creation took over a minute; what it made is ended, not left beside the new one."""
    alice.subscribe("basic_monthly")
    (made,) = alive(shop)
    set_checkout(
        shop, state="creating", subscription_id=None, asked_at=clock.wall() - operations.PATIENCE, attempt="slow"
    )
    shop.sandbox.client.v1.subscriptions.cancel(made.id)
    slow = []

    def answer():
        values = {"customer": made.customer, "items": [{"price": made.to_dict()["items"]["data"][0]["price"]["id"]}]}
        late = shop.sandbox.client.v1.subscriptions.create({**values, "payment_behavior": "default_incomplete"})
        slow.append(late.id)
        set_checkout(shop, state="open", subscription_id=late.id)

    after_listing(answer)

    attempt = alice.subscribe("premium_monthly")

    assert [one.id for one in alive(shop)] == [attempt["subscriptionId"]]
    assert slow != [attempt["subscriptionId"]]


def test_of_two_that_ask_for_a_lost_answer_again_one_waits(alice, shop, mocker):
    """The others see that somebody is at it."""
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions$", status=500, times=9, when="after")
    alice.send("/create-subscription", lookupKey="premium_monthly")
    shop.sandbox.control("DELETE", "faults")
    set_checkout(shop, asked_at=clock.wall() - operations.PATIENCE)
    create = billing.create_subscription
    others: list[Any] = []

    def meanwhile(*args):
        if not others:
            others.append("asks")
            others.append(alice.send("/create-subscription", lookupKey="premium_monthly"))
        return create(*args)

    mocker.patch.object(billing, "create_subscription", side_effect=meanwhile)
    alice.subscribe("premium_monthly")

    assert refusal(others[1]) == (409, "attempt_in_progress")


def test_a_subscription_that_lives_counts_before_a_newer_one_that_waits_for_its_payment(alice, shop):
    """Both were made elsewhere: nobody pays for a second one."""
    customer = alice.send("/create-customer").json()["customer"]["id"]
    shop.sandbox.post("deliveries", {"mode": "drop"})
    stripe = shop.sandbox.client.v1
    method = stripe.payment_methods.attach("pm_card_visa", {"customer": customer})
    price = stripe.prices.list({"lookup_keys": ["basic_monthly"]}).data[0].id
    order = {"customer": customer, "items": [{"price": price}]}
    stripe.subscriptions.create({**order, "default_payment_method": method.id})
    stripe.subscriptions.create({**order, "payment_behavior": "default_incomplete"})

    answer = alice.send("/create-subscription", lookupKey="basic_monthly")

    assert refusal(answer) == (409, "already_subscribed")


@pytest.mark.parametrize("lookup_key", ["basic_monthly", "premium_monthly"])
def test_while_a_payment_is_under_way_nothing_else_is_begun(alice, shop, mocker, lookup_key):
    """Stripe says `processing`: the money may still arrive."""
    first = alice.subscribe("basic_monthly")
    ask = billing.invoice_intent
    mocker.patch.object(billing, "invoice_intent", side_effect=lambda id: {**(ask(id) or {}), "status": "processing"})

    answer = alice.send("/create-subscription", lookupKey=lookup_key)

    assert refusal(answer) == (409, "payment_in_progress")
    assert [one.id for one in alive(shop)] == [first["subscriptionId"]]


# --- money that nothing is given for


def test_a_refund_that_stripe_did_not_answer_is_made_a_minute_later(alice, shop, pays_after, tick):
    """The payment for the earlier plan won the race, and then Stripe went down."""
    basic = alice.subscribe("basic_monthly")
    paid = pays_after("invoice_intent", basic)
    shop.sandbox.fault(method="POST", path="^/v1/refunds$", status=500, times=9)
    assert alice.send("/create-subscription", lookupKey="premium_monthly").status_code == 503
    shop.sandbox.control("DELETE", "faults")
    assert (paid, money_kept(shop)) == (["succeeded"], 500)

    assert tick().exit_code == tick().exit_code == 0

    assert money_kept(shop) == 0
    assert len(shop.calls("POST", "/v1/refunds")) > 0
    assert {row["state"] for row in shop.rows(Operation)} == {"done"}


def test_a_refund_that_somebody_made_by_hand_meanwhile_is_done(alice, shop, pays_after, tick):
    """Stripe says that there is nothing left to give back."""
    basic = alice.subscribe("basic_monthly")
    pays_after("invoice_intent", basic)
    shop.sandbox.fault(method="POST", path="^/v1/refunds$", status=500, times=9)
    alice.send("/create-subscription", lookupKey="premium_monthly")
    shop.sandbox.control("DELETE", "faults")
    shop.sandbox.client.v1.refunds.create({"charge": charges(shop)[0].id})

    assert tick().exit_code == 0

    assert {row["state"] for row in shop.rows(Operation) if row["kind"] == "refund"} == {"done"}


def test_a_process_killed_before_the_refund_keeps_no_money(alice, shop, pays_after, tick, mocker):
    """Stripe has cancelled and answered; then the lights went out."""
    basic = alice.subscribe("basic_monthly")
    pays_after("invoice_intent", basic)
    mocker.patch.object(refunds, "_give_back_first_payment", side_effect=SystemExit)
    with shop.app.test_request_context("/"):
        user = db.session.scalars(sa.select(User)).one()
        plan = readings.find_plan(lookup_key="premium_monthly")
        assert plan
        with pytest.raises(SystemExit):
            attempts.subscribe(user, plan)
    mocker.stopall()
    assert money_kept(shop) == 500

    assert tick().exit_code == 0

    assert (money_kept(shop), alive(shop)) == (0, [])


def test_a_minute_has_to_pass_before_somebody_elses_refund_is_taken_up(alice, shop, pays_after):
    """The request that began it may still be at it."""
    basic = alice.subscribe("basic_monthly")
    pays_after("invoice_intent", basic)
    shop.sandbox.fault(method="POST", path="^/v1/refunds$", status=500, times=9)
    alice.send("/create-subscription", lookupKey="premium_monthly")
    shop.sandbox.control("DELETE", "faults")

    shop.app.test_cli_runner().invoke(args=["tick"])

    assert money_kept(shop) == 500


def test_dropping_an_order_that_is_paid_at_that_moment_gives_the_money_back(alice, shop, pays_after):
    """Whoever drops an unpaid order does not mean to pay for it."""
    basic = alice.subscribe("basic_monthly")
    paid = pays_after("retrieve_checkout", basic)

    answer = alice.send("/cancel-subscription", subscriptionId=basic["subscriptionId"], atPeriodEnd=True)

    assert (paid, answer.json()["status"]) == (["succeeded"], "canceled")
    assert money_kept(shop) == 0


def test_a_part_is_not_given_back_twice_when_the_key_is_too_old(alice, shop):
    """Stripe may have forgotten that it did it; somebody has to look."""
    pay(shop.sandbox, alice.subscribe("basic_monthly")["clientSecret"])
    invoice = shop.sandbox.client.v1.invoices.list().data[0].id
    shop.sandbox.fault(method="POST", path="^/v1/refunds$", status=500, times=9, when="after")
    with shop.app.test_request_context("/"), pytest.raises(billing.Unavailable):
        refunds.give_back(invoice, 1, amount=100)
    shop.sandbox.control("DELETE", "faults")
    with shop.app.app_context(), db.write() as tx:
        old = clock.wall() - operations.KEY_LIFE - 1
        tx.execute(sa.update(Operation).where(Operation.kind == "refund").values(started_at=old))
    shop.sandbox.control("DELETE", "requests")

    shop.app.test_cli_runner().invoke(args=["tick"])

    assert shop.calls("POST", "/v1/refunds") == []
    assert {row["state"] for row in shop.rows(Operation) if row["kind"] == "refund"} == {"failed"}


# --- cancelling


def test_a_cancellation_holds_though_one_before_it_got_no_answer_and_was_taken_back(alice, shop):
    """The first one's key would bring back its old answer and change nothing."""
    attempt = alice.subscribe("basic_monthly")
    pay(shop.sandbox, attempt["clientSecret"])
    own = {"subscriptionId": attempt["subscriptionId"]}
    shop.sandbox.fault(method="POST", path="^/v1/subscriptions/", status=500, times=9, when="after")
    assert alice.send("/cancel-subscription", **own, atPeriodEnd=True).status_code == 503
    shop.sandbox.control("DELETE", "faults")
    assert alice.send("/resume-subscription", **own).json()["cancel_at_period_end"] is False

    answer = alice.send("/cancel-subscription", **own, atPeriodEnd=True)

    assert answer.json()["cancel_at_period_end"] is True
    assert shop.sandbox.client.v1.subscriptions.retrieve(own["subscriptionId"]).cancel_at_period_end


# --- what is due


def test_what_fails_in_a_tick_does_not_hold_up_the_rest(shop, mocker, tick):
    """Mails go out though Stripe is down; the exit code tells."""
    mocker.patch("access.dead_subscriptions", side_effect=billing.Unavailable)
    send = mocker.patch.object(mail, "send_pending")

    assert tick().exit_code != 0

    assert send.called


def test_one_that_stripe_will_not_end_does_not_keep_the_next_one_alive(alice, shop, mocker, tick):
    """Each dead subscription for itself."""
    subscription = alice.subscribe()["subscriptionId"]
    customer = shop.rows(Customer)[0]["id"]
    mocker.patch("access.dead_subscriptions", return_value=[("sub_stuck", customer), (subscription, customer)])
    shop.sandbox.fault(method="DELETE", path="^/v1/subscriptions/sub_stuck$", status=400, times=9)

    assert tick().exit_code == 0

    assert alive(shop) == []
