"""The log: each line with its request's id, one line per request, and never a secret."""

from __future__ import annotations

import logging
import re
import time
import uuid

from flask import Flask, Response, g, has_request_context, request

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
SECRET = re.compile(r"\b((?:sk|rk|whsec)_|\w+_secret_)\w+")
QUIET = frozenset({"static", "healthz", "readyz"})
WEBHOOK = "webhooks.receive"

access = logging.getLogger("access")


class Formatter(logging.Formatter):
    """Adds the request's id and takes out what looks like a secret, from traces too."""

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = g.get("request_id", "-") if has_request_context() else "-"
        return SECRET.sub(r"\1...", super().format(record))


def init_app(app: Flask) -> None:
    """Write to standard error from LOG_LEVEL up; give each request an id and a line."""
    root = logging.getLogger()
    if not root.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
        root.addHandler(handler)
    root.setLevel(app.config["LOG_LEVEL"])
    logging.getLogger("flask-limiter").setLevel(logging.WARNING)  # its lines name e-mail addresses
    logging.getLogger("stripe").setLevel(logging.DEBUG if app.config["LOG_LEVEL"] == "DEBUG" else logging.WARNING)
    app.before_request(_begin)
    app.after_request(_end)


def path() -> str:
    """The request's path without its query; a token in it is not shown either."""
    if request.url_rule is not None and "token" in (request.view_args or {}):
        return request.url_rule.rule
    return request.path


def _is_quiet(response: Response) -> bool:
    """Nothing to tell: a file, a probe, or an event that was taken and is in the ledger."""
    return request.endpoint in QUIET or (request.endpoint == WEBHOOK and response.status_code == 200)


def _begin() -> None:
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _end(response: Response) -> Response:
    if "request_id" in g:
        response.headers["X-Request-ID"] = g.request_id
        if not _is_quiet(response) and access.isEnabledFor(logging.INFO):
            took = (time.perf_counter() - g.started) * 1000
            access.info("%s %s %s %.0f ms", request.method, path(), response.status_code, took)
    return response
