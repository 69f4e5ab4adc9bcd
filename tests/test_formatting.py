"""Money and dates are written as the reader writes them."""

from __future__ import annotations

import datetime as dt

import pytest

from app import Shop
from formatting import LOCALES, as_in_mails, day, every, locale, moment, money


@pytest.mark.parametrize(
    ("amount", "currency", "language", "written"),
    [
        (500, "usd", "en-US", "$5.00"),
        (500, "usd", "", "$5.00"),
        (500, "usd", "tlh, x-klingon", "$5.00"),
        (123456, "eur", "de-DE,de;q=0.9", "1.234,56\N{NO-BREAK SPACE}€"),
        (123456, "eur", "de", "1.234,56\N{NO-BREAK SPACE}€"),
        (1500, "aud", "en-AU", "$15.00"),
        (1500, "aud", "en-US", "A$15.00"),
        (500, "jpy", "en-US", "¥500"),
        (1234, "kwd", "en-US", "KWD1.234"),
        (50000, "ugx", "en-US", "UGX500"),
        (-500, "usd", "en-US", "-$5.00"),
        (0, "usd", "en-US", "$0.00"),
    ],
)
def test_money_is_written_for_the_reader(app: Shop, amount: int, currency: str, language: str, written: str) -> None:
    with app.test_request_context(headers={"Accept-Language": language}):
        assert money(amount, currency) == written


@pytest.mark.parametrize(
    ("interval", "count", "written"),
    [("month", 1, "per month"), ("month", None, "per month"), ("month", 3, "every 3 months")],
)
def test_how_often_is_written_in_words(interval: str, count: int | None, written: str) -> None:
    assert every(interval, count) == written


def test_dates_are_utc(app: Shop) -> None:
    instant = 1_793_750_399  # 2026-11-03 23:59:59 UTC
    with app.test_request_context(headers={"Accept-Language": "en-GB"}):
        assert day(instant) == "3 November 2026"
        assert moment(instant) == "3 Nov 2026, 23:59 UTC"
        ahead = dt.datetime(2026, 11, 4, 1, 0, tzinfo=dt.timezone(dt.timedelta(hours=2)))
        assert day(ahead) == "3 November 2026"
        assert day(None) == moment(None) == ""


def test_mails_are_written_in_american_english(app: Shop) -> None:
    with app.app_context():
        assert money(500, "usd") == "$5.00"
        assert day(0) == "January 1, 1970"


def test_every_offered_locale_is_known(app: Shop) -> None:
    for name in LOCALES:
        with app.test_request_context(headers={"Accept-Language": name}):
            assert str(locale()) == name.replace("-", "_")


def test_a_huge_header_is_harmless(app: Shop) -> None:
    header = ",".join(f"x{n}-yy;q=0.{n % 9}" for n in range(2000))
    with app.test_request_context(headers={"Accept-Language": header}):
        assert str(locale()) == "en_US"


def test_templates_have_the_filters(app: Shop) -> None:
    with app.test_request_context():
        text = app.jinja_env.from_string("{{ 500|money('usd') }} {{ 0|day }} {{ 0|moment }}").render()
    assert text == "$5.00 January 1, 1970 1 Jan 1970, 00:00 UTC"


def test_mails_are_written_alike_whoever_makes_them_due(app):
    """Staff who replay an event may read German."""
    with app.test_request_context("/", headers={"Accept-Language": "de"}):
        with as_in_mails():
            assert money(500, "usd") == "$5.00"
        assert money(500, "eur") == "5,00\N{NO-BREAK SPACE}€"
    with app.test_request_context("/", headers={"Accept-Language": "de"}):
        assert money(500, "eur") == "5,00\N{NO-BREAK SPACE}€"
        with as_in_mails():
            assert money(500, "usd") == "$5.00"
        assert money(500, "eur") == "5,00\N{NO-BREAK SPACE}€"
