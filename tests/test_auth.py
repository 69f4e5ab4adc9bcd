"""Accounts: getting in, staying in, and what nobody learns or gets on the way."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import sqlalchemy as sa
from flask import template_rendered
from pytest_mock import MockerFixture

import auth
import db
from app import Shop
from models import Outbox, User
from tests.conftest import PASSWORD, Browser

ELSEWHERE = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "https://localhost@evil.example/",
    "https://localhost.evil.example/",
    " //evil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "%2F%2Fevil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/\r\nLocation: https://evil.example",
]


def mails(app: Shop) -> list[EmailMessage]:
    """The mails saved so far, oldest first."""
    files = sorted(Path(app.instance_path, "mail").glob("*.eml"), key=lambda file: file.name.split("-")[2])
    return [message_from_bytes(file.read_bytes(), policy=default) for file in files]


def text(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link(mail: EmailMessage, kind: str) -> str:
    """The path of the link in a mail that leads to `kind`."""
    found = re.search(rf"http://localhost(/{kind}/\S+)", text(mail))
    assert found, text(mail)
    return found.group(1)


def find(app: Shop, email: str) -> Any:
    with app.app_context(), db.reader().connect() as connection:
        return connection.execute(sa.select(User).where(User.email == email)).one_or_none()


def is_in(client: Browser) -> bool:
    """Whether a page for customers lets this browser in."""
    return client.get("/change").status_code == 200


def leads_home(location: str) -> bool:
    """Whether a browser would stay in the shop: they drop control characters and take a backslash for a slash."""
    target = re.sub(r"[\t\r\n]", "", location).strip(" \0\x19").replace("\\", "/")
    return urlsplit(urljoin("http://localhost/login", target))[:2] == ("http", "localhost")


# Registering


def test_registering_signs_in_at_once_and_asks_for_confirmation(app: Shop, client: Browser) -> None:
    answer = client.submit(
        "/register", email="ada@example.com", password=PASSWORD, password_confirm=PASSWORD, next="/members/basic"
    )
    assert answer.status_code == 302
    assert answer.location == "/members/basic"
    assert is_in(client)
    assert find(app, "ada@example.com").confirmed_at is None
    (mail,) = mails(app)
    assert mail["To"] == "ada@example.com"
    assert client.get(link(mail, "confirm")).status_code == 302
    assert find(app, "ada@example.com").confirmed_at is not None
    assert is_in(client)


def test_an_address_has_one_spelling(app: Shop, client: Browser, sign_up: Callable[..., Browser]) -> None:
    sign_up("Ada@Example.COM")
    assert find(app, "ada@example.com") is not None
    answer = client.submit("/login", email="ADA@example.com", password=PASSWORD)
    assert answer.status_code == 302
    assert is_in(client)


def test_registering_a_taken_address_signs_nobody_in_and_writes_to_its_owner(
    app: Shop, client: Browser, signed_in: Browser
) -> None:
    before = find(app, "alice@example.com").password
    answer = client.submit("/register", email="Alice@example.com", password=PASSWORD, password_confirm=PASSWORD)
    assert answer.status_code == 302
    assert not client.signed_in()
    assert find(app, "alice@example.com").password == before
    assert [mail["To"] for mail in mails(app)] == ["alice@example.com"] * 2
    assert "If you have an account already, log in" in client.get("/login").get_data(as_text=True)


def test_two_registrations_at_the_same_moment_make_one_account(
    app: Shop, client: Browser, signed_in: Browser, mocker: MockerFixture
) -> None:
    mocker.patch.object(auth.Users, "find_user", return_value=None)  # the other one was not there yet
    answer = client.post(
        "/register",
        data={
            "csrf_token": client.csrf_token(),
            "email": "alice@example.com",
            "password": PASSWORD,
            "password_confirm": PASSWORD,
        },
    )
    mocker.stopall()
    assert answer.status_code == 303
    assert answer.location == "/login"
    assert not client.signed_in()
    assert len(mails(app)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"email": ""},
        {"email": "ada"},
        {"email": "ada@"},
        {"email": "ada@localhost"},
        {"email": "ada@example.com\r\nBcc: all@example.com"},
        {"email": "ada@example.com, bob@example.com"},
        {"email": "Ada <ada@example.com>"},
        {"email": "a" * 250 + "@example.com"},
        {"email": "ada@example.com\0"},
        {"email": "🦊@example.com"},
        {"password": "short", "password_confirm": "short"},
        {"password": "", "password_confirm": ""},
        {"password": " " * 9, "password_confirm": " " * 9},
        {"password": "a" * 129, "password_confirm": "a" * 129},
        {"password": "a" * 5000, "password_confirm": "a" * 5000},
        {"password": "null\0null", "password_confirm": "null\0null"},
        {"password_confirm": "something else"},
        {"next": "/" + "a" * 3000},
    ],
)
def test_a_registration_that_makes_no_sense_makes_no_account(
    app: Shop, client: Browser, fields: dict[str, str]
) -> None:
    good = {"email": "ada@example.com", "password": PASSWORD, "password_confirm": PASSWORD}
    answer = client.submit("/register", **{**good, **fields})
    assert answer.status_code in (200, 400)
    assert not client.signed_in()
    assert mails(app) == []
    with app.app_context(), db.reader().connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(User)) == 0


def test_a_form_that_comes_back_can_be_sent_again(client: Browser) -> None:
    token = client.csrf_token()
    page = client.post("/login", data={"csrf_token": token, "email": "a", "password": "b"}).get_data(as_text=True)
    (form,) = re.findall(r"<form class.*?</form>", page, re.S)
    (again,) = re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', form)
    assert client.post("/login", data={"csrf_token": again, "email": "a", "password": "b"}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("body", [{"email": "alice@example.com", "password": PASSWORD}, ["x"], "x"])
def test_account_forms_take_forms_only(client: Browser, method: str, body: Any) -> None:
    headers = {"X-CSRFToken": client.csrf_token()}
    answer = client.open("/login", method=method, json=body, headers=headers)
    assert answer.status_code == 415
    assert answer.mimetype == "text/html"


def test_registering_cannot_set_what_the_form_does_not_show(app: Shop, client: Browser) -> None:
    client.submit(
        "/register",
        email="ada@example.com",
        password=PASSWORD,
        password_confirm=PASSWORD,
        is_staff="1",
        active="0",
        id="77",
        confirmed_at="2026-01-01",
    )
    ada = find(app, "ada@example.com")
    assert not ada.is_staff
    assert ada.active
    assert ada.id != 77
    assert ada.confirmed_at is None


# Logging in and out


def without_what_differs(answer: Any, email: str) -> str:
    """The page without the address typed, and without its token, which holds the time in seconds."""
    return re.sub(r'(csrf[-_]token" [^>]*)"[^"]+">', r"\1>", answer.get_data(as_text=True).replace(email, ""))


def work(app: Shop, mocker: MockerFixture, statements: list[str]) -> Callable[[], tuple[int, int, int]]:
    """Counts the work done since it was last asked: SQL statements, password hashes, templates."""
    context = app.extensions["security"].pwd_context
    hashes, checks = mocker.spy(context, "hash"), mocker.spy(context, "verify")
    templates: list[Any] = []
    app.extensions["test.receiver"] = receiver = lambda _app, template, **_rest: templates.append(template)
    template_rendered.connect(receiver, app)

    def done() -> tuple[int, int, int]:
        counts = len(statements), hashes.call_count + checks.call_count, len(templates)
        statements.clear()
        templates.clear()
        hashes.reset_mock()
        checks.reset_mock()
        return counts

    return done


def test_a_wrong_password_and_an_unknown_address_get_the_same_answer_for_the_same_work(
    app: Shop, client: Browser, signed_in: Browser, statements: list[str], mocker: MockerFixture
) -> None:
    token, done = client.csrf_token(), work(app, mocker, statements)
    pages, counts = [], []
    for email in ("alice@example.com", "nobody@example.com"):
        done()
        answer = client.post("/login", data={"csrf_token": token, "email": email, "password": "not the password"})
        counts.append(done())
        pages.append(without_what_differs(answer, email))
    assert pages[0] == pages[1]
    assert "do not belong together" in pages[0]
    assert counts[0] == counts[1]
    assert counts[0][1] == 1


def test_an_account_that_was_switched_off_is_no_way_in(app: Shop, client: Browser, signed_in: Browser) -> None:
    with app.app_context(), db.write() as tx:
        tx.execute(sa.update(User).values(active=False))
    assert not is_in(signed_in)
    answer = client.submit("/login", email="alice@example.com", password=PASSWORD)
    assert answer.status_code == 200
    assert not client.signed_in()
    client.submit("/reset", email="alice@example.com")
    assert len(mails(app)) == 1


@pytest.mark.parametrize("password", ["a" * 1999, "a" * 100_000, "\0", "ä" * 1500])
def test_an_odd_password_is_just_wrong(client: Browser, signed_in: Browser, password: str) -> None:
    for email in ("alice@example.com", "nobody@example.com"):
        answer = client.submit("/login", email=email, password=password)
        assert answer.status_code in (200, 400, 413)
        assert not client.signed_in()


def test_logging_out_takes_a_post_with_a_token(signed_in: Browser) -> None:
    assert signed_in.get("/logout").status_code == 405
    assert signed_in.post("/logout").status_code == 400
    assert is_in(signed_in)
    assert signed_in.submit("/logout").location == "/"
    assert not is_in(signed_in)


def test_a_page_for_customers_leads_to_log_in_and_back(client: Browser, signed_in: Browser) -> None:
    answer = client.get("/change?from=mail")
    assert answer.status_code == 302
    assert answer.location == "/login?next=/change?from%3Dmail"
    client.submit(answer.location, email="alice@example.com", password=PASSWORD)
    assert is_in(client)


def test_a_client_secret_does_not_travel_through_log_in(client: Browser) -> None:
    answer = client.get("/change?payment_intent_client_secret=pi_1_secret_2&redirect_status=succeeded")
    assert answer.location == "/login?next=/change"


@pytest.mark.parametrize("next", ELSEWHERE)
def test_log_in_leads_nowhere_else(client: Browser, signed_in: Browser, next: str) -> None:
    in_form = client.submit("/login", email="alice@example.com", password=PASSWORD, next=next)
    client.submit("/logout")
    token = client.csrf_token()
    in_query = client.post(
        "/login",
        query_string={"next": next},
        data={"csrf_token": token, "email": "alice@example.com", "password": PASSWORD},
    )
    out = client.post("/logout", query_string={"next": next}, data={"csrf_token": client.csrf_token(), "next": next})
    for answer in (in_form, in_query, out):
        assert answer.status_code == 302
        assert leads_home(answer.location), answer.location


@pytest.mark.parametrize("next", ELSEWHERE)
def test_registering_leads_nowhere_else(client: Browser, next: str) -> None:
    answer = client.submit(
        "/register", email="ada@example.com", password=PASSWORD, password_confirm=PASSWORD, next=next
    )
    assert client.signed_in()
    assert leads_home(answer.location), answer.location


# Passwords


def test_a_reset_link_sets_a_new_password_once_and_ends_all_sessions(
    app: Shop, client: Browser, signed_in: Browser
) -> None:
    client.submit("/reset", email="alice@example.com")
    path = link(mails(app)[-1], "reset")
    assert client.get(path).status_code == 200
    new = "four other small words"
    assert client.submit(path, password=new, password_confirm=new).status_code == 302
    assert mails(app)[-1]["Subject"] == "Your password has been reset"
    assert not is_in(signed_in)
    assert client.get(path).location == "/reset"
    assert client.submit(path, password=PASSWORD, password_confirm=PASSWORD).location == "/reset"
    assert client.submit("/login", email="alice@example.com", password=PASSWORD).status_code == 200
    assert client.submit("/login", email="alice@example.com", password=new).status_code == 302


def test_a_new_address_ends_what_went_to_the_old_one_and_sessions_elsewhere(
    app: Shop, client: Browser, signed_in: Browser
) -> None:
    client.submit("/login", email="alice@example.com", password=PASSWORD)
    thief = Browser(app)
    thief.submit("/reset", email="alice@example.com")
    reset = link(mails(app)[-1], "reset")
    signed_in.submit("/change-email", email="new@example.com", password=PASSWORD)

    signed_in.get(link(mails(app)[-1], "change-email"))

    assert find(app, "new@example.com") is not None
    assert is_in(signed_in)
    assert not is_in(client)
    assert thief.get(reset).status_code == 302
    thief.submit(reset, password="the thief's own", password_confirm="the thief's own")
    assert Browser(app).submit("/login", email="new@example.com", password=PASSWORD).status_code == 302


def test_a_link_to_a_new_address_makes_nobody_else_its_owner(
    app: Shop, signed_in: Browser, sign_up: Callable[..., Browser]
) -> None:
    bob = sign_up("bob@example.com")
    signed_in.submit("/change-email", email="new@example.com", password=PASSWORD)
    bob.get(link(mails(app)[-1], "change-email"))
    assert "new@example.com" not in bob.get("/change-email").get_data(as_text=True)


def test_a_new_password_ends_a_change_of_address_that_was_begun(app: Shop, client: Browser, signed_in: Browser) -> None:
    signed_in.submit("/change-email", email="thief@example.com", password=PASSWORD)
    change = link(mails(app)[-1], "change-email")
    client.submit("/reset", email="alice@example.com")
    client.submit(link(mails(app)[-1], "reset"), password="another one of hers", password_confirm="another one of hers")

    app.test_client().get(change)

    assert find(app, "thief@example.com") is None


def test_a_link_that_confirms_an_address_signs_nobody_in(app: Shop, client: Browser, signed_in: Browser) -> None:
    assert client.get(link(mails(app)[-1], "confirm")).status_code == 302
    assert not is_in(client)


@pytest.mark.parametrize("next", ELSEWHERE)
def test_no_account_form_leads_elsewhere(signed_in: Browser, next: str) -> None:
    fields = {"csrf_token": signed_in.csrf_token(), "password": PASSWORD, "next": next}
    for path in ("/verify", "/logout"):
        answer = signed_in.post(path, data=fields, query_string={"next": next})
        assert leads_home(answer.headers.get("Location", "/")), answer.headers


@pytest.mark.parametrize("token", ["x", "a.b.c", "\ufffd", "." * 500, "WyJhIl0.x.y"])
def test_a_forged_link_is_refused(client: Browser, token: str) -> None:
    assert client.get(f"/reset/{token}").location == "/reset"
    assert client.submit(f"/reset/{token}", password=PASSWORD, password_confirm=PASSWORD).location == "/reset"
    assert client.get(f"/confirm/{token}").location == "/confirm"


def test_changing_the_password_keeps_this_session_and_ends_the_others(
    app: Shop, client: Browser, signed_in: Browser
) -> None:
    client.submit("/login", email="alice@example.com", password=PASSWORD)
    new = "four other small words"
    answer = client.submit("/change", password=PASSWORD, new_password=new, new_password_confirm=new)
    assert answer.location == "/account"
    assert is_in(client)
    assert not is_in(signed_in)
    assert mails(app)[-1]["Subject"] == "Your password has been changed"


def test_changing_the_password_takes_the_old_one(client: Browser, signed_in: Browser) -> None:
    new = "four other small words"
    answer = signed_in.submit("/change", password="not the password", new_password=new, new_password_confirm=new)
    assert answer.status_code == 200
    assert client.submit("/login", email="alice@example.com", password=PASSWORD).status_code == 302


@pytest.mark.parametrize("path", ["/reset", "/confirm"])
def test_asking_for_a_link_is_the_same_work_and_answer_without_an_account(
    make_app: Callable[..., Shop], mocker: MockerFixture, path: str
) -> None:
    app = make_app(MAIL_SERVER="mail.example.com")
    alice, other = Browser(app), Browser(app)
    alice.submit("/register", email="alice@example.com", password=PASSWORD, password_confirm=PASSWORD)
    statements: list[str] = []
    with app.app_context():
        sa.event.listen(db.engine(), "before_cursor_execute", lambda *seen: statements.append(seen[2]))
    token, done = other.csrf_token(), work(app, mocker, statements)
    pages, counts, kinds = [], [], []
    for email in ("nobody@example.com", "alice@example.com", "nobody@example.com", "alice@example.com"):
        done()
        answer = other.post(path, data={"csrf_token": token, "email": email})
        kinds.append([statement.split()[0] for statement in statements])
        counts.append(done())
        pages.append(without_what_differs(answer, email))
    assert len(set(pages)) == 1
    assert "on its way" in pages[0]
    assert len(set(counts)) == 1, counts
    assert kinds[0] == kinds[1] == ["SELECT", "INSERT"]


def test_a_confirmed_address_is_not_asked_to_confirm_again(app: Shop, client: Browser, signed_in: Browser) -> None:
    client.submit("/confirm", email="alice@example.com")
    path = link(mails(app)[-1], "confirm")
    assert len(mails(app)) == 2
    client.get(path)
    client.submit("/confirm", email="alice@example.com")
    assert len(mails(app)) == 2


def test_nothing_is_kept_for_an_address_without_an_account_but_one_row(app: Shop, client: Browser) -> None:
    for n in range(3):
        client.submit("/reset", email=f"nobody{n}@example.com")
    with app.app_context(), db.reader().connect() as connection:
        (row,) = connection.execute(sa.select(Outbox)).all()
    assert row.recipient == ""
    assert row.sent_at is not None
    assert mails(app) == []


def test_passwords_are_argon2id_of_19_mib(make_app: Callable[..., Shop]) -> None:
    app = make_app(SECURITY_PASSWORD_HASH_PASSLIB_OPTIONS=auth.ARGON2)
    Browser(app).submit("/register", email="ada@example.com", password=PASSWORD, password_confirm=PASSWORD)
    assert find(app, "ada@example.com").password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


# The session


def test_the_session_cookie_is_for_this_shop_alone(client: Browser) -> None:
    cookie = client.get("/login").headers["Set-Cookie"]
    assert cookie.startswith("shop_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie


def test_a_session_outlives_the_browser_and_ends_after_30_days(app: Shop, client: Browser) -> None:
    answer = client.submit("/register", email="ada@example.com", password=PASSWORD, password_confirm=PASSWORD)
    expires = parsedate_to_datetime(re.findall(r"Expires=([^;]+)", answer.headers["Set-Cookie"])[0])
    assert 29.9 < (expires - dt.datetime.now(dt.UTC)).total_seconds() / 86400 <= 30
    app.config["PERMANENT_SESSION_LIFETIME"] = dt.timedelta(seconds=-1)
    assert not is_in(client)


def test_the_session_cookie_is_secure_exactly_over_https(make_app: Callable[..., Shop]) -> None:
    app = make_app(BASE_URL="https://shop.example.com")
    answer = app.test_client().get("/login", base_url="https://shop.example.com")
    assert "Secure" in answer.headers["Set-Cookie"]


def test_a_token_in_the_address_is_no_sign_in(app: Shop, signed_in: Browser, statements: list[str]) -> None:
    with app.test_request_context():
        alice = db.session.scalar(sa.select(User))
        assert alice is not None
        token = alice.get_auth_token()
    statements.clear()
    stranger = Browser(app)
    assert stranger.get("/change", query_string={"auth_token": token}).status_code == 302
    assert stranger.get("/change", headers={"Authentication-Token": token}).status_code == 302
    assert statements == []


def test_who_is_signed_in_is_asked_once_a_page_and_never_for_health(
    app: Shop, signed_in: Browser, statements: list[str]
) -> None:
    for path, expected in (("/change", 1), ("/healthz", 0), ("/static/favicon.svg", 0)):
        statements.clear()
        assert signed_in.get(path).status_code == 200
        assert len([one for one in statements if "FROM users" in one]) == expected, path
    statements.clear()
    assert signed_in.post("/webhook", data=b"{}").status_code == 400
    assert statements == []
