"""The sandbox as a process: its command line, its state, its page."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import stripe

from tests.sandbox.acts import GOOD, client_secret, confirm, customer_with, monthly, refused, subscribe
from tests.sandbox.conftest import Receiver
from tests.sandbox_process import ROOT, SandboxProcess


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)


def test_state_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    """Objects, the clock, jobs, held deliveries, idempotency keys, the account and the signing secret."""
    state = tmp_path / "deep" / "sandbox.db"
    with SandboxProcess(state, "--forward-to", receiver.url) as sandbox:
        receiver.secret = secret = sandbox.signing_secret
        sandbox.post("deliveries", {"mode": "hold"})
        stripe_api: Any = sandbox.client.v1
        account = stripe_api.accounts.retrieve_current().id
        customer, price = customer_with(stripe_api), monthly(stripe_api)
        params = {"customer": customer.id, "items": [{"price": price.id}]}
        subscription = stripe_api.subscriptions.create(params, {"idempotency_key": "one"})
        attempt = subscribe(stripe_api, customer.id, price.id)
        sandbox.advance(days=3)
        now = sandbox.now()
    with SandboxProcess(state, "--forward-to", receiver.url) as sandbox:
        stripe_api = sandbox.client.v1
        assert sandbox.signing_secret == secret
        assert stripe_api.accounts.retrieve_current().id == account
        assert sandbox.now() >= now
        assert stripe_api.subscriptions.create(params, {"idempotency_key": "one"}).id == subscription.id
        assert stripe_api.subscriptions.retrieve(attempt.id).status == "incomplete_expired"
        sandbox.post("deliveries/flush")
        sandbox.idle()
        assert [event.id for event in receiver.received] == [event.id for event in sandbox.events()]
        sandbox.advance(days=30)
        assert len(stripe_api.invoices.list({"subscription": subscription.id}).data) == 2


def test_state_is_whole_after_a_kill(tmp_path: Path) -> None:
    """Killed while four clients subscribe and time passes: each answer given stands, nothing is there by half."""
    state, told = tmp_path / "sandbox.db", dict[str, str]()
    with SandboxProcess(state) as sandbox:
        stripe_api: Any = sandbox.client.v1
        customer, price = customer_with(stripe_api).id, monthly(stripe_api).id
        params = {"customer": customer, "items": [{"price": price}]}
        enough = threading.Event()

        def subscribe_on(name: str) -> None:
            client: Any = sandbox.make_client()
            for number in range(1000):
                key = f"{name}-{number}"
                try:
                    told[key] = client.v1.subscriptions.create(params, {"idempotency_key": key}).id
                    if number % 5 == 4:
                        sandbox.advance(days=1)
                except (stripe.APIConnectionError, OSError, http.client.HTTPException):
                    return
                if len(told) >= 15:
                    enough.set()

        clients = [threading.Thread(target=subscribe_on, args=(name,)) for name in "abcd"]
        for client in clients:
            client.start()
        assert enough.wait(30)
        sandbox.process.kill()
        for client in clients:
            client.join()
    with SandboxProcess(state) as sandbox:
        stripe_api = sandbox.client.v1
        for key, id in told.items():
            assert stripe_api.subscriptions.create(params, {"idempotency_key": key}).id == id
        listed = list(
            stripe_api.subscriptions.list({"limit": 100, "expand": ["data.latest_invoice"]}).auto_paging_iter()
        )
        assert {one.id for one in listed} >= set(told.values())
        created = sandbox.events("customer.subscription.created")
        assert sorted(event.data.object.id for event in created) == sorted(one.id for one in listed)
        for one in listed:
            assert (one.status, one.latest_invoice.status, len(one["items"].data)) == ("active", "paid", 1)
        paid = [event.data.object.id for event in sandbox.events("invoice.paid")]
        assert sorted(paid) == sorted(one.latest_invoice.id for one in listed)
        sandbox.advance(days=32)
        renewed = [event.data.object.billing_reason for event in sandbox.events("invoice.paid")]
        assert renewed.count("subscription_cycle") == len(listed), "what was planned before the kill comes to pass"


def test_reset_empties_the_world_but_keeps_the_secret(sandbox: SandboxProcess) -> None:
    stripe_api = sandbox.client.v1
    account, before = stripe_api.accounts.retrieve_current().id, sandbox.now()
    customer = stripe_api.customers.create({})
    sandbox.advance(days=30)
    sandbox.reset()
    assert stripe_api.accounts.retrieve_current().id != account
    assert refused(stripe_api.customers.retrieve, customer.id).http_status == 404
    assert sandbox.events() == []
    assert before <= sandbox.now() < before + 600
    assert run("listen", "--print-secret", "--state", str(sandbox.state)).stdout.strip() == sandbox.signing_secret


def test_commands_reach_a_running_sandbox(sandbox: SandboxProcess, receiver: Receiver) -> None:
    now = sandbox.now()
    told = run("advance", "1d12h", "--url", sandbox.url)
    assert told.returncode == 0
    assert told.stdout.startswith("It is now ")
    assert now + 129600 <= sandbox.now() < now + 129600 + 60
    endpoint = sandbox.client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["*"]})
    receiver.secret = str(endpoint.secret)
    sandbox.client.v1.customers.create({})
    event = sandbox.events()[0]
    assert run("events", "resend", event.id, "--url", sandbox.url).returncode == 0
    sandbox.idle()
    assert [one.id for one in receiver.received] == [event.id] * 2
    nothing = run("events", "resend", "evt_nothing", "--url", sandbox.url)
    assert (nothing.returncode, nothing.stderr) == (1, "Error: No such event: 'evt_nothing'\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("advance", "soon"), 2, "is not a time span"),
        (("advance", "1.5d"), 2, "'1.5d' is not a time span; 31d, 12h, 90m, 10s and 1d12h are"),
        (("advance", "1d", "--url", "http://127.0.0.1:9"), 1, "no sandbox answers at http://127.0.0.1:9"),
        (("advance", "1d", "--url", "127.0.0.1:9"), 1, "no sandbox answers at http://127.0.0.1:9"),
        (("advance", "1d", "--url", "http://127.0.0.1:x"), 2, "is not an address such as http://127.0.0.1:12111"),
        (("trigger",), 2, "Missing argument 'EVENT'"),
        (("deliveries", "lose"), 2, "is not one of 'deliver', 'hold', 'shuffle', 'duplicate', 'drop'"),
        (("serve", "--port", "99999"), 2, "99999 is not in the range 0<=x<=65535"),
        (("serve", "--port", "0", "--state", str(ROOT)), 1, "cannot keep its state in"),
        (("serve", "--port", "0", "--state", __file__), 1, "file is not a database"),
        (("nonsense",), 2, "No such command"),
        (("listen",), 2, "--print-secret"),
    ],
)
def test_wrong_commands_say_what_is_wrong(arguments: tuple[str, ...], code: int, says: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == code
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_names_the_commands() -> None:
    told = run("--help")
    assert told.returncode == 0
    assert all(name in told.stdout for name in ("serve", "listen", "advance", "deliveries", "events", "trigger"))


def test_commands_disturb_deliveries(sandbox: SandboxProcess, endpoint: Any, receiver: Receiver) -> None:
    """Held back, let go, replayed in another order."""
    assert run("deliveries", "hold", "--types", "customer.*", "--url", sandbox.url).returncode == 0
    monthly(sandbox.client.v1)
    sandbox.client.v1.customers.create({})
    sandbox.idle()
    assert receiver.types() == ["product.created", "price.created"]
    assert "let go: 1" in run("deliveries", "deliver", "--url", sandbox.url).stdout
    sandbox.idle()
    assert receiver.types()[2:] == ["customer.created"]
    told = run("events", "replay", "--order", "reversed", "--url", sandbox.url)
    assert "3 events" in told.stdout
    sandbox.idle()
    assert receiver.types()[3:] == ["customer.created", "price.created", "product.created"]


def test_command_that_meets_no_sandbox_says_so(receiver: Receiver) -> None:
    """Something else listens there."""
    told = run("advance", "1d", "--url", receiver.url.removesuffix("/webhook"))
    assert (told.returncode, "Traceback" in told.stderr) == (1, False)
    assert "no sandbox answers at" in told.stderr


def test_taken_port_is_one_clear_line(sandbox: SandboxProcess, tmp_path: Path) -> None:
    ended = run("--port", str(sandbox.port), "--state", str(tmp_path / "other.db"))
    assert ended.returncode == 1
    assert re.fullmatch(rf"Error: cannot listen on 127\.0\.0\.1:{sandbox.port}: .+\n", ended.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    sandbox = SandboxProcess(tmp_path / "sandbox.db")
    os.kill(sandbox.process.pid, number)
    assert sandbox.process.wait(timeout=10) == 0
    assert "Traceback" not in "\n".join(sandbox.lines)


def test_overview_page_shows_clock_and_events(sandbox: SandboxProcess) -> None:
    """And moves the clock, but not for a form of another site."""
    sandbox.client.v1.customers.create({"name": "<script>alert(1)</script>"})
    status, _, page = sandbox.request("GET", "/")
    assert status == 200
    assert "customer.created" in page
    assert "<script>" not in page
    now = sandbox.now()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert sandbox.request("POST", "/advance", "by=1+month", form)[0] == 303
    assert sandbox.now() >= now + 28 * 86400
    assert sandbox.request("POST", "/advance", "by=1+day", form | {"Origin": "http://evil.example"})[0] == 403


def test_control_refuses_what_makes_no_sense(sandbox: SandboxProcess) -> None:
    json_type = {"Content-Type": "application/json"}
    card = customer_with(sandbox.client.v1).invoice_settings.default_payment_method
    for path, body in (
        ("advance", "{}"),
        ("advance", '{"seconds": -1}'),
        ("advance", '{"to": 1}'),
        ("advance", '{"to": 9999999999999999}'),
        ("advance", '{"seconds": true}'),
        ("advance", '{"seconds": 999999999}'),
        ("advance", "[1]"),
        ("deliveries", '{"mode": "lose"}'),
        ("deliveries", '{"mode": ["hold"]}'),
        ("deliveries/replay", '{"order": ["reversed"]}'),
        ("deliveries/replay", '{"since": {}}'),
        ("faults", '{"nonsense": 1}'),
        ("faults", '{"path": "("}'),
        ("faults", '{"times": "often"}'),
        ("faults", '{"status": 99}'),
        ("faults", '{"delay": -1}'),
        ("rate_limit", '{"per_second": true}'),
        ("settings", '{"dunning": ["cancel"]}'),
        ("webhook_endpoints/cli/roll", '{"keep_for": "long"}'),
        (f"payment_methods/{card}/renew", '{"exp_month": 13}'),
        (f"payment_methods/{card}/renew", '{"number": "4242"}'),
    ):
        status, _, answer = sandbox.request("POST", f"/_sandbox/{path}", body, json_type)
        assert (status, "error" in answer) == (400, True), (path, body)


def test_it_listens_on_the_loopback_alone(sandbox: SandboxProcess) -> None:
    listening = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
    if not listening:
        pytest.skip("no /proc/net/tcp here")
    port = f":{sandbox.port:04X}"
    addresses = [line.split()[1] for line in listening.splitlines()[1:] if line.split()[1].endswith(port)]
    assert addresses
    assert all(address.startswith("0100007F") for address in addresses)


def test_intents_of_an_earlier_world_are_unknown(sandbox: SandboxProcess) -> None:
    stripe_api = sandbox.client.v1
    attempt = subscribe(stripe_api, stripe_api.customers.create({}).id, monthly(stripe_api).id)
    secret = client_secret(attempt)
    sandbox.reset()
    status, body = confirm(sandbox, secret, GOOD)
    assert (status, body["error"]["code"]) == (404, "resource_missing")
