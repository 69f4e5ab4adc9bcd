"""What was used of a metered item."""

from sandbox import money
from sandbox.resources import meters
from sandbox.store import Document
from sandbox.world import World


def usage_of(world: World, item: Document, span: tuple[int, int]) -> int:
    """The quantity that the item's meter counted from the span's start up to, but not including, its end."""
    meter = world.get(meters.KIND, world.get("price", item["price"])["recurring"]["meter"])
    customer = world.get("subscription", item["subscription"])["customer"]
    return money.rounded(meters.aggregate(meter, meters.events_of(world, meter, customer, span)))
