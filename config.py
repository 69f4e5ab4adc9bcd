"""Every setting of the shop: its name, type, default and check.

All that is missing or wrong is reported at once, each with its remedy; secrets are never printed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import limits
import sqlalchemy as sa
from dotenv import dotenv_values
from limits.errors import ConfigurationError
from limits.storage import storage_from_string

STRIPE_API = "https://api.stripe.com"
STRIPE_JS = "https://js.stripe.com/endive/stripe.js"
ROOT = Path(__file__).parent
MAIL_KINDS = (
    "payment_failed",
    "first_payment_failed",
    "action_required",
    "trial_ending",
    "subscription_ended",
    "ending_planned",
    "change_planned",
    "plan_changed",
    "renewal_ahead",
    "cancelled_for_you",
    "resumed_for_you",
)


class ConfigError(click.ClickException):
    """Settings are missing or wrong; `problems` lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("the settings need attention:\n" + "\n".join(f"  - {problem}" for problem in problems))


class Wrong(ValueError):
    """What is wrong with one value, in words for whoever set it."""


def text(value: str) -> str:
    return value


def yes_no(value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise Wrong("must be true or false")


def whole(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise Wrong("must be a whole number, 0 or more")
    return int(value)


def some(value: str) -> int:
    if not whole(value):
        raise Wrong("must be a whole number, 1 or more")
    return int(value)


def words(value: str) -> list[str]:
    return [word for word in value.replace(",", " ").split() if word]


def secret(value: str) -> str:
    if len(value) < 16:
        raise Wrong(
            "must have at least 16 characters; make one with `python -c 'import secrets; print(secrets.token_hex(32))'`"
        )
    return value


def port(value: str) -> int:
    if not 1 <= whole(value) <= 65535:
        raise Wrong("must be a port from 1 to 65535")
    return int(value)


def web_address(value: str) -> str:
    wrong = Wrong("must be an address such as https://shop.example.com")
    try:
        parts = urlsplit(value)
        is_sane = parts.port != 0 and bool(parts.hostname)
    except ValueError as error:
        raise wrong from error
    if not is_sane or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise wrong
    return value.rstrip("/")


def database_address(value: str) -> str:
    if not value:
        return value
    try:
        url = sa.make_url(value)
        url.get_dialect()
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError, ValueError) as error:
        raise Wrong("must be an address such as postgresql+psycopg://user:password@host/shop") from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise Wrong("must name a file: in memory each connection would have a database of its own")
    return value


def counter_address(value: str) -> str:
    try:
        storage_from_string(value)
    except (ConfigurationError, ValueError) as error:
        raise Wrong(
            "must be memory:// or redis://..., whose package comes with `.venv/bin/pip install redis`"
        ) from error
    return value


def log_level(value: str) -> str:
    if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise Wrong("must be DEBUG, INFO, WARNING or ERROR")
    return value.upper()


def secret_key(value: str) -> str:
    if not value.startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
        raise Wrong(
            "must be a secret key (sk_test_... or sk_live_...) or a restricted one (rk_...), see https://dashboard.stripe.com/apikeys"
        )
    return value


def publishable_key(value: str) -> str:
    if not value.startswith(("pk_test_", "pk_live_")):
        raise Wrong("must be a publishable key (pk_test_... or pk_live_...), see https://dashboard.stripe.com/apikeys")
    return value


def webhook_secrets(value: str) -> list[str]:
    found = words(value)
    if not all(word.startswith("whsec_") and len(word) > 6 for word in found):
        raise Wrong(
            "must be whsec_..., or several with commas between; `stripe listen --print-secret` or the endpoint's page "
            "shows it"
        )
    return found


def mail_kinds(value: str) -> list[str]:
    found = words(value)
    if unknown := [word for word in found if word not in MAIL_KINDS]:
        raise Wrong(f"must name kinds of mail, with commas between, of: {', '.join(MAIL_KINDS)}; not {unknown[0]!r}")
    return found


def rate(value: str) -> str:
    try:
        limits.parse(value)
    except ValueError as error:
        raise Wrong('must read like "10 per 15 minutes"') from error
    return value


@dataclass(frozen=True)
class Setting:
    name: str
    default: str | None  # None: must be set
    parse: Callable[[str], Any]
    about: str


SETTINGS = (
    Setting("SECRET_KEY", None, secret, "Signs sessions and quotes. Changing it signs everybody out."),
    Setting(
        "SECURITY_PASSWORD_SALT", None, secret, "Goes into password hashes. Never change it once there are accounts."
    ),
    Setting("STRIPE_SECRET_KEY", None, secret_key, "The API key; stays on the server."),
    Setting("STRIPE_PUBLISHABLE_KEY", None, publishable_key, "The key that the browser gets."),
    Setting(
        "STRIPE_WEBHOOK_SECRET",
        "",
        webhook_secrets,
        "Signing secret of /webhook; several with commas while one is rolled.",
    ),
    Setting("STRIPE_API_BASE", STRIPE_API, web_address, "Where Stripe's API is; the sandbox has its own address."),
    Setting("STRIPE_JS_URL", STRIPE_JS, web_address, "Where Stripe.js is."),
    Setting("STRIPE_TIMEOUT", "20", some, "Seconds to wait for an answer of Stripe."),
    Setting("SHOP_NAME", "Lantern", text, "The name on every page and mail."),
    Setting("BASE_URL", "http://localhost:4242", web_address, "The shop's own address; makes all absolute links."),
    Setting("TRUSTED_HOSTS", "", words, "Host names to answer to; by default that of BASE_URL."),
    Setting("PROXIES", "0", whole, "How many proxies in front set X-Forwarded-* headers."),
    Setting(
        "DATABASE_URL",
        "",
        database_address,
        "SQLAlchemy's address of the database; by default a SQLite file in instance/.",
    ),
    Setting("CATALOG", "catalog.toml", text, "The file that says what is sold, read by `flask catalog sync`."),
    Setting(
        "ACCESS_WHILE_PROCESSING",
        "true",
        yes_no,
        "Let in who pays by bank debit while the first payment is still under way.",
    ),
    Setting("GRACE_DAYS", "14", whole, "Days of access after a renewal's payment failed; as long as Stripe retries."),
    Setting(
        "WEBHOOK_SILENCE_HOURS",
        "24",
        whole,
        "Hours without any event after which /readyz and staff are warned; 0: never.",
    ),
    Setting("STAFF_FRESH_MINUTES", "30", some, "How long ago staff may have typed their password to see staff pages."),
    Setting("MAIL_SERVER", "", text, "SMTP server. Empty: mails are printed and saved under instance/mail/."),
    Setting("MAIL_PORT", "587", port, "Port of the SMTP server."),
    Setting("MAIL_USERNAME", "", text, "Log-in at the SMTP server."),
    Setting("MAIL_PASSWORD", "", text, "Password at the SMTP server."),
    Setting("MAIL_USE_TLS", "true", yes_no, "Use STARTTLS (or TLS from the start on port 465)."),
    Setting("MAIL_FROM", "shop@localhost", text, "Sender of all mails."),
    Setting(
        "MAILS_OFF",
        "",
        mail_kinds,
        "Mails not to send, where Stripe sends its own; any of: " + ", ".join(MAIL_KINDS) + ".",
    ),
    Setting("CHECK_EMAIL_DELIVERABILITY", "false", yes_no, "Ask DNS whether a new address can get mail."),
    Setting("RATELIMIT_ENABLED", "true", yes_no, "Limits on log-in, sign-up and payment attempts."),
    Setting(
        "RATELIMIT_STORAGE_URI",
        "memory://",
        counter_address,
        "Where counts are kept; with several processes redis://...",
    ),
    Setting("LIMIT_LOGIN_ACCOUNT", "10 per 15 minutes", rate, "Log-ins for one account."),
    Setting("LIMIT_LOGIN_ADDRESS", "60 per 15 minutes", rate, "Log-ins from one network address."),
    Setting("LIMIT_REGISTER_ADDRESS", "20 per 1 hour", rate, "Sign-ups from one network address."),
    Setting("LIMIT_RESET_ACCOUNT", "5 per 1 hour", rate, "Password resets for one account."),
    Setting("LIMIT_PAY_ACCOUNT", "20 per 1 hour", rate, "Payment attempts of one account."),
    Setting("LIMIT_PAY_ADDRESS", "60 per 1 hour", rate, "Payment attempts from one network address."),
    Setting("LIMIT_ASK_ACCOUNT", "120 per 10 minutes", rate, "Questions to Stripe, and data copies, of one account."),
    Setting("LOG_LEVEL", "INFO", log_level, "DEBUG, INFO, WARNING or ERROR."),
)


def load(source: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in `source`, typed and checked, with defaults for the rest.

    Raises ConfigError with every problem found.
    """
    found, problems = read(source)
    if problems:
        raise ConfigError(problems)
    return {**found, **derived(found)}


def read(source: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The settings that are right, with defaults for those not given; and all that is wrong, in words."""
    problems: list[str] = []
    found: dict[str, Any] = {}
    for setting in SETTINGS:
        given = source.get(setting.name)
        raw = setting.default if given is None or str(given).strip() == "" else str(given).strip()
        if raw is None:
            problems.append(f"{setting.name} is not set. {setting.about}")
            continue
        try:
            found[setting.name] = setting.parse(raw)
        except Wrong as wrong:
            problems.append(f"{setting.name} {wrong}.")
    if found.keys() >= {"STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_API_BASE", "STRIPE_JS_URL"}:
        problems += disagreements(found)
    return found, problems


def disagreements(found: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings that are each right on their own."""
    problems = []
    key, public = found["STRIPE_SECRET_KEY"], found["STRIPE_PUBLISHABLE_KEY"]
    if ("_live_" in key) != ("_live_" in public):
        problems.append("STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY must be of one mode: both test or both live.")
    if "_live_" in key and found["STRIPE_API_BASE"] != STRIPE_API:
        problems.append(
            "STRIPE_API_BASE must not be set with a live key: it would be sent to another address than Stripe's."
        )
    if "_live_" in key and found["STRIPE_JS_URL"] != STRIPE_JS:
        problems.append(
            "STRIPE_JS_URL must not be set with a live key: cards would be typed on another page than Stripe's."
        )
    return problems


def derived(found: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from the settings: the mode, the database's address, the trusted hosts."""
    host = urlsplit(found["BASE_URL"]).hostname or "localhost"
    if found["STRIPE_API_BASE"] != STRIPE_API:
        mode = "sandbox"
    else:
        mode = "live" if "_live_" in found["STRIPE_SECRET_KEY"] else "test"
    return {
        "STRIPE_MODE": mode,
        "DATABASE_URL": found["DATABASE_URL"] or f"sqlite:///{ROOT / 'instance' / f'shop-{mode}.db'}",
        "TRUSTED_HOSTS": found["TRUSTED_HOSTS"]
        or (["localhost", "127.0.0.1", "[::1]"] if host == "localhost" else [host]),
    }


def from_environment() -> dict[str, str]:
    """The environment, then `.env` (yours), then `instance/dev.env` (`make run`): the first to name a setting wins."""
    merged: dict[str, str] = {}
    for file in (ROOT / "instance" / "dev.env", ROOT / ".env"):
        merged |= {name: value for name, value in dotenv_values(file).items() if value}
    # `flask` has put .env's empty lines into the environment, and they must not hide what `make run` wrote.
    return merged | {name: value for name, value in os.environ.items() if value}
