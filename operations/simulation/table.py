"""A file as a stream of visitors with rewards: three shapes, one result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from online_models.reward_model import FloatArray
from operations.tables.leaks import Target, leaks, left_out, one_sided
from operations.tables.reading import AS_FOUND, Reading
from operations.tables.table_file import TableFile, read_table
from personalization.errors import InvalidInput
from personalization.features import FeatureValue

_FEW_ROWS_AN_ARM = 2
_MIN_ROWS = 20


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
    visitors
        Index of each row's visitor, shape (n,); empty where each row is another's.
    notes
        What was found in the file or chosen and may surprise, a sentence each.
    """

    contexts: Sequence[dict[str, FeatureValue]]
    arms: tuple[str, ...]
    rewards: FloatArray
    shown: np.ndarray = field(default_factory=lambda: np.zeros(0, np.intp))
    propensity: FloatArray = field(default_factory=lambda: np.zeros(0))
    visitors: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    notes: tuple[str, ...] = ()

    @property
    def logged(self) -> bool:
        """Whether only one arm's reward is known per row."""
        return len(self.shown) > 0

    def __len__(self) -> int:
        return len(self.contexts)


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a file besides rewards.

    Attributes
    ----------
    ignored
        Columns that are no context.
    visitor
        The column that says whose a row is; None: each is another's.
    said
        How the file is to be read.
    limit
        Only the first so many rows.
    reward_range
        Least and most that a reward may be; None: anything.
    """

    ignored: Sequence[str] = ()
    visitor: str | None = None
    said: Reading = AS_FOUND
    limit: int | None = None
    reward_range: tuple[float, float] | None = None

    def read(self, path: Path, wanted: dict[str, str]) -> TableFile:
        """The rows, with the columns that are ``wanted`` apart."""
        more = dict.fromkeys(self.ignored, "--ignore")
        if self.visitor is not None:
            more[self.visitor] = "--visitor"
        return read_table(path, {**more, **wanted}, self.limit, frozenset(self.ignored) - {*wanted}, self.said)

    def check(self, file: TableFile, names: Sequence[str], rewards: FloatArray) -> None:
        """Raise ``InvalidInput`` at the first reward outside the range; ``rewards``, shape (n, len(names))."""
        if self.reward_range is None:
            return
        low, high = self.reward_range
        wrong = np.argwhere((rewards < low) | (rewards > high))
        if len(wrong):
            row, at = wrong[0].tolist()
            fitting = f"{min(low, math.floor(rewards.min())):g}:{max(high, math.ceil(rewards.max())):g}"
            raise InvalidInput(
                file.place(row),
                f"column {names[at]!r} is {rewards[row, at]:g}: outside --reward-range {low:g}:{high:g}, which may "
                f"be {fitting}",
            )


def by_label(path: Path, label: str, columns: Columns | None = None) -> Table:
    """Each distinct label is an arm; the row's own is worth 1, every other 0."""
    columns = columns or Columns()
    file = columns.read(path, {label: "--label"})
    own, arms = _arms(file, label)
    rewards = np.zeros((len(file), len(arms)))
    rewards[np.arange(len(file)), own] = 1.0
    return _table(file, columns, arms, rewards, [Target(f"the label `{label}`", own, arms)])


def by_rewards(path: Path, of_arms: Sequence[str], columns: Columns | None = None) -> Table:
    """Each of the columns ``of_arms`` is an arm and holds what it would have brought."""
    columns = columns or Columns()
    file = columns.read(path, dict.fromkeys(of_arms, "--rewards"))
    rewards = np.stack([file.numbers(column) for column in of_arms], axis=1)
    columns.check(file, of_arms, rewards)
    best = Target("the best arm", rewards.argmax(axis=1), tuple(of_arms))
    return _table(file, columns, tuple(of_arms), rewards, [best])


def by_log(
    path: Path, shown: str, reward: str, propensity: str | None = None, columns: Columns | None = None
) -> Table:
    """What was shown and what it brought; without a ``propensity`` column every arm counts as equally likely."""
    columns = columns or Columns()
    wanted = {shown: "--shown", reward: "--reward"}
    if propensity:
        wanted[propensity] = "--propensity"
    file = columns.read(path, wanted)
    at, arms = _arms(file, shown)
    brought = file.numbers(reward)
    columns.check(file, [reward], brought[:, None])
    rewards = np.full((len(file), len(arms)), np.nan)
    rewards[np.arange(len(file)), at] = brought
    even = np.full(len(file), 1.0 / len(arms))
    probabilities = _probabilities(file, propensity) if propensity else even
    targets = [Target(f"the arm (`{shown}`)", at, arms)]
    different, index = np.unique(brought, return_inverse=True)
    if len(different) <= _MIN_ROWS:
        values = tuple(f"{value:g}" for value in different)
        targets.append(Target(f"the reward `{reward}`", index.astype(np.intp), values))
    table = _table(file, columns, arms, rewards, targets)
    table.shown, table.propensity = at, probabilities
    if not propensity and _is_uneven(np.bincount(at, minlength=len(arms))):
        shares = np.bincount(at, minlength=len(arms)) / len(file)
        table.notes += (
            f"arms were not shown alike often (from {shares.min():.0%} to {shares.max():.0%}), yet without "
            "--propensity figures take them for equally likely: name the column with each row's",
        )
    return table


def _table(
    file: TableFile, columns: Columns, arms: tuple[str, ...], rewards: FloatArray, targets: Sequence[Target]
) -> Table:
    """Without the columns that give a target away."""
    notes = list(file.notes)
    contexts, kept = file.contexts, columns.said.keep
    for target in targets:
        away = leaks(contexts.without(kept), target)
        notes += [left_out(name, why) for name, why in away.items()]
        contexts = contexts.without(away)
        notes += one_sided(contexts.without(kept), target)
    if not contexts.columns:
        notes.append("no column is left to tell visitors apart: policies learn what is best for all")
    visitors = np.zeros(0, np.intp) if columns.visitor is None else file.named[columns.visitor].codes
    return Table(contexts, arms, rewards, visitors=visitors, notes=tuple(notes))


def _arms(file: TableFile, column: str) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Index of every row's arm, and the ids of all."""
    found = file.filled(column, "every row names its arm there")
    arms = tuple(sorted(found.texts))
    if len(file) >= _MIN_ROWS and len(arms) * _FEW_ROWS_AN_ARM > len(file):
        raise InvalidInput(
            file.path.name,
            f"column {column!r} has {len(arms):,} different values in {len(file):,} rows: an arm is one of a few "
            "things that are shown again and again; name the column that says which",
        )
    index = {arm: at for at, arm in enumerate(arms)}
    return np.array([index[text] for text in found.texts], dtype=np.intp)[found.codes], arms


def _is_uneven(counts: NDArray[np.intp]) -> bool:
    """Whether equal chances hardly ever bring such counts: χ² more than five deviations off its mean."""
    expected, freedom = counts.sum() / len(counts), len(counts) - 1
    return bool(((counts - expected) ** 2).sum() / expected > freedom + 5.0 * math.sqrt(2.0 * freedom) + 5.0)


def _probabilities(file: TableFile, column: str) -> FloatArray:
    values = file.numbers(column)
    wrong = np.flatnonzero(~((values > 0.0) & (values <= 1.0)))
    if len(wrong):
        raise InvalidInput(
            file.place(int(wrong[0])),
            f"column {column!r} is {values[wrong[0]]:g}: a propensity lies above 0 and is at most 1",
        )
    return values
