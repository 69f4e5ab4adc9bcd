"""Invoice items that wait for a subscription's next invoice."""

from sandbox.billing import lines
from sandbox.billing.lines import Line
from sandbox.store import Document
from sandbox.world import World


def items(world: World, subscription: Document) -> list[Document]:
    """Those of the subscription, and of its customer without a subscription; oldest first."""
    mine = "customer = ? AND status = 'pending' AND (subscription IS NULL OR subscription = ?)"
    found = world.select("invoiceitem", mine, (subscription["customer"], subscription["id"]))
    return [item for item in found if item["currency"] == subscription["currency"]]


def take(world: World, pending: list[Document]) -> list[Line]:
    """Lines for what waited."""
    return [lines.for_pending(world, item) for item in pending]


def put_on(world: World, pending: list[Document], invoice: Document) -> None:
    """Note that they stand on an invoice now."""
    for item in pending:
        item.update(status="invoiced", invoice=invoice["id"])
        world.save(item)
