"""A history replayed through a conversion model: predict, then learn, row by row, as it would have been live."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from online_models.conversion.metrics import Scorecard, auc, scorecard
from online_models.conversion.registry import ConversionModelImpl
from online_models.reward_model import FloatArray

Row = dict[str, Any]
Progress = Callable[[int], None]
MakeModel = Callable[[], ConversionModelImpl]

IMPORTANCE_REPEATS = 5
MAX_IMPORTANCE_ROWS = 4_000


@dataclass(frozen=True, slots=True)
class Run:
    """One pass: what was predicted before each label was learned, and what it cost.

    Attributes
    ----------
    cpu_us_per_event
        Process CPU time of encoding, predicting, learning and growing, µs a row.
    """

    scores: Scorecard
    probabilities: FloatArray
    cpu_us_per_event: float


@dataclass(frozen=True, slots=True)
class Importance:
    """How much AUC a feature's values are worth: the loss when they are shuffled among rows.

    ``low`` and ``high`` bound the mean over repeats at 95 % (bootstrap over rows).
    """

    feature: str
    auc_loss: float
    low: float
    high: float


def progressive(model: ConversionModelImpl, rows: Sequence[Row], labels: FloatArray, tick: Progress) -> Run:
    """Predict, then learn, every row in order; ``tick(n)`` is called now and then with the rows done."""
    probabilities = np.empty(len(rows))
    spent = 0.0
    for start in range(0, len(rows), 256):
        block = rows[start : start + 256]  # before the clock runs: they may be made when they are asked for
        began = time.process_time()
        for i, row in enumerate(block, start):
            probabilities[i] = model.predict_proba_one(row)[True]
            model.learn_one(row, bool(labels[i]))
        spent += time.process_time() - began
        tick(len(block))
    return Run(scorecard(labels, probabilities), probabilities, 1e6 * spent / max(1, len(rows)))


def shuffles(n_rows: int, n_orders: int, seed: int = 0) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    """``n_orders`` seeded orders of the rows."""
    rng = np.random.default_rng(seed)
    for _ in range(n_orders):
        yield rng.permutation(n_rows)


def rolling_origin(
    make: MakeModel, rows: Sequence[Row], labels: FloatArray, n_folds: int, tick: Progress
) -> list[Scorecard]:
    """Train on everything before a fold, freeze, score the fold; folds are equal stretches after the first.

    The first of ``n_folds`` + 1 stretches is only trained on. No row is predicted by a model that saw it or later
    ones.
    """
    edges = np.linspace(0, len(rows), n_folds + 2).astype(int)
    model = make()
    cards = []
    for fold in range(n_folds + 1):
        block = range(edges[fold], edges[fold + 1])
        if fold:
            p = np.array([model.predict_proba_one(rows[i])[True] for i in block])
            cards.append(scorecard(labels[edges[fold] : edges[fold + 1]], p))
        for i in block:
            model.learn_one(rows[i], bool(labels[i]))
        tick(len(block))
    return cards


def permutation_importance(
    make: MakeModel, rows: Sequence[Row], labels: FloatArray, tick: Progress, seed: int = 0
) -> list[Importance]:
    """Importance of every feature on the last third of the rows, for a model trained on the first two thirds."""
    cut = len(rows) * 2 // 3
    model = make()
    for i in range(cut):
        model.learn_one(rows[i], bool(labels[i]))
        if i % 256 == 255:
            tick(256)
    tick(cut % 256)
    rng = np.random.default_rng(seed)
    held = np.arange(cut, len(rows))
    if len(held) > MAX_IMPORTANCE_ROWS:
        held = np.sort(rng.choice(held, MAX_IMPORTANCE_ROWS, replace=False))
    y = labels[held]

    def predict(feature: str | None, donors: Sequence[int]) -> FloatArray:
        p = np.empty(len(held))
        for at, (i, donor) in enumerate(zip(held.tolist(), donors, strict=True)):
            x = rows[i]
            if feature is not None:
                x = {name: value for name, value in x.items() if name != feature}
                if feature in rows[donor]:
                    x[feature] = rows[donor][feature]
            p[at] = model.predict_proba_one(x)[True]
        return p

    plain = predict(None, held.tolist())
    found = []
    for feature in sorted({name for row in rows for name in row}):
        shuffled = [predict(feature, rng.permutation(held).tolist()) for _ in range(IMPORTANCE_REPEATS)]
        loss = float(auc(y, plain).value - np.mean([auc(y, p).value for p in shuffled]))
        losses = []
        for _ in range(60):
            at = rng.integers(0, len(held), len(held))
            p = shuffled[int(rng.integers(IMPORTANCE_REPEATS))]
            losses.append(auc(y[at], plain[at]).value - auc(y[at], p[at]).value)
        low, high = np.nanpercentile(losses, [2.5, 97.5]) if not np.isnan(losses).all() else (np.nan, np.nan)
        found.append(Importance(feature, loss, float(low), float(high)))
        tick(len(held))
    return sorted(found, key=lambda item: -item.auc_loss)
