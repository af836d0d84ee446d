"""Several experts' log-odds made one, calibrated: online logistic regression over the experts themselves.

Because the last step is a logistic regression with an intercept, fitted to the labels as they come, its output is
calibrated by construction (Platt, 1999). It is Bayesian: it starts at the plain mean of the experts, which
is hard to beat on a short stream, and leaves it as the evidence asks. One more input is the recent error, so
that a burst of conversions counts at once; its weight starts at 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from typing import Any

CLIP = 8.0
"""An expert's log-odds end here: one of 1 in 3,000."""

EXPERT_PRECISION = 10.0
RECENT_PRECISION = 3.0
BIAS_PRECISION = 30.0
"""Prior precisions of the weights: an expert's is worth some ten undecided rows."""

RECENT_HALF_LIFE = 3.0
_RECENT_STEP = 1.0 - 0.5 ** (1.0 / RECENT_HALF_LIFE)
MIN_CURVATURE = 1e-3
MIXING_RATE = 0.3
MIXING_SHARE = 0.001
"""Mean and regression are mixed by exponential weights; this share is given back, so that neither dies."""


class Stack:
    """Weights of ``n_experts`` experts, of the recent error, and a bias.

    Plain lists: at four or five inputs they are several times faster than arrays.
    """

    def __init__(self, n_experts: int) -> None:
        self.n_experts = n_experts
        self.mean = [1.0 / n_experts] * n_experts + [0.0, 0.0]
        self.weights = list(self.mean)
        precisions = [EXPERT_PRECISION] * n_experts + [RECENT_PRECISION, BIAS_PRECISION]
        n = len(precisions)
        self._covariance = [[1.0 / precisions[i] if i == j else 0.0 for j in range(n)] for i in range(n)]
        self._recent = 0.0
        self._trust = 0.5

    def inputs(self, scores: Sequence[float]) -> list[float]:
        """What the weights apply to: clipped scores, recent error, 1."""
        return [*(min(CLIP, max(-CLIP, score)) for score in scores), self._recent, 1.0]

    def combined(self) -> list[float]:
        """The weights in force, n_experts + 2 of them."""
        mine, other = self._trust, 1.0 - self._trust
        return [mine * w + other * m for w, m in zip(self.weights, self.mean, strict=True)]

    def log_odds(self, inputs: list[float]) -> float:
        """The experts' log-odds made one."""
        return dot(self.combined(), inputs)

    def learn(self, inputs: list[float], label: float, weight: float) -> None:
        """One row: the regression by a Kalman step, the mixture by exponential weights."""
        own, plain = dot(self.weights, inputs), dot(self.mean, inputs)
        p, plain_p = sigmoid(own), sigmoid(plain)
        error = label - sigmoid(self._trust * own + (1.0 - self._trust) * plain)
        self._recent += _RECENT_STEP * (error - self._recent)
        gain = [dot(row, inputs) for row in self._covariance]
        curvature = weight * max(p * (1.0 - p), MIN_CURVATURE)
        scale = 1.0 + curvature * dot(gain, inputs)
        step, shrink = weight * (label - p) / scale, curvature / scale
        self.weights = [w + step * g for w, g in zip(self.weights, gain, strict=True)]
        self._covariance = [
            [c - shrink * mine * g for c, g in zip(row, gain, strict=True)]
            for row, mine in zip(self._covariance, gain, strict=True)
        ]
        if label < 0.5:
            p, plain_p = 1.0 - p, 1.0 - plain_p
        rate = MIXING_RATE * min(weight, 1.0)
        regression = self._trust * max(p, 1e-6) ** rate
        mean = (1.0 - self._trust) * max(plain_p, 1e-6) ** rate
        self._trust = (1.0 - MIXING_SHARE) * regression / (regression + mean) + MIXING_SHARE / 2.0

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {
            "weights": self.weights,
            "covariance": self._covariance,
            "recent": self._recent,
            "trust": self._trust,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Stack:
        """The inverse of ``dump``."""
        stack = cls(len(state["weights"]) - 2)
        stack.weights = list(state["weights"])
        stack._covariance = [list(row) for row in state["covariance"]]
        stack._recent, stack._trust = state["recent"], state["trust"]
        return stack


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    """Σ aᵢ·bᵢ of two short sequences; six terms, as the default model has them, in half the time."""
    if len(a) == 6:
        a0, a1, a2, a3, a4, a5 = a
        b0, b1, b2, b3, b4, b5 = b
        return a0 * b0 + a1 * b1 + a2 * b2 + a3 * b3 + a4 * b4 + a5 * b5
    return float(sum(map(mul, a, b)))


def sigmoid(score: float) -> float:
    """Log-odds to probability, without overflow.

    >>> sigmoid(0.0), sigmoid(-1e9) < 1e-12
    (0.5, True)
    """
    return 1.0 / (1.0 + math.exp(-min(30.0, max(-30.0, score))))
