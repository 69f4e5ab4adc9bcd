"""Limits on what can be guessed or abused: log-in, sign-up, resets, payment attempts, questions to Stripe.

Each is a setting and counts requests within a window. Nobody is locked out for longer than that window, and who is
signed in stays so.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import Flask, g, request, session
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter, RateLimitExceeded, RequestLimit
from flask_limiter.util import get_remote_address

import errors
import mail

View = TypeVar("View", bound=Callable[..., Any])


def limit_payments(view: View) -> View:
    """Count this view's POSTs among payment attempts, by account and by network address."""
    cast(Any, view).is_payment = True
    return view


def limit_questions(view: View) -> View:
    """Count this view's requests among those that cost much: a question to Stripe, or a walk through our tables.

    Stripe takes only so many questions from a shop.
    """
    cast(Any, view).is_question = True
    return view


def init_app(app: Flask) -> None:
    """Put the limits on the views; when all of them are there."""
    if not app.config["RATELIMIT_ENABLED"]:
        return
    app.register_error_handler(RateLimitExceeded, _on_limit)
    # Without the storage each process counts for itself, rather than nobody being let in.
    limiter = Limiter(address, app=app, on_breach=_note_wait, in_memory_fallback_enabled=True)

    def limit(setting: str, key: Callable[[], str] = address, **more: Any) -> Any:
        rate = app.config[setting]
        return limiter.shared_limit(rate, scope=setting, key_func=key, **{"methods": ["POST"], **more})

    # Only a wrong password counts: it answers with the form again.
    wrong_password = {"deduct_when": lambda response: response.status_code == 200}
    limits = {
        "security.login": [
            limit("LIMIT_LOGIN_ACCOUNT", typed_account, **wrong_password),
            limit("LIMIT_LOGIN_ADDRESS"),
        ],
        "security.change_password": [limit("LIMIT_LOGIN_ACCOUNT", account, **wrong_password)],
        "security.verify": [limit("LIMIT_LOGIN_ACCOUNT", account, **wrong_password)],
        "security.register": [limit("LIMIT_REGISTER_ADDRESS")],
        "security.forgot_password": [limit("LIMIT_RESET_ACCOUNT", typed_account)],
        "security.send_confirmation": [limit("LIMIT_RESET_ACCOUNT", typed_account)],
        "security.change_email": [limit("LIMIT_RESET_ACCOUNT", account)],
        "details.delete_account": [limit("LIMIT_LOGIN_ACCOUNT", account)],
    }
    # A page that was told to ask again in a moment does so: that is no attempt, and asks nothing of Stripe.
    attempted: dict[str, Any] = {
        "deduct_when": lambda response: response.status_code != 409 or "Retry-After" not in response.headers
    }
    payments = [limit("LIMIT_PAY_ACCOUNT", account, **attempted), limit("LIMIT_PAY_ADDRESS", **attempted)]
    questions = [limit("LIMIT_ASK_ACCOUNT", account, methods=["GET", "POST"])]
    for endpoint, view in app.view_functions.items():
        marked = payments if hasattr(view, "is_payment") else questions if hasattr(view, "is_question") else ()
        for limited in marked or limits.get(endpoint, ()):
            view = limited(view)
        app.view_functions[endpoint] = view


def address() -> str:
    """Where a request comes from. Of IPv6 each household has a network of its own, with addresses without end."""
    remote = get_remote_address()
    try:
        found = ipaddress.ip_address(remote)
    except ValueError:
        return remote
    if isinstance(found, ipaddress.IPv4Address):
        return remote
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def typed_account() -> str:
    """The account that a form names, whether there is one or not."""
    typed = request.form.get("email", "")
    return mail.normalized(typed) or typed.strip().lower()[:255] or "-"


def account() -> str:
    """The signed-in account, known from the session alone."""
    return str(session.get("_user_id") or address())


def _note_wait(limit: RequestLimit) -> None:
    g.retry_after = max(1, limit.reset_at - int(time.time()))


def _on_limit(_error: RateLimitExceeded) -> ResponseReturnValue:
    seconds = g.get("retry_after", 60)
    minutes = -(-seconds // 60)
    wait = "a minute" if minutes == 1 else f"{minutes} minutes"
    return errors.answer(429, "too_many_requests", f"Too many attempts. Try again in {wait}.", retry_after=seconds)
