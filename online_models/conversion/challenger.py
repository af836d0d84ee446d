"""A model retrained from history must win on what comes after, before it is promoted.

Champion and challenger predict the same rows before either learns them; the paired difference of their log losses
decides, by a confidence sequence: looking after every row does not raise the chance of a wrong promotion.

Reference: Waudby-Smith et al. (2021), "Time-uniform central limit theory", the asymptotic normal mixture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from online_models.conversion.contender import Contender

MIN_ROWS = 200
"""The sequence is asymptotic: no verdict before the variance is known."""

MAX_ROWS = 50_000
ALPHA = 0.05
OPTIMISED_FOR = 2_000.0
"""Rows after which the sequence is tightest."""

CLIP = 4.0
"""One row's difference in log loss ends here, in nats."""


class Verdict(StrEnum):
    """What is to be done with the challenger."""

    UNDECIDED = "undecided"
    PROMOTE = "promote"
    RETIRE = "retire"


class Trial:
    """The challenger's progressive trial against the champion.

    Parameters
    ----------
    max_rows
        A challenger that has not won by then is retired: equal is not better.
    alpha
        Chance, over the whole trial, of promoting one that is not better.
    """

    def __init__(self, max_rows: int = MAX_ROWS, alpha: float = ALPHA) -> None:
        self.max_rows, self.alpha = max_rows, alpha
        self.n = 0
        self._mean = self._m2 = 0.0
        self.verdict = Verdict.UNDECIDED

    @property
    def gain(self) -> float:
        """Mean log loss the challenger saves a row, in nats."""
        return self._mean

    @property
    def half_width(self) -> float:
        """Of the confidence sequence around ``gain``."""
        if self.n < 2:
            return math.inf
        log_term = 2.0 * math.log(1.0 / self.alpha)
        rho2 = (log_term + math.log(1.0 + log_term)) / OPTIMISED_FOR
        variance = self._m2 / (self.n - 1)
        a = self.n * rho2 + 1.0
        return math.sqrt(variance) * math.sqrt(2.0 * a / (self.n**2 * rho2) * math.log(math.sqrt(a) / self.alpha))

    def observe(self, champion: float, challenger: float, label: bool) -> Verdict:
        """Both probabilities of a conversion, as predicted before ``label`` was learned; a verdict stays."""
        if self.verdict is not Verdict.UNDECIDED:
            return self.verdict
        saved = _loss(champion, label) - _loss(challenger, label)
        self.n += 1
        delta = max(-CLIP, min(CLIP, saved)) - self._mean
        self._mean += delta / self.n
        self._m2 += delta * delta * (self.n - 1) / self.n
        if self.n >= MIN_ROWS:
            if self._m2 > 0.0 and self._mean > self.half_width:
                self.verdict = Verdict.PROMOTE
            elif self._mean < -self.half_width or self.n >= self.max_rows:
                self.verdict = Verdict.RETIRE
        return self.verdict

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {
            "terms": [self.max_rows, self.alpha],
            "sums": [self.n, self._mean, self._m2],
            "verdict": self.verdict.value,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Trial:
        """The inverse of ``dump``."""
        trial = cls(*state["terms"])
        trial.n, trial._mean, trial._m2 = state["sums"]
        trial.verdict = Verdict(state["verdict"])
        return trial


def retrain(challenger: Contender, history: Iterable[tuple[Mapping[Any, Any], bool]]) -> Contender:
    """``challenger`` after learning matured ``history`` in its order."""
    for x, label in history:
        challenger.mature(x, label)
    return challenger


def _loss(p: float, label: bool) -> float:
    p = p if label else 1.0 - p
    return -math.log(max(1e-9, p)) if math.isfinite(p) else 20.0
