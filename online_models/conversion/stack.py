"""Several experts' log-odds made one, calibrated: online logistic regression over the experts themselves.

Because the last step is a logistic regression with an intercept, fitted to the labels as they come, its output is
calibrated by construction (Platt, 1999). It is Bayesian: it starts at the plain mean of the experts, which
is hard to beat on a short stream, and leaves it as the evidence asks. One more input is the recent error, so
that a burst of conversions counts at once; its weight starts at 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from online_models.reward_model import FloatArray

CLIP = 8.0
"""An expert's log-odds end here: one of 1 in 3,000."""

EXPERT_PRECISION = 100.0
RECENT_PRECISION = 3.0
BIAS_PRECISION = 30.0
"""Prior precisions of the weights: an expert's is worth some hundred undecided rows."""

RECENT_HALF_LIFE = 3.0
_RECENT_STEP = 1.0 - 0.5 ** (1.0 / RECENT_HALF_LIFE)
MIN_CURVATURE = 1e-3
MIXING_RATE = 0.3
MIXING_SHARE = 0.001
"""Mean and regression are mixed by exponential weights; this share is given back, so that neither dies."""


class Stack:
    """Weights of ``n_experts`` experts, of the recent error, and a bias."""

    def __init__(self, n_experts: int) -> None:
        self.n_experts = n_experts
        self.mean = np.append(np.full(n_experts, 1.0 / n_experts), (0.0, 0.0))
        self.weights = self.mean.copy()
        precision = np.append(np.full(n_experts, EXPERT_PRECISION), (RECENT_PRECISION, BIAS_PRECISION))
        self._covariance = np.diag(1.0 / precision)
        self._recent = 0.0
        self._trust = 0.5

    def inputs(self, scores: FloatArray) -> FloatArray:
        """What the weights apply to: clipped scores, recent error, 1."""
        inputs = np.empty(self.n_experts + 2)
        inputs[:-2] = [min(CLIP, max(-CLIP, score)) for score in scores.tolist()]
        inputs[-2], inputs[-1] = self._recent, 1.0
        return inputs

    def combined(self) -> FloatArray:
        """The weights in force, shape (n_experts + 2,)."""
        combined: FloatArray = self._trust * self.weights + (1.0 - self._trust) * self.mean
        return combined

    def learn(self, inputs: FloatArray, label: float, weight: float) -> None:
        """One row: the regression by a Kalman step, the mixture by exponential weights."""
        own, plain = float(inputs @ self.weights), float(inputs @ self.mean)
        p = sigmoid(own)
        plain_p = sigmoid(plain)
        self._recent += _RECENT_STEP * (
            label - sigmoid(self._trust * own + (1.0 - self._trust) * plain) - self._recent
        )
        gain = self._covariance @ inputs
        curvature = weight * max(p * (1.0 - p), MIN_CURVATURE)
        scale = 1.0 + curvature * float(inputs @ gain)
        self.weights += gain * (weight * (label - p) / scale)
        self._covariance -= gain[:, None] * (gain * (curvature / scale))
        if label < 0.5:
            p, plain_p = 1.0 - p, 1.0 - plain_p
        mine = self._trust * max(p, 1e-6) ** (MIXING_RATE * weight)
        other = (1.0 - self._trust) * max(plain_p, 1e-6) ** (MIXING_RATE * weight)
        self._trust = (1.0 - MIXING_SHARE) * mine / (mine + other) + MIXING_SHARE / 2.0

    def finite(self) -> bool:
        """Whether every number is one."""
        return bool(np.isfinite(self.weights).all() and np.isfinite(self._covariance).all())

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {
            "weights": self.weights.tobytes(),
            "covariance": self._covariance.tobytes(),
            "recent": self._recent,
            "trust": self._trust,
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Stack:
        """The inverse of ``dump``."""
        weights = np.frombuffer(state["weights"]).copy()
        stack = cls(len(weights) - 2)
        stack.weights = weights
        stack._covariance = np.frombuffer(state["covariance"]).reshape(len(weights), -1).copy()
        stack._recent, stack._trust = state["recent"], state["trust"]
        return stack


def sigmoid(score: float) -> float:
    """Log-odds to probability, without overflow.

    >>> sigmoid(0.0), sigmoid(-1e9) < 1e-12
    (0.5, True)
    """
    return 1.0 / (1.0 + math.exp(-min(30.0, max(-30.0, score))))
