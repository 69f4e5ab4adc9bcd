"""What was used of a metered item."""

from sandbox.errors import not_built
from sandbox.store import Document
from sandbox.world import World


def usage_of(world: World, item: Document, span: tuple[int, int]) -> int:
    """The quantity that the item's meter counted from the span's start up to, but not including, its end."""
    raise not_built("metered prices")
