"""Moments as people type them: a day, a time, or how long ago."""

from __future__ import annotations

from config.scalars import read_moment_ms
from personalization.catalog.duration import read_duration_ms
from personalization.errors import InvalidInput


def moment_ms(option: str, text: str, now_ms: int) -> int:
    """Milliseconds since 1970; a time without a zone is UTC.

    Raises
    ------
    InvalidInput
        If it is no moment.

    >>> moment_ms("--since", "2026-11-01", 0), moment_ms("--since", "7d", 604_800_001)
    (1793491200000, 1)
    >>> moment_ms("--since", "2026-11-01T12:00+01:00", 0)
    1793530800000
    """
    ago_ms = read_duration_ms(text)
    if ago_ms is not None:
        return now_ms - ago_ms
    found = read_moment_ms(text.strip())
    if found is None:
        raise InvalidInput(
            option,
            f"{text!r} is no moment: write a day (2026-11-01), a time (2026-11-01T08:30) or how long ago (7d)",
        )
    return found
