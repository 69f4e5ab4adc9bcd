"""The app as a whole: what every answer carries, what starts it and what does not."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import url_for
from pytest_mock import MockerFixture

import db
import logs
from app import Shop, content_security_policy, create_app
from config import ConfigError
from tests.conftest import PASSWORD, SETTINGS, Browser


def policy(answer_header: str) -> dict[str, list[str]]:
    parts = (part.split() for part in answer_header.split(";"))
    return {name: sources for name, *sources in parts}


# What every answer carries


@pytest.mark.parametrize("path", ["/", "/login", "/privacy", "/config", "/nowhere", "/healthz", "/static/favicon.svg"])
def test_every_answer_carries_the_security_headers(client: Browser, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"
    assert headers["Permissions-Policy"].startswith('payment=(self "http://127.0.0.1:9")')
    assert "Strict-Transport-Security" not in headers
    assert "X-Request-ID" in headers
    found = policy(headers["Content-Security-Policy"])
    assert found["default-src"] == found["base-uri"] == found["frame-ancestors"] == found["object-src"] == ["'none'"]
    assert found["form-action"] == found["style-src"] == ["'self'"]
    assert found["script-src"] == ["'self'", "http://127.0.0.1:9"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "*" not in headers["Content-Security-Policy"]


def test_stripes_own_hosts_are_named_when_stripe_js_is_stripes() -> None:
    found = policy(content_security_policy("https://js.stripe.com", "https://api.stripe.com"))
    assert {"https://js.stripe.com", "https://*.js.stripe.com"} <= set(found["script-src"]) & set(found["frame-src"])
    assert "https://hooks.stripe.com" in found["frame-src"]
    assert "https://api.stripe.com" in found["connect-src"]
    assert not any("unsafe" in source for sources in found.values() for source in sources)


def test_https_is_kept_to_once_base_url_has_it(make_app: Callable[..., Shop]) -> None:
    app = make_app(BASE_URL="https://shop.example.com")
    answer = app.test_client().get("/healthz", base_url="https://shop.example.com")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_no_page_holds_inline_script_or_style(client: Browser, signed_in: Browser) -> None:
    for path in ("/", "/login", "/register", "/reset", "/confirm", "/privacy", "/nowhere"):
        page = client.get(path).get_data(as_text=True)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), path
    for path in ("/", "/change", "/account"):
        page = signed_in.get(path).get_data(as_text=True)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page), path


@pytest.mark.parametrize("path", ["/", "/change", "/account", "/config", "/nowhere"])
def test_nothing_said_to_somebody_signed_in_is_stored(signed_in: Browser, path: str) -> None:
    assert signed_in.get(path).headers["Cache-Control"] == "no-store"


def test_a_static_file_may_be_kept_under_its_version_only(client: Browser) -> None:
    page = client.get("/login").get_data(as_text=True)
    (address,) = re.findall(r'href="(/static/css/base\.css\?v=[0-9a-f]+)"', page)
    assert client.get(address).headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get("/static/css/base.css").headers["Cache-Control"] == "no-cache"
    assert client.get("/static/nothing.css?v=1").status_code == 404
    assert "immutable" not in client.get("/static/nothing.css?v=1").headers.get("Cache-Control", "")


def test_a_request_id_is_taken_over_when_it_is_sane(client: Browser) -> None:
    assert client.get("/", headers={"X-Request-ID": "proxy-12345678"}).headers["X-Request-ID"] == "proxy-12345678"
    for odd in ("short", "a" * 65, "with space 12", "new\tline-123", "<script>alert</script>"):
        assert client.get("/", headers={"X-Request-ID": odd}).headers["X-Request-ID"] != odd


# Addresses


def test_a_host_that_is_not_ours_is_refused(client: Browser) -> None:
    assert client.get("/login", base_url="http://evil.example").status_code == 400


def test_a_scanner_that_knows_no_host_of_ours_fills_no_log(client: Browser, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.get("/login", base_url="http://evil.example")
    assert "That request did not work" in answer.get_data(as_text=True)
    assert [record for record in caplog.records if record.levelname != "INFO"] == []


def test_links_in_mails_start_at_base_url(make_app: Callable[..., Shop]) -> None:
    app = make_app(BASE_URL="https://shop.example.com", TRUSTED_HOSTS="localhost")
    for ask in (url_for, app.url_for):  # ours and Flask-Security's code uses the one, templates the other
        with app.test_request_context(base_url="http://localhost:4242"):
            assert ask("security.login", _external=True) == "https://shop.example.com/login"
            assert ask("security.login") == "/login"
        with app.app_context():
            assert ask("security.login", _external=True) == "https://shop.example.com/login"


def test_proxies_are_believed_as_many_as_there_are(make_app: Callable[..., Shop]) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Host": "evil.example"}
    assert make_app().test_client().get("/healthz", headers=forwarded).status_code == 200
    behind = make_app(PROXIES="1").test_client()
    assert behind.get("/login", headers=forwarded).status_code == 400


# Forms and bodies


def test_every_form_needs_its_token_but_the_webhook(app: Shop, client: Browser) -> None:
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or ()):
            continue
        path = re.sub(r"<[^>]+>", "1", rule.rule)
        answer = client.post(path, data={"email": "a@example.com"})
        if path == "/webhook":
            assert "signature" in answer.get_data(as_text=True)
        else:
            assert answer.status_code == 400, path
            assert "reload" in answer.get_data(as_text=True).lower(), path


def test_a_form_too_large_is_a_413(client: Browser) -> None:
    answer = client.post("/login", data={"csrf_token": client.csrf_token(), "email": "a" * 70_000})
    assert answer.status_code == 413
    assert answer.mimetype == "text/html"


# Limits


def limited(make_app: Callable[..., Shop], **limits: str) -> Browser:
    return Browser(make_app(RATELIMIT_ENABLED="true", **limits))


def test_guessing_at_an_account_ends_for_a_while_and_only_for_that_account(make_app: Callable[..., Shop]) -> None:
    client = limited(make_app, LIMIT_LOGIN_ACCOUNT="3 per 15 minutes")
    client.submit("/register", email="alice@example.com", password=PASSWORD, password_confirm=PASSWORD)
    client.submit("/logout")
    for _ in range(5):  # only what fails is counted
        assert client.submit("/login", email="alice@example.com", password=PASSWORD).status_code == 302
        client.submit("/logout")
    for email in ("alice@example.com", "ALICE@example.com", " alice@EXAMPLE.com"):
        assert client.submit("/login", email=email, password="wrong password").status_code == 200
    answer = client.submit("/login", email="alice@example.com", password=PASSWORD)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 901
    assert "minutes" in answer.get_data(as_text=True)
    assert client.get("/login").status_code == 200
    assert client.submit("/login", email="bob@example.com", password=PASSWORD).status_code == 200


def test_a_limit_tells_nothing_about_accounts(make_app: Callable[..., Shop]) -> None:
    client = limited(make_app, LIMIT_RESET_ACCOUNT="1 per hour")
    assert client.submit("/reset", email="nobody@example.com").status_code == 200
    assert client.submit("/reset", email="nobody@example.com").status_code == 429


@pytest.mark.parametrize(
    ("path", "limit"), [("/login", "LIMIT_LOGIN_ADDRESS"), ("/register", "LIMIT_REGISTER_ADDRESS")]
)
def test_one_address_cannot_try_for_ever(make_app: Callable[..., Shop], path: str, limit: str) -> None:
    client = limited(make_app, **{limit: "2 per hour"})
    for n in range(2):
        assert client.submit(path, email=f"a{n}@example.com", password="short").status_code == 200
    answer = client.submit(path, email="b@example.com", password="short")
    assert answer.status_code == 429


def test_a_counter_that_is_down_lets_people_in_and_still_limits(
    make_app: Callable[..., Shop], mocker: MockerFixture
) -> None:
    client = limited(make_app, LIMIT_RESET_ACCOUNT="2 per hour")
    (limiter,) = client.application.extensions["limiter"]
    mocker.patch.object(limiter.storage, "incr", side_effect=ConnectionError)
    answers = [client.submit("/reset", email="ada@example.com").status_code for _ in range(3)]
    assert answers == [200, 200, 429]


def test_payment_attempts_are_limited_in_json(make_app: Callable[..., Shop]) -> None:
    client = limited(make_app, LIMIT_PAY_ACCOUNT="2 per hour")
    client.submit("/register", email="alice@example.com", password=PASSWORD, password_confirm=PASSWORD)
    for _ in range(2):
        assert client.send("/create-subscription").status_code == 400
    answer = client.send("/create-subscription")
    assert answer.status_code == 429
    assert answer.json["error"]["code"] == "too_many_requests"
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("path", "limit", "fields"),
    [
        ("/change", "LIMIT_LOGIN_ACCOUNT", {"password": "a guess", "new_password": "x"}),
        ("/change-email", "LIMIT_RESET_ACCOUNT", {"email": "b@example.com", "password": "a guess"}),
        ("/delete-account", "LIMIT_LOGIN_ACCOUNT", {"password": "a guess"}),
        ("/create-subscription", "LIMIT_PAY_ADDRESS", {}),
    ],
)
def test_a_browser_left_open_is_no_place_to_guess_a_password_or_a_card(
    make_app: Callable[..., Shop], path: str, limit: str, fields: dict[str, str]
) -> None:
    client = limited(make_app, **{limit: "2 per hour"})
    client.submit("/register", email="alice@example.com", password=PASSWORD, password_confirm=PASSWORD)
    ask = client.send if path in ("/delete-account", "/create-subscription") else client.submit
    answers = [ask(path, **fields).status_code for _ in range(3)]
    assert answers[2] == 429
    assert 429 not in answers[:2]


@pytest.mark.parametrize(
    "path",
    [
        "POST /complete/sync",
        "POST /cancel-subscription",
        "POST /resume-subscription",
        "POST /undo-change",
        "POST /payment-method",
        "POST /billing-details",
        "GET /invoice-preview",
        "GET /account/export",
    ],
)
def test_questions_to_stripe_are_limited_by_account(make_app: Callable[..., Shop], path: str) -> None:
    client = limited(make_app, LIMIT_ASK_ACCOUNT="1 per hour")
    for email, status in (("alice@example.com", [429]), ("bob@example.com", [])):
        client.submit("/register", email=email, password=PASSWORD, password_confirm=PASSWORD)
        method, rule = path.split()
        headers = {"X-CSRFToken": client.csrf_token()}
        answers = [
            client.open(rule, method=method, json={"odd": 1}, headers=headers).status_code
            for _ in range(1 + len(status))
        ]
        assert answers[0] in (200, 400)
        assert answers[1:] == status
        client.submit("/logout")


def test_one_network_of_ipv6_is_one_address(make_app: Callable[..., Shop]) -> None:
    app = make_app(RATELIMIT_ENABLED="true", LIMIT_REGISTER_ADDRESS="1 per hour")

    def try_from(remote: str) -> int:
        client = Browser(app)
        client.environ_base["REMOTE_ADDR"] = remote
        return int(client.submit("/register", email="x", password="short").status_code)

    assert [try_from(f"2001:db8:1:1::{n}") for n in (1, 2)] == [200, 429]
    assert [try_from("2001:db8:1:2::1"), try_from("192.0.2.1"), try_from("192.0.2.2")] == [200, 200, 200]
    assert try_from("::ffff:192.0.2.1") == 429


# Health


def test_a_ready_shop_says_so(client: Browser) -> None:
    assert client.get("/healthz").json == {"status": "up"}
    assert client.get("/readyz").json == {"ready": True, "reasons": [], "warnings": []}


def test_a_shop_without_a_webhook_secret_is_not_ready(make_app: Callable[..., Shop]) -> None:
    answer: Any = make_app(STRIPE_WEBHOOK_SECRET="").test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json["reasons"] == ["STRIPE_WEBHOOK_SECRET is not set: webhooks are refused"]


def test_a_database_of_an_older_version_is_not_ready(app: Shop, client: Browser) -> None:
    with app.app_context(), db.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '000'"))
    answer: Any = client.get("/readyz")
    assert answer.status_code == 503
    assert "flask db upgrade" in answer.json["reasons"][0]


def test_an_empty_database_is_not_ready(tmp_path: Path) -> None:
    app = create_app({**SETTINGS, "DATABASE_URL": f"sqlite:///{tmp_path / 'empty.db'}"})
    answer: Any = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json["reasons"] == ["the database is not migrated: run `flask db upgrade`"]


def test_a_database_that_cannot_be_reached_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    app = create_app({**SETTINGS, "DATABASE_URL": f"sqlite:///{tmp_path / 'folder.db'}"})
    answer: Any = app.test_client().get("/readyz")
    assert answer.status_code == 503
    assert answer.json["reasons"] == ["the database cannot be reached"]
    assert app.test_client().get("/healthz").status_code == 200


# Settings


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        create_app({"GRACE_DAYS": "many", "SECRET_KEY": "short"})
    problems = "\n".join(caught.value.problems)
    for name in ("GRACE_DAYS", "SECRET_KEY", "SECURITY_PASSWORD_SALT", "STRIPE_SECRET_KEY"):
        assert name in problems
    assert "short" not in problems


def test_a_mapping_is_all_the_app_looks_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOP_NAME", "The environment's")
    app = create_app({**SETTINGS, "DATABASE_URL": f"sqlite:///{tmp_path / 'shop.db'}"})
    assert app.config["SHOP_NAME"] == "Lantern"


# The log


def test_the_access_log_holds_no_query_and_no_token(
    make_app: Callable[..., Shop], caplog: pytest.LogCaptureFixture
) -> None:
    client = make_app(LOG_LEVEL="INFO").test_client()
    with caplog.at_level(logging.INFO):
        client.get("/complete?payment_intent_client_secret=pi_1_secret_2")
        client.get("/reset/a-token-of-somebody")
        client.get("/healthz")
    lines = [record.getMessage() for record in caplog.records if record.name == "access"]
    assert [line.split()[:2] for line in lines] == [["GET", "/complete"], ["GET", "/reset/<token>"]]


@pytest.mark.parametrize(
    "secret",
    [
        "sk_test_51Abc",
        "sk_live_51Abc",
        "rk_live_9",
        "whsec_abcDEF",
        "pi_1Abc_secret_xYz",
        "seti_1_secret_2",
        "sk_test_s",
    ],
)
def test_a_secret_never_reaches_the_log(secret: str) -> None:
    try:
        raise RuntimeError(f"about {secret}")
    except RuntimeError as error:
        trace = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "said %s", (secret,), trace)
    line = logs.Formatter("%(request_id)s %(message)s").format(record)
    assert secret not in line
    assert line.startswith("- said ")
    assert "RuntimeError: about" in line


def test_a_log_line_names_its_request(app: Shop) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "hello", (), None)
    with app.test_request_context(headers={"X-Request-ID": "proxy-12345678"}):
        app.preprocess_request()
        assert logs.Formatter("%(request_id)s %(message)s").format(record) == "proxy-12345678 hello"
