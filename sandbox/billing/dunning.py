"""What follows when an automatic charge fails: retries, and what ends them."""

from sandbox.billing import invoicing, pausing, periods, subscribing
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World

# An account setting that Stripe has no API for: the days from each failure to the next try. Then it is over.
RETRIES = (3, 5, 7)


def plan_retry(world: World, invoice: Document) -> None:
    """Set when the next attempt comes, if one does."""
    failures = invoice["attempt_count"]
    if failures <= len(RETRIES):
        invoice["next_payment_attempt"] = world.now(invoice["customer"]) + RETRIES[failures - 1] * periods.DAY
        world.schedule(invoice["next_payment_attempt"], "retry_payment", invoice)
    else:
        invoice["next_payment_attempt"] = None


def after_failure(world: World, invoice: Document) -> None:
    """The subscription falls behind, or ends when that was the last try."""
    subscribing.fall_behind(world, invoice)
    customer = world.get("customer", invoice["customer"])
    world.update(customer, "customer.updated", delinquent=True)
    subscription = world.find(invoice["subscription"], "subscription")
    if invoice["next_payment_attempt"] is None and subscription:
        subscribing.cancel(world, subscription, reason="payment_failed")


def after_payment(world: World, invoice: Document) -> None:
    customer = world.get("customer", invoice["customer"])
    world.update(customer, "customer.updated", delinquent=False)


@job("retry_payment")
def retry(world: World, invoice: Document) -> None:
    if invoice["status"] == "open" and invoice["auto_advance"]:
        invoicing.collect(world, invoice, automatic=True)


@job("finalize_invoice")
def finalize(world: World, invoice: Document) -> None:
    """The hour of a renewal's draft is over."""
    if invoice["status"] != "draft" or not invoice["auto_advance"]:
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
