"""The commands that keep our tables equal to Stripe's: flask sync | events."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from typing import Any

import click
import sqlalchemy as sa
from flask.cli import AppGroup, with_appcontext

import billing
import clock
import db
import ledger
import missed
import pace
import reconcile
import sync
import webhooks
from drift import Overtaken, Report
from models import Customer, WebhookEvent

UNITS = {"m": 60, "h": 3600, "d": 86400}
PRUNED_AT_ONCE = 1000

events_commands = AppGroup("events", help="The ledger of webhook events: what came, and what became of it.")


class Told(click.ClickException):
    """What Stripe refused, in its own words, which are for developers."""

    def __init__(self, error: billing.BillingError, *, then: str = "") -> None:
        words = getattr(error.__cause__, "user_message", None) or error.message
        super().__init__(f"Stripe: {words} (request {error.request_id}){then and ' ' + then}")


class Unfinished(click.ClickException):
    """It could not be done to the end."""

    exit_code = 2


# ---------------------------------------------------------------------------------------------------------------------
# flask sync


class Since(click.ParamType[tuple[int | None, int]]):
    """How long ago, as `3d`, or a day or instant in UTC, as `2026-11-01`."""

    name = "3d|2026-11-01"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int | None, int]:
        """(seconds ago, 0) or (None, Unix seconds)."""
        ago = re.fullmatch(r"(\d{1,6})([mhd])", value)
        if ago:
            return int(ago[1]) * UNITS[ago[2]], 0
        try:
            instant = dt.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a time such as 90m, 12h, 3d nor a date such as 2026-11-01.", param, ctx)
        return None, int((instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)).timestamp())


@click.command("sync")
@click.option("--dry-run", is_flag=True, help="Tell what differs and write nothing.")
@click.option(
    "--since",
    type=Since(),
    metavar="3d|2026-11-01",
    help="Only what Stripe's events since then tell (at most 30 days; UTC): fast.",
)
@click.option("--customer", metavar="cus_...", help="Only this customer.")
@click.option("--anew", is_flag=True, help="Begin anew, though a run of the last day was cut off.")
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 100),
    default=20,
    show_default=True,
    help="Calls a second; Stripe takes 25 in test mode, 100 in live mode.",
)
@click.option(
    "--lines", type=click.IntRange(0), default=20, show_default=True, help="How many rows the report names at most."
)
@with_appcontext
def sync_command(
    dry_run: bool, since: tuple[int | None, int] | None, customer: str | None, anew: bool, rate: float, lines: int
) -> None:
    """Make our tables equal to Stripe's, and tell what was not.

    Looks at all customers, subscriptions, invoices, payment methods and the catalogue. A run that was cut off goes on
    where it was. Ends with 0 when nothing differed, 1 when something did (it is put right unless --dry-run), 2 when it
    could not be done to the end.

    \b
    Examples:
      flask sync                  once a night
      flask sync --since 3d       after an outage
      flask sync --dry-run        only look
    """
    if since and customer is not None:
        raise click.UsageError("--since and --customer are two ways: take one.")
    again = "What is done stays done: run it again."
    try:
        with pace.at_most(rate):
            report = _reconciled(dry_run, since, customer, anew)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except Overtaken as error:
        raise Unfinished("another `flask sync` was started, and goes on with it") from error
    except sync.Contended as error:
        raise Unfinished(f"{error} changed again and again while it was asked for. {again}") from error
    except billing.BillingError as error:
        raise Unfinished(Told(error, then=again).message) from error
    for line in report.text(lines):
        click.echo(line)
    if report.unfinished:
        sys.exit(2)
    sys.exit(1 if report.drift else 0)


def _reconciled(dry_run: bool, since: tuple[int | None, int] | None, customer: str | None, anew: bool) -> Report:
    if customer is not None:
        if not db.session.scalar(sa.select(Customer.id).where(Customer.id == customer)):
            raise click.ClickException(f"{customer!r} is no customer of this shop.")
        return reconcile.one_customer(customer, dry_run=dry_run)
    length = None if since else reconcile.rows_of_ours()
    bar: Any = click.progressbar(
        length=length or 1,
        label="events" if since else "rows",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),  # cron mails what it sees
        item_show_func=lambda kind: kind or "",
    )
    with bar:

        def show(kind: str, count: int) -> None:
            bar.update(count, kind)

        if since:
            return missed.since(*since, dry_run=dry_run, show=show)
        return reconcile.everything(dry_run=dry_run, anew=anew, show=show)


# ---------------------------------------------------------------------------------------------------------------------
# flask events


@events_commands.command("list")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option("--type", "event_type", metavar="TYPE", help="Only of this type, as invoice.paid, or invoice.* .")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="How many at most.")
def events_list(failed: bool, event_type: str | None, limit: int) -> None:
    """The events that came, newest first: when (UTC), state, attempts, type, id, object.

    \b
    Example:
      flask events list --failed --type 'customer.subscription.*'
    """
    query = sa.select(WebhookEvent.__table__).order_by(WebhookEvent.received_at.desc(), WebhookEvent.id).limit(limit)
    if failed:
        query = query.where(WebhookEvent.is_unfinished(), WebhookEvent.state == "failed")
    if event_type is not None:
        prefix = event_type.removesuffix("*")
        same = WebhookEvent.type == event_type
        query = query.where(same if prefix == event_type else WebhookEvent.type.startswith(prefix, autoescape=True))
    rows = db.session.execute(query).mappings().all()
    for row in rows:
        line = f"{_time(row['received_at'])}  {row['state']:<8} {row['attempts']:>2}  {row['type']}  {row['id']}"
        click.echo(f"{line}  {row['object_id'] or ''}".rstrip())
        if row["error"]:
            click.echo(f"    {row['error']}")
    if not rows:
        click.echo("There are none.")


@events_commands.command("show")
@click.argument("event_id", metavar="evt_...")
def events_show(event_id: str) -> None:
    """All that is known of an event: our row, and the event itself while Stripe still has it (30 days).

    \b
    Example:
      flask events show evt_1QxYzA
    """
    row = _row(event_id)
    event = _at_stripe(event_id)
    if row is None and event is None:
        raise click.ClickException(f"{event_id} is neither in the ledger nor at Stripe.")
    for name, value in (row or {}).items():
        if value is not None:
            click.echo(f"{name:<12} {_time(value) if name in ('created', 'received_at') else value}")
    if row is None:
        click.echo("It never came: take it with `flask events replay`.")
    click.echo(json.dumps(event, indent=2, ensure_ascii=False) if event else "Stripe no longer has it.")


@events_commands.command("replay")
@click.argument("event_id", metavar="[evt_...]", required=False)
@click.option("--failed", is_flag=True, help="All that failed, oldest first.")
def events_replay(event_id: str | None, failed: bool) -> None:
    """Take an event again, as if it came just now; one that was done leads to a question to Stripe. Safe to repeat.

    \b
    Examples:
      flask events replay evt_1QxYzA
      flask events replay --failed
    """
    if bool(event_id) == failed:
        raise click.UsageError("Name an event, or say --failed.")
    ids = ledger.unfinished() if failed else [str(event_id)]
    if not ids:
        click.echo("None has failed.")
    states = [(id, _replay(id)) for id in ids]
    for id, state in states:
        click.echo(f"{id} {state}")
    if any(state == "failed" for _, state in states):
        raise click.ClickException("some failed again: `flask events list --failed` tells why")


def _replay(event_id: str) -> str:
    """Returns what became of it."""
    row = _row(event_id)
    if row is None or row["state"] not in ledger.FINAL:
        event = _at_stripe(event_id)
        if event is not None:
            answer, status = webhooks.take(event)
            return "failed" if status >= 500 else answer["status"]
    if row is None:
        raise click.ClickException(f"{event_id} is neither in the ledger nor at Stripe.")
    if not row["customer_id"] and ledger.kind_of(row["type"]) is None:
        return "has nothing to be asked for"
    return ledger.replay(event_id)


@events_commands.command("prune")
@click.option(
    "--days", type=click.IntRange(31), default=90, show_default=True, help="How old they are at least; from 31."
)
def events_prune(days: int) -> None:
    """Delete what was done or ignored so many days ago; never what failed, nor what is not ours yet.

    \b
    Example:
      flask events prune --days 90
    """
    settled = sa.and_(WebhookEvent.state.in_(ledger.FINAL), WebhookEvent.received_at < clock.wall() - days * UNITS["d"])
    some = sa.select(WebhookEvent.id).where(settled).limit(PRUNED_AT_ONCE)
    deleted = 0
    while True:
        with db.write() as tx:  # a few at a time, so that no delivery waits long
            count = tx.execute(sa.delete(WebhookEvent).where(WebhookEvent.id.in_(some))).rowcount
        deleted += count
        if count < PRUNED_AT_ONCE:
            break
    click.echo(f"Deleted {deleted} events.")


def _row(event_id: str) -> dict[str, Any] | None:
    query = sa.select(WebhookEvent.__table__).where(WebhookEvent.id == event_id)
    row = db.session.execute(query).mappings().first()
    return dict(row) if row else None


def _at_stripe(event_id: str) -> dict[str, Any] | None:
    try:
        return billing.event(event_id).object
    except billing.Missing:
        return None
    except billing.BillingError as error:
        raise Told(error) from error


def _time(instant: int) -> str:
    return dt.datetime.fromtimestamp(instant, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
