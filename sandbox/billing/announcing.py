"""What is told before a renewal: `invoice.upcoming`."""

from sandbox import events
from sandbox.billing import dunning, periods, previewing
from sandbox.jobs import job
from sandbox.store import Document
from sandbox.world import World


def plan(world: World, subscription: Document, end: int) -> None:
    """Have it told some days before a period's end."""
    world.unschedule(subscription, "announce_renewal")
    days, now = int(dunning.setting(world, "upcoming_days")), world.now(subscription["customer"])
    if days and subscription["collection_method"] == "charge_automatically" and end - days * periods.DAY > now:
        world.schedule(end - days * periods.DAY, "announce_renewal", subscription)


@job("announce_renewal")
def announce(world: World, subscription: Document) -> None:
    """Tell the invoice that is to come, if one is."""
    wire = previewing.upcoming(world, subscription)
    if wire is not None:
        events.record(world, "invoice.upcoming", wire)
