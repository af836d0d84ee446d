"""What a report says, in sentences: numbers as people write them, and what is missing with what to do about it."""

from __future__ import annotations

import math

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS
from personalization.catalog.split import AS_WRITTEN, CONTROL
from personalization.evaluation.experiment_report import TREATED, Difference

MINUS = "−"


def side_words(side: str) -> str:
    """Who was on a side.

    >>> side_words("control"), side_words("bold")
    ('those held out', 'those shown “bold”')
    """
    known = {
        TREATED: "those shown the personalised block",
        CONTROL: "those held out",
        AS_WRITTEN: "those shown it as it is written",
    }
    return known.get(side, f"those shown “{side}”")


def duration_words(length_ms: int) -> str:
    """A length of time in the largest unit that it is a whole number of.

    >>> duration_words(7 * 86_400_000), duration_words(3_600_000), duration_words(90_000)
    ('7 days', '1 hour', '90 seconds')
    """
    for unit_ms, unit in ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"), (1_000, "second")):
        if length_ms % unit_ms == 0:
            n = length_ms // unit_ms
            return f"{n} {unit}" if n == 1 else f"{n:,} {unit}s"
    return f"{length_ms:,} ms"


def number_words(number: float, step: float) -> str:
    """A number to as many decimals as it takes to see steps of this size; −0 is 0.

    >>> number_words(0.0123, 0.002), number_words(-12_340.0, 100.0), number_words(-0.001, 0.1)
    ('0.012', '−12,340', '0.0')
    """
    decimals = 0 if step >= 1.0 else min(6, max(1, math.ceil(-math.log10(step) - 1e-9) if step > 0 else 1))
    text = f"{abs(number):,.{decimals}f}"
    is_nothing = not text.strip("0.,")
    return f"{MINUS}{text}" if number < 0 and not is_nothing else text


def share_words(share: float, step: float = 0.001) -> str:
    """A share in percent.

    >>> share_words(0.056), share_words(0.00012, 0.00001)
    ('5.6 %', '0.012 %')
    """
    return f"{number_words(100 * share, 100 * step)} %"


def difference_words(found: Difference, detectable_twice: float | None) -> str:
    """What was found, or how far nothing can be told apart.

    Parameters
    ----------
    detectable_twice
        What could be detected with as many participants again.
    """
    numbers = (found.low, found.high, found.difference, found.mean_side, found.mean_against)
    least, most, difference, *means = (each for each in numbers if each is not None)
    of_whom = f" in the segment “{found.segment}”" if found.segment else ""
    scale, unit = (100.0, "points") if found.kind == "share" else (1.0, found.unit)
    low, high = scale * least, scale * most
    step = _step_for(low, high)
    if least <= 0.0 <= most:
        signed = [number_words(each, step) for each in (low, high)]
        upper = f"+{signed[1]}" if high > 0.0 and signed[1].strip("0.,") else signed[1]
        words = (
            f"No difference in “{found.metric}” can be told apart yet between {side_words(found.side)} "
            f"and {side_words(found.against)}{of_whom}: it lies between {signed[0]} and {upper}{_unit(unit)}."
        )
        if detectable_twice is not None:
            at_least = share_words(detectable_twice, _step(detectable_twice))
            words += f" With as many visitors again, {at_least} would be seen in four of five experiments."
        return words
    sign = 1.0 if difference > 0.0 else -1.0
    more = "more" if sign > 0.0 else "less"
    ends = sorted((sign * low, sign * high))
    if found.kind == "share":
        first, second = (share_words(each, step / 100.0) for each in means)
        came = (
            f"“{found.metric}” came of {first} of {side_words(found.side)}, "
            f"and of {second} of {side_words(found.against)}"
        )
    else:
        first, second = (f"{number_words(each, step)}{_unit(unit)}" for each in means)
        came = (
            f"{_capital(side_words(found.side))} count {first} of “{found.metric}” each, "
            f"and {side_words(found.against)} {second}"
        )
    words = (
        f"{came}{of_whom}: that is {number_words(sign * scale * difference, step)}{_unit(unit)} {more} "
        f"(between {number_words(ends[0], step)} and {number_words(ends[1], step)})"
    )
    if found.relative is not None:
        relative = sign * found.relative
        width = (found.relative_high or 0.0) - (found.relative_low or 0.0)
        words += f", {share_words(relative, max(0.001, _step(width)))} {more}"
    return words + "."


def money_words(what: str, value: float, low: float | None, high: float | None, unit: str) -> str:
    """An amount of money with its interval.

    >>> money_words("Each lead cost", 1_234.0, 100.0, 2_400.0, "EUR")
    'Each lead cost 1,200 EUR (between 100 and 2,400).'
    """
    step = _step(abs(value) if low is None or high is None else high - low)

    text = f"{what} {_round(value, step)}{_unit(unit)}"
    if low is not None and high is not None:
        text += f" (between {_round(low, step)} and {_round(high, step)})"
    return f"{text}."


def incremental_words(what: str, value: float, low: float, high: float, unit: str) -> str:
    """How much more or less the treated brought than they would have brought held out.

    >>> incremental_words("revenue", -400.0, -700.0, -100.0, "EUR")
    'The treated brought 400 EUR less revenue than they would have held out (between 100 and 700).'
    >>> incremental_words("profit", 10.0, -7.0, 7.0, "")
    'Whether the treated brought more profit than they would have held out cannot be told yet: between −7 and +7.'
    """
    step = _step_for(low, high)
    if low <= 0.0 <= high:
        ends = f"between {_round(low, step)} and +{_round(high, step)}{_unit(unit)}"
        return f"Whether the treated brought more {what} than they would have held out cannot be told yet: {ends}."
    sign, more = (1.0, "more") if value > 0.0 else (-1.0, "less")
    ends_of = sorted((sign * low, sign * high))
    return (
        f"The treated brought {_round(sign * value, step)}{_unit(unit)} {more} {what} than they would have held "
        f"out (between {_round(ends_of[0], step)} and {_round(ends_of[1], step)})."
    )


def _round(number: float, step: float) -> str:
    return number_words(round(number / step) * step, step)


def _step_for(low: float, high: float) -> float:
    """A step by which an interval's ends can be told from 0, if it leaves out 0."""
    step, nearest = _step(high - low), min(abs(low), abs(high))
    if low <= 0.0 <= high:
        return step
    while nearest < step / 2 and step > 1e-6:
        step /= 10.0
    return step


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _step(width: float) -> float:
    """A fifth of a width at most, as a power of ten: what is smaller says little."""
    return 10.0 ** math.floor(math.log10(width / 5.0)) if width > 0.0 else 1.0
