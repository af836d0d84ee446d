"""How soon something came after the first exposure: a stair for each side, with its band."""

from __future__ import annotations

import math
from collections.abc import Sequence

from operations.reporting.markup import Markup, void
from operations.reporting.numbers import finite, nice_steps, share
from operations.reporting.picture import drawing, line, shortened, text
from operations.reporting.sides import side_name
from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS
from personalization.evaluation.experiment_report import Course

_LEFT, _RIGHT, _TOP, _BOTTOM = 56.0, 600.0, 12.0, 232.0
_BELOW = 48.0
_LABEL = 15.0
"""So far apart, at least, stand the names of two sides."""

_MARK = 46.0
"""So far apart, at least, stand two times."""

N_LOOKS = 4
"""Sides that are told apart by line and colour; more look like the last."""


def course_picture(id_: str, courses: Sequence[Course]) -> Markup:
    """The courses of one metric, a side each."""
    times = sorted({at for each in courses for at in each.until_ms})
    top = max(finite(number for each in courses for number in each.high), default=0.0)
    steps = nice_steps(0.0, top, 4)
    places = _Places(times, steps[-1])
    parts: list[str] = []
    for step in steps:
        y = places.y(step)
        parts += [
            line(_LEFT, y, _RIGHT, y, "grid" if step else "base"),
            text(_LEFT - 8, y + 4, share(step), "tick", "end"),
        ]
    for at_ms in _marks(times, places):
        x = places.x(at_ms)
        parts += [
            line(x, _BOTTOM, x, _BOTTOM + 4, "base"),
            text(x, _BOTTOM + 18, brief(at_ms), "tick", "middle"),
        ]
    parts.append(text((_LEFT + _RIGHT) / 2, _BOTTOM + 38, "since the first exposure", "unit", "middle"))
    for at, course in enumerate(courses):
        parts += [
            void("polygon", points=_band(course, places), class_=f"band side-{_look(at)}"),
            void("polyline", points=_stair(course, places), class_=f"course side-{_look(at)}"),
        ]
    parts += _names(courses, places)
    said = "; ".join(
        f"{side_name(each.side)}: {share(each.shares[-1])} after {brief(each.until_ms[-1])}"
        for each in courses
        if each.shares
    )
    return drawing(id_, f"{courses[0].metric}: how soon it came", said, _BOTTOM + _BELOW, *parts)


class _Places:
    """Where a time and a share stand: times are as far apart as their logarithms."""

    def __init__(self, times: Sequence[int], top: float) -> None:
        self._first, self._last = math.log(times[0]), math.log(max(times[-1], times[0] + 1))
        self._top = top

    def x(self, at_ms: float) -> float:
        return _LEFT + (math.log(at_ms) - self._first) / (self._last - self._first) * (_RIGHT - _LEFT)

    def y(self, value: float) -> float:
        return _BOTTOM - value / self._top * (_BOTTOM - _TOP)


def _corners(times: Sequence[int], values: Sequence[float], places: _Places) -> list[str]:
    """Of a stair: how many it had come of by then is known at each time, and holds until the next."""
    found: list[str] = []
    for at, (at_ms, value) in enumerate(zip(times, values, strict=True)):
        x, y = places.x(at_ms), places.y(value)
        if at:
            found.append(f"{x:.1f},{places.y(values[at - 1]):.1f}")
        found.append(f"{x:.1f},{y:.1f}")
    return found


def _stair(course: Course, places: _Places) -> str:
    return " ".join(_corners(course.until_ms, course.shares, places))


def _band(course: Course, places: _Places) -> str:
    upper = _corners(course.until_ms, course.high, places)
    return " ".join([*upper, *reversed(_corners(course.until_ms, course.low, places))])


def _names(courses: Sequence[Course], places: _Places) -> list[Markup]:
    """The name of each side at the end of its stair, apart from the others'."""
    ends = sorted((places.y(each.shares[-1]), at) for at, each in enumerate(courses) if each.shares)
    parts, last = [], -_LABEL
    for y, at in ends:
        last = max(y, last + _LABEL)
        words = f"{shortened(side_name(courses[at].side), 14)} {share(courses[at].shares[-1])}"
        parts += [
            line(_RIGHT + 4, y, _RIGHT + 16, last, f"leader side-{_look(at)}"),
            text(_RIGHT + 20, last + 4, words, f"name side-{_look(at)}"),
        ]
    return parts


def _look(at: int) -> int:
    return min(at, N_LOOKS - 1)


def _marks(times: Sequence[int], places: _Places) -> list[int]:
    """Of the times those that are written on the axis: the last, and before it as many as have room."""
    found = [times[-1]]
    for at_ms in reversed(times[:-1]):
        if places.x(found[-1]) - places.x(at_ms) >= _MARK:
            found.append(at_ms)
    return found


def brief(length_ms: int) -> str:
    """A length of time, in short.

    >>> brief(5 * MINUTE_MS), brief(8 * HOUR_MS), brief(7 * DAY_MS), brief(1_500)
    ('5 min', '8 h', '7 d', '1.5 s')
    """
    for unit_ms, unit in ((DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min")):
        if length_ms >= unit_ms and length_ms % unit_ms == 0:
            return f"{length_ms // unit_ms} {unit}"
    return f"{length_ms / 1000:g} s"
