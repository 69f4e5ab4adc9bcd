"""Disputes, early fraud warnings, checks, and what a card's network does by itself."""

from typing import Any

import pytest

from tests.sandbox.acts import customer_with, paying_customer, refused
from tests.sandbox_process import SandboxProcess

RAISED = 6  # seconds after the payment, a little over
DISPUTED, INQUIRY, WARNED = "4000000000000259", "4000000000001976", "4000000000005423"


def disputed(sandbox: SandboxProcess, number: str = DISPUTED) -> Any:
    """A subscription's first payment that its cardholder then disputes."""
    subscription = paying_customer(sandbox, number)
    sandbox.advance(seconds=RAISED)
    return sandbox.client.v1.charges.list({"customer": str(subscription.customer)}).data[0]


def test_dispute_is_won_with_evidence(sandbox: SandboxProcess, stripe_api: Any) -> None:
    """Money leaves at once and comes back; invoice and subscription are untouched."""
    charge = disputed(sandbox)
    dispute = stripe_api.disputes.list({"charge": charge.id}).data[0]
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 500)
    assert charge.disputed is True
    assert [(one.amount, one.net) for one in dispute.balance_transactions] == [(-500, -2000)]
    assert refused(stripe_api.refunds.create, {"charge": charge.id}).code == "charge_disputed"
    draft = stripe_api.disputes.update(dispute.id, {"evidence": {"customer_name": "Carol"}, "submit": False})
    assert (draft.status, draft.evidence_details.has_evidence) == ("needs_response", True)
    won = stripe_api.disputes.update(dispute.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert (won.status, won.evidence_details.submission_count) == ("won", 1)
    assert sum(one.net for one in won.balance_transactions) == 0
    happened = [event.type for event in sandbox.events() if event.type.startswith("charge.dispute")]
    assert happened == [
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.updated",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_reinstated",
    ]
    invoice = stripe_api.invoices.list({"customer": charge.customer}).data[0]
    assert invoice.status == "paid"
    assert stripe_api.subscriptions.list({"customer": charge.customer}).data[0].status == "active"


def test_dispute_nobody_answers_is_lost(sandbox: SandboxProcess, stripe_api: Any) -> None:
    charge = disputed(sandbox, "4000000000002685")
    dispute = stripe_api.disputes.list({}).data[0]
    assert (dispute.charge, dispute.reason) == (charge.id, "product_not_received")
    sandbox.advance_to(dispute.evidence_details.due_by)
    assert stripe_api.disputes.retrieve(dispute.id).status == "lost"
    late = {"evidence": {"uncategorized_text": "winning_evidence"}}
    assert refused(stripe_api.disputes.update, dispute.id, late).http_status == 400
    assert refused(stripe_api.disputes.close, dispute.id).http_status == 400


def test_dispute_is_given_in_to(sandbox: SandboxProcess, stripe_api: Any) -> None:
    disputed(sandbox)
    assert stripe_api.disputes.close(stripe_api.disputes.list({}).data[0].id).status == "lost"


def test_inquiry_takes_no_money_and_can_be_refunded(sandbox: SandboxProcess, stripe_api: Any) -> None:
    charge = disputed(sandbox, INQUIRY)
    inquiry = stripe_api.disputes.list({}).data[0]
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert inquiry.balance_transactions == []
    assert stripe_api.refunds.create({"charge": charge.id}).status == "succeeded"


def test_several_disputes_of_one_payment(sandbox: SandboxProcess, stripe_api: Any) -> None:
    disputed(sandbox, "4000000404000079")
    assert {one.reason for one in stripe_api.disputes.list({}).data} == {"fraudulent", "product_not_received"}


def test_bank_warns_of_fraud_before_any_dispute(sandbox: SandboxProcess, stripe_api: Any) -> None:
    charge = disputed(sandbox, WARNED)
    warning = stripe_api.radar.early_fraud_warnings.list({"charge": charge.id}).data[0]
    assert warning.actionable is True
    assert charge.disputed is False
    stripe_api.refunds.create({"charge": charge.id})
    assert stripe_api.radar.early_fraud_warnings.retrieve(warning.id).actionable is False
    assert len(sandbox.events("radar.early_fraud_warning.created")) == 1


@pytest.mark.parametrize(
    ("token", "cvc", "zip", "line1"),
    [
        ("pm_card_visa", "pass", "pass", "pass"),
        ("pm_card_cvcCheckFail", "fail", "pass", "pass"),
        ("pm_card_avsZipFail", "pass", "fail", "pass"),
        ("pm_card_avsLine1Fail", "pass", "pass", "fail"),
        ("pm_card_avsFail", "pass", "fail", "fail"),
        ("pm_card_avsUnchecked", "pass", "unavailable", "unavailable"),
    ],
)
def test_checks_of_cvc_and_address(stripe_api: Any, token: str, cvc: str, zip: str, line1: str) -> None:
    method = customer_with(stripe_api, token).invoice_settings.default_payment_method
    address = {"line1": "1 Main St", "postal_code": "12345"}
    checks = stripe_api.payment_methods.update(method, {"billing_details": {"address": address}}).card.checks
    assert (checks.cvc_check, checks.address_postal_code_check, checks.address_line1_check) == (cvc, zip, line1)


def test_card_is_renewed_by_its_network(sandbox: SandboxProcess, stripe_api: Any) -> None:
    method = customer_with(stripe_api).invoice_settings.default_payment_method
    sandbox.post(f"payment_methods/{method}/renew", {"exp_month": 7, "exp_year": 2044})
    event = sandbox.events("payment_method.automatically_updated")[0]
    assert (event.data.object.card.exp_month, event.data.object.card.exp_year) == (7, 2044)
    assert event.request.id is None
    assert stripe_api.payment_methods.retrieve(method).card.exp_year == 2044


def test_refund_of_a_debit_goes_to_the_bank(sandbox: SandboxProcess, stripe_api: Any) -> None:
    params = {"amount": 1000, "currency": "eur", "payment_method": "pm_success_at", "confirm": True}
    intent = stripe_api.payment_intents.create(params)
    early = refused(stripe_api.refunds.create, {"payment_intent": intent.id})
    assert early.http_status == 400, "the money is not there yet"
    sandbox.advance(seconds=RAISED)
    refund = stripe_api.refunds.create({"payment_intent": intent.id, "amount": 300})
    assert refund.destination_details.type == "eu_bank_transfer"
    assert stripe_api.refunds.update(refund.id, {"metadata": {"why": "asked"}}).metadata.why == "asked"
