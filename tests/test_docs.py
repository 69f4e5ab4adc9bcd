"""The papers say what the code does."""

import re
from pathlib import Path

import pytest

import config
from webhooks import HANDLERS

ROOT = Path(__file__).parent.parent
EXAMPLE = (ROOT / ".env.example").read_text("utf-8")
OF_DEV = {"PORT", "SANDBOX_PORT", "HOST", "WORKERS", "THREADS"}  # what only dev.py reads
README = (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("setting", config.SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_is_in_the_example_with_a_comment_and_its_default(setting):
    """Who copies .env.example changes nothing by it."""
    line = f"#{setting.name}={setting.default}" if setting.default else f"{setting.name}="

    assert f"# {setting.about}\n{line}\n" in EXAMPLE


def test_the_example_names_no_other_settings():
    """What was removed is gone from the papers too."""
    named = set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE))

    assert named == {setting.name for setting in config.SETTINGS} | OF_DEV


@pytest.mark.parametrize("name", sorted(OF_DEV))
def test_what_only_dev_reads_is_read_by_it(name):
    """No line of the example is idle."""
    assert f'"{name}"' in (ROOT / "dev.py").read_text("utf-8")


def test_the_example_passes_once_the_four_are_filled_in():
    """Its defaults are values that the check accepts."""
    values = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    filled = {
        "SECRET_KEY": "x" * 32,
        "SECURITY_PASSWORD_SALT": "y" * 32,
        "STRIPE_SECRET_KEY": "sk_test_x",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_x",
    }

    assert config.load(values | filled)["GRACE_DAYS"] == 14


@pytest.mark.parametrize("event_type", HANDLERS)
def test_every_handled_event_is_in_the_readme(event_type):
    """Who registers an endpoint by hand finds the list there."""
    assert f"`{event_type}`" in README


@pytest.mark.parametrize("room", sorted(file.name for file in ROOT.glob("*.py")))
def test_every_room_is_in_the_readmes_layout(room):
    """The table is the map."""
    assert f"`{room}`" in README


def test_the_pinned_api_version_is_the_one_the_papers_name():
    """SDK and API version are raised together."""
    import billing

    assert billing.API_VERSION in README
    assert f"speaks API version {billing.API_VERSION}" in (ROOT / "requirements.txt").read_text("utf-8")
