"""An invoice's way from draft to paid or void, and what it does to its subscription."""

from typing import Any

from sandbox import money
from sandbox.billing import discounting, drafting, dunning, intents, payments, periods, reckoning, subscribing
from sandbox.resources import customer_balance_transactions, invoice_payments, payment_intents
from sandbox.store import Document
from sandbox.world import World

DESCRIPTIONS = {
    "subscription_create": "Subscription creation",
    "subscription_cycle": "Subscription update",
    "subscription_update": "Subscription update",
}
DRAFT_FOR = 3600  # seconds that a renewal's draft waits before it is finalized


def wait(world: World, invoice: Document) -> None:
    """The draft is finalized and collected in an hour."""
    due = world.now(invoice["customer"]) + DRAFT_FOR
    invoice.update(automatically_finalizes_at=due)
    if invoice["collection_method"] == "charge_automatically":
        invoice["next_payment_attempt"] = due
    world.save(invoice)
    world.schedule(due, "finalize_invoice", invoice)


def finalize(world: World, invoice: Document) -> None:
    """Number the draft and ask for the money; with nothing to pay it is paid at once."""
    now = world.now(invoice["customer"])
    customer = world.get("customer", invoice["customer"])
    subscription = world.find(invoice["subscription"], "subscription")
    if subscription:
        invoice["subscription_metadata"] = subscription["metadata"]
    reckoning.reckon(world, invoice)
    invoice["starting_balance"] = customer["balance"]
    left = invoice["total"] + customer["balance"] - amount_due(invoice)
    invoice.update(
        automatically_finalizes_at=None,
        customer_snapshot=drafting.snapshot(world, customer),
        due_date=_due_date(invoice, now),
        effective_at=now,
        ending_balance=left,
        number=f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}",
        status="open",
        transitions={**invoice["transitions"], "finalized_at": now},
    )
    world.save(invoice)
    world.unschedule(invoice, "finalize_invoice")
    world.emit("invoice.finalized", invoice)
    discounting.use_up(world, invoice)
    if amount_due(invoice) > 0:
        _request_payment(world, invoice)
    customer["next_invoice_sequence"] += 1  # not told on its own: Stripe does not
    world.save(customer)
    _move_balance(world, customer, left - customer["balance"], invoice)
    if amount_due(invoice) == 0:
        _settle(world, invoice, attempts=0)
    elif invoice["due_date"]:
        world.schedule(invoice["due_date"], "invoice_overdue", invoice)


def collect(world: World, invoice: Document, *, automatic: bool, off_session: bool = False) -> None:
    """Charge the method on file for an open invoice; what comes of it is in the invoice and its intent.

    automatic: nobody asked for it; failures count, and are tried again later. off_session: the customer is not there.
    """
    method = method_for(world, invoice)
    intent = world.get("payment_intent", invoice["payment_intent"])
    if method is None:
        failed(world, intent, automatic=automatic)
        return
    payments.attempt(world, intent, method, off_session=automatic or off_session, automatic=automatic)


def method_for(world: World, invoice: Document) -> Document | None:
    """The method to charge: the invoice's, else the subscription's, else the customer's."""
    subscription = world.find(invoice["subscription"], "subscription")
    return world.find(invoice["default_payment_method"], "payment_method") or default_method(
        world, subscription, invoice["customer"]
    )


def default_method(world: World, subscription: Document | None, customer: str) -> Document | None:
    own = subscription["default_payment_method"] if subscription else None
    return world.find(own or world.get("customer", customer)["default_payment_method"], "payment_method")


def paid(world: World, intent: Document, *, automatic: bool) -> None:
    """The intent of an invoice has succeeded."""
    invoice = world.get("invoice", intent["invoice"])
    count = invoice["attempt_count"]
    _settle(world, invoice, attempts=count + 1 if automatic else max(count, 1), intent=intent)


def failed(world: World, intent: Document, *, automatic: bool) -> None:
    """The intent of an invoice was declined, or there was no method to try."""
    invoice = world.get("invoice", intent["invoice"])
    before = world.wire(invoice)
    _count_attempt(world, invoice, automatic=automatic)
    if automatic:
        dunning.plan_retry(world, invoice)
    world.save(invoice)
    world.emit("invoice.payment_failed", invoice)
    _tell_updated(world, invoice, before)
    if automatic:
        dunning.after_failure(world, invoice)
    else:
        subscribing.fall_behind(world, invoice)


def action_required(world: World, intent: Document, *, automatic: bool) -> None:
    """The intent of an invoice waits for the cardholder."""
    invoice = world.get("invoice", intent["invoice"])
    if automatic:
        world.emit("invoice.payment_action_required", invoice)
        failed(world, intent, automatic=True)
        return
    before = world.wire(invoice)
    invoice["attempted"] = True
    world.save(invoice)
    world.emit("invoice.payment_action_required", invoice)
    _tell_updated(world, invoice, before)
    subscribing.fall_behind(world, invoice)


def void(world: World, invoice: Document) -> None:
    """Nothing is owed any more; the intent and the invoice payment end with it."""
    before = world.wire(invoice)
    _end(invoice, "void", "voided_at", world.now(invoice["customer"]))
    world.save(invoice)
    world.unschedule(invoice, "finalize_invoice", "retry_payment", "invoice_overdue")
    _tell_updated(world, invoice, before)
    world.emit("invoice.voided", invoice)
    _give_balance_back(world, invoice)
    invoice_payments.close(world, invoice, "canceled")
    intent = world.find(invoice["payment_intent"], "payment_intent")
    if intent and intent["status"] in intents.CONFIRMABLE:
        payments.cancel(world, intent, "void_invoice")


def _give_balance_back(world: World, invoice: Document) -> None:
    customer = world.get("customer", invoice["customer"])
    if invoice["ending_balance"] is None:
        return
    used = invoice["starting_balance"] - invoice["ending_balance"]
    if used:
        _move_balance(world, customer, used, invoice, "unapplied_from_invoice")


def _move_balance(
    world: World, customer: Document, amount: int, invoice: Document, kind: str = "applied_to_invoice"
) -> None:
    """Change the customer's balance for an invoice, and note why; the first invoice fixes their currency."""
    currency = customer["currency"] or invoice["currency"]
    world.update(customer, "customer.updated", balance=customer["balance"] + amount, currency=currency)
    if amount:
        if kind == "applied_to_invoice" and amount_due(invoice) == 0 and customer["balance"] > 0:
            kind = "invoice_too_small"
        customer_balance_transactions.record(world, customer, amount, kind, invoice=invoice["id"])


def settle_out_of_band(world: World, invoice: Document) -> None:
    """It was paid by other means than Stripe."""
    intent = world.find(invoice["payment_intent"], "payment_intent")
    if intent and intent["status"] in intents.CONFIRMABLE:
        payments.cancel(world, intent, "automatic")
    _settle(world, invoice, attempts=invoice["attempt_count"], by_payment=False)


def mark_uncollectible(world: World, invoice: Document, because: str = "user_forgiven") -> None:
    """The money is given up; it can still be paid."""
    now = world.now(invoice["customer"])
    transitions = {**invoice["transitions"], "marked_uncollectible_at": now}
    world.unschedule(invoice, "retry_payment", "invoice_overdue")
    world.update(
        invoice,
        "invoice.updated",
        auto_advance=False,
        next_payment_attempt=None,
        status="uncollectible",
        transitions=transitions,
        uncollectible_because=because,
    )
    world.emit("invoice.marked_uncollectible", invoice)


def amount_due(invoice: Document) -> int:
    """What is to be paid: nothing if it is less than can be charged, which then stays on the customer's balance."""
    due = max(0, int(invoice["total"]) + int(invoice["starting_balance"]))
    return due if due >= money.LEAST.get(invoice["currency"], 1) else 0


def _due_date(invoice: Document, now: int) -> int | None:
    if invoice["collection_method"] != "send_invoice":
        return None
    days = invoice["days_until_due"]
    return invoice["due_date"] or (now + days * periods.DAY if days is not None else None)


def _request_payment(world: World, invoice: Document) -> None:
    method = method_for(world, invoice)
    intent = payment_intents.make(
        world,
        amount=amount_due(invoice),
        capture_method="automatic",
        currency=invoice["currency"],
        customer=invoice["customer"],
        description=DESCRIPTIONS.get(invoice["billing_reason"], "Payment for Invoice"),
        invoice=invoice["id"],
        payment_method=method["id"] if method else None,
        setup_future_usage="off_session" if invoice["subscription"] else None,
        status="requires_confirmation" if method else "requires_payment_method",
    )
    invoice["payment_intent"] = intent["id"]
    world.save(invoice)
    invoice_payments.create(world, invoice, amount_due(invoice))
    world.emit("payment_intent.created", intent)


def _settle(
    world: World, invoice: Document, *, attempts: int, intent: Document | None = None, by_payment: bool = True
) -> None:
    before = world.wire(invoice)
    invoice.update(amount_paid=amount_due(invoice), attempt_count=attempts)
    _end(invoice, "paid", "paid_at", world.now(invoice["customer"]))
    world.save(invoice)
    world.unschedule(invoice, "retry_payment", "invoice_overdue")
    _tell_updated(world, invoice, before)
    world.emit("invoice.paid", invoice)
    if by_payment:
        world.emit("invoice.payment_succeeded", invoice)
    subscribing.invoice_paid(world, invoice, intent)
    invoice_payments.close(world, invoice, "paid")
    dunning.after_payment(world, invoice)


def _end(invoice: Document, status: str, transition: str, now: int) -> None:
    invoice.update(
        attempted=True if status == "paid" else invoice["attempted"],
        auto_advance=False,
        automatically_finalizes_at=None,
        next_payment_attempt=None,
        status=status,
        transitions={**invoice["transitions"], transition: now},
    )


def _count_attempt(world: World, invoice: Document, *, automatic: bool) -> None:
    count = invoice["attempt_count"]
    invoice.update(attempted=True, attempt_count=count + 1 if automatic else max(count, 1))


def _tell_updated(world: World, invoice: Document, before: dict[str, Any]) -> None:
    if world.wire(invoice) != before:
        world.emit("invoice.updated", invoice, before)
