"""The parameters of a request as they arrive: forms and queries, whose names have brackets."""

from typing import Any
from urllib.parse import unquote_to_bytes

from contract.stripe_requests import decode_form
from sandbox.errors import StripeError

DEEPEST = 50  # brackets of one parameter, and of its value
WRONG_TYPE = (
    "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have any "
    "questions, we can help at https://support.stripe.com/."
)


def read(method: str, query: bytes, body: bytes, content_type: str) -> dict[str, Any]:
    """The parameters of a request's query, and of the body of one that may have a body.

    Raises Stripe's error for what can't be parameters.
    """
    parts = [query]
    if method in ("POST", "DELETE") and body:
        if content_type.partition(";")[0].strip().lower() not in ("", "application/x-www-form-urlencoded"):
            raise StripeError(WRONG_TYPE)
        parts.append(body)
    return decode(b"&".join(filter(None, parts)))


def decode(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode()
        unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise StripeError("Invalid request: the parameters are not UTF-8.") from None
    try:
        if any(part.upper().replace("%5B", "[").count("[") > DEEPEST for part in text.split("&")):
            raise ValueError("nested too deep")
        return decode_form(text)
    except (TypeError, ValueError, RecursionError):
        raise StripeError("Invalid request: the parameters could not be read.") from None
