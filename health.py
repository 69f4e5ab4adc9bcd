"""Is it up, and is it ready? Neither question looks at who asks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.script import ScriptDirectory
from flask import Flask, current_app
from flask.typing import ResponseReturnValue

import clock
import db
from models import Customer, WebhookEvent

HOUR = 3600


def init_app(app: Flask) -> None:
    app.add_url_rule("/healthz", "healthz", healthz)
    app.add_url_rule("/readyz", "readyz", readyz)
    folder = app.config["ALEMBIC"]["script_location"]
    app.extensions["shop.migration_heads"] = set(ScriptDirectory(folder, version_locations=[folder]).get_heads())


def healthz() -> ResponseReturnValue:
    """The process answers."""
    return {"status": "up"}


def readyz() -> ResponseReturnValue:
    """Work can be done: 503 with the reasons when it cannot. A warning alone keeps nobody away."""
    reasons = [*database_reasons()]
    if not current_app.config["STRIPE_WEBHOOK_SECRET"]:
        reasons.append("STRIPE_WEBHOOK_SECRET is not set: webhooks are refused")
    warnings = []
    if not reasons and (hours := webhook_silence()):
        warnings.append(f"no event of Stripe's has come for {hours} hours: `flask doctor` looks for the reason")
    return {"ready": not reasons, "reasons": reasons, "warnings": warnings}, 503 if reasons else 200


def webhook_silence() -> int | None:
    """For how many hours no event has come, if that is suspiciously long; None where all is well.

    Without customers nothing need come. Without any event it is the first customer whose events we wait for.
    """
    limit = current_app.config["WEBHOOK_SILENCE_HOURS"]
    customers = sa.select(Customer.known_from).where(Customer.deleted_at.is_(None))
    if not limit or db.session.execute(customers.limit(1)).first() is None:
        return None
    heard = db.session.scalar(sa.select(sa.func.max(WebhookEvent.received_at)))
    heard = heard or db.session.scalar(sa.select(sa.func.min(customers.subquery().c.known_from)))
    hours = (clock.wall() - heard) // HOUR
    return hours if hours >= limit else None


def database_reasons() -> list[str]:
    """What keeps the database from being used, if anything."""
    try:
        with db.reader().connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return ["the database is not migrated: run `flask db upgrade`"]
            current = set(connection.scalars(sa.text("SELECT version_num FROM alembic_version")))
    except sa.exc.SQLAlchemyError:
        return ["the database cannot be reached"]
    if current != current_app.extensions["shop.migration_heads"]:
        return ["the database is not migrated to this version: run `flask db upgrade`"]
    return []
