"""Differences of one metric with their intervals, one below the other, beside a line of none (a forest plot)."""

from __future__ import annotations

from collections.abc import Sequence

from operations.reporting.markup import Markup, element, joined, void
from operations.reporting.numbers import Scale, finite, nice_steps
from operations.reporting.picture import WIDTH, drawing, line, shortened, text
from operations.reporting.sides import compared, is_told_apart
from personalization.evaluation.experiment_report import Difference

_LEFT, _RIGHT = 226.0, 556.0
_ROW, _TOP, _BELOW = 30.0, 22.0, 44.0
_MOST_LETTERS = 32
_ARROW = 5.0


def forest(id_: str, differences: Sequence[Difference], scale: Scale) -> Markup:
    """The differences of one metric; a row that cannot be judged says so in words.

    Parameters
    ----------
    scale
        How all of them are written.
    """
    ends = finite(
        number
        for each in differences
        if each.difference is not None
        for number in (each.low, each.high, each.difference)
    )
    steps = nice_steps(min(0.0, *ends, 0.0), max(0.0, *ends, 0.0)) if ends else [0.0, 1.0]
    axis = _Axis(steps[0], steps[-1])
    bottom = _TOP + _ROW * len(differences)
    parts = [*_grid(axis, steps, bottom, scale)]
    for at, each in enumerate(differences):
        parts.append(_row(each, _TOP + _ROW * (at + 0.5), axis, scale))
    name = differences[0].metric
    said = "; ".join(_in_words(each, scale) for each in differences)
    return drawing(id_, f"{name}: differences and their intervals", said, bottom + _BELOW, *parts)


class _Axis:
    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def at(self, value: float) -> float:
        return _LEFT + (value - self.low) / (self.high - self.low) * (_RIGHT - _LEFT)


def _grid(axis: _Axis, steps: Sequence[float], bottom: float, scale: Scale) -> list[Markup]:
    parts = []
    for step in steps:
        x = axis.at(step)
        parts.append(line(x, _TOP, x, bottom, "grid" if step else "zero"))
        parts.append(text(x, bottom + 16, scale.bare(step) if step else "0", "tick", "middle"))
    parts.append(text(axis.at(0.0), _TOP - 7, "no difference", "none", "middle"))
    unit = scale.after_change.strip() or "a visitor"
    parts.append(text((_LEFT + _RIGHT) / 2, bottom + 34, unit, "unit", "middle"))
    return parts


def _row(difference: Difference, y: float, axis: _Axis, scale: Scale) -> Markup:
    name = difference.segment or compared(difference)
    label = text(0, y + 4, shortened(name, _MOST_LETTERS), "label")
    if difference.difference is None:
        return joined(label, text(_RIGHT + 14, y + 4, "not yet", "quiet"))
    low = axis.low if difference.low is None else difference.low
    high = axis.high if difference.high is None else difference.high
    x, left, right = axis.at(difference.difference), axis.at(low), axis.at(high)
    told = is_told_apart(difference)
    kind = "told" if told else "untold"
    parts = [label, line(left, y, right, y, f"whisker {kind}")]
    for at, end, sign in ((left, difference.low, -1), (right, difference.high, 1)):
        if end is None:  # it goes on
            points = f"{at},{y - _ARROW} {at + sign * _ARROW},{y} {at},{y + _ARROW}"
            parts.append(void("polygon", points=points, class_=f"point {kind}"))
        else:
            parts.append(line(at, y - _ARROW, at, y + _ARROW, f"whisker {kind}"))
    parts.append(void("circle", cx=round(x, 2), cy=y, r=5, class_=f"point {kind}"))
    bold = "figure strong" if told else "figure"
    parts.append(text(_RIGHT + 14, y + 4, scale.change(difference.difference), bold))
    parts.append(
        text(WIDTH, y + 4, scale.interval(difference.low, difference.high), "quiet", "end")
        if difference.low is not None or difference.high is not None
        else Markup("")
    )
    return element("g", *parts)


def _in_words(difference: Difference, scale: Scale) -> str:
    of = f"{difference.segment}, " if difference.segment else ""
    who = f"{of}{compared(difference)}"
    if difference.difference is None:
        return f"{who}: nothing can be said yet"
    interval = scale.interval(difference.low, difference.high)
    return f"{who}: {scale.change(difference.difference)} ({interval})"
