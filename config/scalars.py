"""Single values as people write them: ``30m``, ``2026-01-01``, ``10%``. A reader gives None for anything else."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS

_NUMBER = re.compile(r"[-+]?(\d{1,400}(\.\d*)?|\.\d+)([eE][-+]?\d{1,6})?", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d{1,19}", re.ASCII)
_NOT_FINITE = frozenset({"nan", ".nan", "inf", ".inf", "+inf", "+.inf", "-inf", "-.inf", "infinity", "-infinity"})


def write_duration(ms: int) -> str:
    """A length of time in the largest unit that takes it whole.

    >>> write_duration(1_800_000), write_duration(1_209_600_000), write_duration(1_500)
    ('30m', '14d', '1500ms')
    """
    for unit, size in (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS), ("s", 1_000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms"


def read_moment_ms(text: str) -> int | None:
    """A date or a time in ISO 8601, as milliseconds since 1970; UTC where no zone is given.

    >>> read_moment_ms("2026-01-01"), read_moment_ms("2026-01-01T01:00+01:00"), read_moment_ms("next week")
    (1767225600000, 1767225600000, None)
    """
    text = text.strip()
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return round(moment.timestamp() * 1_000)
    except OverflowError:
        return None


def read_number(text: str) -> float | None:
    """A finite number.

    >>> read_number("0.5"), read_number("1e3"), read_number("1e999"), read_number("half")
    (0.5, 1000.0, None, None)
    """
    if not _NUMBER.fullmatch(text.strip()):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def is_not_finite(text: str) -> bool:
    """Whether the text is a number that no model could take: NaN, infinity, or one too large for a float."""
    text = text.strip()
    return text.lower() in _NOT_FINITE or bool(_NUMBER.fullmatch(text) and not math.isfinite(float(text)))


def read_share(text: str) -> float | None:
    """A share: a number, or a percentage.

    >>> read_share("10%"), read_share("0.1")
    (0.1, 0.1)
    """
    text = text.strip()
    if text.endswith("%"):
        percent = read_number(text[:-1].rstrip())
        return None if percent is None else percent / 100
    return read_number(text)


def read_whole(text: str) -> int | None:
    """A whole number that fits 64 bits.

    >>> read_whole("3"), read_whole("2.5"), read_whole("99999999999999999999")
    (3, None, None)
    """
    if not _WHOLE.fullmatch(text.strip()):
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def read_yes_no(text: str) -> bool | None:
    """True or false, in the words YAML editors know.

    >>> read_yes_no("true"), read_yes_no("off"), read_yes_no("maybe")
    (True, False, None)
    """
    word = text.strip().lower()
    return True if word in ("true", "yes", "on") else False if word in ("false", "no", "off") else None
