"""Lengths of time as people write them: ``30m``, ``1h30m``, ``14 days``."""

from __future__ import annotations

import re

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_UNIT_MS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1_000),
    **dict.fromkeys(("m", "min", "minute", "minutes"), MINUTE_MS),
    **dict.fromkeys(("h", "hour", "hours"), HOUR_MS),
    **dict.fromkeys(("d", "day", "days"), DAY_MS),
    **dict.fromkeys(("w", "week", "weeks"), 7 * DAY_MS),
}
_PART = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([a-z]+)")

MAX_DURATION_MS = 3_660 * DAY_MS
"""Ten years: longer is a slip of the unit, and Redis and clocks have limits of their own."""


def read_duration_ms(text: str) -> int | None:
    """A length of time in milliseconds, None if the text is none.

    >>> read_duration_ms("30m"), read_duration_ms("1h30m"), read_duration_ms("14 days"), read_duration_ms("30")
    (1800000, 5400000, 1209600000, None)
    """
    text = text.strip().lower()
    total, end = 0.0, 0
    for part in _PART.finditer(text):
        if part.start() != end or part[2] not in _UNIT_MS:
            return None
        total += float(part[1]) * _UNIT_MS[part[2]]
        end = part.end()
    if not text or end != len(text) or total != int(total) or total > MAX_DURATION_MS:
        return None
    return int(total)


def in_days(length_ms: int) -> str:
    """A length of time as texts of ours give it.

    >>> in_days(30 * DAY_MS), in_days(36 * HOUR_MS)
    ('30d', '1.5d')
    """
    return f"{length_ms / DAY_MS:.4g}d"
