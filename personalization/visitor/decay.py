"""Exponential decay by half-life, exact at any moment, with no clock running: value and time are kept together.

A number that was touched at ``at_ms`` is worth ``value · 2^(−(now − at)/half_life)`` later. Contributions may
arrive out of order: an earlier one is weighed down to the time already reached, so the sum is the same in any
order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from personalization.visitor.visitor_state import Affinity, Decayed


def factor(elapsed_ms: int, half_life_ms: int | None) -> float:
    """What remains of 1 after ``elapsed_ms``; 1 where time does not fade it or runs backwards.

    >>> factor(1000, 1000), factor(-5, 1000), factor(1000, None)
    (0.5, 1.0, 1.0)
    """
    if half_life_ms is None or elapsed_ms <= 0:
        return 1.0
    return math.exp2(-elapsed_ms / half_life_ms)


def decayed(value: float, at_ms: int, now_ms: int, half_life_ms: int | None) -> float:
    """The value as of ``now_ms``."""
    return value * factor(now_ms - at_ms, half_life_ms)


def all_decayed(numbers: Mapping[str, Decayed], now_ms: int, half_life_ms: int | None) -> dict[str, float]:
    """The values as of ``now_ms``, as ``decayed`` gives them: inline, since a decision asks for dozens.

    >>> all_decayed({"then": Decayed(8.0, 0), "later": Decayed(8.0, 900)}, 500, 500)
    {'then': 4.0, 'later': 8.0}
    """
    if half_life_ms is None:
        return {name: number.value for name, number in numbers.items()}
    return {
        name: number.value * math.exp2((number.at_ms - now_ms) / half_life_ms)
        if number.at_ms < now_ms
        else number.value
        for name, number in numbers.items()
    }


def add(number: Decayed | None, amount: float, at_ms: int, half_life_ms: int | None) -> Decayed:
    """The number with ``amount`` added as of ``at_ms``, whichever of the two is later."""
    if number is None:
        return Decayed(amount, at_ms)
    if at_ms >= number.at_ms:
        return Decayed(number.value * factor(at_ms - number.at_ms, half_life_ms) + amount, at_ms)
    return Decayed(number.value + amount * factor(number.at_ms - at_ms, half_life_ms), number.at_ms)


def advance(affinity: Affinity, at_ms: int, half_life_ms: int | None) -> float:
    """Bring all weights of an affinity up to ``at_ms`` in place; gives the factor for a contribution of that time.

    The factor is 1, or less where ``at_ms`` lies before what the affinity has reached.
    """
    if at_ms >= affinity.at_ms:
        fade = factor(at_ms - affinity.at_ms, half_life_ms)
        if fade != 1.0:
            affinity.weights = {key: weight * fade for key, weight in affinity.weights.items()}
        affinity.at_ms = at_ms
        return 1.0
    return factor(affinity.at_ms - at_ms, half_life_ms)
