"""A value in words: as a sentence about a visitor gives it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS

MAX_CHARS = 80
"""A value that is longer is cut: the sentence is read, and the whole stands in ``values``."""

_UNITS = ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (1_000, "s"))


def in_words(value: Any) -> str:
    """A value as a sentence gives it.

    >>> in_words("free"), in_words(3.0), in_words(0.25), in_words(True), in_words(None), in_words(["a", "b"])
    ("'free'", '3', '0.25', 'true', 'missing', "['a', 'b']")
    >>> in_words({"a": 1, "b": 2})
    'a map with a, b'
    """
    match value:
        case None:
            return "missing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:.6g}" if abs(value) < 1e6 or value != int(value) else str(int(value))
        case str():
            return _cut(f"'{value}'")
        case list() | tuple():
            return _cut(f"[{', '.join(map(in_words, value))}]")
        case Mapping():
            return _cut(f"a map with {', '.join(map(str, value))}") if value else "an empty map"
    return _cut(str(value))


def length_in_words(length_ms: float) -> str:
    """A length of time by its two largest units.

    >>> length_in_words(90_000), length_in_words(26 * HOUR_MS), length_in_words(0), length_in_words(14 * DAY_MS)
    ('1m 30s', '1d 2h', '0s', '14d')
    """
    left = int(length_ms)
    words: list[str] = []
    for unit_ms, unit in _UNITS:
        if left >= unit_ms and len(words) < 2:
            words.append(f"{left // unit_ms}{unit}")
            left %= unit_ms
    return " ".join(words) or "0s"


def moment_in_words(at_ms: float) -> str:
    """A moment, in UTC.

    >>> moment_in_words(1_700_000_000_000)
    '2023-11-14T22:13:20Z'
    """
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CHARS else f"{text[: MAX_CHARS - 1]}…"
