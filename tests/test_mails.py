"""Which mail is sent when: once for each kind and object, and never on news that came too late."""

import json

import pytest

import config
import notices
import sync
from formatting import day
from models import Outbox
from tests.behind import ASKS, charge_to, fall_behind, subscriber, tell
from tests.shop import pay
from tests.stripe_objects import invoice as invoice_object

KINDS = list(notices.SUBJECTS)


@pytest.fixture
def shop(shop):
    """Mails wait for `flask tick`, as with any mail server: what they say stays in the outbox."""
    shop.app.config["MAIL_SERVER"] = "mail.example.com"
    return shop


@pytest.fixture
def alice(shop):
    """Alice has Premium, paid with Visa 4242."""
    return subscriber(shop)


def written(shop, *kinds):
    """The mails of the shop's own kinds, in order; what they said is in the files."""
    return [row for row in shop.rows(Outbox) if row["kind"] in (kinds or KINDS)]


def read(shop, kind):
    """The plain text of the one mail of a kind."""
    (mail,) = written(shop, kind)
    return mail["text"]


def test_a_failed_renewal_is_told_once_with_the_way_to_pay(alice, shop):
    """However often Stripe tries again."""
    invoice_id = fall_behind(shop, alice)
    shop.sandbox.advance(days=9)
    shop.settle()

    (mail,) = written(shop)

    assert (mail["kind"], mail["object_id"], mail["recipient"]) == ("payment_failed", invoice_id, "alice@example.com")
    assert mail["subject"] == "Your payment for Premium did not go through"
    text = read(shop, "payment_failed")
    assert f"{shop.url}/pay/{invoice_id}" in text
    assert "$15.00" in text
    assert "You keep access until" in text


def test_an_event_that_comes_twice_is_told_once(alice, shop):
    """Stripe delivers at least once."""
    shop.sandbox.post("deliveries", {"mode": "duplicate"})
    fall_behind(shop, alice)
    shop.sandbox.post("deliveries", {"mode": "deliver"})

    assert [mail["kind"] for mail in written(shop)] == ["payment_failed"]


def test_the_bank_that_asks_at_renewal_is_one_mail_of_its_own(alice, shop):
    """Not two: `invoice.payment_failed` comes as well."""
    invoice_id = fall_behind(shop, alice, ASKS)

    (mail,) = written(shop)

    assert (mail["kind"], mail["object_id"]) == ("action_required", invoice_id)
    assert f"{shop.url}/pay/{invoice_id}" in read(shop, "action_required")


def invoice_as_told(shop, invoice_id):
    """An invoice as an event of now would bring it."""
    found: dict[str, object] = json.loads(str(shop.sandbox.client.v1.invoices.retrieve(invoice_id)))
    return found


@pytest.mark.parametrize("first", ["invoice.payment_failed", "invoice.payment_action_required"])
def test_whichever_is_heard_of_first_the_bank_that_asks_is_one_mail(alice, shop, first):
    """Stripe's two events are of one second, and come in any order."""
    shop.sandbox.post("deliveries", {"mode": "drop"})
    invoice_id = fall_behind(shop, alice, ASKS)
    with shop.app.app_context():
        sync.customer(alice.customer)
    invoice = invoice_as_told(shop, invoice_id)
    for kind in sorted(["invoice.payment_failed", "invoice.payment_action_required"], key=lambda kind: kind != first):
        tell(shop, invoice, kind, created=shop.sandbox.now())

    assert [mail["kind"] for mail in written(shop)] == ["action_required"]


def test_what_was_paid_before_the_mail_went_out_is_not_asked_for(alice, shop):
    """The mail server was down meanwhile."""
    invoice_id = fall_behind(shop, alice)
    assert len(written(shop, "payment_failed")) == 1
    charge_to(shop, alice, "pm_card_visa")
    shop.sandbox.client.v1.invoices.pay(invoice_id)
    shop.settle()

    assert written(shop) == []


def test_nobody_is_asked_to_pay_for_what_has_ended(alice, shop):
    """News of the failure came after the end."""
    shop.sandbox.post("deliveries", {"mode": "drop"})
    invoice_id = fall_behind(shop, alice)
    v1 = shop.sandbox.client.v1
    v1.subscriptions.cancel(alice.subscription)
    with shop.app.app_context():
        sync.customer(alice.customer)
    assert v1.invoices.retrieve(invoice_id).status == "open"
    tell(shop, invoice_as_told(shop, invoice_id), "invoice.payment_failed", created=shop.sandbox.now())

    assert written(shop) == []


def test_no_date_that_is_over_is_promised(alice, shop):
    """News of the failure came when the grace was over."""
    shop.sandbox.post("deliveries", {"mode": "drop"})
    shop.app.config["GRACE_DAYS"] = 3
    invoice_id = fall_behind(shop, alice)
    shop.sandbox.advance(days=4)
    with shop.app.app_context():
        sync.customer(alice.customer)
    invoice = invoice_as_told(shop, invoice_id)
    tell(shop, invoice, "invoice.payment_failed", created=shop.sandbox.now())

    assert "You keep access" not in read(shop, "payment_failed")
    assert "Please pay it" in read(shop, "payment_failed")


def test_a_decline_on_the_page_is_no_mail(shop):
    """The page says it."""
    bob = shop.member("bob@example.com")
    pay(shop.sandbox, bob.subscribe()["clientSecret"], "4000000000009995")
    shop.settle()

    assert written(shop) == []


def test_news_of_a_failure_after_the_payment_tell_nobody_anything(alice, shop):
    """The event came late: by then the invoice was paid."""
    charge_to(shop, alice, "pm_card_chargeCustomerFail")
    shop.sandbox.post("deliveries", {"mode": "hold"})
    end = shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription)["items"].data[0].current_period_end
    shop.sandbox.advance_to(end + 7200)
    charge_to(shop, alice, "pm_card_visa")
    invoice_id = shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription).latest_invoice
    shop.sandbox.client.v1.invoices.pay(invoice_id)
    with shop.app.app_context():
        sync.customer(alice.customer)
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.sandbox.post("deliveries/flush", {})
    shop.settle()

    assert written(shop) == []


def test_a_trial_that_ends_is_told_three_days_before(shop):
    """With the price, and the date until which nothing is charged."""
    bob = subscriber(shop, "basic_monthly", "bob@example.com")
    v1 = shop.sandbox.client.v1
    price = v1.prices.list({"lookup_keys": ["premium_monthly"]}).data[0]
    method = v1.subscriptions.retrieve(bob.subscription).default_payment_method
    trial = {"customer": bob.customer, "items": [{"price": price.id}], "trial_period_days": 10}
    v1.subscriptions.create({**trial, "default_payment_method": method})
    shop.settle()
    assert written(shop) == []
    shop.sandbox.advance(days=7, hours=1)
    shop.settle()

    (mail,) = written(shop)

    assert mail["kind"] == "trial_ending"
    assert "From then on it costs $15.00 per month, charged to your saved payment method." in mail["text"]


def test_a_trial_without_a_payment_method_asks_for_one(shop):
    """Nothing could be charged; and the price is that of all seats, in the currency that is paid."""
    bob = shop.member("bob@example.com")
    customer = bob.send("/create-customer").json()["customer"]["id"]
    v1 = shop.sandbox.client.v1
    price = v1.prices.list({"lookup_keys": ["premium_monthly"]}).data[0]
    items = [{"price": price.id, "quantity": 3}]
    v1.subscriptions.create({"customer": customer, "items": items, "currency": "aud", "trial_period_days": 10})
    shop.sandbox.advance(days=7, hours=1)
    shop.settle()

    text = read(shop, "trial_ending")

    assert "From then on it costs A$69.00 per month." in text
    assert "A$23.00 per month × 3" in bob.get("/account").text
    assert "save a payment method in your account" in text


def test_the_end_is_told(alice, shop):
    """Whoever ended it."""
    alice.send("/cancel-subscription", subscriptionId=alice.subscription)
    shop.settle()

    (mail,) = written(shop)

    assert (mail["kind"], mail["subject"]) == ("subscription_ended", "Your Premium subscription has ended")
    assert "because its last invoice" not in read(shop, "subscription_ended")


def test_an_end_for_want_of_payment_says_so(alice, shop):
    """After the last try."""
    fall_behind(shop, alice)
    shop.sandbox.advance(days=30)
    shop.settle()

    assert [mail["kind"] for mail in written(shop)] == ["payment_failed", "subscription_ended"]
    assert "because its last invoice was not paid" in read(shop, "subscription_ended")


def test_an_attempt_that_was_never_paid_ends_in_silence(shop):
    """Nothing had begun."""
    bob = shop.member("bob@example.com")
    attempt = bob.subscribe()
    bob.send("/cancel-subscription", subscriptionId=attempt["subscriptionId"])
    shop.settle()

    assert written(shop) == []


def test_an_end_that_is_long_ago_is_no_news(alice, shop):
    """Its event waited somewhere for weeks."""
    shop.sandbox.post("deliveries", {"mode": "hold"})
    alice.send("/cancel-subscription", subscriptionId=alice.subscription)
    shop.sandbox.advance(days=20)
    alice.subscribe("basic_monthly")
    with shop.app.app_context():
        sync.customer(alice.customer)
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.sandbox.post("deliveries/flush", {})
    shop.settle()

    assert written(shop) == []


# --- a bank debit that fails days later


def test_a_first_debit_that_fails_says_that_nothing_is_owed(alice, shop):
    """The way on is to subscribe again."""
    v1 = shop.sandbox.client.v1
    invoice_id = v1.subscriptions.retrieve(alice.subscription).latest_invoice
    now = shop.sandbox.now()
    reference = {"customer_reference": None, "order_reference": invoice_id}
    intent = {"id": "pi_1", "object": "payment_intent", "customer": alice.customer, "payment_details": reference}
    tell(shop, intent, "payment_intent.processing", created=now)
    forget_payment(shop, invoice_id)
    invoice = invoice_object(invoice_id, alice.customer, total=1500, amount_remaining=1500)
    invoice["parent"]["subscription_details"]["subscription"] = alice.subscription
    tell(shop, invoice, "invoice.payment_failed", created=now + 5 * 86_400)

    (mail,) = written(shop)

    assert (mail["kind"], mail["object_id"]) == ("first_payment_failed", invoice_id)
    assert "Nothing is owed" in read(shop, "first_payment_failed")


def forget_payment(shop, invoice_id):
    import sqlalchemy as sa

    import db
    from models import Invoice

    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Invoice).where(Invoice.id == invoice_id).values(status="open"))


# --- the year's renewal


def upcoming(shop, alice, *, days=30):
    due = shop.sandbox.now() + days * 86_400
    return {
        "object": "invoice",
        "customer": alice.customer,
        "amount_due": 15000,
        "currency": "usd",
        "billing_reason": "upcoming",
        "next_payment_attempt": due,
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": alice.subscription}},
    }


def pay_by_the_year(shop):
    import sqlalchemy as sa

    import db
    from models import SubscriptionItem

    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(SubscriptionItem).values(interval="year"))


def test_a_years_renewal_is_told_ahead_once(alice, shop):
    """`invoice.upcoming` has no id."""
    pay_by_the_year(shop)
    invoice = upcoming(shop, alice)
    for _ in range(2):
        tell(shop, invoice, "invoice.upcoming", created=shop.sandbox.now())

    (mail,) = written(shop)

    assert mail["kind"] == "renewal_ahead"
    assert "$150.00" in read(shop, "renewal_ahead")


def test_a_months_renewal_is_not_told_ahead(alice, shop):
    """Nobody wants twelve of them."""
    tell(shop, upcoming(shop, alice), "invoice.upcoming", created=shop.sandbox.now())

    assert written(shop) == []


def test_who_has_cancelled_is_not_told_of_a_renewal(alice, shop):
    """There will be none."""
    pay_by_the_year(shop)
    invoice = upcoming(shop, alice)
    alice.send("/cancel-subscription", subscriptionId=alice.subscription, atPeriodEnd=True)
    shop.settle()
    tell(shop, invoice, "invoice.upcoming", created=shop.sandbox.now())

    assert written(shop, "renewal_ahead") == []


# --- switched off, and looked at


def test_a_kind_that_is_switched_off_is_not_written(alice, shop):
    """Where Stripe sends its own."""
    shop.app.config["MAILS_OFF"] = ["payment_failed"]
    fall_behind(shop, alice)

    assert written(shop) == []


def test_the_setting_names_kinds_that_there_are():
    """A typo stops the start."""
    assert set(config.MAIL_KINDS) == set(notices.SUBJECTS)
    assert config.mail_kinds("payment_failed, trial_ending") == ["payment_failed", "trial_ending"]
    with pytest.raises(config.Wrong, match="payment_faild"):
        config.mail_kinds("payment_faild")


@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_can_be_looked_at(runner, kind):
    """Its words are all there, in both forms."""
    text = runner.invoke(args=["mail", "preview", kind])
    html = runner.invoke(args=["mail", "preview", kind, "--html"])

    assert (text.exit_code, html.exit_code) == (0, 0)
    assert text.output.startswith("Subject: ")
    assert "Premium" in text.output
    assert "http://localhost/account" in text.output
    assert 'href="http://localhost/account"' in html.output
    assert "{" not in text.output


def change_plan(shop, alice, lookup_key, **more):
    """At Stripe, past our pages."""
    v1 = shop.sandbox.client.v1
    (item,) = v1.subscriptions.retrieve(alice.subscription)["items"].data
    (price,) = v1.prices.list({"lookup_keys": [lookup_key]}).data
    v1.subscriptions.update(alice.subscription, {"items": [{"id": item.id, "price": price.id}], **more})


def test_a_change_of_plan_is_confirmed_once(alice, shop):
    """Whoever made it, and however often it is delivered."""
    shop.sandbox.post("deliveries", {"mode": "duplicate"})
    change_plan(shop, alice, "basic_monthly")
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.settle()

    (mail,) = written(shop)

    assert (mail["kind"], mail["subject"]) == ("plan_changed", "You are now on Basic")
    assert "you are now on Basic, at $5.00 per month." in mail["text"]


def test_a_planned_change_is_confirmed_at_once_and_again_when_it_happens(alice, shop):
    """With both plans, the date and the price."""
    query = {"subscriptionId": alice.subscription, "newPriceLookupKey": "basic_monthly"}
    quoted = alice.get("/invoice-preview", params=query).json()
    shop.sandbox.post("deliveries", {"mode": "duplicate"})
    alice.send("/update-subscription", **query, quote=quoted["quote"])
    shop.settle()
    shop.sandbox.post("deliveries", {"mode": "deliver"})

    (mail,) = written(shop)
    with shop.app.app_context():
        date = day(quoted["effectiveAt"])
    assert (mail["kind"], mail["subject"]) == ("change_planned", f"You change to Basic on {date}")
    assert f"you keep Premium until {date}, and then change to Basic, at $5.00 per month." in mail["text"]
    assert "you can keep Premium in your account" in mail["text"]
    shop.sandbox.advance(days=32)
    shop.settle()
    assert [mail["kind"] for mail in written(shop)] == ["change_planned", "plan_changed"]


def test_a_planned_change_that_was_dropped_meanwhile_is_not_confirmed(alice, shop):
    """Its news came late."""
    query = {"subscriptionId": alice.subscription, "newPriceLookupKey": "basic_monthly"}
    quoted = alice.get("/invoice-preview", params=query).json()
    shop.sandbox.post("deliveries", {"mode": "hold"})
    alice.send("/update-subscription", **query, quote=quoted["quote"])
    alice.send("/undo-change", subscriptionId=alice.subscription)
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.sandbox.post("deliveries/flush", {})
    shop.settle()

    assert written(shop) == []


def test_a_cancellation_is_confirmed_once_with_its_date(alice, shop):
    """Cancelled, kept, and cancelled again: one mail for one end."""
    own = {"subscriptionId": alice.subscription}
    for path in ("/cancel-subscription", "/resume-subscription", "/cancel-subscription"):
        alice.send(path, **own, **({"atPeriodEnd": True} if "cancel" in path else {}))
        shop.settle()

    (mail,) = written(shop)

    end = shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription)["items"].data[0].current_period_end
    with shop.app.app_context():
        date = day(end)
    assert (mail["kind"], mail["subject"]) == ("ending_planned", f"Your Premium subscription ends on {date}")
    assert "You keep access until then" in mail["text"]


def test_a_cancellation_that_was_taken_back_meanwhile_is_not_confirmed(alice, shop):
    """Its news came late."""
    own = {"subscriptionId": alice.subscription}
    shop.sandbox.post("deliveries", {"mode": "hold"})
    alice.send("/cancel-subscription", **own, atPeriodEnd=True)
    alice.send("/resume-subscription", **own)
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.sandbox.post("deliveries/flush", {})
    shop.settle()

    assert written(shop) == []


def test_news_of_a_change_that_was_taken_back_are_not_told(alice, shop):
    """By the time they come, another plan is on."""
    shop.sandbox.post("deliveries", {"mode": "hold"})
    change_plan(shop, alice, "basic_monthly", proration_behavior="none")
    shop.sandbox.advance(hours=1)
    change_plan(shop, alice, "premium_monthly", proration_behavior="none")
    with shop.app.app_context():
        sync.customer(alice.customer)
    shop.sandbox.post("deliveries", {"mode": "deliver"})
    shop.sandbox.post("deliveries/flush", {})
    shop.settle()

    assert [mail["subject"] for mail in written(shop)] == ["You are now on Premium"]


def test_a_renewal_is_no_change_of_plan(alice, shop):
    """The same price goes on."""
    shop.sandbox.advance(days=32)
    shop.settle()

    assert written(shop) == []
