"""Mails: each is a row of the outbox, written once and sent after that.

Without an SMTP server a mail is printed (its links) and saved as `.eml` as soon as the request has been answered. With
one, `flask tick` sends: no request waits for the server.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import email_validator
import sqlalchemy as sa
from flask import Flask, Response, after_this_request, current_app, g, has_request_context, render_template
from flask_security.mail_util import EmailValidateException
from flask_security.mail_util import MailUtil as FlaskSecurityMailUtil
from flask_security.utils import get_message

import clock
import db
from models import Outbox

TIMEOUT = 10  # seconds for the SMTP server to answer
BACK_OFF = (60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600)  # seconds after the first, second, ... attempt
AT_ONCE = 50  # mails in one go
NOBODY = "nobody"
LINK = re.compile(r"https?://\S+")

log = logging.getLogger(__name__)


def enqueue(
    tx: sa.Connection | None, kind: str, object_id: str, recipient: str, template: str, *, subject: str, **context: Any
) -> bool:
    """Write a mail to the outbox, from `<template>.txt` and `<template>.html`; within `tx`, or at once without one.

    There is one mail for each `kind` and `object_id`: False if it was written before. It is sent after the commit.
    """
    text = render_template(f"{template}.txt", **context)
    html = render_template(f"{template}.html", **context)
    statement = (
        db.insert(Outbox)
        .values(row(kind, object_id, recipient, subject, text, html))
        .on_conflict_do_nothing(index_elements=["kind", "object_id"])
    )
    with given_or_new(tx) as connection:
        written = bool(connection.execute(statement).rowcount)
    send_after_answer()
    return written


def withdraw(tx: sa.Connection, kinds: tuple[str, ...], object_id: str) -> None:
    """Take back mails of these kinds about an object, as far as they were not sent yet."""
    unsent = sa.delete(Outbox).where(Outbox.kind.in_(kinds), Outbox.object_id == object_id, Outbox.sent_at.is_(None))
    tx.execute(unsent)


@contextmanager
def given_or_new(tx: sa.Connection | None) -> Iterator[sa.Connection]:
    if tx is not None:
        yield tx
    else:
        with db.write() as new:
            yield new


def row(kind: str, object_id: str, recipient: str, subject: str, text: str, html: str | None) -> dict[str, Any]:
    if not recipient.isprintable() or "@" not in recipient:
        raise ValueError("not an address")
    return {
        "kind": kind,
        "object_id": object_id,
        "recipient": recipient,
        "subject": " ".join(subject.split()),
        "text": text,
        "html": html,
        "created_at": clock.wall(),
        "attempts": 0,
    }


class MailUtil(FlaskSecurityMailUtil):
    """Flask-Security's mails go to the outbox; its addresses are all lower case."""

    def send_mail(
        self,
        template: str,
        subject: str,
        recipient: str | tuple[str, str],
        sender: Any,
        body: str | None,
        html: str | None,
        **context: Any,
    ) -> None:
        """Write the mail. One to somebody without an account costs as much and goes nowhere (auth.nobody)."""
        values = row(template.rpartition("/")[2], uuid.uuid4().hex, str(recipient), subject, body or "", html)
        if context["user"].id is None:
            values |= {"object_id": NOBODY, "recipient": "", "sent_at": values["created_at"]}
        statement = db.insert(Outbox).values(values)
        with db.write() as tx:
            tx.execute(
                statement.on_conflict_do_update(
                    index_elements=["kind", "object_id"],
                    set_={name: statement.excluded[name] for name in ("text", "html", "created_at", "sent_at")},
                )
            )
        send_after_answer()

    def normalize(self, email: str) -> str:
        return self._checked(email, check_deliverability=False)

    def validate(self, email: str) -> str:
        return self._checked(email, check_deliverability=current_app.config["CHECK_EMAIL_DELIVERABILITY"])

    def _checked(self, email: str, *, check_deliverability: bool) -> str:
        address = normalized(email, check_deliverability=check_deliverability)
        if address is None:
            raise EmailValidateException(get_message("INVALID_EMAIL_ADDRESS")[0])
        return address


def normalized(email: str, *, check_deliverability: bool = False) -> str | None:
    """The one spelling of an address: ASCII, lower case; None if it is none."""
    try:
        checked = email_validator.validate_email(
            email, check_deliverability=check_deliverability, allow_smtputf8=False, timeout=3
        )
    except email_validator.EmailNotValidError:
        return None
    address = checked.ascii_email
    return address.lower() if address else None


# Sending


def send_after_answer() -> None:
    """Let the mails go once the answer is out, so that its time tells nothing. With SMTP, `flask tick` sends."""
    if current_app.config["MAIL_SERVER"] or not has_request_context() or "sends_mail" in g:
        return
    g.sends_mail = True
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]

    def send() -> None:
        with app.app_context():
            send_pending()

    @after_this_request
    def arrange(response: Response) -> Response:
        response.call_on_close(send)
        return response


def send_pending() -> int:
    """Send what is due, and say how many went. Several processes may do this at once: each mail goes once.

    A mail that could not be sent is tried again later and later, and given up after a day and a half.
    """
    sent = 0
    for id in due():
        message = claim(id)
        if message is not None:
            sent += deliver(message)
    return sent


def due() -> list[int]:
    now = clock.wall()
    ready = sa.or_(
        Outbox.claimed_at.is_(None),
        *(
            sa.and_(Outbox.attempts == attempts, Outbox.claimed_at <= now - wait)
            for attempts, wait in enumerate(BACK_OFF, start=1)
        ),
    )
    query = sa.select(Outbox.id).where(Outbox.sent_at.is_(None), ready).order_by(Outbox.id).limit(AT_ONCE)
    with db.reader().connect() as connection:
        return list(connection.scalars(query))


def claim(id: int) -> sa.Row[Any] | None:
    """Take a mail to send, unless another process has taken it since; its next attempt is due after the back-off."""
    query = sa.select(Outbox).where(Outbox.id == id)
    with db.write() as tx:
        found = tx.execute(query).one_or_none()
        if found is None or found.sent_at is not None or not is_due(found):
            return None
        tx.execute(
            sa.update(Outbox).where(Outbox.id == id).values(claimed_at=clock.wall(), attempts=found.attempts + 1)
        )
    return found


def is_due(mail: sa.Row[Any]) -> bool:
    if mail.claimed_at is None:
        return True
    given_up = mail.attempts > len(BACK_OFF)
    return not given_up and bool(mail.claimed_at <= clock.wall() - BACK_OFF[mail.attempts - 1])


def deliver(mail: sa.Row[Any]) -> bool:
    """Send one mail and note what became of it."""
    try:
        message = compose(mail)
        send_by_smtp(message) if current_app.config["MAIL_SERVER"] else save(mail, message)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        log.warning("mail %s (%s) was not sent: %s", mail.id, mail.kind, type(error).__name__)
        note(mail.id, error=f"{type(error).__name__}: {error}"[:500])
        return False
    # What was sent may have held a link that signs somebody in: it stays with its receiver alone.
    note(mail.id, sent_at=clock.wall(), error=None, text="", html=None)
    return True


def note(id: int, **values: Any) -> None:
    with db.write() as tx:
        tx.execute(sa.update(Outbox).where(Outbox.id == id).values(**values))


def compose(mail: sa.Row[Any]) -> EmailMessage:
    config = current_app.config
    message = EmailMessage(policy=SMTP)  # refuses line breaks in headers
    message["From"] = config["MAIL_FROM"]
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = formatdate(mail.created_at)
    # The same at each attempt: if an answer of the server got lost, the second copy can be told to be one.
    message["Message-ID"] = f"<outbox-{mail.id}-{mail.created_at}@{urlsplit(config['BASE_URL']).hostname}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    return message


def send_by_smtp(message: EmailMessage) -> None:
    with smtp() as server:
        server.send_message(message)


@contextmanager
def smtp() -> Iterator[smtplib.SMTP]:
    """A connection to the mail server, encrypted and logged in as the settings say. Raises OSError, SMTPException."""
    config = current_app.config
    server, port = config["MAIL_SERVER"], config["MAIL_PORT"]
    context = ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(server, port, timeout=TIMEOUT, context=context)
        if config["MAIL_USE_TLS"] and port == smtplib.SMTP_SSL_PORT
        else smtplib.SMTP(server, port, timeout=TIMEOUT)
    ) as connection:
        if config["MAIL_USE_TLS"] and port != smtplib.SMTP_SSL_PORT:
            connection.starttls(context=context)
        if config["MAIL_USERNAME"]:
            connection.login(config["MAIL_USERNAME"], config["MAIL_PASSWORD"])
        yield connection


def save(mail: sa.Row[Any], message: EmailMessage) -> None:
    """Write `instance/mail/<when>-<number>-<kind>.eml`, and say on standard error what link it brought.

    Not so of a shop on the internet: who reads its log must not be able to set other people's passwords.
    """
    folder = Path(current_app.instance_path) / "mail"
    folder.mkdir(parents=True, exist_ok=True)
    written = time.strftime("%Y%m%d-%H%M%S", time.gmtime(mail.created_at))
    file = folder / f"{written}-{mail.id:06}-{mail.kind}.eml"
    file.write_bytes(message.as_bytes())
    link = None if current_app.config["BASE_URL"].startswith("https://") else LINK.search(mail.text)
    sys.stderr.write(f"mail to {mail.recipient}: {mail.subject} {link.group() if link else ''} ({file.name})\n")
    sys.stderr.flush()
