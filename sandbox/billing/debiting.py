"""Bank debits: sent to the bank now, and only days or minutes later known to have worked."""

from sandbox import methods
from sandbox.billing import invoicing, payments, subscribing
from sandbox.jobs import job
from sandbox.resources import charges, mandates
from sandbox.store import Document
from sandbox.world import World


def submit(world: World, intent: Document, method: Document, *, automatic: bool) -> None:
    """Send the debit on its way: the intent is processing until the bank has answered."""
    payments.keep(world, intent, method)
    mandate = mandates.agreed(world, method)
    charge = charges.create(
        world, intent, method, "pending", automatic=automatic, mandate=mandate["id"] if mandate else None
    )
    intent.update(status="processing", latest_charge=charge["id"])
    world.save(intent)
    world.emit("payment_intent.processing", intent)
    world.emit("charge.pending", charge)
    after = methods.instrument_of(method).settles_after
    world.schedule(world.now(intent["customer"]) + after, "settle_debit", charge)
    if intent["invoice"]:
        _tell_invoice(world, world.get("invoice", intent["invoice"]), method)


def _tell_invoice(world: World, invoice: Document, method: Document) -> None:
    """A subscription that waited for its first payment starts, though no money has come yet."""
    world.update(invoice, "invoice.updated", attempted=True)
    subscription = world.find(invoice["subscription"], "subscription")
    if subscription is None or subscription["status"] != "incomplete":
        return
    changes = {"status": "trialing" if (subscription["trial_end"] or 0) > world.now(invoice["customer"]) else "active"}
    if subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        changes["default_payment_method"] = method["id"]
    world.update(subscription, "customer.subscription.updated", **changes)
    world.unschedule(subscription, "expire_incomplete")
    subscribing.plan_next(world, subscription)


@job("settle_debit")
def settle(world: World, charge: Document) -> None:
    """The bank has answered."""
    intent = world.get("payment_intent", charge["payment_intent"])
    method = world.get("payment_method", charge["payment_method"])
    decline = methods.instrument_of(method).decline
    if decline is None:
        charge.update(status="succeeded", balance_transaction=world.new_id("txn"))
        world.save(charge)
        payments.succeeded(world, intent, charge, automatic=charge["automatic"])
        return
    charge.update(status="failed", decline=decline.details())
    world.save(charge)
    world.emit("charge.failed", charge)
    error = {**decline.details(), "charge": charge["id"], "type": "invalid_request_error"}
    payments.declined(world, intent, method, error, automatic=charge["automatic"])
    if intent["invoice"]:
        _give_up_first(world, world.get("invoice", intent["invoice"]))


def _give_up_first(world: World, invoice: Document) -> None:
    """A subscription's first invoice is voided; the subscription stays active, as Stripe has it."""
    if invoice["billing_reason"] == "subscription_create" and invoice["status"] == "open":
        invoicing.void(world, invoice)
