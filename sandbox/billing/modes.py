"""Which of Stripe's two billing modes a subscription has."""

from sandbox.store import Document


def is_classic(subscription: Document) -> bool:
    """Otherwise it is flexible."""
    return bool(subscription["billing_mode"]["type"] == "classic")
