"""A sandbox for all tests of a session, emptied before each, that judges every request and answer.

With AGAINST_STRIPE=1 (`make test-stripe`) the tests marked stripe_verified ask Stripe's test mode instead.
"""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stripe

from tests.sandbox_process import SECRET_KEY, SandboxProcess

AGAINST_STRIPE = os.environ.get("AGAINST_STRIPE") == "1"
NO_KEY = "Stripe's test mode was not asked: that needs STRIPE_SECRET_KEY=sk_test_..., the key of an account of yours"
LIVE_KEY = "These tests make customers and charges: never with a live key."
OURS = {"sandbox", "sandbox_process", "receiver", "endpoint"}  # what only the sandbox can give


def pytest_sessionstart() -> None:
    """Refuse to begin without a key for Stripe's test mode: a run that asks nobody must not look like a proof."""
    key = os.environ.get("STRIPE_SECRET_KEY", "")
    if AGAINST_STRIPE and (key == SECRET_KEY or not key.startswith(("sk_test_", "rk_test_"))):
        pytest.exit(LIVE_KEY if "_live_" in key else NO_KEY, returncode=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked stripe_verified runs unchanged there, so it may ask for nothing that is the sandbox's own."""
    for item in items:
        if item.get_closest_marker("stripe_verified") and OURS & set(getattr(item, "fixturenames", ())):
            raise pytest.UsageError(f"{item.nodeid} is marked stripe_verified, but asks the sandbox itself")


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox") / "sandbox.db", "--check") as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process: SandboxProcess) -> Iterator[SandboxProcess]:
    """An empty world; afterwards nothing may have been said that stripe-python's types do not allow."""
    sandbox_process.reset()
    sandbox_process.post("settings", {"upcoming_days": "0"})  # renewals are announced where that is the story
    yield sandbox_process
    assert sandbox_process.violations() == []


@pytest.fixture
def stripe_api(request: pytest.FixtureRequest) -> Any:
    """stripe-python's v1 services, with the secret key: the sandbox's, or Stripe's if that was asked for."""
    return real_stripe() if AGAINST_STRIPE else request.getfixturevalue("sandbox").client.v1


def real_stripe() -> Any:
    return stripe.StripeClient(os.environ["STRIPE_SECRET_KEY"], max_network_retries=3).v1


class Receiver:
    """A webhook endpoint that keeps what it gets, and answers what it is told to."""

    def __init__(self) -> None:
        self.received: list[stripe.Event] = []
        self.signatures: list[str] = []
        self.bodies: list[bytes] = []
        self.answers: list[int] = []  # for the next ones; then 200
        self.secret = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(body)
                receiver.signatures.append(self.headers["Stripe-Signature"])
                event = stripe.Webhook.construct_event(body, self.headers["Stripe-Signature"], receiver.secret)
                receiver.received.append(event)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def types(self) -> list[str]:
        return [event.type for event in self.received]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def endpoint(stripe_api: Any, receiver: Receiver) -> stripe.WebhookEndpoint:
    """A webhook endpoint, made by API, that leads to the receiver."""
    made = stripe_api.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    receiver.secret = made.secret
    return made
