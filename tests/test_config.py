"""Settings: all problems at once, never a secret in the words."""

import pytest

import config
from app import create_app

GOOD = {
    "SECRET_KEY": "0123456789abcdef0123456789abcdef",
    "SECURITY_PASSWORD_SALT": "0123456789abcdef0123456789abcdef",
    "STRIPE_SECRET_KEY": "sk_test_51secret",
    "STRIPE_PUBLISHABLE_KEY": "pk_test_51public",
}


def problems(**changes):
    with pytest.raises(config.ConfigError) as caught:
        config.load({**GOOD, **changes})
    return caught.value.problems


def test_the_four_that_have_no_default_are_enough():
    """All others have a safe default."""
    found = config.load(GOOD)

    assert {setting.name for setting in config.SETTINGS} <= found.keys()


def test_everything_that_is_missing_is_told_at_once():
    """One start tells all there is to do."""
    with pytest.raises(config.ConfigError) as caught:
        config.load({})

    assert [problem.split()[0] for problem in caught.value.problems] == list(GOOD)


def test_what_disagrees_is_told_together_with_what_is_wrong():
    """Not at the next start."""
    told = problems(STRIPE_SECRET_KEY="sk_live_1", LOG_LEVEL="LOUD", GRACE_DAYS="two")

    assert sorted(problem.split()[0] for problem in told) == ["GRACE_DAYS", "LOG_LEVEL", "STRIPE_SECRET_KEY"]


def test_create_app_ends_with_the_list():
    """A setting that is wrong stops the start."""
    with pytest.raises(config.ConfigError, match="STRIPE_SECRET_KEY"):
        create_app({**GOOD, "STRIPE_SECRET_KEY": ""})


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("SECRET_KEY", "short", "16 characters"),
        ("STRIPE_SECRET_KEY", "pk_test_1", "secret key"),
        ("STRIPE_PUBLISHABLE_KEY", "sk_test_1", "publishable key"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_ok, secret", "whsec_"),
        ("STRIPE_API_BASE", "api.stripe.com", "address"),
        ("STRIPE_API_BASE", "https://user:word@example.com", "address"),
        ("BASE_URL", "localhost:4242", "address"),
        ("GRACE_DAYS", "-1", "whole number"),
        ("GRACE_DAYS", "two", "whole number"),
        ("GRACE_DAYS", "²", "whole number"),
        ("PROXIES", "1.5", "whole number"),
        ("ACCESS_WHILE_PROCESSING", "maybe", "true or false"),
        ("BASE_URL", "http://localhost:99999", "address"),
        ("BASE_URL", "http://[", "address"),
        ("STRIPE_TIMEOUT", "0", "1 or more"),
        ("DATABASE_URL", "nonsense", "postgresql"),
        ("DATABASE_URL", "oracel://x/y", "postgresql"),
        ("DATABASE_URL", "sqlite://", "file"),
        ("DATABASE_URL", "sqlite:///:memory:", "file"),
        ("MAIL_PORT", "70000", "65535"),
        ("RATELIMIT_STORAGE_URI", "foo://", "redis"),
        ("LIMIT_LOGIN_ACCOUNT", "ten", "per"),
        ("LIMIT_LOGIN_ACCOUNT", "5 per moon", "per"),
        ("LIMIT_LOGIN_ACCOUNT", "² per hour", "per"),
        ("LOG_LEVEL", "LOUD", "DEBUG"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(name, value, word):
    """The remedy is in the message."""
    (problem,) = problems(**{name: value})

    assert problem.startswith(name)
    assert word in problem


def test_values_are_never_repeated():
    """A secret typed in the wrong place does not end in a log."""
    told = " ".join(problems(STRIPE_PUBLISHABLE_KEY="sk_live_verysecret", SECRET_KEY="tiny", BASE_URL="hunter2"))

    assert not any(value in told for value in ("verysecret", "tiny", "hunter2"))


@pytest.mark.parametrize(
    "changes",
    [
        {"STRIPE_SECRET_KEY": "sk_live_1"},
        {"STRIPE_PUBLISHABLE_KEY": "pk_live_1"},
        {
            "STRIPE_SECRET_KEY": "sk_live_1",
            "STRIPE_PUBLISHABLE_KEY": "pk_live_1",
            "STRIPE_API_BASE": "http://localhost:12111",
        },
        {
            "STRIPE_SECRET_KEY": "rk_live_1",
            "STRIPE_PUBLISHABLE_KEY": "pk_live_1",
            "STRIPE_JS_URL": "http://localhost:12111/endive/stripe.js",
        },
    ],
)
def test_keys_of_two_modes_and_live_keys_elsewhere_are_refused(changes):
    """A live key goes to Stripe and nowhere else."""
    assert len(problems(**changes)) == 1


@pytest.mark.parametrize(
    ("changes", "mode"),
    [
        ({}, "test"),
        ({"STRIPE_API_BASE": "http://localhost:12111"}, "sandbox"),
        ({"STRIPE_SECRET_KEY": "sk_live_1", "STRIPE_PUBLISHABLE_KEY": "pk_live_1"}, "live"),
    ],
)
def test_each_mode_has_a_database_of_its_own(changes, mode):
    """Test customers never meet live ones."""
    found = config.load({**GOOD, **changes})

    assert (found["STRIPE_MODE"], found["DATABASE_URL"].endswith(f"shop-{mode}.db")) == (mode, True)


def test_an_empty_value_is_the_default():
    """`NAME=` in .env is as good as no line."""
    assert config.load({**GOOD, "GRACE_DAYS": " "})["GRACE_DAYS"] == 14


def test_env_wins_over_what_make_run_wrote(monkeypatch, tmp_path):
    """The environment, then .env, then instance/dev.env."""
    (tmp_path / "instance").mkdir()
    (tmp_path / ".env").write_text("SHOP_NAME=Mine\nGRACE_DAYS=3\nMAIL_FROM=\n")
    (tmp_path / "instance" / "dev.env").write_text("SHOP_NAME=Dev\nMAIL_FROM=dev@example.com\n")
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setenv("GRACE_DAYS", "5")
    monkeypatch.setenv("MAIL_FROM", "")  # as `flask` does with an empty line of .env

    found = config.from_environment()

    assert (found["SHOP_NAME"], found["GRACE_DAYS"], found["MAIL_FROM"]) == ("Mine", "5", "dev@example.com")
