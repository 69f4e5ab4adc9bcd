"""Who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP = sorted(file for file in ROOT.glob("*.py") if file.name != "dev.py")
OWN = {file.stem for file in APP}

# What a room may import of ours, lowest first. A room sees only rooms before it.
FLOORS = [
    {"turns"},
    {"config", "clock", "findings", "db", "formatting", "pace"},
    {"models", "billing", "backup"},
    {"copies"},
    {"errors", "operations", "sync", "mail", "logs", "health"},
    {"ledger", "throttle", "drift"},
    {"auth"},
    {"access", "staff_members"},
    {"readings", "owed", "mail_facts"},
    {"refunds"},
    {"subscriptions", "catalog", "notices", "export", "staff_readings"},
    {"attempts", "staff_actions", "payments", "personal", "portal", "quotes"},
    {"changes"},
    {"checkout", "account", "plan", "staff", "members", "wallet", "details", "webhooks", "reconcile"},
    {"missed", "doctor_stripe"},
    {"doctor"},
    {"cli_sync", "cli_mail"},
    {"cli_setup"},
    {"cli"},
    {"app"},
]


def imports(file: Path) -> set[str]:
    """The first names of all modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_only_billing_imports_stripe():
    """If Stripe renames something, one file changes."""
    assert {file.stem for file in APP if "stripe" in imports(file)} == {"billing"}


@pytest.mark.parametrize("file", APP, ids=lambda file: file.stem)
def test_the_app_knows_nothing_of_the_sandbox(file):
    """Stripe is an address."""
    assert not imports(file) & {"sandbox", "contract", "tests", "dev"}


@pytest.mark.parametrize("file", sorted((ROOT / "sandbox").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_the_sandbox_knows_nothing_of_the_app(file):
    """It stands in for Stripe, which does not either."""
    assert not imports(file) & OWN


@pytest.mark.parametrize("file", APP, ids=lambda file: file.stem)
def test_imports_go_one_way(file):
    """A room imports only rooms below it."""
    assert any(file.stem in floor for floor in FLOORS), f"{file.name} has no floor: put it in FLOORS"
    below: set[str] = set()
    for floor in FLOORS:
        if file.stem in floor:
            break
        below |= floor

    assert imports(file) & OWN <= below


def test_no_app_at_import_time():
    """`import app` starts nothing and needs no settings."""
    module = ast.parse((ROOT / "app.py").read_text("utf-8"))

    calls = [node for node in module.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)]

    assert calls == []
