"""Bank debits: days pass between the order and the answer, and what is told meanwhile is true."""

import pytest
import requests

import cli
from models import Invoice, Outbox, Subscription
from tests.behind import REFUSED, charge_to, fall_behind, subscriber

GOOD, LATE, LATE_FAILING = "AT611904300234573201", "AT321904300235473204", "AT051904300235473205"
MINUTES = 200  # seconds: the sandbox's banks answer within three minutes


def confirm(shop, client_secret, iban):
    """Confirm a payment or setup with a SEPA debit, as Stripe.js does."""
    kind = "setup_intents" if client_secret.startswith("seti_") else "payment_intents"
    answer = requests.post(
        f"{shop.sandbox.url}/v1/{kind}/{client_secret.split('_secret_')[0]}/confirm",
        data={
            "key": "pk_test_sandbox",
            "client_secret": client_secret,
            "return_url": "http://localhost/complete",
            "use_stripe_sdk": "true",
            "payment_method_data[type]": "sepa_debit",
            "payment_method_data[sepa_debit][iban]": iban,
            "payment_method_data[billing_details][name]": "Ada",
            "payment_method_data[billing_details][email]": "ada@example.com",
        },
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    shop.settle()
    return answer.json()["status"]


def later(shop, seconds=MINUTES):
    shop.sandbox.advance(seconds)
    shop.settle()


def mails(shop):
    return [row["kind"] for row in shop.rows(Outbox) if row["kind"].endswith("payment_failed")]


def test_a_first_debit_opens_the_page_and_its_failure_closes_it(shop):
    """Active at Stripe all along; the mail says that nothing is owed, and one may subscribe again."""
    bob = shop.member("bob@example.com")
    attempt = bob.subscribe("premium_monthly", currency="eur")
    assert confirm(shop, attempt["clientSecret"], LATE_FAILING) == "processing"
    assert bob.may_see("premium")
    assert "On its way" in bob.get("/account").text

    later(shop)

    assert not bob.may_see("premium")
    assert mails(shop) == ["first_payment_failed"]
    with shop.app.app_context():
        cli.tick()
    shop.settle()
    again = bob.subscribe("premium_monthly", currency="eur")
    assert confirm(shop, again["clientSecret"], LATE) == "processing"
    later(shop)
    assert bob.may_see("premium")
    assert mails(shop) == ["first_payment_failed"]


@pytest.fixture
def bob(shop):
    """Bob pays in euros."""
    return subscriber(shop, "premium_monthly", "bob@example.com", currency="eur")


def test_renewals_are_debited_from_now_on(bob, shop):
    """The card is replaced by a bank account."""
    secret = bob.send("/create-setup-intent").json()["clientSecret"]
    assert confirm(shop, secret, GOOD) == "succeeded"

    answer = bob.send("/payment-method", setupIntentId=secret.split("_secret_")[0]).json()

    assert (answer["status"], answer["paymentMethod"]) == ("saved", "SEPA debit •••• 3201")
    later(shop, 32 * 86_400)
    newest = shop.sandbox.client.v1.charges.list().data[0]
    assert (newest.payment_method_details.type, newest.paid) == ("sepa_debit", True)


def to_premium(shop, visitor):
    """What a change to Premium would cost, or the refusal's code."""
    subscription = shop.rows(Subscription)[0]["id"]
    query = {"subscriptionId": subscription, "newPriceLookupKey": "premium_monthly"}
    answer = visitor.get("/invoice-preview", params=query).json()
    return query, answer["error"]["code"] if "error" in answer else answer


def test_who_pays_by_debit_gets_more_from_the_next_period_on(shop):
    """A debit takes days, and Stripe lets nothing wait for it: at the period's end, or at once with a card."""
    bob = subscriber(shop, "basic_monthly", "bob@example.com", currency="eur")
    secret = bob.send("/create-setup-intent").json()["clientSecret"]
    confirm(shop, secret, GOOD)
    bob.send("/payment-method", setupIntentId=secret.split("_secret_")[0])

    query, quoted = to_premium(shop, bob)

    assert (quoted["atOnce"], quoted["upgrade"], quoted["amountDue"], quoted["nextAmount"]) == (False, True, 0, 1500)
    assert bob.send("/update-subscription", **query, quote=quoted["quote"]).json()["status"] == "scheduled"


def test_while_a_debit_is_under_way_no_plan_is_changed(shop):
    """Told as what it is, not as owed; and once it has failed, nothing is credited."""
    bob = shop.member("bob@example.com")
    confirm(shop, bob.subscribe("basic_monthly", currency="eur")["clientSecret"], LATE_FAILING)

    assert to_premium(shop, bob)[1] == "payment_in_progress"
    later(shop)
    assert to_premium(shop, bob)[1] == "payment_open"


def test_a_renewal_under_way_is_told_and_so_is_its_failure(bob, shop):
    """No banner while it is on its way; then the date, a mail, and the way to pay."""
    charge_to(shop, bob, "pm_failedDelayed_at")
    (row,) = shop.rows(Subscription)
    end = shop.sandbox.client.v1.subscriptions.retrieve(row["id"])["items"].data[0].current_period_end
    shop.sandbox.advance_to(end + 3600 + 30)
    shop.settle()
    page = bob.get("/account").text
    assert "On its way" in page
    assert "did not go through" not in page
    assert bob.may_see("premium")

    later(shop)

    assert "did not go through" in bob.get("/account").text
    assert mails(shop) == ["payment_failed"]
    assert bob.may_see("premium")


@pytest.mark.parametrize(("iban", "arrives"), [(LATE, True), (LATE_FAILING, False)])
def test_an_open_invoice_is_paid_by_debit(bob, shop, iban, arrives):
    """Told as on its way with its date; in the end paid, or to be paid in another way."""
    invoice_id = fall_behind(shop, bob, REFUSED)
    begun = bob.send("/pay-invoice", invoiceId=invoice_id, savedMethod=False).json()
    assert confirm(shop, begun["clientSecret"], iban) == "processing"

    assert bob.send("/pay-invoice", invoiceId=invoice_id).json() == {"status": "processing"}
    assert "has been on its way since" in bob.get("/members/premium").text
    page = bob.get(f"/pay/{invoice_id}").text
    assert "on its way since" in page
    assert 'id="pay-saved"' not in page

    later(shop)

    page = bob.get(f"/pay/{invoice_id}").text
    assert ("This invoice is paid" in page) == arrives
    assert ('id="pay-saved"' in page) != arrives
    assert ("did not go through" in bob.get("/members/premium").text) != arrives
    assert [row["status"] for row in shop.rows(Invoice) if row["id"] == invoice_id] == ["paid" if arrives else "open"]
