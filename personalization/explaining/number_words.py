"""Numbers, times and lists as a sentence gives them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS


def percent(probability: float) -> str:
    """A probability as people say it.

    >>> percent(0.62), percent(1.0), percent(0.999), percent(0.004), percent(0.00001), percent(0.99999)
    ('62 %', '100 %', '99.9 %', '0.4 %', 'less than 0.1 %', 'more than 99.9 %')
    """
    share = probability * 100
    if 0 < share < 0.1:
        return "less than 0.1 %"
    if 99.9 < share < 100:
        return "more than 99.9 %"
    if 0 < share < 1 or 99 < share < 100:
        return f"{share:.1f} %"
    return f"{share:.0f} %"


def reward(value: float) -> str:
    """An amount of reward, two digits of it.

    >>> reward(0.3112), reward(0.0042), reward(31.2), reward(0.0), reward(-0.25)
    ('0.31', '0.0042', '31', '0', '-0.25')
    """
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"


def signed(value: float) -> str:
    """A change of reward, with its sign.

    >>> signed(0.08), signed(-0.021)
    ('+0.08', '-0.021')
    """
    return f"{'+' if value >= 0 else ''}{reward(value)}"


_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_000
"""The years that a calendar has, 1 to 9999."""


def moment(at_ms: int) -> str:
    """A moment, to the minute.

    >>> moment(1_700_000_000_000), moment(10**18)
    ('2023-11-14 22:13 UTC', '9999-12-31 23:59 UTC')
    """
    return datetime.fromtimestamp(min(max(at_ms, _FIRST_MS), _LAST_MS) / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def length(length_ms: int) -> str:
    """A length of time in the largest unit that measures it.

    >>> length(30 * MINUTE_MS), length(7 * DAY_MS), length(HOUR_MS), length(1_500)
    ('30 minutes', '7 days', '1 hour', '1.5 seconds')
    """
    for unit_ms, unit in ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute")):
        if length_ms >= unit_ms and length_ms % unit_ms == 0:
            return counted(length_ms // unit_ms, unit)
    return f"{length_ms / 1000:g} second{'' if length_ms == 1000 else 's'}"


def about(length_ms: float) -> str:
    """A length of time to two digits, in the largest unit of which there is one.

    >>> about(40_600), about(90 * MINUTE_MS), about(3.52 * DAY_MS), about(140 * DAY_MS), about(DAY_MS), about(0)
    ('41 seconds', '1.5 hours', '3.5 days', '140 days', '1 day', '0 seconds')
    """
    for unit_ms, unit in ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"), (1_000, "second")):
        if length_ms >= unit_ms or unit == "second":
            break
    said = reward(length_ms / unit_ms)
    return f"{said} {unit}{'' if said == '1' else 's'}"


def counted(n: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "arm"), counted(3, "arm")
    ('1 arm', '3 arms')
    """
    return f"{n} {noun}{'' if n == 1 else 's'}"


def times(n: int) -> str:
    """How often.

    >>> times(0), times(1), times(2), times(5)
    ('not once', 'once', 'twice', '5 times')
    """
    return {0: "not once", 1: "once", 2: "twice"}.get(n, f"{n} times")


def listed(things: Sequence[str], most: int = 5) -> str:
    """Several things in a sentence; of very many the first.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"]), listed(list("abcdefg"))
    ('a', 'a and b', 'a, b and c', 'a, b, c, d, e and 2 more')
    """
    if len(things) > most:
        return f"{', '.join(things[:most])} and {len(things) - most} more"
    if len(things) < 2:
        return "".join(things)
    return f"{', '.join(things[:-1])} and {things[-1]}"
