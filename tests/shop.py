"""The shop on a real port, joined to a sandbox process as to Stripe: calls one way, signed webhooks the other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import sqlalchemy as sa
from werkzeug.serving import make_server

import catalog
import config
import db
from app import Shop
from tests.sandbox_process import SandboxProcess

PASSWORD = "three small words"


class RunningShop:
    """An app that is served, with its sandbox."""

    def __init__(self, app: Shop, sandbox: SandboxProcess) -> None:
        self.app, self.sandbox = app, sandbox
        self.url: str = app.config["BASE_URL"]

    def settle(self) -> None:
        """Wait until every event has been delivered."""
        self.sandbox.idle()

    def stock(self) -> None:
        """`flask catalog sync`, as `make run` does it."""
        with self.app.app_context():
            list(catalog.bring_in_line(catalog.load(config.ROOT / "catalog.toml")))

    def rows(self, model: Any) -> list[dict[str, Any]]:
        with self.app.app_context():
            return [dict(row) for row in db.session.execute(sa.select(model.__table__)).mappings()]

    def visitor(self) -> Visitor:
        return Visitor(self.url)

    def member(self, email: str = "alice@example.com") -> Visitor:
        """Somebody who has registered and is signed in."""
        visitor = self.visitor()
        answer = visitor.submit("/register", email=email, password=PASSWORD, password_confirm=PASSWORD)
        assert answer.status_code == 200, answer.text
        return visitor

    def calls(self, method: str, path: str) -> list[dict[str, Any]]:
        """The requests that the sandbox got for exactly this path."""
        return [one for one in self.sandbox.requests() if (one["method"], one["path"]) == (method, path)]


class Visitor:
    """A person's browser as far as HTTP goes: cookies, and the CSRF token of the page."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=30, **kwargs)

    def token(self) -> str:
        return self.get("/privacy").text.split('<meta name="csrf-token" content="')[1].split('"')[0]

    def submit(self, path: str, **fields: str) -> requests.Response:
        """Send a form."""
        return self.session.post(self.url + path, data={"csrf_token": self.token(), **fields}, timeout=30)

    def send(self, path: str, body: Any = None, *, token: str | None = None, **fields: Any) -> requests.Response:
        """Send JSON."""
        headers = {"X-CSRFToken": self.token() if token is None else token}
        return self.session.post(self.url + path, json=fields if body is None else body, headers=headers, timeout=60)

    def subscribe(self, lookup_key: str = "premium_monthly", **fields: Any) -> dict[str, Any]:
        """Begin to subscribe; the answer holds the client secret."""
        answer = self.send("/create-subscription", lookupKey=lookup_key, **fields)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def may_see(self, page: str) -> bool:
        status = self.get(f"/members/{page}").status_code
        assert status in (200, 403)
        return status == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(app: Shop, port: int) -> Iterator[None]:
    """Serve the app on loopback, a thread for each request."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def pay(sandbox: SandboxProcess, client_secret: str, number: str = "4242424242424242") -> requests.Response:
    """Confirm a payment as Stripe.js does, with the publishable key and the intent's secret."""
    intent_id = client_secret.split("_secret_")[0]
    return requests.post(
        f"{sandbox.url}/v1/payment_intents/{intent_id}/confirm",
        data={
            "key": "pk_test_sandbox",
            "client_secret": client_secret,
            "return_url": "http://localhost/complete",
            "use_stripe_sdk": "true",
            "payment_method_data[type]": "card",
            "payment_method_data[card][number]": number,
            "payment_method_data[card][exp_month]": "12",
            "payment_method_data[card][exp_year]": "40",
            "payment_method_data[card][cvc]": "123",
            "payment_method_data[billing_details][address][country]": "US",
            "payment_method_data[billing_details][address][postal_code]": "12345",
        },
        timeout=30,
    )
