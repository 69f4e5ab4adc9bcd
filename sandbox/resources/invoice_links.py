"""The links to an invoice's page and PDF: whoever holds one may look and pay."""

import hashlib
import hmac

from sandbox.store import Document
from sandbox.world import World

PREFIX, ID, MAC = "test_", 24, 32  # characters


def page(world: World, invoice: Document) -> str:
    """Where the invoice's page is, on the sandbox's own origin."""
    return f"{world.origin}/i/{world.account}/{_token(world, invoice['id'])}"


def invoice_of(world: World, token: str) -> Document | None:
    """The finalized invoice of a link; None for a link that was made up."""
    id = f"in_{token[len(PREFIX) : len(PREFIX) + ID]}"
    if not hmac.compare_digest(_token(world, id).encode(), token.encode()):
        return None
    invoice = world.find(id, "invoice")
    return invoice if invoice and invoice["status"] != "draft" and not invoice.get("deleted") else None


def _token(world: World, id: str) -> str:
    mac = hmac.new(world.store.setting("link_key").encode(), id.encode(), hashlib.sha256).hexdigest()
    return f"{PREFIX}{id[3:]}{mac[:MAC]}"
