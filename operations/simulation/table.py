"""A CSV file as a stream of visitors with rewards: three shapes, one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import FloatArray
from operations.csv_file import Row, read_rows
from personalization.errors import InvalidInput
from personalization.features import FeatureValue


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


def by_label(path: Path, label: str, limit: int | None = None, ignored: Sequence[str] = ()) -> Table:
    """Each distinct label is an arm; the row's own is worth 1, every other 0."""
    rows = read_rows(path, {label: "--label", **_ignored(ignored)}, limit)
    own, arms = _arms(rows, label)
    rewards = np.zeros((len(rows), len(arms)))
    rewards[np.arange(len(rows)), own] = 1.0
    return Table(_contexts(rows, [label, *ignored]), arms, rewards)


def by_rewards(path: Path, columns: Sequence[str], limit: int | None = None, ignored: Sequence[str] = ()) -> Table:
    """Each of the ``columns`` is an arm and holds what it would have brought."""
    rows = read_rows(path, {**dict.fromkeys(columns, "--rewards"), **_ignored(ignored)}, limit)
    rewards = np.array([[row.number(column) for column in columns] for row in rows])
    return Table(_contexts(rows, [*columns, *ignored]), tuple(columns), rewards)


def by_log(
    path: Path,
    shown: str,
    reward: str,
    propensity: str | None = None,
    limit: int | None = None,
    ignored: Sequence[str] = (),
) -> Table:
    """What was shown and what it brought; without a ``propensity`` column every arm counts as equally likely."""
    wanted = {shown: "--shown", reward: "--reward"}
    if propensity:
        wanted[propensity] = "--propensity"
    rows = read_rows(path, {**wanted, **_ignored(ignored)}, limit)
    at, arms = _arms(rows, shown)
    rewards = np.full((len(rows), len(arms)), np.nan)
    rewards[np.arange(len(rows)), at] = [row.number(reward) for row in rows]
    if propensity:
        probabilities = np.array([_probability(row, propensity) for row in rows])
    else:
        probabilities = np.full(len(rows), 1.0 / len(arms))
    return Table(_contexts(rows, [*wanted, *ignored]), arms, rewards, at, probabilities)


def _ignored(columns: Sequence[str]) -> dict[str, str]:
    return dict.fromkeys(columns, "--ignore")


def _contexts(rows: Sequence[Row], left_out: Sequence[str]) -> list[dict[str, FeatureValue]]:
    names = frozenset(left_out)
    return [row.context(names) for row in rows]


def _arms(rows: Sequence[Row], column: str) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Index of every row's arm, and the ids of all."""
    for row in rows:
        if not row.cells[column]:
            raise InvalidInput(row.place, f"column {column!r} is empty: every row names its arm there")
    arms = tuple(sorted({row.cells[column] for row in rows}))
    index = {arm: i for i, arm in enumerate(arms)}
    return np.array([index[row.cells[column]] for row in rows], dtype=np.intp), arms


def _probability(row: Row, column: str) -> float:
    value = row.number(column)
    if not 0.0 < value <= 1.0:
        raise InvalidInput(row.place, f"column {column!r} is {value:g}: a propensity lies above 0 and is at most 1")
    return value
