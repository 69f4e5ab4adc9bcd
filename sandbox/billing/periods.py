"""Billing periods, counted from the anchor so that the 31st comes back after a short month. All UTC."""

import calendar
from datetime import UTC, datetime

DAY = 86400


def after(anchor: int, interval: str, count: int, periods: int) -> int:
    """The instant that lies so many periods of `count` intervals after the anchor (before it, if negative)."""
    steps = count * periods
    if interval in ("day", "week"):
        return anchor + steps * (DAY if interval == "day" else 7 * DAY)
    start = datetime.fromtimestamp(anchor, UTC)
    months = start.year * 12 + start.month - 1 + steps * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return int(start.replace(year=year, month=month + 1, day=day).timestamp())


def next_end(anchor: int, interval: str, count: int, start: int) -> int:
    """The end of the period that begins at `start`: the first boundary after it."""
    shortest = {"day": DAY, "week": 7 * DAY, "month": 28 * DAY, "year": 365 * DAY}[interval] * count
    periods = (start - anchor) // shortest + 1
    while after(anchor, interval, count, periods) > start:
        periods -= 1
    return after(anchor, interval, count, periods + 1)


def day(at: int) -> str:
    """As line texts have it: 10 Nov 2025."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b %Y}"
