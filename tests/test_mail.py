"""Mails are written once, sent once, and tried again when they could not be sent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import clock
import db
import mail
from app import Shop
from models import Outbox
from tests.conftest import PASSWORD, Browser
from tests.smtp import MailServer, mail_server

TEMPLATE = "security/email/reset_notice"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def posting(make_app: Callable[..., Shop], server: MailServer) -> Shop:
    """An app that sends by SMTP."""
    return make_app(
        MAIL_SERVER="127.0.0.1",
        MAIL_PORT=str(server.port),
        MAIL_USE_TLS="false",
        MAIL_FROM="Lantern <shop@example.com>",
        BASE_URL="http://localhost",
    )


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the clock."""
    return lambda instant: monkeypatch.setattr(clock, "wall", lambda: instant)


def write(object_id: str = "in_1", recipient: str = "ada@example.com", tx: Any = None, **more: Any) -> bool:
    return mail.enqueue(
        tx, "payment_failed", object_id, recipient, TEMPLATE, **{"subject": "Your payment failed", "user": None, **more}
    )


def rows() -> list[Any]:
    with db.reader().connect() as connection:
        return list(connection.execute(sa.select(Outbox).order_by(Outbox.id)))


def saved(app: Shop) -> list[Path]:
    return sorted(Path(app.instance_path, "mail").glob("*"))


# Writing


def test_a_mail_is_written_once_for_its_kind_and_object(app: Shop) -> None:
    with app.app_context():
        assert write("in_1")
        assert not write("in_1", recipient="other@example.com")
        assert write("in_2")
        assert [(row.object_id, row.recipient) for row in rows()] == [
            ("in_1", "ada@example.com"),
            ("in_2", "ada@example.com"),
        ]


def test_a_mail_goes_with_its_transaction(app: Shop) -> None:
    with app.app_context():
        with pytest.raises(RuntimeError), db.write() as tx:
            write("in_1", tx=tx)
            raise RuntimeError
        assert rows() == []
        with db.write() as tx:
            write("in_1", tx=tx)
        assert len(rows()) == 1


@pytest.mark.parametrize(
    "recipient", ["", "ada", "ada@example.com\r\nBcc: all@example.com", "ada@example.com\n", "ada@\0example.com"]
)
def test_a_recipient_that_is_no_address_is_refused(app: Shop, recipient: str) -> None:
    with app.app_context():
        with pytest.raises(ValueError, match="address"):
            write(recipient=recipient)
        assert rows() == []


def test_a_subject_is_one_line(app: Shop) -> None:
    with app.app_context():
        write(subject="Hello\r\nBcc: all@example.com")
        mail.send_pending()
    message = message_from_bytes(saved(app)[0].read_bytes(), policy=default)
    assert message["Subject"] == "Hello Bcc: all@example.com"
    assert message["Bcc"] is None
    assert message["To"] == "ada@example.com"


# Without a mail server


def test_without_a_mail_server_the_answer_goes_first_and_then_the_mail(
    app: Shop, client: Browser, signed_in: Browser, capfd: pytest.CaptureFixture[str]
) -> None:
    before = len(saved(app))
    data = {"csrf_token": client.csrf_token(), "email": "alice@example.com"}
    answer = client.post("/reset", data=data, buffered=False)
    assert len(saved(app)) == before
    answer.close()
    assert len(saved(app)) == before + 1
    said = capfd.readouterr().err
    assert "mail to alice@example.com: Password reset instructions http://localhost/reset/" in said
    with app.app_context():
        assert all(row.sent_at is not None and row.error is None for row in rows())


def test_the_log_of_a_shop_on_the_internet_holds_no_link(
    make_app: Callable[..., Shop], capfd: pytest.CaptureFixture[str]
) -> None:
    app = make_app(BASE_URL="https://shop.example.com")
    with app.app_context():
        write()
        with db.write() as tx:
            tx.execute(sa.update(Outbox).values(text="https://shop.example.com/reset/token"))
        mail.send_pending()
    said = capfd.readouterr().err
    assert "mail to" in said
    assert "token" not in said


def test_a_saved_mail_has_text_html_and_a_stable_id(app: Shop) -> None:
    with app.app_context():
        write()
        assert mail.send_pending() == 1
        assert mail.send_pending() == 0
        (row,) = rows()
    (file,) = saved(app)
    assert file.name.endswith(f"-{row.id:06}-payment_failed.eml")
    message = message_from_bytes(file.read_bytes(), policy=default)
    assert message["Message-ID"] == f"<outbox-{row.id}-{row.created_at}@localhost>"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_a_link_that_was_sent_is_kept_nowhere(app: Shop, signed_in: Browser) -> None:
    with app.app_context():
        (row,) = rows()
        assert row.sent_at is not None
        assert row.text == ""
        assert row.html is None


# With a mail server


def test_a_request_does_not_wait_for_the_mail_server(posting: Shop, server: MailServer) -> None:
    answer = Browser(posting).submit("/register", email="ada@example.com", password=PASSWORD, password_confirm=PASSWORD)
    assert answer.status_code == 302
    assert server.commands == []
    with posting.app_context():
        assert mail.send_pending() == 1
    (message,) = server.messages
    assert b"From: Lantern <shop@example.com>" in message
    assert "rcpt TO:<ada@example.com>" in server.commands


def test_a_mail_that_was_refused_is_tried_again_later_and_later_and_then_given_up(
    posting: Shop, server: MailServer, at: Callable[[int], None]
) -> None:
    server.refusal = "451 come again later"
    with posting.app_context():
        now = 1_800_000_000
        at(now)
        write()
        mail.send_pending()
        for wait in mail.BACK_OFF:
            tried = len(server.commands)
            at(now + wait - 1)
            mail.send_pending()
            assert len(server.commands) == tried
            now += wait
            at(now)
            mail.send_pending()
            assert len(server.commands) > tried
        tried = len(server.commands)
        at(now + 365 * 86400)
        mail.send_pending()
        assert len(server.commands) == tried
        (row,) = rows()
        assert row.sent_at is None
        assert row.attempts == len(mail.BACK_OFF) + 1
        assert "come again later" in row.error


def test_a_mail_goes_when_the_server_is_back(posting: Shop, server: MailServer, at: Callable[[int], None]) -> None:
    with posting.app_context():
        at(1_800_000_000)
        write()
        server.refusal = "550 no"
        assert mail.send_pending() == 0
        server.refusal = None
        assert mail.send_pending() == 0
        at(1_800_000_060)
        assert mail.send_pending() == 1
        (row,) = rows()
        assert row.error is None
        assert row.attempts == 2


def test_a_dead_mail_server_is_a_note_and_no_crash(make_app: Callable[..., Shop], server: MailServer) -> None:
    port = server.port
    server.server_close()
    app = make_app(MAIL_SERVER="127.0.0.1", MAIL_PORT=str(port), MAIL_USE_TLS="false")
    with app.app_context():
        write()
        assert mail.send_pending() == 0
        assert rows()[0].error.startswith("ConnectionRefusedError")


def test_no_password_goes_to_a_server_that_cannot_encrypt(make_app: Callable[..., Shop], server: MailServer) -> None:
    app = make_app(
        MAIL_SERVER="127.0.0.1", MAIL_PORT=str(server.port), MAIL_USERNAME="shop", MAIL_PASSWORD="pass-the-word"
    )
    with app.app_context():
        write()
        assert mail.send_pending() == 0
        assert "STARTTLS" in rows()[0].error
        assert "pass-the-word" not in rows()[0].error
    assert server.messages == []
    assert not any("AUTH" in command for command in server.commands)


def test_two_senders_at_once_send_each_mail_once(posting: Shop, server: MailServer) -> None:
    with posting.app_context():
        for n in range(20):
            write(f"in_{n}", recipient=f"a{n}@example.com")
    start = threading.Barrier(4)
    sent = []

    def send() -> None:
        with posting.app_context():
            start.wait()
            sent.append(mail.send_pending())

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(sent) == 20
    assert len(server.messages) == 20


def test_a_sender_that_died_leaves_the_mail_to_the_next_one(
    posting: Shop, server: MailServer, at: Callable[[int], None]
) -> None:
    with posting.app_context():
        at(1_800_000_000)
        write()
        (id,) = mail.due()
        assert mail.claim(id) is not None
        assert mail.claim(id) is None
        assert mail.send_pending() == 0
        at(1_800_000_060)
        assert mail.send_pending() == 1
    assert len(server.messages) == 1
