"""Replacing the payment method: put to use by the shop, or by the webhook if the browser is gone."""

import pytest
import requests

import billing
from models import Operation, PaymentMethod, SetupIntent, Subscription
from tests.shop import pay

MASTERCARD, CHALLENGED, POOR = "5555555555554444", "4000002500003155", "4000000000009995"


@pytest.fixture
def alice(shop):
    """Alice has Premium, paid with Visa 4242."""
    alice = shop.member()
    alice.subscription = alice.subscribe("premium_monthly")["subscriptionId"]
    pay(shop.sandbox, alice.subscribe("premium_monthly")["clientSecret"])
    shop.settle()
    return alice


def begin(visitor):
    answer = visitor.send("/create-setup-intent")
    assert answer.status_code == 200, answer.text
    return answer.json()["clientSecret"]


def set_up(shop, client_secret, number=MASTERCARD):
    """Confirm as Stripe.js does, with the publishable key and the secret."""
    return requests.post(
        f"{shop.sandbox.url}/v1/setup_intents/{intent_of(client_secret)}/confirm",
        data={
            "key": "pk_test_sandbox",
            "client_secret": client_secret,
            "return_url": "http://localhost/payment-method",
            "use_stripe_sdk": "true",
            "payment_method_data[type]": "card",
            "payment_method_data[card][number]": number,
            "payment_method_data[card][exp_month]": "12",
            "payment_method_data[card][exp_year]": "40",
            "payment_method_data[card][cvc]": "123",
        },
        timeout=30,
    )


def intent_of(client_secret):
    return client_secret.split("_secret_")[0]


def save(visitor, client_secret):
    return visitor.send("/payment-method", setupIntentId=intent_of(client_secret))


def charged_to(shop, subscription_id):
    """The last four of what Stripe charges: the subscription's method and the customer's."""
    v1 = shop.sandbox.client.v1
    subscription = v1.subscriptions.retrieve(subscription_id)
    customer = v1.customers.retrieve(subscription.customer)
    methods = (subscription.default_payment_method, customer.invoice_settings.default_payment_method)
    return [v1.payment_methods.retrieve(id).card.last4 if id else None for id in methods]


def test_a_new_card_is_charged_from_now_on(alice, shop):
    """Set on the subscription and on the customer; the account page shows it."""
    secret = begin(alice)
    set_up(shop, secret)

    answer = save(alice, secret).json()

    assert answer == {"status": "saved", "paymentMethod": "Mastercard •••• 4444", "payUrl": None}
    assert charged_to(shop, alice.subscription) == ["4444", "4444"]
    assert "Mastercard •••• 4444" in alice.get("/account").text
    assert shop.sandbox.client.v1.charges.list().data[0].amount == 1500


def test_the_next_renewal_is_charged_to_the_new_card(alice, shop):
    """That is what it is for."""
    secret = begin(alice)
    set_up(shop, secret)
    save(alice, secret)
    shop.sandbox.advance(days=32)
    shop.settle()

    newest = shop.sandbox.client.v1.charges.list().data[0]

    assert (newest.amount, newest.paid, newest.payment_method_details.card.last4) == (1500, True, "4444")


def test_the_webhook_finishes_what_a_browser_began_that_is_gone(alice, shop):
    """Nobody calls POST /payment-method."""
    set_up(shop, begin(alice))
    shop.settle()

    assert charged_to(shop, alice.subscription) == ["4444", "4444"]
    assert all(row["settled_at"] for row in shop.rows(SetupIntent))
    assert [row["default_payment_method"] for row in shop.rows(Subscription)] == [
        row["id"] for row in shop.rows(PaymentMethod) if row["last4"] == "4444"
    ]


def test_saving_twice_changes_one_thing_once(alice, shop):
    """Pressed three times, and the webhook besides."""
    secret = begin(alice)
    shop.sandbox.post("deliveries", {"mode": "hold"})
    set_up(shop, secret)

    assert [save(alice, secret).status_code for _ in range(3)] == [200, 200, 200]
    deliver(shop)
    assert len(shop.calls("POST", f"/v1/subscriptions/{alice.subscription}")) == 1
    assert charged_to(shop, alice.subscription) == ["4444", "4444"]


def test_what_was_saved_once_does_not_come_back(alice, shop):
    """Another card was chosen at Stripe since; then the old page is opened again."""
    secret = begin(alice)
    set_up(shop, secret)
    save(alice, secret)
    stripe = shop.sandbox.client.v1
    method = stripe.payment_methods.attach(
        "pm_card_amex", {"customer": str(stripe.subscriptions.retrieve(alice.subscription).customer)}
    )
    stripe.subscriptions.update(alice.subscription, {"default_payment_method": method.id})
    shop.settle()

    assert save(alice, secret).status_code == 200

    assert charged_to(shop, alice.subscription) == ["8431", "4444"]


def test_a_replacement_that_was_finished_later_stays(alice, shop):
    """The news of an older one comes late."""
    older = begin(alice)
    shop.sandbox.post("deliveries", {"mode": "hold"})
    set_up(shop, older, "378282246310005")
    newer = begin(alice)
    set_started(shop, intent_of(newer), 10)
    set_up(shop, newer)
    save(alice, newer)
    deliver(shop)

    assert charged_to(shop, alice.subscription) == ["4444", "4444"]


def deliver(shop):
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.sandbox.post("deliveries/flush", {})
    shop.settle()


def set_started(shop, id, later):
    import sqlalchemy as sa

    import db

    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(SetupIntent).where(SetupIntent.id == id).values(started_at=SetupIntent.started_at + later))


def test_what_waits_for_its_first_payment_is_left_to_that_payment(shop):
    """Its own payment decides what renewals are charged to."""
    bob = shop.member("bob@example.com")
    waiting = bob.subscribe("basic_monthly")["subscriptionId"]
    secret = begin(bob)
    set_up(shop, secret)

    assert save(bob, secret).json()["status"] == "saved"

    assert charged_to(shop, waiting) == [None, "4444"]


def test_a_subscription_that_ends_meanwhile_is_no_obstacle(alice, shop, mocker):
    """Cancelled elsewhere after Stripe was asked what there is: the card is kept for the next one."""
    secret = begin(alice)
    shop.sandbox.post("deliveries", {"mode": "hold"})
    set_up(shop, secret)
    update = billing.update_subscription

    def too_late(id, *args):
        shop.sandbox.client.v1.subscriptions.cancel(id)
        return update(id, *args)

    mocker.patch.object(billing, "update_subscription", side_effect=too_late)

    assert save(alice, secret).json()["status"] == "saved"

    assert charged_to(shop, alice.subscription)[1] == "4444"
    assert [row["status"] for row in shop.rows(Subscription)] == ["canceled"]


def test_one_that_the_bank_has_not_confirmed_is_not_saved(alice, shop):
    """3D Secure is still open."""
    secret = begin(alice)
    assert set_up(shop, secret, CHALLENGED).json()["status"] == "requires_action"

    answer = save(alice, secret)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "setup_unfinished")
    assert charged_to(shop, alice.subscription)[0] == "4242"


def test_a_declined_card_is_told_in_the_banks_words(alice, shop):
    """The old one stays."""
    secret = begin(alice)
    set_up(shop, secret, POOR)

    answer = save(alice, secret)

    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == "Your card has insufficient funds."
    assert charged_to(shop, alice.subscription)[0] == "4242"


def test_somebody_elses_replacement_does_not_exist(alice, shop):
    """404; an id that nobody began as well."""
    secret = begin(alice)
    set_up(shop, secret)
    mallory = shop.member("mallory@example.com")

    assert save(mallory, secret).status_code == 404
    assert mallory.send("/payment-method", setupIntentId="seti_1").status_code == 404


@pytest.mark.parametrize(("currency", "bank"), [("usd", None), ("eur", "sepa_debit"), ("aud", "au_becs_debit")])
def test_what_can_be_chosen_follows_the_currency(shop, currency, bank):
    """SEPA is for euros, BECS for Australian dollars."""
    bob = shop.member("bob@example.com")
    pay(shop.sandbox, bob.subscribe("basic_monthly", currency=currency)["clientSecret"])
    shop.settle()
    begin(bob)

    (call,) = shop.calls("POST", "/v1/setup_intents")

    assert list(call["params"]["allowed_payment_method_types"].values()) == ["card", "link", *([bank] if bank else [])]


def test_what_the_account_has_not_switched_on_leaves_cards(shop, mocker, caplog):
    """A log line says where to switch it on."""
    bob = shop.member("bob@example.com")
    pay(shop.sandbox, bob.subscribe("basic_monthly", currency="eur")["clientSecret"])
    shop.settle()
    create = billing.create_setup_intent

    def cards_only(values, key):
        if "sepa_debit" in values["allowed_payment_method_types"]:
            raise billing.Refused(param="allowed_payment_method_types")
        return create(values, key)

    mocker.patch.object(billing, "create_setup_intent", side_effect=cards_only)
    secret = begin(bob)

    set_up(shop, secret)
    assert save(bob, secret).json()["status"] == "saved"
    assert "dashboard.stripe.com/settings/payment_methods" in caplog.text


def test_with_stripe_down_in_the_middle_pressing_again_finishes_it(alice, shop):
    """The subscription had it, the customer had not."""
    secret = begin(alice)
    shop.sandbox.post("deliveries", {"mode": "hold"})
    set_up(shop, secret)
    shop.sandbox.fault(method="POST", path="^/v1/customers/", status=500, times=9)

    assert save(alice, secret).status_code == 503
    assert charged_to(shop, alice.subscription) == ["4444", None]
    shop.sandbox.control("DELETE", "faults")
    assert save(alice, secret).status_code == 200
    assert charged_to(shop, alice.subscription) == ["4444", "4444"]
    assert {row["state"] for row in shop.rows(Operation)} <= {"done"}
    deliver(shop)


def test_a_lost_answer_to_the_beginning_begins_nothing_twice(alice, shop):
    """The same key, the same setup intent."""
    shop.sandbox.fault(method="POST", path="^/v1/setup_intents$", status=500, times=9, when="after")
    assert alice.send("/create-setup-intent").status_code == 503
    shop.sandbox.control("DELETE", "faults")

    begin(alice)

    assert len(shop.sandbox.client.v1.setup_intents.list().data) == 1


def test_without_a_subscription_the_method_is_kept_for_the_next_one(shop):
    """It is the customer's."""
    bob = shop.member("bob@example.com")
    secret = begin(bob)
    set_up(shop, secret)

    assert save(bob, secret).json()["paymentMethod"] == "Mastercard •••• 4444"


@pytest.mark.parametrize("body", [{}, {"setupIntentId": 1}, {"setupIntentId": "x", "more": 1}])
def test_odd_bodies_are_named(alice, body):
    """400, and nothing happens."""
    answer = alice.send("/payment-method", body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_field")
