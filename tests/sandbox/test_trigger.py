"""python -m sandbox trigger: every fixture makes its event happen."""

import subprocess
import sys
from typing import Any

import pytest

from sandbox.trigger import FIXTURES, Trigger
from tests.sandbox.acts import arrived
from tests.sandbox_process import ROOT, SandboxProcess

# Names of the CLI alone, and what they are good for.
OTHER_NAMES = {
    "subscription.payment_succeeded": "invoice.payment_succeeded",
    "subscription.payment_failed": "invoice.payment_failed",
}
A_WHILE = 61  # seconds, in which disputes are raised and refunds fail


def trigger(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", "trigger", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("event", sorted(FIXTURES))
def test_fixture_makes_its_event_happen(sandbox: SandboxProcess, stripe_api: Any, event: str) -> None:
    Trigger(sandbox.url, lambda line: None).fire(event)
    for clock in stripe_api.test_helpers.test_clocks.list().data:
        arrived(stripe_api, clock)
    sandbox.advance(seconds=A_WHILE)
    assert sandbox.events(OTHER_NAMES.get(event, event))


def test_command_says_what_it_does(sandbox: SandboxProcess) -> None:
    done = trigger("customer.updated", "--url", sandbox.url)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "POST /v1/customers [200]"
    assert lines[-1].startswith("Trigger succeeded! Check ")


def test_command_lists_what_it_can_do() -> None:
    assert trigger("--list").stdout.split() == sorted(FIXTURES)


def test_command_refuses_what_it_cannot_do(sandbox: SandboxProcess) -> None:
    unknown = trigger("no.such_event", "--url", sandbox.url)
    assert unknown.returncode == 2
    assert "no.such_event cannot be triggered" in unknown.stderr
    dead = trigger("customer.created", "--url", "http://127.0.0.1:9")
    assert dead.returncode == 1
    assert "no sandbox answers at http://127.0.0.1:9" in dead.stderr
    sandbox.fault(path="/v1/customers", status=500)
    failed = trigger("customer.created", "--url", sandbox.url)
    assert failed.returncode == 1
    assert "Trigger failed: POST /v1/customers" in failed.stderr
