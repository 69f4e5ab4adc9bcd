"""Past due: a banner with the date, one click to pay, 3D Secure at renewal, and nothing is charged twice."""

import pytest
import sqlalchemy as sa

import db
from formatting import day
from models import Invoice, Operation, Subscription
from tests.behind import ASKS, charge_to, complete_challenge, fall_behind, subscriber, tell
from tests.shop import pay

DAY = 86_400


@pytest.fixture
def alice(shop):
    """Alice has Premium, paid with Visa 4242."""
    return subscriber(shop)


def send(visitor, invoice_id, **fields):
    return visitor.send("/pay-invoice", invoiceId=invoice_id, **fields)


def paid(shop):
    return [charge.amount for charge in shop.sandbox.client.v1.charges.list().data if charge.paid]


def status_of(shop):
    (row,) = shop.rows(Subscription)
    return row["status"]


# --- the banner


def test_nothing_is_due_and_no_banner_is_shown(alice):
    """Every page is quiet."""
    assert "did not go through" not in alice.get("/account").text


@pytest.mark.parametrize("path", ["/", "/account", "/members/basic", "/members/premium", "/privacy", "/payment-method"])
def test_the_banner_stands_on_every_page_with_the_date_and_a_link(alice, shop, path):
    """The date is the end of the grace: 14 days after the invoice was finalized."""
    invoice_id = fall_behind(shop, alice)

    page = alice.get(path).text

    (since,) = (row["finalized_at"] for row in shop.rows(Invoice) if row["id"] == invoice_id)
    with shop.app.app_context():
        until = day(since + 14 * DAY)
    assert f"Your last payment did not go through. Pay by {until} to keep your access." in page
    assert 'href="/pay"' in page


def test_after_the_grace_the_banner_says_that_access_has_ended(alice, shop):
    """Past due, advance 15 days: the page closes without a restart."""
    fall_behind(shop, alice)
    assert alice.may_see("premium")
    shop.sandbox.advance(days=15)
    shop.settle()

    assert not alice.may_see("premium")


def test_a_member_page_with_a_banner_takes_two_statements(shop, alice):
    """User and gate: the banner takes what the gate has read."""
    import sqlalchemy as sa

    import db

    fall_behind(shop, alice)
    seen = []

    def note(_connection, _cursor, statement, *_rest):
        seen.append(statement)

    with shop.app.app_context():
        engine = db.engine()
    sa.event.listen(engine, "before_cursor_execute", note)
    page = alice.get("/members/premium").text
    sa.event.remove(engine, "before_cursor_execute", note)

    assert "did not go through" in page
    assert len(seen) == 2


def test_the_link_leads_to_the_invoice_to_pay(alice, shop):
    """And to the account when nothing is due."""
    assert alice.get("/pay").url == shop.url + "/account"
    invoice_id = fall_behind(shop, alice)

    answer = alice.get("/pay")

    assert answer.url == f"{shop.url}/pay/{invoice_id}"
    assert "Pay $15.00 with Visa •••• 0341" in answer.text


# --- paying


def test_what_is_not_asked_for_yet_cannot_be_paid(alice, shop):
    """A renewal's invoice is a draft for an hour."""
    end = shop.sandbox.client.v1.subscriptions.retrieve(alice.subscription)["items"].data[0].current_period_end
    shop.sandbox.advance_to(end + 60)
    shop.settle()
    (draft,) = [row["id"] for row in shop.rows(Invoice) if row["status"] == "draft"]

    assert alice.get(f"/pay/{draft}").status_code == 404


def test_an_open_invoice_of_what_is_not_behind_is_not_due(alice, shop):
    """Somebody wrote it by hand, or a change waits for it: it stands among the invoices."""
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Invoice).values(status="open"))

    assert alice.get("/pay").url.endswith("/account")


def test_of_two_invoices_the_older_one_is_due_first(alice, shop):
    """Two months behind."""
    newer = fall_behind(shop, alice)
    with shop.app.app_context(), db.write() as tx:
        tx.execute(sa.update(Invoice).values(status="open"))
    (older,) = [row["id"] for row in shop.rows(Invoice) if row["id"] != newer]

    assert alice.get("/pay").url.endswith(older)


def test_the_saved_method_is_charged_once(alice, shop):
    """The bank says yes this time."""
    invoice_id = fall_behind(shop, alice)
    charge_to(shop, alice, "pm_card_mastercard")

    assert send(alice, invoice_id).json() == {"status": "paid"}
    assert status_of(shop) == "active"
    assert "did not go through" not in alice.get("/account").text
    assert send(alice, invoice_id).json() == {"status": "paid"}
    assert paid(shop) == [1500, 1500]
    assert "This invoice is paid" in alice.get(f"/pay/{invoice_id}").text


def test_a_refusal_is_told_and_another_card_pays(alice, shop):
    """The secret in the answer is what the Payment Element takes."""
    invoice_id = fall_behind(shop, alice)

    answer = send(alice, invoice_id).json()

    assert (answer["status"], answer["message"]) == ("requires_payment_method", "Your card was declined.")
    pay(shop.sandbox, answer["clientSecret"], "5555555555554444")
    assert send(alice, invoice_id, savedMethod=False).json() == {"status": "paid"}
    shop.settle()
    assert (status_of(shop), paid(shop)) == ("active", [1500, 1500])


def test_pressing_again_after_a_refusal_tries_again(alice, shop):
    """A new try, a new key."""
    invoice_id = fall_behind(shop, alice)

    send(alice, invoice_id)
    send(alice, invoice_id)

    keys = [call["idempotency_key"] for call in shop.calls("POST", f"/v1/invoices/{invoice_id}/pay")]
    assert len(set(keys)) == 2


def test_another_method_can_be_taken_without_trying_the_saved_one(alice, shop):
    """`savedMethod: false` only asks for the secret."""
    invoice_id = fall_behind(shop, alice)

    answer = send(alice, invoice_id, savedMethod=False).json()

    assert answer["status"] == "requires_payment_method"
    assert answer["clientSecret"].startswith("pi_")
    assert shop.calls("POST", f"/v1/invoices/{invoice_id}/pay") == []


def test_3d_secure_at_renewal_is_finished_on_the_page(alice, shop):
    """The bank asked while nobody was there."""
    invoice_id = fall_behind(shop, alice, ASKS)

    answer = send(alice, invoice_id).json()

    assert answer["status"] == "requires_action"
    complete_challenge(shop, answer["clientSecret"])
    assert send(alice, invoice_id).json() == {"status": "paid"}
    assert paid(shop) == [1500, 1500]


def test_a_failed_challenge_can_be_tried_again(alice, shop):
    """The next press asks the bank anew."""
    invoice_id = fall_behind(shop, alice, ASKS)
    complete_challenge(shop, send(alice, invoice_id).json()["clientSecret"], "fail")

    again = send(alice, invoice_id).json()

    assert again["status"] == "requires_action"
    complete_challenge(shop, again["clientSecret"])
    assert send(alice, invoice_id).json() == {"status": "paid"}


def test_the_call_is_on_session(alice, shop):
    """The cardholder is there to answer the bank."""
    invoice_id = fall_behind(shop, alice)
    send(alice, invoice_id)

    (call,) = shop.calls("POST", f"/v1/invoices/{invoice_id}/pay")

    assert call["params"]["off_session"] in ("false", False)


# --- what goes wrong


def test_somebody_elses_invoice_does_not_exist(alice, shop):
    """404 for the page and for the payment."""
    invoice_id = fall_behind(shop, alice)
    mallory = shop.member("mallory@example.com")

    assert mallory.get(f"/pay/{invoice_id}").status_code == 404
    assert send(mallory, invoice_id).status_code == 404
    assert send(mallory, "in_nobodys").status_code == 404
    assert paid(shop) == [1500]


def test_nothing_is_charged_for_a_subscription_that_has_ended(alice, shop):
    """Its last invoice is still open at Stripe."""
    invoice_id = fall_behind(shop, alice)
    shop.sandbox.client.v1.subscriptions.cancel(alice.subscription)
    shop.settle()

    answer = send(alice, invoice_id)

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "nothing_owed")
    assert "Nothing is owed" in alice.get(f"/pay/{invoice_id}").text
    assert "did not go through" not in alice.get("/account").text


def test_a_void_invoice_is_not_paid(alice, shop):
    """Somebody let it go at Stripe."""
    invoice_id = fall_behind(shop, alice)
    shop.sandbox.client.v1.invoices.void_invoice(invoice_id)

    assert send(alice, invoice_id).json()["error"]["code"] == "nothing_owed"


def test_a_payment_whose_answer_got_lost_is_found(alice, shop):
    """It had gone through; pressed again, nothing is charged."""
    invoice_id = fall_behind(shop, alice)
    charge_to(shop, alice, "pm_card_visa")
    shop.sandbox.fault(method="POST", path="/pay$", status=500, times=9, when="after")
    assert send(alice, invoice_id).status_code == 503
    shop.sandbox.control("DELETE", "faults")

    assert send(alice, invoice_id).json() == {"status": "paid"}
    assert paid(shop) == [1500, 1500]


def test_with_stripe_down_nothing_is_charged_and_pressing_again_pays(alice, shop):
    """The second press, at the latest the third, has a key that is good."""
    invoice_id = fall_behind(shop, alice)
    charge_to(shop, alice, "pm_card_visa")
    shop.sandbox.fault(method="POST", path="/pay$", status=500, times=99)
    assert [send(alice, invoice_id).status_code for _ in range(3)] == [503, 503, 503]
    shop.sandbox.control("DELETE", "faults")

    assert send(alice, invoice_id).json() == {"status": "paid"}
    assert paid(shop) == [1500, 1500]
    assert "open" not in {row["state"] for row in shop.rows(Operation)}
    keys = [call["idempotency_key"] for call in shop.calls("POST", f"/v1/invoices/{invoice_id}/pay")]
    assert len(set(keys)) == 2  # Stripe may give the same failure for a day again


def test_without_any_method_the_secret_is_given(alice, shop):
    """The saved card was taken away."""
    invoice_id = fall_behind(shop, alice)
    (method,) = {row["default_payment_method"] for row in shop.rows(Subscription)}
    shop.sandbox.client.v1.payment_methods.detach(method)
    shop.settle()

    answer = send(alice, invoice_id).json()

    assert answer["status"] == "requires_payment_method"
    assert answer["clientSecret"]


# --- a bank debit under way


def debit(shop, invoice_id, status, *, created):
    """What Stripe tells of a debit on its way through the banks."""
    (invoice,) = (row for row in shop.rows(Invoice) if row["id"] == invoice_id)
    intent = {
        "id": "pi_1",
        "object": "payment_intent",
        "customer": invoice["customer_id"],
        "payment_details": {"customer_reference": None, "order_reference": invoice_id},
    }
    tell(shop, intent, f"payment_intent.{status}", created=created)


def test_a_debit_under_way_is_told_with_its_date_and_not_asked_for_again(alice, shop):
    """On the banner, on the page, in the account."""
    invoice_id = fall_behind(shop, alice)
    debit(shop, invoice_id, "processing", created=shop.sandbox.now() + DAY)

    assert "on its way since" in alice.get("/members/basic").text
    page = alice.get(f"/pay/{invoice_id}").text
    assert "on its way since" in page
    assert "Pay $15.00" not in page
    assert "On its way" in alice.get("/account").text


@pytest.mark.parametrize("order", [("processing", "payment_failed"), ("payment_failed", "processing")])
def test_a_debit_that_failed_later_is_asked_for_again(alice, shop, order):
    """Its failure is newer than its beginning, whichever was heard of first."""
    invoice_id = fall_behind(shop, alice)
    now = shop.sandbox.now()
    for status in order:
        debit(shop, invoice_id, status, created=now + (1 if status == "processing" else 5) * DAY)

    assert "did not go through" in alice.get("/members/basic").text
    assert "Pay $15.00" in alice.get(f"/pay/{invoice_id}").text


@pytest.mark.parametrize("ahead", [0, DAY])
def test_what_stripe_says_counts_more_than_what_is_noted(alice, shop, ahead):
    """The news of the failure got lost: asking finds it, also where the clock of an event was ahead of the answer's."""
    invoice_id = fall_behind(shop, alice)
    debit(shop, invoice_id, "processing", created=shop.sandbox.now() + ahead)
    send(alice, invoice_id, savedMethod=False)

    assert "did not go through" in alice.get("/members/basic").text


@pytest.mark.parametrize("body", [{}, {"invoiceId": 1}, {"invoiceId": "in_1", "savedMethod": "yes"}])
def test_odd_bodies_are_named(shop, body):
    """400."""
    answer = shop.member().send("/pay-invoice", body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_field")
