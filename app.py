"""The app: a table of contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import MapAdapter

import auth
import billing
import cli
import cli_setup
import config as settings
import db
import errors
import formatting
import health
import logs
import personal
import sync
import throttle
import turns
from account import account
from checkout import checkout
from details import details
from members import members
from plan import plan
from staff import staff
from wallet import wallet
from webhooks import BODY_LIMIT, webhooks

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LONGEST_BODY = 64 * 1024  # bytes; /webhook has a limit of its own
STRIPE = "https://js.stripe.com"


class Sessions(SecureCookieSessionInterface):
    """Flask's sessions, opened at no cost for who brings no cookie, as Stripe."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if "Cookie" not in request.headers and app.secret_key:
            return self.session_class()
        return super().open_session(app, request)


class Shop(Flask):
    """Flask, with absolute links that start at BASE_URL whatever address the request came to."""

    session_interface = Sessions()

    def url_for(self, /, endpoint: str, *, _external: bool | None = None, **values: Any) -> str:
        if _external and values.get("_scheme") is None:  # flask.url_for gives it as None
            values["_scheme"] = self.config["PREFERRED_URL_SCHEME"]
        return super().url_for(endpoint, _external=_external, **values)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """None of our functions is a coroutine, so that Flask need not look before each call."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Flask's, made once for what is not about a request: each context takes one, and most never use it."""
        return self._links if request is None else super().create_url_adapter(request)

    @cached_property
    def _links(self) -> MapAdapter | None:
        return super().create_url_adapter(None)

    def log_exception(self, exc_info: Any) -> None:
        self.logger.error("exception on %s %s", request.method, logs.path(), exc_info=exc_info)


def create_app(config: Mapping[str, Any] | None = None) -> Shop:
    """The app, by the settings in `config` alone, or without it by those of the environment and the .env files.

    Raises ConfigError, which lists all that is missing or wrong.
    """
    app = Shop(__name__)
    app.config.from_mapping(config)  # what is no setting of ours may be one of Flask's
    source = settings.from_environment() if config is None else config
    try:
        configure(app, source)
    except settings.ConfigError:
        if config is not None or not cli_setup.asks_for_doctor():
            raise
        cli_setup.init_doctor_alone(app, source)
        return app
    logs.init_app(app)
    errors.init_app(app)
    app.register_error_handler(sync.Contended, on_contended)
    db.init_app(app)
    billing.init_app(app)
    auth.init_app(app)
    formatting.init_app(app)
    personal.init_app(app)
    health.init_app(app)
    for blueprint in (checkout, account, staff, members, plan, wallet, details, webhooks):
        app.register_blueprint(blueprint)
    auth.csrf.exempt(webhooks)  # its signature is its guard
    cli.init_app(app)
    throttle.init_app(app)
    app.after_request(set_cache_control)
    app.wsgi_app = Headers(app)  # type: ignore[method-assign]
    if app.config["DATABASE_URL"].startswith("sqlite"):  # another database takes many at once
        app.wsgi_app = turns.InTurn(app.wsgi_app, "/webhook", BODY_LIMIT)  # type: ignore[method-assign]
    app.url_defaults(version_static_files(app))
    return app


def on_contended(_error: sync.Contended) -> ResponseReturnValue:
    """Many changes of one thing at once: nothing is lost, and the next try finds it quiet."""
    return errors.answer(503, "busy", "A lot is going on with your subscription. Please try again.", retry_after=2)


def configure(app: Flask, source: Mapping[str, Any]) -> None:
    app.config.update(settings.load(source))
    base = urlsplit(app.config["BASE_URL"])
    app.config.update(SERVER_NAME=base.netloc, PREFERRED_URL_SCHEME=base.scheme, MAX_CONTENT_LENGTH=LONGEST_BODY)
    if proxies := app.config["PROXIES"]:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=proxies)  # type: ignore[method-assign]


def version_static_files(app: Flask) -> Any:
    """A new address for a static file when it changes, so that browsers may keep the old one for good."""

    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and "v" not in values:
            file = Path(app.static_folder or "") / values["filename"]
            values["v"] = f"{file.stat().st_mtime_ns:x}" if file.is_file() else None

    return add_version


def set_cache_control(response: Response) -> Response:
    """Static files have a new address when they change; what is shown to who is signed in is theirs alone."""
    if request.endpoint == "static":
        if response.status_code < 400 and "v" in request.args:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif request.blueprint == "security" or "_user_id" in session:
        response.headers["Cache-Control"] = "no-store"
    return response


class Headers:
    """What every answer carries; made once, from the configuration."""

    def __init__(self, app: Flask) -> None:
        self.wsgi_app = app.wsgi_app
        js, api = origin(app.config["STRIPE_JS_URL"]), origin(app.config["STRIPE_API_BASE"])
        headers = {
            "Content-Security-Policy": content_security_policy(js, api),
            "Permissions-Policy": f'payment=(self "{js}"), camera=(), microphone=(), geolocation=()',
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
        }
        if app.config["BASE_URL"].startswith("https://"):
            headers["Strict-Transport-Security"] = "max-age=31536000"
        self.headers = list(headers.items())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            return start_response(status, headers + self.headers, *exc_info)

        return self.wsgi_app(environ, start)


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def content_security_policy(js: str, api: str) -> str:
    """Own files, and what Stripe.js needs: https://docs.stripe.com/security/guide#content-security-policy."""
    script, image = js, ""
    frame = connect = " ".join(dict.fromkeys((js, api)))
    if js == STRIPE:
        script = f"{STRIPE} https://*.js.stripe.com https://maps.googleapis.com"
        frame = f"{STRIPE} https://*.js.stripe.com https://hooks.stripe.com https://*.link.com"
        connect = f"{api} https://maps.googleapis.com https://*.link.com"
        image = " https://*.link.com"
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {script}",
            "style-src 'self'",
            f"img-src 'self' data:{image}",
            f"frame-src {frame}",
            f"connect-src 'self' {connect}",
            "font-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "object-src 'none'",
        )
    )
