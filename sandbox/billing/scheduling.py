"""Subscription schedules: phases that a subscription enters at their time."""

from sandbox.store import Document
from sandbox.world import World


def enter_due_phase(world: World, subscription: Document) -> None:
    pass


def subscription_ended(world: World, subscription: Document, reason: str) -> None:
    pass
