"""What was paid and nothing is given for goes back: once, on record, even when this process dies on the way."""

from __future__ import annotations

from typing import Any

import billing
import operations
import sync
from models import User

Row = dict[str, Any]


def end_unpaid(
    subscription: Row, user: User, details: billing.params.SubscriptionCancelParams | None = None
) -> tuple[billing.Answer, str | None]:
    """End a subscription that waits for its first payment. If that payment wins the race, the money goes back at once.

    It is written down first: should anything be cut off in between, `flask tick` gives the money back.
    """
    operation = operations.begin("end_unpaid", subscription["id"], {"user_id": user.id})
    noted = sync.note(sync.id_of(subscription["customer"]) or "")
    try:
        answer = billing.cancel_subscription(subscription["id"], {**(details or {}), "expand": ["latest_invoice"]})
    except billing.Missing:
        answer = billing.retrieve_checkout(subscription["id"])
    sync.learn(noted, answer)
    notice = _give_back_first_payment(answer.object, user.id)
    operations.end(operation.id, "done")
    return answer, notice


def _give_back_first_payment(subscription: Row, user_id: int) -> str | None:
    invoice = subscription["latest_invoice"]
    if not invoice or invoice["status"] != "paid" or not invoice["amount_paid"]:
        return None
    return give_back(invoice["id"], user_id)


def finish() -> None:
    """Give back what should have been, where Stripe did not answer or a process died: within a minute or two."""
    operations.settle_each({"end_unpaid": _finish_end_unpaid, "refund": _finish_refund})


def _finish_end_unpaid(operation: operations.Open) -> None:
    subscription = billing.retrieve_checkout(operation.subject).object
    if subscription["status"] in sync.ENDED:
        _give_back_first_payment(subscription, operation.params["user_id"])
    operations.end(operation.id, "done")


def _finish_refund(left: operations.Open) -> None:
    operation = operations.begin("refund", left.subject, left.params)
    if operation.given_up and operation.params["amount"] is not None:
        operations.end(operation.id, "failed", "its key is too old, and a part could be given back twice")
    else:
        _refund(operation)


def give_back(invoice_id: str, user_id: int, amount: int | None = None) -> str:
    """Refund a payment, or the `amount` of it, that nothing is given for: once, on record.

    Returns what to tell the customer.
    """
    intent = billing.invoice_intent(invoice_id)
    if intent is None:
        return ""
    values = {"payment_intent": intent["id"], "user_id": user_id, "amount": amount}
    _refund(operations.begin("refund", invoice_id, values))
    return "A payment for your earlier choice had just gone through. It has been refunded in full."


def _refund(operation: operations.Open) -> None:
    try:
        billing.refund(operation.params["payment_intent"], operation.id, operation.params["amount"])
    except billing.Refused as error:
        if error.stripe_code != "charge_already_refunded":
            operations.end(operation.id, "failed", str(error))
            raise
    operations.end(operation.id, "done")
