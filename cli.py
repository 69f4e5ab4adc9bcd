"""The commands: flask catalog | staff | tick are here, the others in cli_sync.py, cli_setup.py and cli_mail.py."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType

import click
import sqlalchemy as sa
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

import access
import billing
import catalog
import changes
import clock
import config
import db
import ledger
import mail
import operations
import personal
import portal
import refunds
import staff_actions
import staff_members
import subscriptions
from cli_mail import mail_commands
from cli_setup import backup_command, doctor_command, webhooks_commands
from cli_sync import Told, events_commands, sync_command
from models import Checkout

catalog_commands = AppGroup("catalog", help="What is sold.")
staff_commands = AppGroup("staff", help="Who may see and act for customers.")


def init_app(app: Flask) -> None:
    """Give the app its commands."""
    for command in (catalog_commands, staff_commands, tick_command, sync_command, events_commands, mail_commands):
        app.cli.add_command(command)
    for command in (webhooks_commands, backup_command, doctor_command):
        app.cli.add_command(command)


@catalog_commands.command("sync")
@click.option("--file", type=click.Path(path_type=Path), help="The catalogue; by default the setting CATALOG.")
def catalog_sync(file: Path | None) -> None:
    """Create and update products and prices at Stripe by the catalogue file, and copy them here. Safe to repeat."""
    products = catalog.load(file or config.ROOT / current_app.config["CATALOG"])
    done = 0
    try:
        for line in catalog.bring_in_line(products):
            click.echo(line)
            done += 1
        if made := portal.bring_in_line():
            click.echo(made)
            done += 1
    except billing.BillingError as error:
        raise Told(error, then="Run it again; what is done stays done.") from error
    if not done:
        click.echo(f"The catalogue is in line: {len(products)} products.")


@staff_commands.command("add")
@click.argument("email")
def staff_add(email: str) -> None:
    """Make EMAIL's account one of staff; a new account gets a password, printed once."""
    try:
        password = staff_members.add(email)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{email} is staff." + (f" Password: {password}" if password else ""))


@staff_commands.command("remove")
@click.argument("email")
def staff_remove(email: str) -> None:
    """Make EMAIL's account a customer's again, at once. What they did stays on record."""
    try:
        was_staff = staff_members.remove(email)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{email} is staff no more." if was_staff else f"{email} was not staff.")


@staff_commands.command("list")
def staff_list() -> None:
    """The addresses of all staff."""
    for email in staff_members.everybody():
        click.echo(email)


# ---------------------------------------------------------------------------------------------------------------------
# What is due


@click.command("tick")
@click.option("--every", type=click.IntRange(1), help="Do it again every so many seconds, until stopped.")
@with_appcontext
def tick_command(every: int | None) -> None:
    """Do what is due: failed events, forgotten attempts, mails, staff actions. Once a minute; safe twice at once."""
    stopped = threading.Event()
    if every:
        stop_on_signals(stopped)
    while True:
        try:
            tick()
        except Exception:
            if not every:
                raise
            current_app.logger.exception("tick failed; the next one will try again")
        finally:
            db.release()
        if not every or stopped.wait(every):
            return


def stop_on_signals(stopped: threading.Event) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def tick() -> None:
    """One round. What fails does not hold up the rest; all failures are raised together at the end."""
    failures = []
    for step in (
        replay_waiting_invoices,
        ledger.take_up,
        cancel_dead_subscriptions,
        refunds.finish,
        changes.finish,
        close_forgotten_attempts,
        personal.tell_addresses,
        mail.send_pending,
        staff_actions.settle,
    ):
        try:
            step()
        except Exception as error:
            failures.append(error)
    if failures:
        raise ExceptionGroup("not all that is due could be done", failures)


def replay_waiting_invoices() -> None:
    """Drafts that Stripe was told to go on with, though we could not ask about them."""
    for event_id in ledger.unfinished(event_type="invoice.created"):
        ledger.replay(event_id)


def cancel_dead_subscriptions() -> None:
    """Alive at Stripe, though the first bank debit failed and nothing was ever paid: end them, once."""
    for subscription_id, customer_id in access.dead_subscriptions():
        try:
            subscriptions.end_at_stripe(subscription_id, customer_id)
        except billing.Refused as error:  # the next one may fare better
            current_app.logger.error("the dead subscription %s was not ended: %s", subscription_id, error)


def close_forgotten_attempts() -> None:
    """Nothing is lost by it: a subscription that was made all the same is found at Stripe by the next attempt."""
    forgotten = sa.update(Checkout).where(
        Checkout.state == "creating", Checkout.started_at < clock.wall() - operations.KEY_LIFE
    )
    with db.write() as tx:
        tx.execute(forgotten.values(state="closed"))
