"""A subscription's life: start, first payment, renewal, falling behind, end."""

from typing import Any

from sandbox.billing import (
    announcing,
    drafting,
    intents,
    invoicing,
    lines,
    modes,
    payments,
    pending,
    periods,
    resuming,
    scheduling,
    setups,
    waiting,
)
from sandbox.billing.lines import Line
from sandbox.errors import CardError, StripeError
from sandbox.jobs import job
from sandbox.resources import setup_intents
from sandbox.store import Document
from sandbox.world import World

ENDED = ("canceled", "incomplete_expired")
FIRST_PAYMENT_WITHIN = 23 * 3600  # seconds
TRIAL_WARNING = 3 * periods.DAY
NO_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider adding a default payment "
    "method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting"
    "#payment-method-priority."
)


def items_of(world: World, subscription: Document) -> list[Document]:
    return world.select("subscription_item", "subscription = ?", (subscription["id"],))


def start(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """Issue the first invoice of a subscription whose items are there, and collect it as `payment_behavior` says.

    Raises Stripe's error when there is nothing to charge, CardError for error_if_incomplete and a declined card.
    """
    behaviour = params.get("payment_behavior", "allow_incomplete")
    by_mail = subscription["collection_method"] == "send_invoice"
    invoice = first_invoice(world, subscription, params)
    due = invoice is not None and invoicing.amount_due(invoice) > 0
    method = invoicing.default_method(world, subscription, subscription["customer"])
    if due and method is None and behaviour != "default_incomplete" and not by_mail:
        raise StripeError(NO_METHOD, code="resource_missing")
    subscription["latest_invoice"] = invoice["id"] if invoice else None
    if due and not by_mail:
        subscription["status"] = "incomplete"
    if not due and method is None and not by_mail:
        _ask_for_method(world, subscription)
    world.save(subscription)
    world.emit("customer.subscription.created", subscription)
    if subscription["pending_setup_intent"]:
        world.emit("setup_intent.created", world.get("setup_intent", subscription["pending_setup_intent"]))
    plan_next(world, subscription)
    if invoice:
        world.emit("invoice.created", invoice)
        if by_mail:
            invoicing.wait(world, invoice)
        else:
            invoicing.finalize(world, invoice)
    if subscription["status"] == "trialing":
        plan_trial_end(world, subscription)
    if invoice and due and not by_mail and behaviour != "default_incomplete":
        invoicing.collect(world, invoice, automatic=False, off_session=params.get("off_session", False))
        if behaviour == "error_if_incomplete":
            insist(world, invoice)


def first_invoice(world: World, subscription: Document, params: dict[str, Any]) -> Document | None:
    """Draft what a new subscription costs: time that is already over, its first period, and what is added to it.

    None when that is nothing: of metered items, and of a part of a period that is not to be prorated.
    """
    now, free = subscription["created"], params.get("proration_behavior") == "none"
    pending = waiting.items(world, subscription)
    charged = waiting.take(world, pending)
    for item in items_of(world, subscription):
        if not free:
            charged += _elapsed(world, subscription, item)
        made = lines_for(world, subscription, item)
        charged += [line for line in made if not (free and line["proration"])]
        if not made and modes.is_classic(subscription):
            charged += lines.for_no_usage(world, subscription, item)
    if not charged:
        return None
    invoice = drafting.draft(world, subscription, charged, "subscription_create", (now, now))
    waiting.put_on(world, pending, invoice)
    return invoice


def lines_for(world: World, subscription: Document, item: Document) -> list[Line]:
    """The lines for an item's running period, or for its trial."""
    make = lines.for_trial if subscription["status"] == "trialing" else lines.for_period
    return make(world, subscription, item)


def _elapsed(world: World, subscription: Document, item: Document) -> list[Line]:
    """The lines for the time since the start that a backdated subscription was given."""
    start, now, made = subscription["start_date"], item["current_period_start"], []
    while start < now:
        end = min(now, lines.natural_period(world, subscription, item, start)[1])
        past = Document(item | {"current_period_start": start, "current_period_end": end})
        made += lines.for_period(world, subscription, past)
        start = end
    if modes.is_classic(subscription) and made:
        whole = sum(line["amount"] for line in made)
        return [lines.proration(world, subscription, item, whole, (subscription["start_date"], now))]
    return made


def insist(world: World, invoice: Document) -> None:
    """Raise what came of an attempt unless it succeeded or is under way; nothing of the request remains then."""
    intent = world.get("payment_intent", invoice["payment_intent"])
    if intent["status"] in ("succeeded", "processing"):
        return
    if invoicing.method_for(world, invoice) is None:
        raise StripeError(NO_METHOD, code="resource_missing")
    error = intent["last_payment_error"] or payments.AUTHENTICATION_REQUIRED | {
        "code": "subscription_payment_intent_requires_action",
        "message": "Payment for this subscription requires additional user action before it can be completed "
        "successfully. Payment can be completed using the PaymentIntent associated with `subscription.latest_invoice`.",
    }
    refusal = CardError(**{name: value for name, value in error.items() if name not in ("type", "doc_url", "charge")})
    refusal.keeps_changes = False
    raise refusal


def _ask_for_method(world: World, subscription: Document) -> None:
    """Nothing is due now, but later: have a method set up."""
    intent = setup_intents.make(world, customer=subscription["customer"], subscription=subscription["id"])
    subscription["pending_setup_intent"] = intent["id"]


def plan_next(world: World, subscription: Document) -> None:
    """Schedule what comes next of itself."""
    if subscription["status"] == "incomplete":
        world.schedule(subscription["created"] + FIRST_PAYMENT_WITHIN, "expire_incomplete", subscription)
    elif subscription["status"] not in (*ENDED, "paused"):
        world.unschedule(subscription, "end_period")
        ends = min(item["current_period_end"] for item in items_of(world, subscription))
        world.schedule(ends, "end_period", subscription)
        announcing.plan(world, subscription, ends)


def plan_trial_end(world: World, subscription: Document) -> None:
    warning = subscription["trial_end"] - TRIAL_WARNING
    if warning <= world.now(subscription["customer"]):
        world.emit("customer.subscription.trial_will_end", subscription)
    else:
        world.schedule(warning, "warn_of_trial_end", subscription)


@job("warn_of_trial_end")
def warn_of_trial_end(world: World, subscription: Document) -> None:
    if subscription["status"] == "trialing":
        world.emit("customer.subscription.trial_will_end", subscription)


def invoice_paid(world: World, invoice: Document, intent: Document | None) -> None:
    """An invoice of a subscription was paid, with the intent's method if there was one."""
    subscription = world.find(invoice["subscription"], "subscription")
    if subscription is None or subscription["status"] in ENDED:
        return
    held = subscription["pending_update"]
    if held and held["invoice"] == invoice["id"]:
        pending.apply(world, subscription)
    resuming.settled(world, invoice)
    changes: dict[str, Any] = {"status": _status(world, subscription)}
    if intent and subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        changes["default_payment_method"] = intent["payment_method"]
    first = subscription["status"] == "incomplete" and changes["status"] != "incomplete"
    world.update(subscription, "customer.subscription.updated", **changes)
    if first:
        world.unschedule(subscription, "expire_incomplete")
        plan_next(world, subscription)


def _status(world: World, subscription: Document) -> str:
    """What the newest finalized invoice that is not void says."""
    if subscription["status"] not in ("incomplete", "past_due", "unpaid"):
        return str(subscription["status"])
    deciding = "subscription = ? AND status NOT IN ('draft', 'void')"
    newest = world.select("invoice", deciding, (subscription["id"],), tail="ORDER BY sequence DESC LIMIT 1")
    if newest and newest[0]["status"] not in ("paid", "uncollectible"):
        return str(subscription["status"])
    trial_end = subscription["trial_end"] or 0
    return "trialing" if trial_end > world.now(subscription["customer"]) else "active"


def fall_behind(world: World, invoice: Document) -> None:
    """A payment for something after the start has failed."""
    subscription = world.find(invoice["subscription"], "subscription")
    first = invoice["billing_reason"] == "subscription_create" and invoice["collection_method"] != "send_invoice"
    if invoice["holds_update"] or invoice["billing_reason"] == "manual" or first:
        return
    if subscription and subscription["status"] in ("active", "trialing"):
        world.update(subscription, "customer.subscription.updated", status="past_due")


def reconsider(world: World, invoice: Document) -> None:
    """An invoice left the reckoning: the one before it may now decide."""
    subscription = world.find(invoice["subscription"], "subscription")
    if subscription and subscription["status"] in ("past_due", "unpaid"):
        world.update(subscription, "customer.subscription.updated", status=_status(world, subscription))


def set_up(world: World, intent: Document, method: Document) -> None:
    """A setup intent has succeeded: a subscription that waited for it takes the method."""
    subscription = world.find(intent.get("subscription"), "subscription")
    if subscription is None or subscription["pending_setup_intent"] != intent["id"]:
        return
    changes: dict[str, Any] = {"pending_setup_intent": None}
    if subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        changes["default_payment_method"] = method["id"]
    world.update(subscription, "customer.subscription.updated", **changes)


@job("expire_incomplete")
def expire_incomplete(world: World, subscription: Document) -> None:
    """The first payment never came."""
    if subscription["status"] == "incomplete":
        _void_first_invoice(world, subscription)
        world.update(
            subscription,
            "customer.subscription.updated",
            status="incomplete_expired",
            ended_at=world.now(subscription["customer"]),
        )


def _void_first_invoice(world: World, subscription: Document) -> None:
    invoice = world.find(subscription["latest_invoice"], "invoice")
    if invoice and invoice["status"] == "open":
        invoicing.void(world, invoice)


def cancel(
    world: World,
    subscription: Document,
    *,
    reason: str = "cancellation_requested",
    details: dict[str, Any] | None = None,
    at_period_end: bool = False,
) -> None:
    """End it now. Its invoices are no longer pursued; a first one that was never paid is void."""
    now = world.now(subscription["customer"])
    unpaid_start = subscription["status"] == "incomplete"
    if unpaid_start:
        _void_first_invoice(world, subscription)
    if not at_period_end:
        subscription.update(cancel_at=None, cancel_at_period_end=False)
    subscription.update(
        cancellation={**subscription["cancellation"], **(details or {}), "reason": reason},
        canceled_at=subscription["canceled_at"] or now,
        ended_at=now,
        pending_update=None,
        status="incomplete_expired" if unpaid_start else "canceled",
    )
    world.save(subscription)
    world.unschedule(
        subscription,
        "end_period",
        "cancel_at",
        "expire_incomplete",
        "warn_of_trial_end",
        "announce_renewal",
        "expire_update",
        "collect_again",
        "void_resumption",
    )
    world.emit("customer.subscription.deleted", subscription)
    _let_go(world, subscription)
    scheduling.subscription_ended(world, subscription, reason)


def _let_go(world: World, subscription: Document) -> None:
    unpaid = "subscription = ? AND status IN ('draft', 'open')"
    for invoice in world.select("invoice", unpaid, (subscription["id"],)):
        if invoice["holds_update"] and invoice["status"] == "open":
            invoicing.void(world, invoice)
            continue
        world.unschedule(invoice, "finalize_invoice", "retry_payment")
        world.update(
            invoice, "invoice.updated", auto_advance=False, automatically_finalizes_at=None, next_payment_attempt=None
        )
    intent = world.find(subscription["pending_setup_intent"], "setup_intent")
    if intent and intent["status"] in intents.CONFIRMABLE:
        setups.cancel(world, intent, "abandoned")
