"""Updates that are held back until they are paid: payment_behavior=pending_if_incomplete."""

import copy
from typing import Any

from sandbox.billing import changing, ending, invoicing, subscribing
from sandbox.errors import StripeError
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World

PAID_WITHIN = 23 * 3600  # seconds
TAKEN = (
    "items proration_behavior proration_date billing_cycle_anchor trial_end trial_from_plan add_invoice_items metadata "
    "cancel_at_period_end payment_behavior off_session expand"
)
Snapshot = dict[str, dict[str, Any]]


def check(world: World, subscription: Document, params: dict[str, Any]) -> None:
    """Raises Stripe's error for what can't be held back."""
    other = sorted(params.keys() - set(TAKEN.split()))
    if other:
        text = (
            "When `payment_behavior` is set to `pending_if_incomplete`, you can only pass supported params. The "
            f"following params are not supported: {', '.join(other)}."
        )
        raise StripeError(text, param=other[0])
    if subscription["collection_method"] != "charge_automatically":
        text = "`pending_if_incomplete` can only be used with `collection_method=charge_automatically`."
        raise StripeError(text, param="payment_behavior")
    method = invoicing.default_method(world, subscription, subscription["customer"])
    if method and method["type"] != "card":
        text = f"`pending_if_incomplete` does not support payment methods of type `{method['type']}`."
        raise StripeError(text, param="payment_behavior")


def snapshot(world: World, subscription: Document) -> Snapshot:
    """The subscription and its items as they are, to come back to."""
    documents = [subscription, *subscribing.items_of(world, subscription)]
    return {document["id"]: copy.deepcopy(dict(document)) for document in documents}


def change(world: World, subscription: Document, params: dict[str, Any], before: dict[str, Any], old: Snapshot) -> None:
    """Make the change if its invoice is paid at once or nothing is due; else keep it for when it is.

    old: the state before the request.
    """
    if subscription["pending_update"]:
        _withdraw(world, subscription)
    bill = changing.carry_out(world, subscription, params)
    ending.plan_end(world, subscription, params)
    invoice = changing.draft(world, subscription, bill)
    new = snapshot(world, subscription)
    if invoice:
        invoice["holds_update"] = True
        subscription["latest_invoice"] = invoice["id"]
        world.save(subscription)
        world.emit("invoice.created", invoice)
        invoicing.finalize(world, invoice)
        if invoice["status"] == "open":
            invoicing.collect(world, invoice, automatic=False, off_session=params.get("off_session", False))
    if invoice and invoice["status"] == "open":
        _hold(world, subscription, invoice, params, new, old)
    elif invoice:
        invoice["holds_update"] = False
        world.save(invoice)
    subscribing.plan_next(world, subscription)
    world.emit("customer.subscription.updated", subscription, before)


def _hold(
    world: World, subscription: Document, invoice: Document, params: dict[str, Any], new: Snapshot, old: Snapshot
) -> None:
    now = world.now(subscription["customer"])
    wires = [world.wire(item) for item in subscribing.items_of(world, subscription)]
    restore(world, old, new)
    ends = [item["current_period_end"] for item in subscribing.items_of(world, subscription)]
    asked = new[subscription["id"]]
    subscription.update(
        latest_invoice=invoice["id"],
        pending_update={
            "invoice": invoice["id"],
            "changes": changes(old, new),
            "wire": {
                "billing_cycle_anchor": asked["billing_cycle_anchor"] if "billing_cycle_anchor" in params else None,
                "cancel_at_period_end": params.get("cancel_at_period_end"),
                "discount": None,
                "discounts": None,
                "expires_at": min(now + PAID_WITHIN, *ends),
                "metadata": asked["metadata"] if "metadata" in params else None,
                "subscription_items": wires if params.get("items") else None,
                "trial_end": asked["trial_end"] if "trial_end" in params else None,
                "trial_from_plan": None,
            },
        },
    )
    world.save(subscription)
    world.schedule(subscription["pending_update"]["wire"]["expires_at"], "expire_update", subscription)


def apply(world: World, subscription: Document) -> None:
    """The invoice was paid: what was held back comes to be."""
    before, held = world.wire(subscription), subscription["pending_update"]
    world.unschedule(subscription, "expire_update")
    carry_out(world, held["changes"])
    subscription["pending_update"] = None
    world.save(subscription)
    subscribing.plan_next(world, subscription)
    world.emit("customer.subscription.pending_update_applied", subscription)
    world.emit("customer.subscription.updated", subscription, before)


@job("expire_update")
def expire(world: World, subscription: Document) -> None:
    """It was not paid in time."""
    if subscription["pending_update"]:
        before = world.wire(subscription)
        _withdraw(world, subscription)
        world.emit("customer.subscription.pending_update_expired", subscription)
        world.emit("customer.subscription.updated", subscription, before)


def drop(world: World, invoice: Document) -> None:
    """Its invoice was voided: nobody will pay for it any more."""
    subscription = world.find(invoice["subscription"]) if invoice["subscription"] else None
    if subscription and subscription["pending_update"] and subscription["pending_update"]["invoice"] == invoice["id"]:
        expire(world, subscription)


def _withdraw(world: World, subscription: Document) -> None:
    invoice = world.get("invoice", subscription["pending_update"]["invoice"])
    subscription["pending_update"] = None
    world.save(subscription)
    world.unschedule(subscription, "expire_update")
    if invoice["status"] == "open":
        invoicing.void(world, invoice)


def changes(old: Snapshot, new: Snapshot) -> Snapshot:
    """What is to be made of the old documents so that they become the new ones; what is gone then is deleted."""
    born = {id: {"deleted": False} for id in new.keys() - old.keys()}
    gone = {id: {"deleted": True} for id in old.keys() - new.keys()}
    both = {id: [name for name in new[id] if old[id].get(name) != new[id][name]] for id in new.keys() & old.keys()}
    return {**born, **gone, **{id: {name: new[id][name] for name in names} for id, names in both.items()}}


def carry_out(world: World, wanted: Snapshot) -> None:
    """Make those changes."""
    for id, changed in wanted.items():
        document = world.find(id)
        assert document is not None
        document.update(changed)
        world.save(document)


def restore(world: World, wanted: Snapshot, now_there: Snapshot) -> None:
    """Put the documents of one snapshot in the place of another's; what it has not is deleted."""
    for id in now_there.keys() | wanted.keys():
        document = world.find(id)
        assert document is not None
        if id in wanted:
            document.clear()
            document.update(copy.deepcopy(wanted[id]))
        else:
            document["deleted"] = True
        world.save(document)
