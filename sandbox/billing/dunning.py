"""What follows when an automatic charge fails: retries, and what ends them."""

from typing import Any

from sandbox.billing import invoicing, pausing, periods, subscribing
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World

RETRIES = (3, 5, 7)  # days from each failure to the next try; then it is over
# Account settings that Stripe has no API for, as /_sandbox/settings takes them; the first of each holds unless set.
SETTINGS = {
    "dunning": ("cancel", "unpaid", "leave", "pause"),  # what becomes of a subscription after the last try
    "first_failure": ("leave", "pause"),  # and after the first
    "upcoming_days": ("7", "3", "15", "30", "0"),  # before a renewal comes `invoice.upcoming`; 0: never
}
HARD = (
    "incorrect_number lost_card pickup_card stolen_card revocation_of_authorization revocation_of_all_authorizations "
    "authentication_required highest_risk_level transaction_not_allowed"
)
LONGEST_DRAFT = 72 * 3600  # seconds that a draft waits for an endpoint to take `invoice.created`
TAKEN_BY_ALL = """
    SELECT NOT EXISTS (
        SELECT 1 FROM deliveries d JOIN events e ON e.id = d.event
        WHERE d.state = 'pending' AND d.attempts > 0 AND d.type = 'invoice.created' AND d.endpoint IS NOT NULL
        AND json_extract(e.document, '$.data.object.id') = ?)
"""


def setting(world: World, name: str) -> str:
    return world.store.setting(name, SETTINGS[name][0])


def plan_retry(world: World, invoice: Document) -> None:
    """Set when the next attempt comes, if one does."""
    tries = invoice.get("retries", 0)
    if tries < len(RETRIES):
        invoice["retries"] = tries + 1
        invoice["next_payment_attempt"] = world.now(invoice["customer"]) + RETRIES[tries] * periods.DAY
        world.schedule(invoice["next_payment_attempt"], "retry_payment", invoice)
    else:
        invoice["next_payment_attempt"] = None


def plan_only_attempt(world: World, invoice: Document, seconds: int) -> None:
    """Set when the one attempt comes; if it fails, nothing follows."""
    due = world.now(invoice["customer"]) + seconds
    invoice.update(next_payment_attempt=due, only_attempt=True, retries=len(RETRIES))
    world.save(invoice)
    world.schedule(due, "retry_payment", invoice)


def after_failure(world: World, invoice: Document) -> None:
    """The subscription falls behind, and when that was the last try what is set follows."""
    subscribing.fall_behind(world, invoice)
    customer = world.get("customer", invoice["customer"])
    world.update(customer, "customer.updated", delinquent=True)
    subscription = world.find(invoice["subscription"], "subscription")
    if subscription is None or subscription["status"] in (*subscribing.ENDED, "paused"):
        return
    if invoice["next_payment_attempt"] is None and not invoice.get("only_attempt"):
        _give_up(world, subscription)
    elif setting(world, "first_failure") == "pause":
        pausing.pause_now(world, subscription, "first_payment_failure")


def _give_up(world: World, subscription: Document) -> None:
    end = setting(world, "dunning")
    if end == "cancel":
        subscribing.cancel(world, subscription, reason="payment_failed")
    elif end == "unpaid":
        world.update(subscription, "customer.subscription.updated", status="unpaid")
    elif end == "pause":
        pausing.pause_now(world, subscription, "final_payment_failure")


def after_payment(world: World, invoice: Document) -> None:
    customer = world.get("customer", invoice["customer"])
    world.update(customer, "customer.updated", delinquent=False)


@job("retry_payment")
def retry(world: World, invoice: Document) -> None:
    """Try again; but not the card that will never do, until there is another."""
    if invoice["status"] != "open" or not invoice["auto_advance"]:
        return
    if not _is_hopeless(world, invoice):
        invoicing.collect(world, invoice, automatic=True)
        return
    before = world.wire(invoice)
    plan_retry(world, invoice)
    world.save(invoice)
    world.emit("invoice.updated", invoice, before)
    after_failure(world, invoice)


def _is_hopeless(world: World, invoice: Document) -> bool:
    intent = world.get("payment_intent", invoice["payment_intent"])
    method = invoicing.method_for(world, invoice)
    error: dict[str, Any] = intent["last_payment_error"] or {}
    if intent["status"] == "requires_action":
        return bool(method and method["id"] == intent["payment_method"])
    same = method is not None and (error.get("payment_method") or {}).get("id") == method["id"]
    return same and bool({error.get("code"), error.get("decline_code")} & set(HARD.split()))


@job("finalize_invoice")
def finalize(world: World, invoice: Document) -> None:
    """The hour of a draft is over; but a webhook endpoint that did not take `invoice.created` holds it up."""
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
        return
    now = world.now(invoice["customer"])
    taken = world.store.db.execute(TAKEN_BY_ALL, (invoice["id"],)).fetchone()[0]
    if not taken and now < invoice["created"] + LONGEST_DRAFT:
        later = min(now + invoicing.DRAFT_FOR, invoice["created"] + LONGEST_DRAFT)
        world.update(invoice, automatically_finalizes_at=later)
        world.schedule(later, "finalize_invoice", invoice)
        return
    invoicing.finalize(world, invoice)
    if invoice["status"] != "open" or pausing.disposed_of(world, invoice):
        return
    if invoice["collection_method"] == "send_invoice":
        world.emit("invoice.sent", invoice)
    else:
        invoicing.collect(world, invoice, automatic=True)


@job("invoice_overdue")
def overdue(world: World, invoice: Document) -> None:
    """The day on which it was due has passed."""
    if invoice["status"] == "open":
        world.emit("invoice.overdue", invoice)
        subscribing.fall_behind(world, invoice)
        world.update(world.get("customer", invoice["customer"]), "customer.updated", delinquent=True)
