"""SEPA and BECS: money that is on its way for minutes or days, and may not come."""

from typing import Any

import pytest

from tests.sandbox.acts import browser, client_secret, confirm, monthly, refused, subscribe, types
from tests.sandbox_process import SandboxProcess

GOOD, DELAYED, FAILED, FAILED_LATER, DISPUTED = (
    "AT611904300234573201",
    "AT321904300235473204",
    "AT861904300235473202",
    "AT051904300235473205",
    "AT591904300235473203",
)
SOON, LATER = 5, 180  # seconds
CONFIRMED = [
    "payment_method.attached",
    "mandate.updated",
    "payment_intent.processing",
    "charge.pending",
    "invoice.updated",
    "customer.subscription.updated",
]
ARRIVED = [
    "charge.succeeded",
    "payment_intent.succeeded",
    "invoice.updated",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice_payment.paid",
]


def debit(sandbox: SandboxProcess, secret: str, **account: str) -> tuple[int, dict[str, Any]]:
    """The customer types their bank account and presses the button."""
    kind = "sepa_debit" if "iban" in account else "au_becs_debit"
    id = secret.partition("_secret_")[0]
    fields = {f"payment_method_data[{kind}][{name}]": value for name, value in account.items()}
    return browser(
        sandbox,
        "POST",
        f"/v1/{'setup' if id.startswith('seti_') else 'payment'}_intents/{id}/confirm",
        client_secret=secret,
        use_stripe_sdk="true",
        return_url="http://localhost:4242/complete",
        **{
            "payment_method_data[type]": kind,
            "payment_method_data[billing_details][name]": "Carol",
            "payment_method_data[billing_details][email]": "carol@example.com",
        },
        **fields,
    )


def in_euros(stripe_api: Any, currency: str = "eur", **more: Any) -> Any:
    customer = stripe_api.customers.create({"email": "carol@example.com"})
    return subscribe(stripe_api, customer.id, monthly(stripe_api, currency=currency).id, **more)


def test_first_debit_is_on_its_way_then_there(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """The subscription is active from the start; the invoice is paid three minutes later."""
    subscription = in_euros(stripe_api)
    before = sandbox.mark()
    status, intent = debit(sandbox, client_secret(subscription), iban=DELAYED)
    assert (status, intent["status"]) == (200, "processing")
    assert types(sandbox.events(since=before)) == CONFIRMED
    charge = stripe_api.charges.list({"customer": subscription.customer}).data[0]
    assert charge.id.startswith("py_3")
    assert (charge.status, charge.paid, charge.payment_method_details.sepa_debit.last4) == ("pending", False, "3204")
    now = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice", "default_payment_method"]})
    assert (now.status, now.latest_invoice.status, now.latest_invoice.attempted) == ("active", "open", True)
    assert now.default_payment_method.sepa_debit.bank_code == "19043"
    mandate = stripe_api.mandates.retrieve(charge.payment_method_details.sepa_debit.mandate)
    assert (mandate.status, mandate.payment_method) == ("active", now.default_payment_method.id)
    sandbox.advance(seconds=LATER - 10)
    before = sandbox.mark()
    assert stripe_api.charges.retrieve(charge.id).status == "pending"
    sandbox.advance(seconds=11)
    assert types(sandbox.events(since=before)) == ARRIVED
    assert stripe_api.invoices.retrieve(now.latest_invoice.id).status == "paid"
    assert stripe_api.charges.retrieve(charge.id).balance_transaction.startswith("txn_")


def test_first_debit_that_fails_voids_the_invoice_and_leaves_the_subscription_active(
    sandbox: SandboxProcess, stripe_api: Any
) -> None:
    subscription = in_euros(stripe_api)
    debit(sandbox, client_secret(subscription), iban=FAILED_LATER)
    before = sandbox.mark()
    sandbox.advance(seconds=LATER + 1)
    happened = sandbox.events(since=before)
    assert types(happened) == [
        "charge.failed",
        "payment_intent.payment_failed",
        "invoice.payment_failed",
        "invoice.updated",
        "invoice.updated",
        "invoice.voided",
        "payment_intent.canceled",
    ]
    error = happened[1].data.object.last_payment_error
    assert (error.code, error.type) == ("payment_intent_payment_attempt_failed", "invalid_request_error")
    assert happened[0].data.object.failure_code == "generic_could_not_process"
    now = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    assert (now.status, now.latest_invoice.status) == ("active", "void")


def test_renewal_by_debit_arrives_after_a_while(sandbox: SandboxProcess, stripe_api: Any) -> None:
    subscription = in_euros(stripe_api)
    debit(sandbox, client_secret(subscription), iban=GOOD)
    sandbox.advance(seconds=SOON + 1)
    ends = stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end
    sandbox.advance_to(ends + 3600)
    before = sandbox.mark()
    newest = stripe_api.invoices.list({"subscription": subscription.id}).data[0]
    assert (newest.status, newest.attempted) == ("open", True)
    sandbox.advance(seconds=SOON + 1)
    assert types(sandbox.events(since=before)) == ARRIVED
    after = stripe_api.invoices.retrieve(newest.id)
    assert (after.status, after.attempt_count) == ("paid", 1)


def test_renewal_by_debit_that_fails_leads_to_past_due(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """An account that was good goes bad: the customer's default becomes one that fails."""
    subscription = in_euros(stripe_api)
    debit(sandbox, client_secret(subscription), iban=GOOD)
    sandbox.advance(seconds=SOON + 1)
    bad = stripe_api.payment_methods.attach("pm_insufficientFunds_at", {"customer": subscription.customer})
    stripe_api.subscriptions.update(subscription.id, {"default_payment_method": bad.id})
    ends = stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end
    sandbox.advance_to(ends + 3601)
    assert stripe_api.subscriptions.retrieve(subscription.id).status == "active"
    sandbox.advance(seconds=SOON)
    now = stripe_api.subscriptions.retrieve(subscription.id, {"expand": ["latest_invoice"]})
    assert now.status == "past_due"
    assert (now.latest_invoice.status, now.latest_invoice.attempt_count) == ("open", 1)
    assert now.latest_invoice.next_payment_attempt is not None
    assert stripe_api.charges.list({"limit": 1}).data[0].failure_code == "insufficient_funds"


@pytest.mark.parametrize(
    ("number", "wait", "failure"),
    [
        ("900123456", LATER, None),
        ("000123456", SOON, None),
        ("111111113", SOON, "account_closed"),
        ("111111116", SOON, "no_account"),
        ("222222227", SOON, "refer_to_customer"),
        ("922222227", LATER, "refer_to_customer"),
        ("333333335", SOON, "debit_not_authorized"),
    ],
)
def test_becs_accounts_do_what_they_are_for(
    sandbox: SandboxProcess, stripe_api: Any, number: str, wait: int, failure: str | None
) -> None:
    intent = stripe_api.payment_intents.create({"amount": 1000, "currency": "aud"})
    assert intent.payment_method_types == ["card", "au_becs_debit"]
    status, answer = debit(sandbox, intent.client_secret, bsb_number="000-000", account_number=number)
    assert (status, answer["status"]) == (200, "processing")
    sandbox.advance(seconds=wait + 1)
    after = stripe_api.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert after.latest_charge.failure_code == failure
    assert after.status == ("requires_payment_method" if failure else "succeeded")
    assert after.latest_charge.payment_method_details.au_becs_debit.last4 == number[-4:]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("pm_exceedsWeeklyVolumeLimit_at", "charge_exceeds_source_limit"),
        ("pm_exceedsWeeklyTransactionLimit_at", "charge_exceeds_weekly_limit"),
        ("pm_failed_de", "generic_could_not_process"),
    ],
)
def test_server_debits_an_account_that_fails(sandbox: SandboxProcess, stripe_api: Any, token: str, code: str) -> None:
    offline = {"customer_acceptance": {"type": "offline", "offline": {}}}
    params = {"amount": 1000, "currency": "eur", "payment_method": token, "confirm": True, "mandate_data": offline}
    intent = stripe_api.payment_intents.create(params)
    assert intent.status == "processing"
    assert refused(stripe_api.payment_intents.confirm, intent.id).code == "payment_intent_unexpected_state"
    sandbox.advance(seconds=SOON + 1)
    assert stripe_api.charges.retrieve(intent.latest_charge).failure_code == code


def test_bank_gives_a_disputed_debit_back_without_asking(sandbox: SandboxProcess, stripe_api: Any) -> None:
    intent = stripe_api.payment_intents.create({"amount": 1000, "currency": "eur"})
    debit(sandbox, intent.client_secret, iban=DISPUTED)
    before = sandbox.mark()
    sandbox.advance(seconds=2 * SOON + 1)
    assert types(sandbox.events(since=before)) == [
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]
    dispute = stripe_api.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.status, dispute.reason, dispute.amount) == ("lost", "debit_not_authorized", 1000)


def test_account_is_set_up_for_later(sandbox: SandboxProcess, stripe_api: Any) -> None:
    customer = stripe_api.customers.create({})
    allowed = ["card", "link", "sepa_debit"]
    setup = stripe_api.setup_intents.create({"customer": customer.id, "allowed_payment_method_types": allowed})
    assert setup.payment_method_types == ["card", "sepa_debit"]
    status, answer = debit(sandbox, setup.client_secret, iban=GOOD)
    assert (status, answer["status"]) == (200, "succeeded")
    done = stripe_api.setup_intents.retrieve(setup.id, {"expand": ["payment_method", "mandate"]})
    assert (done.payment_method.type, done.payment_method.customer) == ("sepa_debit", customer.id)
    assert done.mandate.status == "active"
    listed = stripe_api.payment_methods.list({"customer": customer.id, "type": "sepa_debit"}).data
    assert [method.id for method in listed] == [done.payment_method.id]


def test_methods_follow_the_currency_and_what_is_allowed(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """What the Payment Element offers, and what an intent takes."""

    def kinds(**params: Any) -> list[str]:
        return list(stripe_api.payment_intents.create({"amount": 1000} | params).payment_method_types)

    assert kinds(currency="usd") == ["card"]
    assert kinds(currency="eur") == ["card", "sepa_debit"]
    assert kinds(currency="eur", excluded_payment_method_types=["sepa_debit"]) == ["card"]
    assert kinds(currency="eur", allowed_payment_method_types=["sepa_debit", "au_becs_debit"]) == ["sepa_debit"]
    intent = stripe_api.payment_intents.create({"amount": 1000, "currency": "usd"})
    status, body = debit(sandbox, intent.client_secret, iban=GOOD)
    assert (status, body["error"]["param"]) == (400, "payment_method")
    secret = client_secret(in_euros(stripe_api))
    _, session = browser(sandbox, "GET", "/v1/elements/sessions", type="payment_intent", client_secret=secret)
    offered = session["payment_method_preference"]["ordered_payment_method_types"]
    assert offered == ["card", "sepa_debit"]


def test_accounts_that_cannot_be(sandbox: SandboxProcess, stripe_api: Any) -> None:
    secret = stripe_api.payment_intents.create({"amount": 1000, "currency": "eur"}).client_secret
    _, body = debit(sandbox, secret, iban="AT611904300234573202")
    assert (body["error"]["code"], body["error"]["param"]) == ("invalid_bank_account_iban", "sepa_debit[iban]")
    nameless = {"type": "sepa_debit", "sepa_debit": {"iban": GOOD}}
    assert refused(stripe_api.payment_methods.create, nameless).param == "billing_details[name]"
    assert refused(stripe_api.payment_methods.create, {"type": "sepa_debit"}).code == "parameter_missing"
    owner = {"name": "Bob", "email": "bob@example.com"}
    outside = {"type": "sepa_debit", "sepa_debit": {"iban": "GB82 WEST 1234 5698 7654 32"}, "billing_details": owner}
    assert refused(stripe_api.payment_methods.create, outside).param == "billing_details[address][line1]"
    outside["billing_details"] = owner | {"address": {"line1": "1 High St", "country": "GB"}}
    assert stripe_api.payment_methods.create(outside).sepa_debit.country == "GB"
    secret = stripe_api.payment_intents.create({"amount": 1000, "currency": "aud"}).client_secret
    _, body = debit(sandbox, secret, bsb_number="00", account_number="900123456")
    assert body["error"]["param"] == "au_becs_debit[bsb_number]"


def test_card_pays_while_no_debit_is_under_way(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """A failed renewal debit can be paid by card, and a debit under way keeps a second payment out."""
    subscription = in_euros(stripe_api)
    debit(sandbox, client_secret(subscription), iban=DELAYED)
    error = refused(stripe_api.invoices.pay, subscription.latest_invoice.id, {"payment_method": "pm_card_visa"})
    assert error.code == "payment_intent_unexpected_state"
    status, body = confirm(sandbox, client_secret(subscription))
    assert (status, body["error"]["code"]) == (400, "payment_intent_unexpected_state")
    invoice = subscription.latest_invoice.id
    assert refused(stripe_api.invoices.void_invoice, invoice).code == "payment_intent_unexpected_state"
    by_other_means = {"paid_out_of_band": True}
    assert refused(stripe_api.invoices.pay, invoice, by_other_means).code == "payment_intent_unexpected_state"


def test_change_of_plan_is_paid_by_debit(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Nothing of it is refused or undone while the debit is on its way."""
    subscription = in_euros(stripe_api)
    debit(sandbox, client_secret(subscription), iban=DELAYED)
    sandbox.advance(seconds=LATER + 1)
    item = stripe_api.subscriptions.retrieve(subscription.id)["items"].data[0].id
    dearer = monthly(stripe_api, 1500, currency="eur").id
    changed = stripe_api.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": item, "price": dearer}],
            "proration_behavior": "always_invoice",
            "payment_behavior": "error_if_incomplete",
            "expand": ["latest_invoice"],
        },
    )
    assert (changed.status, changed.latest_invoice.status, changed.latest_invoice.attempted) == ("active", "open", True)
    sandbox.advance(seconds=LATER + 1)
    paid = stripe_api.invoices.retrieve(changed.latest_invoice.id)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 1000, 1)


def test_subscription_says_which_methods_may_pay(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Its payment_settings, for its invoices and for the setup that a trial asks for."""
    only = {"payment_method_types": ["sepa_debit"], "save_default_payment_method": "on_subscription"}
    subscription = in_euros(stripe_api, payment_settings=only)
    intent = client_secret(subscription).partition("_secret_")[0]
    assert stripe_api.payment_intents.retrieve(intent).payment_method_types == ["sepa_debit"]
    trial = in_euros(stripe_api, trial_period_days=7)
    setup = trial.pending_setup_intent
    assert setup.payment_method_types == ["card", "sepa_debit"]
    status, answer = debit(sandbox, setup.client_secret, iban=GOOD)
    assert (status, answer["status"]) == (200, "succeeded")
    kept = stripe_api.subscriptions.retrieve(trial.id, {"expand": ["default_payment_method"]})
    assert kept.default_payment_method.type == "sepa_debit"
