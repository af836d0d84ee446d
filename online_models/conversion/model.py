"""The default conversion model: three hashed linear experts and a forest under one calibrating stack."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import base

from online_models.conversion.columns import FREE_COLUMNS, MAX_COLUMNS, Columns
from online_models.conversion.forest import Forest, grow
from online_models.conversion.hashed_linear import N_EXPERTS as LINEAR_EXPERTS
from online_models.conversion.hashed_linear import HashedLinear, Tokens
from online_models.conversion.making_way import EFFECT_ROWS, unseen, worth_little
from online_models.conversion.stack import Stack, sigmoid
from online_models.reward_model import Float32Array, FloatArray
from online_models.row_units import of_units, row_unit

FIRST_GROWTH = 128
"""Rows before the first forest; it is grown again at every doubling, then once a buffer."""

MAX_WEIGHT = 100.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a prediction is what it is: ``bias`` + the sum of ``contributions`` = ``log_odds``.

    Of the model served, not of a stand-in: the sum holds to the rounding of its float32 weights (1e-6).

    Attributes
    ----------
    contributions
        Feature name → what it adds to the log-odds, signed; a missing value has one too.
    """

    log_odds: float
    bias: float
    contributions: dict[str, float]

    @property
    def probability(self) -> float:
        """Give the probability of a conversion within the horizon."""
        return sigmoid(self.log_odds)


class _Reading(NamedTuple):
    """One row as every part sees it."""

    row: Float32Array
    tokens: Tokens
    leaves: NDArray[np.int64] | None
    scores: tuple[float, float, float, float]
    """Log-odds by each linear expert and the forest."""

    inputs: list[float]
    log_odds: float
    complete: bool
    """Whether every feature has its place already."""


class ConversionModel(base.Classifier):
    """How likely is this visitor to buy within the horizon: a River binary classifier.

    Learns from every row as it comes, in bounded memory (some 3 MB with the buffer), deterministically. Costs some
    100 µs of CPU to predict and learn a row of 20 features, growing included.

    Parameters
    ----------
    buffer_rows
        The newest rows the forest is grown from.
    seed
        Of the rows and columns each tree sees.

    Examples
    --------
    >>> model = ConversionModel()
    >>> for i in range(400):
    ...     model.learn_one({"pages": i % 10, "device": "phone" if i % 3 else "desktop"}, i % 10 > 7)
    >>> model.predict_proba_one({"pages": 9, "device": "phone"})[True] > 0.5
    True
    >>> why = model.explain_one({"pages": 9, "device": "phone"})
    >>> why.contributions["pages"] > 0 and abs(why.bias + sum(why.contributions.values()) - why.log_odds) < 1e-4
    True
    """

    def __init__(self, buffer_rows: int = 4096, seed: int = 0) -> None:
        self.buffer_rows = buffer_rows
        self.seed = seed
        self.n_learned = 0
        self.n_grown = 0
        self._positive = 0.0
        self._seen = 0.0
        self._next_growth = FIRST_GROWTH
        self._columns = Columns()
        self._linear = HashedLinear()
        self._forest: Forest | None = None
        self._stack = Stack(LINEAR_EXPERTS + 1)
        self._last: tuple[dict[Any, Any], _Reading] | None = None
        self._rows: Float32Array = np.full((buffer_rows, FREE_COLUMNS), np.nan, np.float32)
        self._labels: FloatArray = np.zeros(buffer_rows)
        self._weights: FloatArray = np.zeros(buffer_rows)
        """0: of somebody who was erased."""
        self._units = np.zeros(buffer_rows, np.uint32)

    # River's protocol

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0, unit: bytes = b"") -> None:
        """Learn whether the visitor ``x`` bought.

        Parameters
        ----------
        x
            Features by name: finite numbers and short strings; anything else is ignored.
        y
            True or 1, False or 0. A label that is neither is ignored.
        w
            Importance, at most ``MAX_WEIGHT``; a weight that is not positive and finite teaches nothing.
        unit
            Hash of the person: a name beyond the first must be seen with several. Without one each row counts as
            another person's.
        """
        label = as_label(y)
        if label is None or not (math.isfinite(w) and w > 0.0):
            return
        weight = min(float(w), MAX_WEIGHT)
        reading = self._read(x)
        if not reading.complete and self._columns.lay_out(x, unit):
            self._last = None
            reading = self._read(x)
        self._columns.learn_bringer(x, unit)
        row = reading.row
        tracking, adagrad, gated, forest = reading.scores
        errors = (label - sigmoid(tracking), label - sigmoid(adagrad), label - sigmoid(gated))
        self._linear.learn(reading.tokens, errors, weight)
        if self._forest is not None and reading.leaves is not None:
            p_forest = sigmoid(forest)
            self._forest.learn(reading.leaves, p_forest, label - p_forest, weight)
        self._stack.learn(reading.inputs, label, weight)
        self._columns.learn_row(row)
        at = self.n_learned % self.buffer_rows
        if row.shape[0] > self._rows.shape[1]:
            self._widen()
        self._rows[at, : row.shape[0]] = row
        self._rows[at, row.shape[0] :] = np.nan
        self._labels[at], self._weights[at] = label, weight
        self._units[at] = row_unit(unit)
        self._positive += weight * label
        self._seen += weight
        self.n_learned += 1
        self._last = None
        if self.n_learned >= self._next_growth:
            self._grow()

    def forget(self, units: Collection[bytes]) -> None:
        """Persons with these units are erased: their rows go, and names and levels that nobody else has brought.

        Weights that others share in stay. Where a column goes, the forest is grown anew without it: some 0.2 s.
        """
        at = of_units(self._units, units)
        self._rows[at], self._labels[at], self._weights[at], self._units[at] = np.nan, 0.0, 0.0, 0
        if len(at):
            self._columns.refresh()
        gone = self._columns.forget(units)
        self._last = None
        if not len(gone):
            return
        had_forest = self._forest is not None
        self._give_back(np.delete(np.arange(self._columns.n), gone), self._last_readings())
        if had_forest:
            self._grow()

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[bool, float]:
        """Probability of either label."""
        p = sigmoid(self.log_odds_one(x))
        return {False: 1.0 - p, True: p}

    # More than River asks

    def log_odds_one(self, x: Mapping[Any, Any]) -> float:
        """Log-odds of a conversion."""
        return self._read(x).log_odds

    def explain_one(self, x: Mapping[Any, Any]) -> Explanation:
        """Signed contributions of the features to this very prediction."""
        reading = self._read(x)
        parts, bias = self._contributions(reading)
        contributions: dict[str, float] = {}
        for name, part in zip(self._columns.names, parts.tolist(), strict=True):
            contributions[name] = contributions.get(name, 0.0) + part
        return Explanation(reading.log_odds, bias, contributions)

    def _contributions(self, reading: _Reading) -> tuple[FloatArray, float]:
        """What each column adds to the log-odds, shape (C,), and what is there without any."""
        n = reading.row.shape[0]
        weights = np.array(self._stack.combined())
        inputs = np.array(reading.inputs)
        parts = np.zeros((LINEAR_EXPERTS + 1, n))
        biases = np.zeros(LINEAR_EXPERTS + 1)
        parts[:LINEAR_EXPERTS], biases[:LINEAR_EXPERTS] = self._linear.contributions(reading.tokens)
        if self._forest is not None and reading.leaves is not None:
            parts[LINEAR_EXPERTS], biases[LINEAR_EXPERTS] = self._forest.contributions(reading.leaves, n)
        else:
            biases[LINEAR_EXPERTS] = reading.scores[LINEAR_EXPERTS]
        scores = np.array(reading.scores)
        # Where an expert was clipped, its parts shrink in proportion.
        kept = np.divide(
            inputs[: LINEAR_EXPERTS + 1],
            scores,
            out=np.ones(LINEAR_EXPERTS + 1),
            where=np.abs(scores) > 1e-12,
        )
        scaled = weights[: LINEAR_EXPERTS + 1] * kept
        bias = float(scaled @ biases + weights[LINEAR_EXPERTS + 1 :] @ inputs[LINEAR_EXPERTS + 1 :])
        return scaled @ parts, bias

    def frozen(self) -> ConversionModel:
        """A copy for deciders that later learning does not touch."""
        return copy.deepcopy(self)

    def is_sound(self) -> bool:
        """Whether every weight is finite: some 0.1 ms."""
        forest = True if self._forest is None else bool(np.isfinite(self._forest.values).all())
        stack = all(map(math.isfinite, self._stack.combined()))
        return forest and stack and self._linear.is_finite()

    def _read(self, x: Mapping[Any, Any]) -> _Reading:
        """Read a row; the last reading is kept until something is learned, since learning often follows at once."""
        if self._last is None or not _same(self._last[0], x):
            self._last = (dict(x), self._read_anew(x))
        return self._last[1]

    def _read_anew(self, x: Mapping[Any, Any]) -> _Reading:
        row = self._columns.row(x)
        return self._read_row(row, self._columns.complete)

    def _read_row(self, row: Float32Array, complete: bool) -> _Reading:
        tokens = self._linear.tokens(row, self._columns.z(row))
        leaves = None
        if self._forest is not None:
            leaves = self._forest.leaves(row)
            by_forest = self._forest.score(leaves)
        else:
            # A little of everything until there is a forest: the rate, drawn to one half.
            by_forest = math.log((self._positive + 1.0) / (self._seen - self._positive + 1.0))
        scores = (*self._linear.score(tokens), by_forest)
        inputs = self._stack.inputs(scores)
        return _Reading(row, tokens, leaves, scores, inputs, self._stack.log_odds(inputs), complete)

    def _grow(self) -> None:
        self._next_growth = min(2 * self.n_learned, self.n_learned + max(FIRST_GROWTH, self.buffer_rows))
        self._make_way()
        n, c = min(self.n_learned, self.buffer_rows), self._columns.n
        of = np.flatnonzero(self._weights[:n])
        rows = self._rows[of, :c].astype(np.float64)
        grown = grow(
            rows, self._labels[of], self._weights[of], self._columns.is_category, seed=self.seed + self.n_learned
        )
        if grown is None:
            return
        self._forest = grown
        self.n_grown += 1
        self._linear.cross(tuple(np.argsort(-grown.gains, kind="stable").tolist()))

    def _widen(self) -> None:
        more = np.full((self.buffer_rows, MAX_COLUMNS - self._rows.shape[1]), np.nan, np.float32)
        self._rows = np.append(self._rows, more, axis=1)

    def _make_way(self) -> None:
        """Give back columns that are of no use, before a forest is grown from what is left."""
        n, c = min(self.n_learned, self.buffer_rows), self._columns.n
        age = self._columns.age
        given = self._rows[:n, :c]
        gone = unseen(np.count_nonzero(given == given, axis=0), age)
        n_wanted = self._columns.n_wanted - int(gone.sum())
        if n_wanted <= 0 and not gone.any():
            return
        readings = self._last_readings()
        if n_wanted > 0:
            moved = [self._contributions(reading)[0] for reading in readings]
            gone |= worth_little(np.var(moved, axis=0), age, n_wanted)
        kept = np.flatnonzero(~gone)
        if len(kept) < c:
            self._give_back(kept, readings)

    def _last_readings(self) -> list[_Reading]:
        n, c = min(self.n_learned, self.buffer_rows), self._columns.n
        last = self._rows[:n, :c][(self.n_learned - 1 - np.arange(min(n, EFFECT_ROWS))) % self.buffer_rows]
        return [self._read_row(row, True) for row in last]

    def _give_back(self, kept: NDArray[np.intp], readings: Sequence[_Reading]) -> None:
        """Only these columns stay.

        Parameters
        ----------
        readings
            Of the last rows, with all columns.
        """
        n, c = min(self.n_learned, self.buffer_rows), self._columns.n
        self._columns.select(kept)
        self._linear.select(kept)
        self._rows[:n, : len(kept)], self._rows[:n, len(kept) : c] = self._rows[:n, kept], np.nan
        # What the others said on average (that they were missing, mostly) goes on being said.
        before = np.mean([reading.scores[:LINEAR_EXPERTS] for reading in readings], axis=0)
        now = [
            self._linear.score(self._linear.tokens(row, self._columns.z(row)))
            for row in (reading.row[kept] for reading in readings)
        ]
        self._linear.shift(before - np.mean(now, axis=0))
        self._forest = None  # its questions are by column

    def dump(self, *, training: bool = True) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint; without ``training`` only what predicting needs."""
        n, c = min(self.n_learned, self.buffer_rows) if training else 0, self._columns.n
        return {
            "buffer_rows": self.buffer_rows,
            "seed": self.seed,
            "counts": [self.n_learned, self.n_grown, self._next_growth],
            "sums": [self._positive, self._seen],
            "columns": self._columns.dump(training=training),
            "linear": self._linear.dump(training=training),
            "forest": None if self._forest is None else self._forest.dump(),
            "stack": self._stack.dump(),
            "rows": np.ascontiguousarray(self._rows[:n, :c]).tobytes(),
            "labels": self._labels[:n].tobytes(),
            "weights": self._weights[:n].tobytes(),
            "units": self._units[:n].tobytes() if self._units[:n].any() else b"",
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> ConversionModel:
        """The inverse of ``dump``: continues bit for bit."""
        model = cls(state["buffer_rows"], state["seed"])
        model.n_learned, model.n_grown, model._next_growth = state["counts"]
        model._positive, model._seen = state["sums"]
        model._columns = Columns.load(state["columns"])
        model._linear = HashedLinear.load(state["linear"])
        model._forest = None if state["forest"] is None else Forest.load(state["forest"])
        model._stack = Stack.load(state["stack"])
        n, c = len(state["labels"]) // model._labels.itemsize, model._columns.n
        if c > model._rows.shape[1]:
            model._widen()
        if n:
            model._rows[:n, :c] = np.frombuffer(state["rows"], np.float32).reshape(n, c)
            model._labels[:n] = np.frombuffer(state["labels"])
            model._weights[:n] = np.frombuffer(state["weights"])
        units = np.frombuffer(state.get("units", b""), np.uint32)  # older checkpoints have none
        model._units[: len(units)] = units
        return model


def _same(a: Mapping[Any, Any], b: Mapping[Any, Any]) -> bool:
    try:
        return bool(a == b)
    except ValueError:  # an array among the values: no feature, and of no clear equality
        return False


def as_label(y: Any) -> float | None:
    """0.0 or 1.0, or None where ``y`` is no label.

    >>> as_label(True), as_label(0), as_label(float("nan")), as_label("yes")
    (1.0, 0.0, None, None)
    """
    if isinstance(y, bool | int | float | np.bool_ | np.number) and (y == 0 or y == 1):
        return float(y)
    return None
