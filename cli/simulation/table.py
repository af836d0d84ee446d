"""A CSV file as a stream of visitors with rewards: three shapes, one result."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from online_models.reward_model import FloatArray
from personalization.errors import InvalidInput
from personalization.features import FeatureValue, clean


@dataclass(slots=True)
class Table:
    """Rows in file order.

    Attributes
    ----------
    contexts
        Raw features of each row; an empty cell is absent.
    arms
        Ids of the K arms.
    rewards
        Shape (n, K): every arm's reward; NaN where only the shown arm's is known.
    shown
        Index of the arm shown, shape (n,); empty where every reward is known.
    propensity
        Probability with which it was shown, shape (n,); empty with ``shown``.
    """

    contexts: list[dict[str, FeatureValue]]
    arms: tuple[str, ...]
    rewards: FloatArray
    shown: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))
    propensity: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def logged(self) -> bool:
        """Whether only one arm's reward is known per row."""
        return len(self.shown) > 0

    def __len__(self) -> int:
        return len(self.contexts)


def cell(text: str) -> FeatureValue | None:
    """A number where it is one, else a category; empty is missing.

    >>> cell("3"), cell("blue"), cell("")
    (3.0, 'blue', None)
    """
    if not text:
        return None
    try:
        return clean(float(text))
    except ValueError:
        return clean(text)


def by_label(path: Path, label: str, limit: int | None = None, ignored: Sequence[str] = ()) -> Table:
    """Each distinct label is an arm; the row's own is worth 1, every other 0."""
    rows = list(_read(path, [label, *ignored], limit))
    arms = tuple(sorted({row[label] for row in rows}))
    index = {arm: i for i, arm in enumerate(arms)}
    rewards = np.zeros((len(rows), len(arms)))
    rewards[np.arange(len(rows)), [index[row[label]] for row in rows]] = 1.0
    return Table([_context(row, {label, *ignored}) for row in rows], arms, rewards)


def by_rewards(path: Path, columns: Sequence[str], limit: int | None = None, ignored: Sequence[str] = ()) -> Table:
    """Each of the ``columns`` is an arm and holds what it would have brought."""
    rows = list(_read(path, [*columns, *ignored], limit))
    rewards = np.array([[_number(row, column, i) for column in columns] for i, row in enumerate(rows)])
    return Table([_context(row, {*columns, *ignored}) for row in rows], tuple(columns), rewards)


def by_log(
    path: Path,
    shown: str,
    reward: str,
    propensity: str | None = None,
    limit: int | None = None,
    ignored: Sequence[str] = (),
) -> Table:
    """What was shown and what it brought; without a ``propensity`` column every arm counts as equally likely."""
    wanted = [shown, reward, *([propensity] if propensity else []), *ignored]
    rows = list(_read(path, wanted, limit))
    arms = tuple(sorted({row[shown] for row in rows}))
    index = {arm: i for i, arm in enumerate(arms)}
    at = np.array([index[row[shown]] for row in rows], dtype=np.intp)
    rewards = np.full((len(rows), len(arms)), np.nan)
    rewards[np.arange(len(rows)), at] = [_number(row, reward, i) for i, row in enumerate(rows)]
    if propensity:
        probabilities = np.array([_number(row, propensity, i) for i, row in enumerate(rows)])
        if not ((probabilities > 0) & (probabilities <= 1)).all():
            raise InvalidInput(propensity, "propensities must lie in (0, 1]")
    else:
        probabilities = np.full(len(rows), 1.0 / max(1, len(arms)))
    return Table([_context(row, set(wanted)) for row in rows], arms, rewards, at, probabilities)


def _read(path: Path, wanted: Sequence[str], limit: int | None) -> Iterator[dict[str, str]]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restkey="", restval="")
        columns = reader.fieldnames or []
        for column in wanted:
            if column not in columns:
                raise InvalidInput(column, f"{path.name} has no such column; it has {', '.join(columns)}")
        n = 0
        for row in reader:
            if limit is not None and n >= limit:
                break
            n += 1
            yield row
        if n == 0:
            raise InvalidInput(path.name, "holds no rows")


def _context(row: dict[str, str], left_out: set[str]) -> dict[str, FeatureValue]:
    context: dict[str, FeatureValue] = {}
    for name, text in row.items():
        if name and name not in left_out:
            value = cell(text)
            if value is not None:
                context[name] = value
    return context


def _number(row: dict[str, str], column: str, index: int) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"{column}[{index}]", f"{row[column]!r} is no number; every row needs one")
    return value
