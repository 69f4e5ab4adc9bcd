"""The commands that set a shop up and keep it safe: flask webhooks | backup | doctor."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import sqlalchemy as sa
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

import backup
import billing
import clock
import config
import db
import doctor
import health
import operations
from cli_sync import Told
from findings import OK, WARNING, WRONG
from models import Operation
from webhooks import HANDLERS

KIND = "create_webhook_endpoint"
PROBLEMS = "SETTINGS_PROBLEMS"
COLOURS = {OK: "green", WARNING: "yellow", WRONG: "red"}

webhooks_commands = AppGroup("webhooks", help="Where Stripe sends its events.")


@webhooks_commands.command("list")
def webhooks_list() -> None:
    """Every endpoint of the account: id, state, API version, number of event types, address.

    \b
    Example:
      flask webhooks list
    """
    endpoints = list(_endpoints())
    for one in endpoints:
        types = "all types" if "*" in one["enabled_events"] else f"{len(one['enabled_events'])} types"
        click.echo(f"{one['id']}  {one['status']}  {one['api_version'] or 'default version'}  {types}  {one['url']}")
    if not endpoints:
        click.echo("There are none: `flask webhooks create URL` makes one.")


@webhooks_commands.command("create")
@click.argument("url", metavar="URL")
@click.option("--env", is_flag=True, help="Print nothing but the line for .env.")
@click.option("--update", is_flag=True, help="If there is one with this URL, have it send the events that are needed.")
def webhooks_create(url: str, env: bool, update: bool) -> None:
    """Have Stripe send the events that this shop needs, in its API version, to URL; prints the signing secret once.

    \b
    Examples:
      flask webhooks create https://shop.example.com/webhook
      flask webhooks create https://shop.example.com/webhook --env >> .env
    """
    url = _checked(url)
    there = [one for one in _endpoints() if one["url"] == url]
    if there and not _was_lost(url):
        if not update:
            raise click.ClickException(_exists(there))
        for one in there:
            _update(one)
        return
    endpoint = _create(url)
    if env:
        click.echo(f"STRIPE_WEBHOOK_SECRET={endpoint['secret']}")
        return
    click.echo(f"{endpoint['id']} sends {len(HANDLERS)} types of events in version {billing.API_VERSION} to {url}.")
    click.echo("Put this into the shop's settings now; Stripe does not tell it again:")
    click.echo(f"STRIPE_WEBHOOK_SECRET={endpoint['secret']}")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError("URL must be an address such as https://shop.example.com/webhook")
    if parts.path in ("", "/"):
        return f"{parts.scheme}://{parts.netloc}/webhook"
    if parts.path != "/webhook":
        raise click.UsageError(f"the shop takes events at /webhook, not at {parts.path}")
    return url


def _endpoints() -> Any:
    try:
        for page in billing.webhook_endpoints():
            yield from page.object["data"]
    except billing.BillingError as error:
        raise Told(error) from error


def _exists(there: list[dict[str, Any]]) -> str:
    ids = ", ".join(one["id"] for one in there)
    return (
        f"Stripe has an endpoint with this URL already: {ids}. Its secret is in the dashboard alone. "
        "--update has it send the events that are needed; or delete it there, and create it anew."
    )


def _was_lost(url: str) -> bool:
    """Whether it was made by us, but the answer with its secret got lost: Stripe says it again."""
    query = sa.select(Operation.id).where(Operation.kind == KIND, Operation.subject == url, Operation.state == "open")
    return db.session.scalar(query.where(Operation.started_at > clock.wall() - operations.KEY_LIFE)) is not None


def _create(url: str) -> dict[str, Any]:
    values = {"url": url, "enabled_events": sorted(HANDLERS), "api_version": billing.API_VERSION}
    operation = operations.begin(KIND, url, values)
    try:
        params: Any = operation.params
        answer = billing.create_webhook_endpoint(params, operation.id)
    except billing.Refused as error:
        operations.end(operation.id, "failed", str(error))
        raise Told(error) from error
    except billing.BillingError as error:
        raise Told(error, then="Run it again: it is made once.") from error
    operations.end(operation.id, "done")
    return answer.object


def _update(endpoint: dict[str, Any]) -> None:
    values: Any = {"enabled_events": sorted(HANDLERS), "disabled": False}
    try:
        billing.update_webhook_endpoint(endpoint["id"], values)
    except billing.BillingError as error:
        raise Told(error) from error
    click.echo(f"{endpoint['id']} now sends {len(HANDLERS)} types of events.")
    if endpoint["api_version"] != billing.API_VERSION:
        click.echo(
            f"Its API version is {endpoint['api_version'] or 'the default of the account'}, not {billing.API_VERSION}, "
            "and can't be changed: delete it in the dashboard and create it anew."
        )


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def backup_command(file: Path) -> None:
    """Copy the SQLite database to FILE, which must be new, while the shop goes on.

    To go back to it: stop the shop, delete the database with its -wal and -shm files, put FILE in its place, start, and
    run `flask sync`, which brings from Stripe what happened since.

    \b
    Example:
      flask backup /backups/shop-$(date +%F).db
    """
    try:
        size = backup.write(file)
    except backup.NoBackup as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {size / 1_000_000:.1f} MB")


# ---------------------------------------------------------------------------------------------------------------------
# flask doctor


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Look at settings and database alone, and ask nobody.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@with_appcontext
def doctor_command(offline: bool, as_json: bool) -> None:
    """Look for what is wrong with the set-up, and tell what to do about it. Ends with 1 when something is wrong.

    Runs also when settings are wrong or the database is missing. It changes nothing, here or at Stripe.

    \b
    Examples:
      flask doctor
      flask doctor --json | jq '.[] | select(.state == "wrong")'
    """
    level = current_app.logger.level
    current_app.logger.setLevel(logging.ERROR)  # what Stripe refuses is a finding
    try:
        found = doctor.examine(current_app.config.get(PROBLEMS, []), offline=offline)
    finally:
        current_app.logger.setLevel(level)
    wrong = [finding for finding in found if finding.state == WRONG]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            click.secho(f"{finding.state:<8} {finding.about:<12} {finding.text}", fg=COLOURS[finding.state])
            if finding.remedy:
                click.echo(f"{'':<21} -> {finding.remedy}")
        click.echo(told(len(wrong)))
    sys.exit(1 if wrong else 0)


def told(wrong: int) -> str:
    if not wrong:
        return "Nothing is wrong."
    return "1 thing is wrong." if wrong == 1 else f"{wrong} things are wrong."


def asks_for_doctor() -> bool:
    """Whether this process is `flask doctor`, which has work to do where the app can't start."""
    return "doctor" in sys.argv[1:]


def init_doctor_alone(app: Flask, source: Mapping[str, Any]) -> None:
    """Give an app whose settings are wrong this one command, and what it can use of them."""
    found, problems = config.read(source)
    defaults = {one.name: one.parse(one.default) for one in config.SETTINGS if one.default is not None}
    known = {"STRIPE_SECRET_KEY": "", **defaults, **found}
    app.config.update(known | config.derived(known) | {PROBLEMS: problems})
    db.init_app(app)
    health.init_app(app)
    app.cli.add_command(doctor_command)
