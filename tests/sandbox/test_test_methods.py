"""Stripe's test cards and test accounts: every number does what it is for, at the time it is for."""

from typing import Any

import pytest

from tests.sandbox.acts import browser, card_fields, challenge, confirm, refused
from tests.sandbox.test_bank_debits import debit
from tests.sandbox_process import SandboxProcess

SOON, LATER = 5, 180  # seconds until a bank tells
# Number, token if there is one, brand, country, funding.
GOOD_CARDS = [
    ("4242424242424242", "visa", "visa", "US", "credit"),
    ("4000056655665556", "visa_debit", "visa", "US", "debit"),
    ("5555555555554444", "mastercard", "mastercard", "US", "credit"),
    ("2223003122003222", "", "mastercard", "US", "credit"),
    ("5200828282828210", "mastercard_debit", "mastercard", "US", "debit"),
    ("5105105105105100", "mastercard_prepaid", "mastercard", "US", "prepaid"),
    ("378282246310005", "", "amex", "US", "credit"),
    ("371449635398431", "amex", "amex", "US", "credit"),
    ("6011111111111117", "", "discover", "US", "credit"),
    ("6011000990139424", "discover", "discover", "US", "credit"),
    ("6011981111111113", "", "discover", "US", "debit"),
    ("3056930009020004", "diners", "diners", "US", "credit"),
    ("36227206271667", "", "diners", "US", "credit"),
    ("3566002020360505", "jcb", "jcb", "JP", "credit"),
    ("6200000000000005", "unionpay", "unionpay", "CN", "credit"),
    ("6205500000000000004", "", "unionpay", "CN", "credit"),
    ("4000002500001001", "visa_cartesBancaires", "visa", "FR", "credit"),
    ("5555552500001001", "mastercard_cartesBancaires", "mastercard", "FR", "credit"),
    ("4000002500000003", "fr", "visa", "FR", "credit"),
    ("4000002760000016", "de", "visa", "DE", "credit"),
    ("4000008260000000", "gb", "visa", "GB", "credit"),
    ("4000001240000000", "ca", "visa", "CA", "credit"),
    ("4000000760000002", "br", "visa", "BR", "credit"),
    ("4000000360000006", "au", "visa", "AU", "credit"),
    ("4000000000003055", "threeDSecureOptional", "visa", "US", "credit"),
    ("4000000000000077", "bypassPending", "visa", "US", "credit"),
]
ASKS, PAYS, STOPS = "requires_action", "succeeded", "authentication_required"
# Number; with the cardholder there; without them; without them after a set-up; after a completed challenge.
CHALLENGED = [
    ("4000002500003155", ASKS, STOPS, PAYS, PAYS),
    ("4000002760003184", ASKS, STOPS, STOPS, PAYS),
    ("4000003800000446", ASKS, PAYS, PAYS, PAYS),
    ("4000008260003178", ASKS, STOPS, STOPS, "insufficient_funds"),
    ("4000000000003220", ASKS, STOPS, PAYS, PAYS),
    ("4000008400001629", ASKS, STOPS, "generic_decline", "generic_decline"),
]
# Token and code of what can't even be saved; then those that can, but not charged.
REFUSED = [
    ("visa_chargeDeclined", "card_declined", "generic_decline"),
    ("chargeDeclined", "card_declined", "generic_decline"),
    ("visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("visa_chargeDeclinedVelocityLimitExceeded", "card_declined", "card_velocity_exceeded"),
    ("chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ("chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    ("chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ("radarBlock", "card_declined", "fraudulent"),
]
# What a debit comes to: paid (None), a failure code, or a dispute.
COULD_NOT = "generic_could_not_process"
IBANS = [
    ("AT611904300234573201", "success_at", SOON, None),
    ("AT321904300235473204", "successDelayed_at", LATER, None),
    ("AT861904300235473202", "failed_at", SOON, COULD_NOT),
    ("AT051904300235473205", "failedDelayed_at", LATER, COULD_NOT),
    ("AT591904300235473203", "disputed_at", SOON, "dispute"),
    ("AT981904300000343434", "exceedsWeeklyVolumeLimit_at", SOON, "charge_exceeds_source_limit"),
    ("AT601904300000121212", "exceedsWeeklyTransactionLimit_at", SOON, "charge_exceeds_weekly_limit"),
    ("AT981904300002222227", "insufficientFunds_at", SOON, "insufficient_funds"),
    ("FR1420041010050500013M02606", "success_fr", SOON, None),
    ("FR3020041010050500013M02609", "successDelayed_fr", LATER, None),
    ("FR8420041010050500013M02607", "failed_fr", SOON, COULD_NOT),
    ("FR7920041010050500013M02600", "failedDelayed_fr", LATER, COULD_NOT),
    ("FR5720041010050500013M02608", "disputed_fr", SOON, "dispute"),
    ("DE89370400440532013000", "success_de", SOON, None),
    ("DE08370400440532013003", "successDelayed_de", LATER, None),
    ("DE62370400440532013001", "failed_de", SOON, COULD_NOT),
    ("DE78370400440532013004", "failedDelayed_de", LATER, COULD_NOT),
    ("BE62510007547061", "success_be", SOON, None),
    ("BE78510007547064", "successDelayed_be", LATER, None),
    ("BE68539007547034", "failed_be", SOON, COULD_NOT),
    ("BE51510007547065", "failedDelayed_be", LATER, COULD_NOT),
]


def payment(stripe_api: Any, currency: str = "usd", **more: Any) -> Any:
    return stripe_api.payment_intents.create({"amount": 1000, "currency": currency} | more)


@pytest.mark.parametrize(("number", "token", "brand", "country", "funding"), GOOD_CARDS)
def test_card_pays_under_its_brand(
    sandbox: SandboxProcess, stripe_api: Any, number: str, token: str, brand: str, country: str, funding: str
) -> None:
    """Typed in a browser, or named by its token."""
    intent = payment(stripe_api)
    status, answer = confirm(sandbox, intent.client_secret, number)
    assert (status, answer["status"]) == (200, "succeeded")
    card = stripe_api.payment_methods.retrieve(answer["payment_method"]).card
    assert (card.brand, card.country, card.funding, card.last4) == (brand, country, funding, number[-4:])
    assert card.three_d_secure_usage.supported is (brand != "amex")
    if token:
        paid = payment(stripe_api, payment_method=f"pm_card_{token}", confirm=True, expand=["payment_method"])
        assert (paid.status, paid.payment_method.card.fingerprint) == ("succeeded", card.fingerprint)


@pytest.mark.parametrize(("number", "present", "absent", "set_up", "completed"), CHALLENGED)
def test_card_asks_for_its_holder_when_it_should(
    sandbox: SandboxProcess, stripe_api: Any, number: str, present: str, absent: str, set_up: str, completed: str
) -> None:
    customer = stripe_api.customers.create({}).id

    def without_the_holder(method: str) -> str:
        params = {"customer": customer, "payment_method": method, "off_session": True, "confirm": True}
        try:
            return str(payment(stripe_api, **params).status)
        except Exception as error:
            found = error.json_body["error"]  # type: ignore[attr-defined]
            return str(found["code"] if found["code"] == STOPS else found["decline_code"])

    intent = payment(stripe_api)
    _, asked = confirm(sandbox, intent.client_secret, number)
    assert asked["status"] == present
    challenge(sandbox, asked, "complete")
    after = stripe_api.payment_intents.retrieve(intent.id)
    assert (after.last_payment_error.decline_code if after.last_payment_error else after.status) == completed

    form = {name.removeprefix("payment_method_data[").replace("]", "", 1): v for name, v in card_fields(number).items()}
    _, typed = browser(sandbox, "POST", "/v1/payment_methods", **form)
    assert without_the_holder(stripe_api.payment_methods.attach(typed["id"], {"customer": customer}).id) == absent

    setup = stripe_api.setup_intents.create({"customer": customer, "usage": "off_session"})
    _, asked = confirm(sandbox, setup.client_secret, number)
    challenge(sandbox, asked, "complete")
    done = stripe_api.setup_intents.retrieve(setup.id)
    assert done.status == "succeeded"
    assert without_the_holder(done.payment_method) == set_up


@pytest.mark.parametrize(("token", "code", "decline_code"), REFUSED)
def test_card_that_is_declined_cannot_be_saved(stripe_api: Any, token: str, code: str, decline_code: str) -> None:
    customer = stripe_api.customers.create({}).id
    error = refused(stripe_api.payment_methods.attach, f"pm_card_{token}", {"customer": customer})
    assert (error.http_status, error.code, error.json_body["error"]["decline_code"]) == (402, code, decline_code)
    assert stripe_api.customers.payment_methods.list(customer).data == []


def test_card_that_fails_later_can_be_saved(stripe_api: Any) -> None:
    customer = stripe_api.customers.create({}).id
    method = stripe_api.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer})
    assert method.card.last4 == "0341"
    error = refused(lambda: payment(stripe_api, customer=customer, payment_method=method.id, confirm=True))
    assert (error.http_status, error.code) == (402, "card_declined")


def test_number_with_a_typing_mistake_is_no_card(sandbox: SandboxProcess, stripe_api: Any) -> None:
    status, body = confirm(sandbox, payment(stripe_api).client_secret, "4242424242424241")
    assert (status, body["error"]["code"], body["error"]["param"]) == (402, "incorrect_number", "number")


@pytest.mark.parametrize(("iban", "token", "wait", "outcome"), IBANS)
def test_iban_answers_in_its_time(
    sandbox: SandboxProcess, stripe_api: Any, iban: str, token: str, wait: int, outcome: str | None
) -> None:
    """Typed in a browser and named by its token: on its way until the bank tells, and not a moment less."""
    intent = payment(stripe_api, "eur")
    status, answer = debit(sandbox, intent.client_secret, iban=iban)
    assert (status, answer["status"]) == (200, "processing")
    offline = {"customer_acceptance": {"type": "offline", "offline": {}}}
    named = payment(stripe_api, "eur", payment_method=f"pm_{token}", confirm=True, mandate_data=offline)
    if wait == LATER:
        sandbox.advance(seconds=LATER - 30)
        assert stripe_api.payment_intents.retrieve(intent.id).status == "processing"
    sandbox.advance(seconds=wait + 1)
    for id in (intent.id, named.id):
        after = stripe_api.payment_intents.retrieve(id, {"expand": ["latest_charge"]})
        assert after.status == ("succeeded" if outcome in (None, "dispute") else "requires_payment_method")
        assert after.latest_charge.failure_code == (None if outcome == "dispute" else outcome)
        assert after.latest_charge.payment_method_details.sepa_debit.last4 == iban[-4:]
    sandbox.advance(seconds=SOON + 1)
    disputes = [dispute.status for dispute in stripe_api.disputes.list({}).data]
    assert disputes == (["lost", "lost"] if outcome == "dispute" else [])


def test_becs_account_whose_debit_is_disputed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    intent = payment(stripe_api, "aud")
    debit(sandbox, intent.client_secret, bsb_number="000000", account_number="666666660")
    sandbox.advance(seconds=SOON + 1)
    assert stripe_api.payment_intents.retrieve(intent.id).status == "succeeded"
    sandbox.advance(seconds=SOON + 1)
    dispute = stripe_api.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.status, dispute.reason) == ("lost", "debit_not_authorized")
