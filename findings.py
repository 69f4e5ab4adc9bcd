"""What `flask doctor` found, and the words that its findings share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask import current_app

OK, WARNING, WRONG = "ok", "warning", "wrong"
KEYS_PAGE = "https://dashboard.stripe.com/apikeys"
LISTEN = "stripe listen --latest --forward-to"


@dataclass(frozen=True)
class Finding:
    """`state` is ok, warning or wrong; `remedy` says what to do about it."""

    state: str
    about: str
    text: str
    remedy: str = ""


Findings = Iterator[Finding]


def webhook_url() -> str:
    """Where this shop takes events."""
    return f"{current_app.config['BASE_URL']}/webhook"
