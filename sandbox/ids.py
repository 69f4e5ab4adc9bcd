"""Identifiers of the shapes that Stripe gives."""

import hashlib
import secrets
import string

ALPHABET = string.ascii_letters + string.digits
SHORT = {"acct": 16, "cus": 14, "prod": 14, "si": 14, "req": 14}
PAYMENTS = {"pi", "ch", "re", "py"}


def random_text(length: int) -> str:
    return "".join([ALPHABET[byte % len(ALPHABET)] for byte in secrets.token_bytes(length)])


def new_id(prefix: str, account: str, now: int) -> str:
    """An id: 24 characters with the time and the account in the middle, or short and random, as Stripe has it."""
    if prefix in SHORT:
        return f"{prefix}_{random_text(SHORT[prefix])}"
    return f"{prefix}_{'3' if prefix in PAYMENTS else '1'}{_base62(now, 5)}{account[-10:]}{random_text(8)}"


def new_event_id(about: str, account: str, now: int) -> str:
    """Events about a payment begin evt_3, all others evt_1."""
    payment = about in ("payment_intent", "charge", "refund")
    return f"evt_{'3' if payment else '1'}{_base62(now, 5)}{account[-10:]}{random_text(8)}"


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits = ALPHABET[rest] + digits
    return digits


def fingerprint(account: str, number: str) -> str:
    """The same for the same card or bank account within one account."""
    return hashlib.sha256((account + number).encode()).hexdigest()[:16]
