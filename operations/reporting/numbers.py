"""Figures of a report as people read them: as many digits as the interval allows, and no more."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from personalization.evaluation.experiment_report import Difference, Money

SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}
"""Of the currencies that stand before a number; others stand behind it by their code."""

NOTHING = "–"
_MOST_DECIMALS = 4
_CENTS = 2
_SHARES, _AMOUNTS, _SUMS = 0.3, 1.0, 2.0
"""How many digits of an interval's width are written: of 1.5 points one, of half a point as well, of 0.05 two."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How one metric is written: all of its figures with the same number of digits.

    Attributes
    ----------
    factor
        What a figure is multiplied with: 100 where it is written in per cent.
    before, after
        What stands around a mean.
    after_change
        What stands behind a difference.
    decimals
        Digits behind the point; below 0 as many before it are 0.
    """

    factor: float = 1.0
    before: str = ""
    after: str = ""
    after_change: str = ""
    decimals: int = 0

    def mean(self, value: float | None) -> str:
        """A mean of one side."""
        return NOTHING if value is None else self._written(value, "−" if value < 0 else "") + self.after

    def change(self, value: float | None) -> str:
        """A difference, with its sign."""
        return NOTHING if value is None else self.bare(value) + self.after_change

    def bare(self, value: float) -> str:
        """A difference without what it is counted in behind it: an end of an interval, a mark on an axis."""
        rounded = round(value * self.factor, self.decimals)
        return self._written(value, "−" if rounded < 0 else "+" if rounded > 0 else "")

    def interval(self, low: float | None, high: float | None, *, signed: bool = True) -> str:
        """Both ends; one that is None is infinite, and both: there is no interval."""
        if low is None and high is None:
            return NOTHING
        write = self.bare if signed else lambda value: self._written(value, "−" if value < 0 else "")
        if low is None:
            return f"at most {write(high or 0.0)}"
        return f"at least {write(low)}" if high is None else f"{write(low)} to {write(high)}"

    def _written(self, value: float, sign: str) -> str:
        rounded = abs(round(value * self.factor, self.decimals))
        return f"{sign}{self.before}{rounded:,.{max(0, self.decimals)}f}"


def scale_of(difference: Difference) -> Scale:
    """How a difference, and the means that it is of, are written.

    >>> scale = scale_of(Difference(metric="m", kind="share", side="a", against="b", low=0.001, high=0.011))
    >>> scale.mean(0.056), scale.change(0.006), scale.interval(0.001, 0.011)
    ('5.6 %', '+0.6 points', '+0.1 to +1.1')
    >>> paid = Difference(metric="m", kind="amount", side="a", against="b", unit="EUR", low=-0.2, high=1.31)
    >>> scale_of(paid).mean(12.341), scale_of(paid).change(-0.2)
    ('€12.34', '−€0.20')
    """
    if difference.kind == "share":
        width = 100 * _width(difference.low, difference.high, difference.mean_against)
        return Scale(100.0, "", " %", " points", max(1, _decimals(width, _SHARES)))
    return _amount(difference.unit, _width(difference.low, difference.high, difference.mean_against), _AMOUNTS)


def scale_of_money(money: Money) -> Scale:
    """How an amount of money is written, and what is one over another.

    >>> scale_of_money(Money(name="n", metric="m", unit="EUR", value=12340.4, low=2e3, high=3e4)).mean(12340.4)
    '€12,300'
    """
    known = money.value is not None and math.isfinite(money.value)
    return _amount(money.unit, _width(money.low, money.high, money.value if known else None), _SUMS)


def _amount(unit: str, width: float, digits: float) -> Scale:
    decimals = _decimals(width, digits)
    if unit in SIGNS:
        decimals = max(_CENTS, decimals) if decimals > 0 else decimals
        return Scale(1.0, SIGNS[unit], "", "", decimals)
    behind = f" {unit}" if unit else ""
    return Scale(1.0, "", behind, behind, decimals)


def _width(low: float | None, high: float | None, otherwise: float | None) -> float:
    if low is not None and high is not None:
        return high - low
    return abs(otherwise or 0.0)


def _decimals(width: float, digits: float) -> int:
    """Digits behind the point, if so many of an interval's width are written.

    >>> _decimals(1.0, 1.0), _decimals(0.04, 1.0), _decimals(250.0, 1.0), _decimals(0.0, 1.0)
    (1, 3, -1, 1)
    """
    if not width > 0.0 or not math.isfinite(width):
        return 1
    return min(_MOST_DECIMALS, math.ceil(digits - math.log10(width)))


def share(value: float) -> str:
    """A share of visitors, or of anything.

    >>> share(0.05), share(0.123), share(0.0004), share(1.0)
    ('5 %', '12.3 %', '0.04 %', '100 %')
    """
    percent = value * 100
    decimals = 2 if 0 < abs(percent) < 1 else 1
    return f"{percent:.{decimals}f}".rstrip("0").rstrip(".") + " %"


def relative(value: float | None) -> str:
    """A relative difference.

    >>> relative(0.12), relative(-0.034), relative(2.5), relative(None)
    ('+12 %', '−3.4 %', '+250 %', '–')
    """
    if value is None:
        return NOTHING
    percent = abs(value * 100)
    written = f"{percent:,.0f}" if percent >= 9.95 or not percent else f"{percent:.1f}"
    sign = "" if float(written.replace(",", "")) == 0 else "+" if value > 0 else "−"
    return f"{sign}{written} %"


def relative_interval(low: float | None, high: float | None) -> str:
    """The interval of a relative difference.

    >>> relative_interval(0.02, 0.23), relative_interval(None, 0.23), relative_interval(None, None)
    ('+2.0 % to +23 %', 'at most +23 %', '–')
    """
    if low is None and high is None:
        return NOTHING
    if low is None:
        return f"at most {relative(high)}"
    return f"at least {relative(low)}" if high is None else f"{relative(low)} to {relative(high)}"


def p_value(value: float | None) -> str:
    """A p-value; a small one is not pretended to be known to many digits.

    >>> p_value(0.0312), p_value(0.00004), p_value(0.7), p_value(None)
    ('0.031', '< 0.001', '0.70', '–')
    """
    if value is None:
        return NOTHING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def level(value: float) -> str:
    """The level of an interval.

    >>> level(0.95), level(0.9916666)
    ('95 %', '99.2 %')
    """
    return share(value)


def nice_steps(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that cover [low, high], as marks of an axis: 1, 2 or 5 times a power of ten apart.

    >>> nice_steps(-0.3, 1.1)
    [-0.5, 0.0, 0.5, 1.0, 1.5]
    >>> nice_steps(0.0, 0.0)
    [0.0, 1.0]
    """
    if not high > low:
        return [low, low + 1.0]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(each for each in (1.0, 2.0, 5.0, 10.0) if each * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(at * step, 12) for at in range(first, last + 1)]


def finite(numbers: Iterable[float | None]) -> list[float]:
    """Those that are numbers."""
    return [each for each in numbers if each is not None and math.isfinite(each)]
