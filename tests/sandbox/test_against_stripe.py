"""`make test-stripe` asks Stripe's test mode, and nothing else, and only with a key for that."""

import os
import subprocess
import sys

import pytest

from tests.sandbox_process import ROOT


def run(key: str | None) -> subprocess.CompletedProcess[str]:
    """The marked tests of one file, as `make test-stripe` starts them."""
    env = {name: value for name, value in os.environ.items() if name != "STRIPE_SECRET_KEY"} | {"AGAINST_STRIPE": "1"}
    env |= {} if key is None else {"STRIPE_SECRET_KEY": key}
    command = [sys.executable, "-m", "pytest", "-m", "stripe_verified", "-rs", "-p", "no:cacheprovider"]
    test = "tests/sandbox/test_idempotency.py"
    return subprocess.run([*command, test], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("key", ["sk_live_123", "rk_live_123"])
def test_live_keys_are_refused(key: str) -> None:
    """Before anything is sent."""
    done = run(key)
    assert done.returncode == 2
    assert "never with a live key" in done.stdout + done.stderr
    assert "passed" not in done.stdout


@pytest.mark.parametrize("key", [None, "", "sk_test_sandbox", "pk_test_123", "nonsense"])
def test_without_a_key_nothing_begins(key: str | None) -> None:
    """Nobody takes a run that asked nobody for a proof."""
    done = run(key)
    assert done.returncode == 2
    assert "needs STRIPE_SECRET_KEY=sk_test_" in done.stdout + done.stderr
    assert "skipped" not in done.stdout and "passed" not in done.stdout
