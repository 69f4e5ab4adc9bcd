"""`flask doctor`: what is wrong with the set-up, and what to do about it. It changes nothing."""

from __future__ import annotations

import smtplib
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import current_app

import billing
import clock
import config
import db
import health
import mail
import sync
from doctor_stripe import ask_stripe
from findings import LISTEN, OK, WARNING, WRONG, Finding, Findings, webhook_url
from models import Outbox, WebhookEvent

LOOKED_AT = 20  # of the newest events
STUCK = 3600  # seconds that a mail may wait


def examine(problems: list[str], *, offline: bool) -> list[Finding]:
    """All findings. `problems` are those of the settings; what they keep from being looked at is left out."""
    found = list(settings(problems))
    found += [finding for check in (server, scripts, mails) for finding in check(offline)]
    usable = list(database())
    found += usable
    has_tables = all(finding.state == OK for finding in usable)
    if has_tables:
        found += [*ledger(), *silence()]
    if problems:
        # No key is sent to an address before it is sure that they belong together.
        return [*found, Finding(WARNING, "stripe", "Stripe was not asked.", "Put the settings right first.")]
    return found if offline else [*found, *ask_stripe(has_tables)]


# ---------------------------------------------------------------------------------------------------------------------
# This machine


def settings(problems: list[str]) -> Findings:
    for problem in problems:
        yield Finding(WRONG, "settings", problem, "Set it in .env or in the environment; .env.example names them all.")
    if not problems:
        yield Finding(OK, "settings", "All settings are as they should be.")
    if not current_app.config["STRIPE_WEBHOOK_SECRET"]:
        yield Finding(
            WRONG,
            "settings",
            "STRIPE_WEBHOOK_SECRET is not set: no event is taken.",
            f"`flask webhooks create {webhook_url()}` prints it; on your own machine `{LISTEN} {webhook_url()}` does.",
        )


def server(_offline: bool) -> Findings:
    own = current_app.config
    if "_live_" in own.get("STRIPE_SECRET_KEY", "") and not own["BASE_URL"].startswith("https://"):
        yield Finding(
            WRONG,
            "server",
            f"A live key, but people come over http ({own['BASE_URL']}): passwords can be read on the way.",
            "Put a server with a certificate in front, and set BASE_URL to its https:// address.",
        )
    workers = config.from_environment().get("WORKERS", "1")
    if workers.isdigit() and int(workers) > 1 and own["RATELIMIT_STORAGE_URI"].startswith("memory:"):
        yield Finding(
            WRONG,
            "server",
            f"WORKERS={workers}, but each counts log-ins and payments in its own memory: limits mean little.",
            "Set RATELIMIT_STORAGE_URI=redis://..., or WORKERS=1.",
        )


def scripts(_offline: bool) -> Findings:
    """Stripe.js and the API of one release train."""
    train = urlsplit(current_app.config["STRIPE_JS_URL"]).path.strip("/").split("/")[0]
    if train != billing.TRAIN:
        yield Finding(
            WRONG,
            "api version",
            f"STRIPE_JS_URL is of {train or 'no'} release, the API version ({billing.API_VERSION}) of {billing.TRAIN}.",
            f"Leave STRIPE_JS_URL out: the default is {config.STRIPE_JS}.",
        )
    else:
        yield Finding(OK, "api version", f"We speak {billing.API_VERSION}, and Stripe.js is of its release.")


def mails(offline: bool) -> Findings:
    own = current_app.config
    if not own["MAIL_SERVER"]:
        if own["BASE_URL"].startswith("https://"):
            remedy = "Set MAIL_SERVER and its log-in."
            yield Finding(
                WARNING,
                "mail",
                "No MAIL_SERVER: mails only pile up under instance/mail/, with their links to new passwords.",
                remedy,
            )
        else:
            yield Finding(OK, "mail", "Mails are printed and saved under instance/mail/.")
    elif not offline:
        try:
            with mail.smtp() as connection:
                connection.noop()
            yield Finding(OK, "mail", f"{own['MAIL_SERVER']} lets us in.")
        except (OSError, smtplib.SMTPException) as error:
            remedy = (
                "Compare MAIL_SERVER, MAIL_PORT, MAIL_USE_TLS, MAIL_USERNAME and MAIL_PASSWORD with your provider's."
            )
            yield Finding(WRONG, "mail", f"{own['MAIL_SERVER']}: {error}", remedy)


def database() -> Findings:
    url = sa.make_url(current_app.config["DATABASE_URL"])
    shown = url.render_as_string()
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        yield Finding(WRONG, "database", f"There is no database at {shown}.", "Run `flask db upgrade`.")
        return
    reasons = health.database_reasons()
    for reason in reasons:
        yield Finding(WRONG, "database", f"{shown}: {reason}.", "Run `flask db upgrade`, or correct DATABASE_URL.")
    if not reasons:
        yield Finding(OK, "database", f"{shown} is there and migrated.")


def ledger() -> Findings:
    """What came lately: its version, and what failed."""
    newest = sa.select(WebhookEvent.api_version).where(WebhookEvent.api_version.is_not(None))
    versions = list(db.session.scalars(newest.order_by(WebhookEvent.received_at.desc()).limit(LOOKED_AT)))
    if versions and not any(map(sync.is_ours, versions)):
        yield Finding(
            WRONG,
            "api version",
            f"The last {len(versions)} events were of API version {versions[0]}: each leads to a question to Stripe.",
            f"Delete the endpoint and run `flask webhooks create {webhook_url()}`; `stripe listen` needs --latest.",
        )
    failed = sa.select(sa.func.count()).where(WebhookEvent.is_unfinished(), WebhookEvent.state == "failed")
    if count := db.session.scalar(failed):
        remedy = "`flask events list --failed` tells why, `flask events replay --failed` does them again."
        yield Finding(WARNING, "events", f"{count} events failed and are not done.", remedy)
    waiting = sa.select(sa.func.count()).where(Outbox.sent_at.is_(None), Outbox.created_at < clock.wall() - STUCK)
    if count := db.session.scalar(waiting):
        remedy = "Does `flask tick` run? It tells in its log what the mail server answers."
        yield Finding(WARNING, "mail", f"{count} mails wait since more than an hour.", remedy)


def silence() -> Findings:
    if hours := health.webhook_silence():
        yield Finding(
            WARNING,
            "events",
            f"No event has come for {hours} hours.",
            "On a quiet day all may be well; else see what is said of the endpoint.",
        )
