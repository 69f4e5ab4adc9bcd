"""Money and dates as the reader writes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency
from flask import Flask, g, has_request_context, request

# The words of the shop are English; these are the ways to write numbers and dates that it offers. A fixed list, so
# that no header makes Babel load hundreds of locales. The first is for everybody else,
# and the first of a language for who names no country.
# fmt: off
LOCALES = [
    "en-US", "en-GB", "en-AU", "en-CA", "en-IE", "en-NZ", "en-IN", "cs-CZ", "da-DK", "de-DE", "de-AT", "de-CH", "el-GR",
    "es-ES", "es-MX", "et-EE", "fi-FI", "fr-FR", "fr-BE", "fr-CA", "fr-CH", "hu-HU", "it-IT", "ja-JP", "ko-KR", "lt-LT",
    "lv-LV", "nb-NO", "nl-NL", "nl-BE", "pl-PL", "pt-BR", "pt-PT", "ro-RO", "sk-SK", "sl-SI", "sv-SE",
]
AMERICAN = Locale.parse(LOCALES[0], sep="-")
# fmt: on

# Stripe counts these in whole units, or in thousandths; ISK and UGX have no decimals but are counted in hundredths.
ZERO_DECIMAL = set("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())  # noqa: SIM905
THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}


def init_app(app: Flask) -> None:
    """Give the templates their filters, how often, and the locale for scripts that write money and dates, too."""
    for filter_ in (money, day, moment):
        app.add_template_filter(filter_)
    app.add_template_global(every)
    app.add_template_global(lambda: str(locale()).replace("_", "-"), "locale_tag")


def decimals(currency: str) -> int:
    """How many digits of an amount in `currency`'s smallest unit are behind the point."""
    if currency.lower() in ZERO_DECIMAL:
        return 0
    return 3 if currency.lower() in THREE_DECIMAL else 2


def money(amount: int, currency: str) -> str:
    """`amount` in the currency's smallest unit, written for the reader: 500, "usd" is $5.00."""
    return format_currency(Decimal(amount).scaleb(-decimals(currency)), currency.upper(), locale=locale())


def every(interval: str, count: int | None) -> str:
    """How often a price is due: "month", 1 is per month."""
    return f"per {interval}" if (count or 1) == 1 else f"every {count} {interval}s"


def day(instant: int | dt.datetime | None) -> str:
    """The date of an instant (Unix seconds or aware), UTC; nothing for None."""
    return "" if instant is None else format_date(_utc(instant).date(), "long", locale=locale())


def moment(instant: int | dt.datetime | None) -> str:
    """The date and time of an instant (Unix seconds or aware), UTC; nothing for None."""
    return "" if instant is None else format_datetime(_utc(instant), "d MMM y, HH:mm", locale=locale()) + " UTC"


def _utc(instant: int | dt.datetime) -> dt.datetime:
    if isinstance(instant, dt.datetime):
        return instant.astimezone(dt.UTC) if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
    return dt.datetime.fromtimestamp(instant, dt.UTC)


@contextmanager
def as_in_mails() -> Iterator[None]:
    """Write money and dates as for everybody: whoever asks may be staff, or Stripe."""
    before = g.get("locale")
    g.locale = AMERICAN
    try:
        yield
    finally:
        g.locale = before
        if before is None:
            del g.locale


def locale() -> Locale:
    """The reader's locale by their browser's Accept-Language; American English for everybody else and for mails."""
    if not has_request_context():
        return AMERICAN
    if "locale" not in g:
        g.locale = Locale.parse(request.accept_languages.best_match(LOCALES, LOCALES[0]) or LOCALES[0], sep="-")
    return g.locale  # type: ignore[no-any-return]
