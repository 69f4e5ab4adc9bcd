"""Billing periods, counted from the anchor so that the 31st comes back after a short month. All UTC."""

import calendar
from datetime import UTC, datetime
from typing import Any

from sandbox.errors import StripeError

DAY = 86400
LATEST = 4_102_444_800  # the year 2100: nothing is planned for later


def checked(at: int, param: str, *, after: int | None = None) -> int:
    """An instant that was given. Raises Stripe's error for one outside of what can be dealt with."""
    if after is not None:
        check_future(at, after, param)
    if not 0 <= at <= LATEST:
        raise StripeError("Invalid timestamp: must be an integer Unix timestamp", param=param)
    return at


def check_future(at: int, now: int, param: str) -> None:
    """Raises Stripe's error for an instant that is over, or is now."""
    if at <= now:
        raise StripeError("Invalid timestamp: must be an integer Unix timestamp in the future", param=param)


def after(anchor: int, interval: str, count: int, periods: int, day: int | None = None) -> int:
    """The instant that lies so many periods of `count` intervals after the anchor (before it, if negative).

    day: of the month, where the anchor's own is but the last of a month that is too short for it.
    """
    steps = count * periods
    if interval in ("day", "week"):
        return anchor + steps * (DAY if interval == "day" else 7 * DAY)
    start = datetime.fromtimestamp(anchor, UTC)
    months = start.year * 12 + start.month - 1 + steps * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    in_month = min(day or start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=in_month).timestamp())


def around(anchor: int, interval: str, count: int, at: int, day: int | None = None) -> tuple[int, int]:
    """Start and end of the whole period that holds the instant `at`."""
    shortest = {"day": DAY, "week": 7 * DAY, "month": 28 * DAY, "year": 365 * DAY}[interval] * count
    longest = {"day": DAY, "week": 7 * DAY, "month": 31 * DAY, "year": 366 * DAY}[interval] * count
    periods = (at - anchor) // (shortest if at >= anchor else longest) + 1
    while after(anchor, interval, count, periods, day) > at:
        periods -= 1
    return after(anchor, interval, count, periods, day), after(anchor, interval, count, periods + 1, day)


def next_end(anchor: int, interval: str, count: int, start: int) -> int:
    """The end of the period that begins at `start`: the first boundary after it."""
    return around(anchor, interval, count, start)[1]


def day(at: int) -> str:
    """As line texts have it: 10 Nov 2025."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b %Y}"


_RANGES = (("day_of_month", 1, 31), ("month", 1, 12), ("hour", 0, 23), ("minute", 0, 59), ("second", 0, 59))


def next_matching(now: int, config: dict[str, int]) -> int:
    """The first instant after now with that day of the month and the given month, hour, minute and second."""
    for name, least, most in _RANGES:
        if config.get(name) is not None and not least <= config[name] <= most:
            text = f"Invalid {name}: must be between {least} and {most}."
            raise StripeError(text, param=f"billing_cycle_anchor_config[{name}]")
    moment = datetime.fromtimestamp(now, UTC)
    clock: Any = {name: config[name] for name in ("hour", "minute", "second") if config.get(name) is not None}
    for months in range(25):
        year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
        if config.get("month") not in (None, month + 1):
            continue
        day = min(config["day_of_month"], calendar.monthrange(year, month + 1)[1])
        at = int(moment.replace(year=year, month=month + 1, day=day).replace(**clock).timestamp())
        if at > now:
            return at
    raise AssertionError("every month comes within a year")
