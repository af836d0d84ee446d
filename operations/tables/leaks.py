"""Columns that give the answer away: they were written afterwards, or are the answer in other words.

A column gives a target away if whoever knows its value, or merely that it is there or not 0, has hardly anything
left to guess of what is to be guessed without it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operations.tables.contexts import Contexts, FeatureColumn
from operations.tables.table_file import quoted

MIN_ROWS = 50
MIN_GUESSES = 5
"""Fewer mistakes without the column could vanish by chance."""

LEFT_TO_GUESS = 0.02
"""A column leaves at most this share of the mistakes: no honest feature is that good."""

MAX_ROWS = 50_000
_MAX_VALUES_SHARE = 0.1
"""Values that come less than ten times say nothing of others."""

_MIN_ONE_SIDED = 20


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be guessed.

    Attributes
    ----------
    name
        As people call it, e.g. ``the arm (shown)``.
    classes
        Index of the class of each row, shape (n,).
    values
        What each class is called.
    """

    name: str
    classes: NDArray[np.intp]
    values: tuple[str, ...]


def leaks(contexts: Contexts, target: Target) -> dict[str, str]:
    """Columns that give the target away → a sentence that says so."""
    at = _rows(len(contexts))
    classes = target.classes[at]
    n_each = np.bincount(classes)
    n_guesses = len(at) - int(n_each.max(initial=0))
    if len(at) < MIN_ROWS or n_guesses < MIN_GUESSES:
        return {}
    found: dict[str, str] = {}
    for source, columns in _by_source(contexts):
        left = min(min(_mistakes(groups, classes)) for groups in _groups(columns, at))
        if left <= LEFT_TO_GUESS * n_guesses:
            found[source] = (
                f"{quoted([source])} gives {target.name} away (who knows it guesses {left:,} of {len(at):,} rows "
                f"wrong, who does not {n_guesses:,}), as what is written afterwards does"
            )
    return found


def left_out(column: str, why: str) -> str:
    """The sentence about a column that is left out for it.

    >>> left_out("paid at", "it was paid afterwards")
    "it was paid afterwards: left out (--keep 'paid at' if it is known before)"
    """
    return f"{why}: left out (--keep {shlex.quote(column)} if it is known before)"


def one_sided(contexts: Contexts, target: Target) -> Iterator[str]:
    """Sentences about columns that give away one of two outcomes where they are there at all, or are not 0."""
    at = _rows(len(contexts))
    classes = target.classes[at]
    if len(target.values) != 2 or len(at) < MIN_ROWS:
        return
    for source, columns in _by_source(contexts):
        values = columns[0].groups()[at]
        for there, says in ((~np.isnan(values), "is not empty"), (~np.isnan(values) & (values != 0), "is not 0")):
            n_there = int(there.sum())
            if not _MIN_ONE_SIDED <= n_there < len(at):
                continue
            outcome = int(classes[there][0])
            if (classes[there] == outcome).all() and (classes == outcome).mean() <= 0.5:
                yield (
                    f"where {quoted([source])} {says} ({n_there:,} rows), {target.name} is always "
                    f"{target.values[outcome]!r}: if it is known only afterwards, --ignore {shlex.quote(source)}"
                )
                break


def _rows(n_rows: int) -> NDArray[np.intp]:
    """All rows, or so many of them, evenly."""
    return np.arange(n_rows) if n_rows <= MAX_ROWS else np.linspace(0, n_rows - 1, MAX_ROWS).astype(np.intp)


def _by_source(contexts: Contexts) -> Iterator[tuple[str, list[FeatureColumn]]]:
    found: dict[str, list[FeatureColumn]] = {}
    for column in contexts.columns:
        found.setdefault(column.source, []).append(column)
    yield from found.items()


def _groups(columns: Sequence[FeatureColumn], at: NDArray[np.intp]) -> Iterator[NDArray[np.float64]]:
    for column in columns:
        yield column.groups()[at]


def _mistakes(values: NDArray[np.float64], classes: NDArray[np.intp]) -> Iterator[int]:
    """Rows guessed wrong by whoever knows a value, or whether it is there or 0, or on which side of a threshold."""
    is_there = ~np.isnan(values)
    yield _wrong(np.where(is_there, np.where(values == 0, 1, 2), 0), classes)
    different, index = np.unique(values, return_inverse=True)
    if len(different) <= _MAX_VALUES_SHARE * len(values):
        yield _wrong(index, classes)
    elif classes.max() == 1 and is_there.all():
        yield _wrong_by_threshold(values, classes)


def _wrong(groups: NDArray[np.intp], classes: NDArray[np.intp]) -> int:
    n_classes = int(classes.max()) + 1
    counts = np.bincount(groups * n_classes + classes, minlength=(int(groups.max()) + 1) * n_classes)
    counts = counts.reshape(-1, n_classes)
    n_in_group = counts.sum(axis=1)
    # A value that came once says nothing of the next.
    return int((n_in_group - counts.max(axis=1)).sum() + (n_in_group == 1).sum())


def _wrong_by_threshold(values: NDArray[np.float64], classes: NDArray[np.intp]) -> int:
    order = np.argsort(values, kind="stable")
    ones = np.concatenate([[0], np.cumsum(classes[order])])
    below = np.arange(len(values) + 1)
    zeros_above = (len(values) - below) - (ones[-1] - ones)
    wrong = ones + zeros_above  # ones below the threshold, zeros above it
    return int(min(wrong.min(), (len(values) - wrong).min()))
