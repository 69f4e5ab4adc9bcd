"""flask mail: what the shop writes to its customers."""

from __future__ import annotations

import click
from flask.cli import AppGroup

import notices

mail_commands = AppGroup("mail", help="What the shop writes to its customers.")


@mail_commands.command("preview")
@click.argument("kind", type=click.Choice(list(notices.SUBJECTS)))
@click.option("--html", is_flag=True, help="The HTML part instead of the plain text.")
def mail_preview(kind: str, html: bool) -> None:
    """Show a mail of this KIND as it would read for somebody made up. Nothing is sent.

    Example: flask mail preview payment_failed
    """
    subject, text, page = notices.preview(kind)
    click.echo(page if html else f"Subject: {subject}\n\n{text}")
