"""Dates and times as people write them, and what a model can use of them."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from operations.tables.reading import DAY_FIRST, MONTH_FIRST
from personalization.features import FeatureValue

ISO, DOTS, COMPACT, TIME, LOG = "ISO", "day.month.year", "YYYYMMDD", "time", "day/Mon/year"
SECONDS, MILLISECONDS = "seconds since 1970", "milliseconds since 1970"
STYLES = (ISO, DOTS, DAY_FIRST, MONTH_FIRST, LOG, COMPACT, TIME)
"""What a text alone may show; seconds and milliseconds look like any other number."""

_CLOCK = r"(?:(?:,?\s+|T|:)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?)?"
_ZONE = r"\s*(?:Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_PATTERNS = {
    ISO: re.compile(rf"(?P<year>\d{{4}})([-/])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){_CLOCK}{_ZONE}"),
    DOTS: re.compile(rf"(?P<day>\d{{1,2}})\.(?P<month>\d{{1,2}})\.(?P<year>\d{{4}}){_CLOCK}(?:\s*Uhr)?"),
    LOG: re.compile(
        rf"\[?(?P<day>\d{{1,2}})[/ -](?P<name>[A-Z][a-z]{{2}})[/ -](?P<year>\d{{4}}){_CLOCK}{_ZONE}\]?"
    ),
    COMPACT: re.compile(r"(?P<year>(?:19|20)\d\d)(?P<month>[01]\d)(?P<day>[0-3]\d)"),
    TIME: re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?"),
}
_DOTS_SHORT = re.compile(rf"(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>\d\d){_CLOCK}")
_LOCAL = re.compile(
    r"(?P<a>\d{1,2})([/-])(?P<b>\d{1,2})\2(?P<year>\d{4}|\d{2})"
    rf"{_CLOCK}(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_MONTHS = {name: at for at, name in enumerate(calendar.month_abbr) if name}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse(text: str, style: str) -> datetime | None:
    """What a text says in a style, by its own clock; None where it is no date in it.

    >>> parse("31.12.2024 18:05", DOTS), parse("12/31/2024", MONTH_FIRST), parse("12/31/2024", DAY_FIRST)
    (datetime.datetime(2024, 12, 31, 18, 5), datetime.datetime(2024, 12, 31, 0, 0), None)
    """
    if style in (SECONDS, MILLISECONDS):
        return _since_1970(text, 1 if style == SECONDS else 1_000)
    if style in (DAY_FIRST, MONTH_FIRST):
        found = _LOCAL.fullmatch(text)
        if found is None:
            return None
        day, month = (found["a"], found["b"]) if style == DAY_FIRST else (found["b"], found["a"])
        return _moment(found["year"], month, day, found, found["half"])
    found = _PATTERNS[style].fullmatch(text)
    if found is None and style == DOTS:
        found = _DOTS_SHORT.fullmatch(text)
    if found is None:
        return None
    if style == TIME:
        return _moment("1970", "1", "1", found)
    if style == LOG:
        return _moment(found["year"], str(_MONTHS.get(found["name"], 0)), found["day"], found)
    return _moment(found["year"], found["month"], found["day"], found)


def styles_of(text: str) -> Iterator[str]:
    """The styles that a text is a date in.

    >>> list(styles_of("3/4/2024")), list(styles_of("2024-12-31T10:00:00Z")), list(styles_of("shoes"))
    (['day-first', 'month-first'], ['ISO'], [])
    """
    if text[:1].isdigit() or text.startswith("["):
        for style in STYLES:
            if parse(text, style) is not None:
                yield style


def features_of(when: datetime, style: str, has_times: bool) -> dict[str, FeatureValue]:
    """What a model can use of a moment: how much of the year has gone by, month, weekday, hour.

    >>> features_of(datetime(2024, 7, 2, 18, 30), ISO, True)
    {'year progress': 0.502, 'month': 'July', 'weekday': 'Tuesday', 'hour': 18.5}
    """
    hour = round(when.hour + when.minute / 60, 2)
    if style == TIME:
        return {"hour": hour}
    n_days = 366 if calendar.isleap(when.year) else 365
    progress = (when.timetuple().tm_yday - 1 + when.hour / 24) / n_days
    found: dict[str, FeatureValue] = {
        "year progress": round(progress, 3),
        "month": calendar.month_name[when.month],
        "weekday": calendar.day_name[when.weekday()],
    }
    if has_times:
        found["hour"] = hour
    return found


def _moment(year: str, month: str, day: str, clock: re.Match[str], half: str | None = None) -> datetime | None:
    parts = clock.groupdict()
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    try:
        return datetime(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day), hour, minute, second)
    except ValueError:
        return None


def _since_1970(text: str, per_second: int) -> datetime | None:
    try:
        return (_EPOCH + timedelta(seconds=float(text) / per_second)).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
