"""What was used of a metered item, and at which prices."""

from collections.abc import Iterator

from sandbox import money
from sandbox.resources import meters
from sandbox.store import Document
from sandbox.world import World

Span = tuple[int, int]


def usage_of(world: World, item: Document, span: Span) -> int:
    """The quantity that the item's meter counted from the span's start up to, but not including, its end."""
    meter = world.get(meters.KIND, world.get("price", item["price"])["recurring"]["meter"])
    customer = world.get("subscription", item["subscription"])["customer"]
    return money.rounded(meters.aggregate(meter, meters.events_of(world, meter, customer, span)))


def stretches(item: Document, span: Span) -> Iterator[tuple[Document, Span]]:
    """The item as it was priced in each part of a time, without the parts whose usage is settled."""
    for earlier in item.get("earlier_prices", []):
        start, end = max(span[0], earlier["start"]), min(span[1], earlier["end"])
        if start < end:
            yield Document(item | {"price": earlier["price"]}), (start, end)
    yield item, (max(span[0], item.get("counted_from", 0)), span[1])


def price_changes(item: Document, at: int, *, keep: bool) -> None:
    """From now on usage has another price. keep: what was used until then is still to be charged, at the old one."""
    if keep:
        stretch = {"price": item["price"], "start": item.get("counted_from", 0), "end": at}
        item["earlier_prices"] = [*item.get("earlier_prices", []), stretch]
    item["counted_from"] = at


def settled(item: Document, at: int) -> None:
    """What was used up to an instant has been charged."""
    item.update(counted_from=at, earlier_prices=[])
