"""Changing plan: what is quoted is what is charged, and nothing else."""

import random

import pytest
import sqlalchemy as sa

import billing
import catalog
import changes
import db
import quotes
import sync
from models import Operation, Subscription, SubscriptionSchedule, User
from tests.shop import pay

CHALLENGED, FAILS_LATER = "4000002760003184", "4000000000000341"


def quote(visitor, lookup_key="premium_monthly", **changes):
    query = {"subscriptionId": visitor.subscription, "newPriceLookupKey": lookup_key, **changes}
    return visitor.get("/invoice-preview", params=query)


def confirm(visitor, token, lookup_key="premium_monthly"):
    fields = {"subscriptionId": visitor.subscription, "newPriceLookupKey": lookup_key}
    return visitor.send("/update-subscription", **fields, **({"quote": token} if token else {}))


def change(visitor, lookup_key="premium_monthly"):
    return confirm(visitor, quote(visitor, lookup_key).json()["quote"], lookup_key)


def refusal(answer):
    return answer.status_code, answer.json()["error"]["code"]


def charges(shop):
    """Amounts that were charged, newest first."""
    return [charge.amount for charge in shop.sandbox.client.v1.charges.list().data if charge.paid]


def plan_of(shop, visitor):
    subscription = shop.sandbox.client.v1.subscriptions.retrieve(visitor.subscription).to_dict()
    return subscription["items"]["data"][0]["price"]["lookup_key"]


def save_card(shop, visitor, token):
    """Renewals and changes are charged to this test card from now on."""
    stripe = shop.sandbox.client.v1
    customer = stripe.subscriptions.retrieve(visitor.subscription).customer
    method = stripe.payment_methods.attach(token, {"customer": customer})
    stripe.subscriptions.update(visitor.subscription, {"default_payment_method": method.id})
    shop.settle()


@pytest.fixture
def subscriber(shop):
    """Make somebody who has a plan."""

    def subscriber(lookup_key="basic_monthly", email="alice@example.com", **fields):
        visitor = shop.member(email)
        attempt = visitor.subscribe(lookup_key, **fields)
        pay(shop.sandbox, attempt["clientSecret"])
        shop.settle()
        visitor.subscription = attempt["subscriptionId"]
        return visitor

    return subscriber


@pytest.fixture
def alice(subscriber):
    """Alice has Basic, since ten days."""
    return subscriber()


# --- upgrades


def test_an_upgrade_is_quoted_line_by_line_and_charged_exactly_so(alice, shop):
    """Credit for what is left of Basic, the rest of the month in Premium, due today, and the next payment."""
    shop.sandbox.advance(days=10)
    quoted = quote(alice).json()

    credit, debit = quoted["invoice"]["lines"]
    assert credit["amount"] < 0 < debit["amount"]
    assert quoted["amountDue"] == credit["amount"] + debit["amount"] == quoted["invoice"]["total"]
    assert (quoted["atOnce"], quoted["nextAmount"], quoted["currency"]) == (True, 1500, "usd")
    answer = confirm(alice, quoted["quote"])
    assert (answer.status_code, answer.json()["status"]) == (200, "changed")
    assert charges(shop) == [quoted["amountDue"], 500]
    assert plan_of(shop, alice) == "premium_monthly"
    shop.settle()
    assert alice.may_see("premium")


def test_time_between_quote_and_confirmation_changes_nothing(alice, shop):
    """The quote holds for its moment, for ten minutes; of so dear a plan a minute is worth some cents."""
    made_by_hand(shop, "dear", unit_amount=99_900)
    shop.sandbox.advance(days=10)
    quoted = quote(alice, "dear").json()
    shop.sandbox.advance(seconds=quotes.QUOTE_LIFE - 60)

    assert confirm(alice, quoted["quote"], "dear").json()["status"] == "changed"
    assert charges(shop)[0] == quoted["amountDue"]


def test_confirming_twice_charges_once(alice, shop):
    """Safe to press again."""
    token = quote(alice).json()["quote"]

    assert [confirm(alice, token).json()["status"] for _ in range(3)] == ["changed"] * 3
    assert len(charges(shop)) == 2


def test_a_lost_answer_is_found_when_pressed_again(alice, shop):
    """Stripe did it; we did not hear."""
    token = quote(alice).json()["quote"]
    path = f"^/v1/subscriptions/{alice.subscription}$"
    shop.sandbox.fault(method="POST", path=path, status=500, times=9, when="after")
    assert confirm(alice, token).status_code == 503
    shop.sandbox.control("DELETE", "faults")

    assert confirm(alice, token).json()["status"] == "changed"
    assert len(charges(shop)) == 2


def test_without_a_quote_nothing_is_charged_and_one_comes_back(alice, shop):
    """409, with the quote to show."""
    answer = confirm(alice, None)

    assert refusal(answer) == (409, "quote_required")
    assert len(charges(shop)) == 1
    assert confirm(alice, answer.json()["error"]["quote"]["quote"]).json()["status"] == "changed"


@pytest.mark.parametrize("token", ["forged", "a.b.c", "x" * 2000])
def test_a_forged_quote_is_none(alice, shop, token):
    """Only we sign quotes."""
    assert refusal(confirm(alice, token)) == (409, "quote_required")
    assert len(charges(shop)) == 1


def test_another_customers_quote_is_none(alice, subscriber, shop):
    """It is signed for one person and one subscription."""
    bob = subscriber(email="bob@example.com")

    assert refusal(confirm(alice, quote(bob).json()["quote"])) == (409, "quote_required")


def test_an_old_quote_is_stale(alice, shop):
    """Ten minutes; the new one is shown, nothing is charged."""
    shop.sandbox.advance(days=10)
    quoted = quote(alice).json()
    shop.sandbox.advance(seconds=quotes.QUOTE_LIFE + 60)

    answer = confirm(alice, quoted["quote"])

    assert refusal(answer) == (409, "quote_stale")
    assert len(charges(shop)) == 1
    assert confirm(alice, answer.json()["error"]["quote"]["quote"]).json()["status"] == "changed"


def test_a_quote_of_a_subscription_that_changed_meanwhile_is_stale(alice, shop):
    """Staff gave a second seat: another amount than the one shown is never charged."""
    quoted = quote(alice).json()
    stripe = shop.sandbox.client.v1
    item = stripe.subscriptions.retrieve(alice.subscription).to_dict()["items"]["data"][0]["id"]
    stripe.subscriptions.update(
        alice.subscription, {"items": [{"id": item, "quantity": 2}], "proration_behavior": "none"}
    )

    assert refusal(confirm(alice, quoted["quote"])) == (409, "quote_stale")
    assert quote(alice).json()["nextAmount"] == 3000


def test_the_quantity_stays(alice, shop):
    """Stripe would set it to 1."""
    stripe = shop.sandbox.client.v1
    item = stripe.subscriptions.retrieve(alice.subscription).to_dict()["items"]["data"][0]["id"]
    stripe.subscriptions.update(
        alice.subscription, {"items": [{"id": item, "quantity": 3}], "proration_behavior": "none"}
    )
    change(alice)

    changed = stripe.subscriptions.retrieve(alice.subscription).to_dict()["items"]["data"][0]
    assert (changed["quantity"], changed["price"]["lookup_key"]) == (3, "premium_monthly")


def test_a_declined_upgrade_leaves_the_old_plan_and_says_so(alice, shop):
    """Nothing is charged; dropping it makes the account as it was."""
    save_card(shop, alice, "pm_card_chargeCustomerFail")
    shop.sandbox.advance(days=5)

    answer = change(alice).json()

    assert answer["status"] == "requires_payment_method"
    assert answer["message"] == "Your card was declined."
    assert plan_of(shop, alice) == "basic_monthly"
    shop.settle()
    assert alice.may_see("basic")
    assert not alice.may_see("premium")
    assert "waits for its payment" in alice.get("/account").text
    assert refusal(quote(alice)) == (409, "change_pending")
    assert alice.send("/undo-change", subscriptionId=alice.subscription).status_code == 200
    assert quote(alice).status_code == 200
    assert len(charges(shop)) == 1


def test_an_upgrade_the_bank_asks_about_waits_for_the_customer(alice, shop):
    """The old plan stays until the challenge is done on the page."""
    save_card(shop, alice, "pm_card_authenticationRequired")
    answer = change(alice).json()

    assert answer["status"] == "requires_action"
    assert answer["clientSecret"].startswith("pi_")
    assert plan_of(shop, alice) == "basic_monthly"


# --- coupons


@pytest.fixture
def half_price(alice, shop):
    """Alice pays half, for good."""
    stripe = shop.sandbox.client.v1
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "forever"})
    stripe.subscriptions.update(alice.subscription, {"discounts": [{"coupon": coupon.id}]})
    return alice


def test_the_next_amount_is_what_the_renewal_will_cost(half_price, shop):
    """With the coupon."""
    quoted = quote(half_price).json()
    confirm(half_price, quoted["quote"])
    shop.sandbox.advance_to(quoted["nextAt"] + 2 * 3600)

    assert charges(shop)[0] == quoted["nextAmount"] == 750


@pytest.mark.parametrize("lookup_key", ["premium_monthly", "basic_monthly"])
def test_a_quote_with_a_coupon_that_is_gone_is_stale(subscriber, shop, lookup_key):
    """Whether it was due now or at the next renewal."""
    alice = subscriber("basic_monthly" if lookup_key == "premium_monthly" else "premium_monthly")
    stripe = shop.sandbox.client.v1
    coupon = stripe.coupons.create({"percent_off": 50, "duration": "forever"})
    stripe.subscriptions.update(alice.subscription, {"discounts": [{"coupon": coupon.id}]})
    token = quote(alice, lookup_key).json()["quote"]
    stripe.subscriptions.update(alice.subscription, {"discounts": ""})

    answer = confirm(alice, token, lookup_key)

    assert refusal(answer) == (409, "quote_stale")
    assert answer.json()["error"]["quote"]["nextAmount"] in (1500, 500)
    assert len(charges(shop)) == 1


# --- downgrades


def test_a_downgrade_waits_for_the_periods_end(subscriber, shop):
    """Paid is paid: Premium stays until then, nothing is charged or given back."""
    alice = subscriber("premium_monthly")
    quoted = quote(alice, "basic_monthly").json()
    assert (quoted["amountDue"], quoted["atOnce"], quoted["nextAmount"]) == (0, False, 500)

    answer = confirm(alice, quoted["quote"], "basic_monthly").json()

    assert (answer["status"], answer["effectiveAt"]) == ("scheduled", quoted["effectiveAt"])
    shop.settle()
    assert "Changes to Basic on" in alice.get("/account").text
    assert alice.may_see("premium")
    shop.sandbox.advance(days=32)
    shop.settle()
    assert plan_of(shop, alice) == "basic_monthly"
    assert not alice.may_see("premium")
    assert alice.may_see("basic")
    assert charges(shop) == [500, 1500]


def test_a_scheduled_change_can_be_undone(subscriber, shop):
    """Until it happens."""
    alice = subscriber("premium_monthly")
    change(alice, "basic_monthly")

    assert alice.send("/undo-change", subscriptionId=alice.subscription).status_code == 200
    shop.settle()
    assert "Changes to Basic" not in alice.get("/account").text
    shop.sandbox.advance(days=32)
    assert plan_of(shop, alice) == "premium_monthly"


def test_undoing_what_is_not_there_is_a_success(alice):
    """Safe to press."""
    assert alice.send("/undo-change", subscriptionId=alice.subscription).status_code == 200


def test_cancelling_drops_a_scheduled_change_first(subscriber, shop):
    """Stripe refuses cancellation changes while a schedule is attached."""
    alice = subscriber("premium_monthly")
    change(alice, "basic_monthly")

    answer = alice.send("/cancel-subscription", subscriptionId=alice.subscription, atPeriodEnd=True)

    assert answer.json()["cancel_at_period_end"] is True
    shop.settle()
    assert [row["status"] for row in shop.rows(SubscriptionSchedule)] == ["released"]


def test_a_schedule_that_is_not_ours_is_never_touched(alice, shop):
    """Somebody arranged it in the dashboard."""
    stripe = shop.sandbox.client.v1
    schedule = stripe.subscription_schedules.create({"from_subscription": alice.subscription})

    assert refusal(quote(alice)) == (409, "scheduled_elsewhere")
    assert refusal(alice.send("/cancel-subscription", subscriptionId=alice.subscription)) == (
        409,
        "scheduled_elsewhere",
    )
    assert stripe.subscription_schedules.retrieve(schedule.id).status == "active"


# --- refusals


def test_the_same_plan_is_refused(alice):
    """There is nothing to change."""
    assert refusal(quote(alice, "basic_monthly")) == (409, "same_plan")


def test_an_unknown_plan_is_a_404(alice):
    """In any currency."""
    assert refusal(quote(alice, "gold_monthly")) == (404, "unknown_price")


def test_another_customers_subscription_does_not_exist(alice, subscriber):
    """404 for each of the three routes."""
    bob = subscriber(email="bob@example.com")
    bob.subscription = alice.subscription

    assert refusal(quote(bob)) == (404, "not_found")
    assert refusal(confirm(bob, "x")) == (404, "not_found")
    assert refusal(bob.send("/undo-change", subscriptionId=alice.subscription)) == (404, "not_found")


@pytest.mark.parametrize("missing", ["subscriptionId", "newPriceLookupKey"])
def test_a_missing_argument_is_named(alice, missing):
    """400."""
    assert refusal(quote(alice, **{missing: ""})) == (400, "invalid_field")


def test_while_a_renewal_is_being_charged_it_is_told_so(alice, shop):
    """Its invoice is a draft for an hour: nothing can be paid yet."""
    end = shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription)["items"].data[0].current_period_end
    shop.sandbox.advance_to(end + 60)

    assert refusal(quote(alice)) == (409, "renewing")


def test_what_was_written_off_is_not_credited(alice, shop):
    """Nor asked for: it cannot be paid here any more."""
    save_card(shop, alice, "pm_card_chargeCustomerFail")
    shop.sandbox.advance(days=32)
    stripe = shop.sandbox.client.v1
    stripe.invoices.mark_uncollectible(stripe.subscriptions.retrieve(alice.subscription).latest_invoice)

    assert refusal(quote(alice)) == (409, "written_off")


def test_past_due_must_pay_first(alice, shop):
    """What is owed comes before what is wanted."""
    save_card(shop, alice, "pm_card_chargeCustomerFail")
    shop.sandbox.advance(days=32)
    shop.settle()
    assert [row["status"] for row in shop.rows(Subscription)] == ["past_due"]

    assert refusal(quote(alice)) == (409, "payment_open")


def test_what_is_about_to_end_must_be_kept_first(alice):
    """And the message says so."""
    alice.send("/cancel-subscription", subscriptionId=alice.subscription, atPeriodEnd=True)

    assert refusal(quote(alice)) == (409, "ending")


def test_what_has_ended_is_not_changed(alice):
    """Subscribe again instead."""
    alice.send("/cancel-subscription", subscriptionId=alice.subscription)

    assert refusal(quote(alice)) == (409, "subscription_ended")


def test_a_preview_that_fails_is_an_error_and_never_a_zero(alice, shop):
    """503, and the page shows no amount."""
    shop.sandbox.fault(path="create_preview", status=500, times=9)
    answer = quote(alice)
    shop.sandbox.control("DELETE", "faults")

    assert refusal(answer) == (503, "billing_unavailable")
    assert "amountDue" not in answer.text


def test_stripe_down_in_the_middle_of_a_downgrade_leaves_it_safe_to_press_again(subscriber, shop):
    """The schedule was made, its phases were not."""
    alice = subscriber("premium_monthly")
    token = quote(alice, "basic_monthly").json()["quote"]
    shop.sandbox.fault(method="POST", path="^/v1/subscription_schedules/sub_sched", status=500, times=9)
    assert confirm(alice, token, "basic_monthly").status_code == 503
    shop.sandbox.control("DELETE", "faults")

    again = confirm(alice, token, "basic_monthly")

    assert again.json()["status"] == "scheduled"
    shop.sandbox.advance(days=32)
    assert plan_of(shop, alice) == "basic_monthly"


def tick(shop):
    """A minute or two later."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Operation).values(started_at=Operation.started_at - 100))
    with shop.app.app_context():
        changes.finish()


def test_a_downgrade_that_was_cut_off_and_forgotten_is_cleared_away(subscriber, shop):
    """A schedule without the change in it would only stand in the way."""
    alice = subscriber("premium_monthly")
    token = quote(alice, "basic_monthly").json()["quote"]
    shop.sandbox.fault(method="POST", path="^/v1/subscription_schedules/sub_sched", status=500, times=9)
    confirm(alice, token, "basic_monthly")
    shop.sandbox.control("DELETE", "faults")

    tick(shop)

    assert quote(alice, "basic_monthly").status_code == 200
    assert shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription).schedule is None


def test_an_upgrade_whose_answer_got_lost_is_settled_by_the_tick(alice, shop):
    """Nobody pressed again; the record says what happened."""
    token = quote(alice).json()["quote"]
    path = f"^/v1/subscriptions/{alice.subscription}$"
    shop.sandbox.fault(method="POST", path=path, status=500, times=9, when="after")
    confirm(alice, token)
    shop.sandbox.control("DELETE", "faults")

    tick(shop)

    assert [row["state"] for row in shop.rows(Operation) if row["kind"] == "change_plan"] == ["done"]
    assert len(charges(shop)) == 2


def test_a_quote_that_stripe_refused_is_not_tried_again(alice, shop):
    """A fresh one is shown instead."""
    token = quote(alice).json()["quote"]
    path = f"^/v1/subscriptions/{alice.subscription}$"
    shop.sandbox.fault(method="POST", path=path, status=400, times=1)
    assert confirm(alice, token).status_code == 409

    again = confirm(alice, token)

    assert refusal(again) == (409, "quote_stale")
    assert confirm(alice, again.json()["error"]["quote"]["quote"]).json()["status"] == "changed"


def lose_the_answer(shop, visitor, token):
    """Stripe does it, and we do not hear."""
    path = f"^/v1/subscriptions/{visitor.subscription}$"
    shop.sandbox.fault(method="POST", path=path, status=500, times=9, when="after")
    assert confirm(visitor, token).status_code == 503
    shop.sandbox.control("DELETE", "faults")


def test_a_renewal_after_a_lost_answer_is_not_taken_for_the_change(alice, shop):
    """The shop was down for weeks: of the renewal nothing is given back."""
    lose_the_answer(shop, alice, quote(alice).json()["quote"])
    shop.sandbox.advance(days=32)

    tick(shop)

    assert {row["state"] for row in shop.rows(Operation) if row["kind"] == "change_plan"} == {"done"}
    assert "refund" not in {row["kind"] for row in shop.rows(Operation)}


def test_a_change_that_stripe_knows_nothing_of_does_not_hold_up_the_next(alice, shop):
    """It has failed for good; the one behind it is settled."""
    lose_the_answer(shop, alice, quote(alice).json()["quote"])
    gone = {"id": "a" * 32, "kind": "change_plan", "subject": "sub_gone", "params": {"new": "price_x"}}
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.insert(Operation).values(**gone, state="open", started_at=0))

    with pytest.raises(ExceptionGroup):
        tick(shop)
    tick(shop)

    states = {row["subject"]: row["state"] for row in shop.rows(Operation) if row["kind"] == "change_plan"}
    assert states == {"sub_gone": "failed", alice.subscription: "done"}


def test_a_quote_that_another_tab_confirms_at_the_same_moment_is_charged_once(alice, shop, mocker):
    """Both have looked; one ends before the other writes down what it begins."""
    token = quote(alice).json()["quote"]
    ask = billing.preview_invoice
    overtaking: list[str] = []

    def overtaken(values):
        answer = ask(values)
        if not overtaking:
            overtaking.append("now")
            overtaking.append(confirm(alice, token).json()["status"])
        return answer

    mocker.patch.object(billing, "preview_invoice", side_effect=overtaken)

    assert confirm(alice, token).json()["status"] == "changed"
    assert overtaking[1] == "changed"
    assert len(charges(shop)) == 2


def test_another_change_that_waits_is_not_the_one_that_was_asked_for(alice, shop, many_plans):
    """Made elsewhere while our answer got lost."""
    stripe = shop.sandbox.client.v1
    token = quote(alice, "plan2_month").json()["quote"]
    path = f"^/v1/subscriptions/{alice.subscription}$"
    shop.sandbox.fault(method="POST", path=path, status=500, times=9)
    confirm(alice, token, "plan2_month")
    shop.sandbox.control("DELETE", "faults")
    save_card(shop, alice, "pm_card_chargeCustomerFail")
    item = stripe.subscriptions.retrieve(alice.subscription).to_dict()["items"]["data"][0]["id"]
    (price,) = stripe.prices.list({"lookup_keys": ["plan3_month"]}).data
    values = {"items": [{"id": item, "price": price.id}], "payment_behavior": "pending_if_incomplete"}
    stripe.subscriptions.update(alice.subscription, {**values, "proration_behavior": "always_invoice"})

    assert refusal(confirm(alice, token, "plan2_month")) == (409, "change_pending")


def charging(mocker, difference):
    """Have Stripe's next change cost another amount than its preview said."""
    update = billing.update_subscription

    def other_amount(subscription_id, values, key):
        answer = update(subscription_id, values, key)
        for name in ("total", "amount_due", "amount_paid"):
            answer.object["latest_invoice"][name] += difference
        return answer

    mocker.patch.object(billing, "update_subscription", side_effect=other_amount)


def test_an_invoice_that_differs_from_the_quote_is_given_back(alice, shop, mocker):
    """Should Stripe change its mind between preview and charge, the customer pays what was shown all the same."""
    quoted = quote(alice).json()
    charging(mocker, 200)
    assert confirm(alice, quoted["quote"]).json()["status"] == "changed"

    refunded = [charge.amount_refunded for charge in shop.sandbox.client.v1.charges.list().data]
    assert refunded == [200, 0]
    assert ("refund", "done") in {(row["kind"], row["state"]) for row in shop.rows(Operation)}


def test_an_unpaid_invoice_that_differs_from_the_quote_is_let_go(alice, shop, mocker):
    """Nothing is charged; the new amounts are to be looked at."""
    save_card(shop, alice, "pm_card_chargeCustomerFail")
    token = quote(alice).json()["quote"]
    charging(mocker, 200)

    assert refusal(confirm(alice, token)) == (409, "quote_stale")

    stripe = shop.sandbox.client.v1
    subscription = stripe.subscriptions.retrieve(alice.subscription, {"expand": ["latest_invoice"]}).to_dict()
    assert (subscription["pending_update"], subscription["latest_invoice"]["status"]) == (None, "void")
    assert len(charges(shop)) == 1
    assert quote(alice).status_code == 200


def test_of_an_invoice_that_is_less_than_quoted_nothing_is_given_back(alice, shop, mocker):
    """The customer has gained."""
    token = quote(alice).json()["quote"]
    charging(mocker, -200)

    assert confirm(alice, token).json()["status"] == "changed"

    assert shop.calls("POST", "/v1/refunds") == []


def test_who_pays_with_the_customers_card_changes_at_once(alice, shop):
    """The subscription has none of its own."""
    stripe = shop.sandbox.client.v1
    ended = stripe.subscriptions.cancel(alice.subscription)
    own = {"default_payment_method": str(ended.default_payment_method)}
    stripe.customers.update(str(ended.customer), {"invoice_settings": own})
    (price,) = stripe.prices.list({"lookup_keys": ["basic_monthly"]}).data
    alice.subscription = stripe.subscriptions.create(
        {"customer": str(ended.customer), "items": [{"price": price.id}]}
    ).id
    shop.settle()

    assert quote(alice).json()["atOnce"] is True


def test_several_plans_in_one_subscription_are_left_alone(alice, shop):
    """Made in the dashboard: which one would be changed?"""
    stripe = shop.sandbox.client.v1
    (price,) = stripe.prices.list({"lookup_keys": ["premium_monthly"]}).data
    stripe.subscriptions.update(alice.subscription, {"items": [{"price": price.id}], "proration_behavior": "none"})

    assert refusal(quote(alice)) == (409, "several_items")


def made_by_hand(shop, lookup_key, **amounts):
    """Another price of Basic."""
    stripe = shop.sandbox.client.v1
    product = str(stripe.prices.list({"lookup_keys": ["basic_monthly"]}).data[0].product)
    price = {"product": product, "currency": "usd", "recurring": {"interval": "month"}, "lookup_key": lookup_key}
    stripe.prices.create({**price, **amounts})
    shop.settle()


def test_what_is_more_is_told_in_the_currency_that_is_paid(subscriber, shop):
    """Dearer in dollars, cheaper in Australian ones."""
    alice = subscriber(currency="aud")
    made_by_hand(shop, "odd", unit_amount=600, currency_options={"aud": {"unit_amount": 700}})

    assert quote(alice, "odd").json()["upgrade"] is False


def test_a_plan_that_is_not_sold_in_the_currency_that_is_paid_is_a_404(subscriber, shop):
    """Stripe keeps a subscription's currency."""
    alice = subscriber(currency="eur")
    made_by_hand(shop, "dollars", unit_amount=900)

    assert refusal(quote(alice, "dollars")) == (404, "unknown_price")


def test_the_seats_stay_when_a_planned_change_happens(subscriber, shop):
    """Stripe would set them to 1; and what goes on after it has no end."""
    alice = subscriber("premium_monthly")
    stripe = shop.sandbox.client.v1
    item = stripe.subscriptions.retrieve(alice.subscription).to_dict()["items"]["data"][0]["id"]
    seats = [{"id": item, "quantity": 3}]
    stripe.subscriptions.update(alice.subscription, {"items": seats, "proration_behavior": "none"})
    change(alice, "basic_monthly")
    shop.sandbox.advance(days=64)

    changed = stripe.subscriptions.retrieve(alice.subscription).to_dict()
    assert (changed["status"], changed["schedule"], changed["items"]["data"][0]["quantity"]) == ("active", None, 3)
    assert charges(shop) == [1500, 1500, 1500]


def test_an_upgrade_takes_the_place_of_a_planned_change(subscriber, shop):
    """Stripe would bring the planned one over it at the period's end."""
    alice = subscriber("premium_monthly")
    made_by_hand(shop, "dear", unit_amount=9900)
    change(alice, "basic_monthly")

    assert change(alice, "dear").json()["status"] == "changed"

    shop.sandbox.advance(days=32)
    assert plan_of(shop, alice) == "dear"


def test_a_newer_quote_takes_the_place_of_one_whose_answer_got_lost(alice, shop):
    """Stripe never heard of the first one; its key is not used for the other."""
    path = f"^/v1/subscriptions/{alice.subscription}$"
    shop.sandbox.fault(method="POST", path=path, status=500, times=9)
    assert confirm(alice, quote(alice).json()["quote"]).status_code == 503
    shop.sandbox.control("DELETE", "faults")
    shop.sandbox.advance(days=5)
    quoted = quote(alice).json()

    assert confirm(alice, quoted["quote"]).json()["status"] == "changed"

    assert charges(shop) == [quoted["amountDue"], 500]
    assert {row["state"] for row in shop.rows(Operation) if row["kind"] == "change_plan"} == {"failed", "done"}


# --- during a trial


@pytest.mark.parametrize("method", [True, False])
@pytest.mark.parametrize(("old", "new", "amount"), [("basic", "premium", 1500), ("premium", "basic", 500)])
def test_during_a_trial_any_plan_is_taken_at_once_and_nothing_is_due(subscriber, shop, old, new, amount, method):
    """The trial goes on; what is charged at its end is what was said."""
    alice = subscriber()
    stripe = shop.sandbox.client.v1
    ended = stripe.subscriptions.cancel(alice.subscription)
    (price,) = stripe.prices.list({"lookup_keys": [f"{old}_monthly"]}).data
    card = {"default_payment_method": str(ended.default_payment_method)} if method else {}
    trial = {"customer": str(ended.customer), "items": [{"price": price.id}], "trial_period_days": 10, **card}
    alice.subscription = stripe.subscriptions.create(trial).id
    shop.settle()

    quoted = quote(alice, f"{new}_monthly").json()
    assert (quoted["amountDue"], quoted["atOnce"], quoted["nextAmount"]) == (0, True, amount)
    assert confirm(alice, quoted["quote"], f"{new}_monthly").json()["status"] == "changed"

    assert charges(shop) == [500]
    assert plan_of(shop, alice) == f"{new}_monthly"
    assert stripe.subscriptions.retrieve(alice.subscription).trial_end == quoted["nextAt"]
    shop.sandbox.advance(days=10, hours=2)
    assert charges(shop) == ([amount, 500] if method else [500])


# --- cut off between Stripe's answer and our commit


@pytest.mark.parametrize("lookup_key", ["premium_monthly", "basic_monthly"])
def test_a_process_that_dies_with_stripes_answer_in_hand_leaves_nothing_half_done(subscriber, shop, mocker, lookup_key):
    """An upgrade, a downgrade: pressed again, or a minute later, it is there once and charged once."""
    alice = subscriber("basic_monthly" if lookup_key == "premium_monthly" else "premium_monthly")
    token = quote(alice, lookup_key).json()["quote"]
    write = sync.learn
    calls: list[str] = []

    def dies(noted, answer, *objects):
        if shop.sandbox.requests()[-1]["method"] == "POST" and not calls:
            calls.append(answer.object["object"])
            raise SystemExit
        return write(noted, answer, *objects)

    mocker.patch.object(sync, "learn", side_effect=dies)
    with shop.app.test_request_context("/"), pytest.raises(SystemExit):
        changes.change(db.session.get_one(User, 1), alice.subscription, lookup_key, token)
    assert len(calls) == 1

    tick(shop)
    assert {row["state"] for row in shop.rows(Operation) if row["kind"].endswith(("_plan", "e_change"))} == {"done"}
    assert confirm(alice, token, lookup_key).json()["status"] in ("changed", "scheduled")
    shop.settle()
    shop.sandbox.advance(days=32)
    assert plan_of(shop, alice) == lookup_key
    assert charges(shop) == ([1500, 1000, 500] if lookup_key == "premium_monthly" else [500, 1500])


# --- two hundred changes


CATALOG = """
[[products]]
key = "{key}"
name = "{key}"
"""
PRICE = """
  [[products.prices]]
  lookup_key = "{key}_{interval}"
  interval = "{interval}"
  currency = "usd"
  unit_amount = {amount}
"""


@pytest.fixture
def many_plans(shop, tmp_path):
    """Eight plans of odd amounts, by the month and by the year."""
    text = ""
    for number, amount in enumerate((333, 500, 799, 1499)):
        key = f"plan{number}"
        text += CATALOG.format(key=key)
        text += PRICE.format(key=key, interval="month", amount=amount)
        text += PRICE.format(key=key, interval="year", amount=amount * 10 + 7)
    file = tmp_path / "plans.toml"
    file.write_text(text)
    with shop.app.app_context():
        list(catalog.bring_in_line(catalog.load(file)))
    return [f"plan{number}_{interval}" for number in range(4) for interval in ("month", "year")]


def disturb(chance, stripe, visitor, coupons):
    """What happens between two changes of plan: other seats, a coupon, none again."""
    if chance.random() < 0.4:
        item = stripe.subscriptions.retrieve(visitor.subscription).to_dict()["items"]["data"][0]["id"]
        seats = {"id": item, "quantity": chance.randrange(1, 6)}
        stripe.subscriptions.update(visitor.subscription, {"items": [seats], "proration_behavior": "always_invoice"})
    if chance.random() < 0.3:
        discounts = chance.choice([[{"coupon": coupon.id}] for coupon in coupons] + [""])
        stripe.subscriptions.update(visitor.subscription, {"discounts": discounts})


def test_in_two_hundred_changes_the_invoice_is_what_was_quoted(shop, many_plans, subscriber):
    """Random plans, seats, coupons and moments; to the cent."""
    chance = random.Random(7)
    stripe = shop.sandbox.client.v1
    coupons = [
        stripe.coupons.create({"percent_off": 15, "duration": "forever"}),
        stripe.coupons.create({"percent_off": 33.3, "duration": "repeating", "duration_in_months": 2}),
        stripe.coupons.create({"amount_off": 150, "currency": "usd", "duration": "forever"}),
    ]
    charged = scheduled = person = 0
    while charged + scheduled < 200:
        person += 1
        visitor = subscriber(chance.choice(many_plans[:2]), email=f"person{person}@example.com")
        for _ in range(10):
            shop.sandbox.advance(seconds=chance.randrange(1, 3 * 86_400))
            shop.settle()
            disturb(chance, stripe, visitor, coupons)
            wanted = chance.choice(many_plans)
            quoted = quote(visitor, wanted)
            if quoted.status_code == 409:
                assert refusal(quoted)[1] == "same_plan"
                continue
            answer = confirm(visitor, quoted.json()["quote"], wanted).json()
            if answer["status"] == "scheduled":
                scheduled += 1
                assert quoted.json()["amountDue"] == 0
                visitor.send("/undo-change", subscriptionId=visitor.subscription)
                continue
            charged += 1
            assert answer["status"] == "changed"
            latest = stripe.subscriptions.retrieve(visitor.subscription, {"expand": ["latest_invoice"]}).latest_invoice
            assert (latest.total, latest.amount_due) == (quoted.json()["invoice"]["total"], quoted.json()["amountDue"])

    assert min(charged, scheduled) > 40
    assert "refund" not in {row["kind"] for row in shop.rows(Operation)}
