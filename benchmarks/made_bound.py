"""What a learner reaches on the made sets that is told how they were made, all but the numbers.

Ten arms, ten features; every arm brings ``base``, and the one a linear rule calls for ``lift`` times as much. The
learner knows that: P(reward) = c · (1 + g · softmax(W x)_arm), fitted to all visitors so far by maximum a
posteriori, anew whenever they are a fifth more, and chosen from by Thompson sampling with Laplace's covariance
times ``scale``². It knows the base rate too, and ``lam`` and ``scale`` are looked for on these very seeds. More
cannot be expected of one that must find the form out as well.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.made_bound --base 0.05 --lift 3 --lam 0.3 --scale 0.5
"""

from __future__ import annotations

import argparse
import json

import numpy as np
from scipy.optimize import minimize

from benchmarks.ending import end_by_sigterm
from online_models.reward_model import FloatArray

K = D = 10
BLIND = 0.02
"""Of the choices, as the floors of a policy have it."""

MOST = 0.5
"""Of c."""

FEW = 10_000
"""Rows up to which a fit may be stuck far from the best."""

GAIN_VARIANCE = 0.25
"""Of log g around log 2 a priori."""


class ToldTheForm:
    """Maximum a posteriori of (W, c, g) and its covariance by Laplace.

    Parameters
    ----------
    lam
        Precision of the weights a priori.
    base
        Where c begins.
    """

    def __init__(self, lam: float, base: float, rng: np.random.Generator) -> None:
        self._lam, self._base, self._rng = lam, base, rng
        self._at = self._fresh()
        self._lower: FloatArray = np.eye(len(self._at))

    def fit(self, x: FloatArray, arm: np.ndarray, reward: FloatArray) -> None:
        """To all rows so far; while they are few, also from the beginning, of which the better counts."""
        starts = (self._at, self._fresh()) if len(x) <= FEW else (self._at,)
        found = [
            minimize(self._loss, at, args=(x, arm, reward), jac=True, method="L-BFGS-B", options={"maxiter": 40})
            for at in starts
        ]
        self._at = min(found, key=lambda each: float(each.fun)).x
        self._lower = np.linalg.cholesky(self._information(x, arm)).astype(np.float64)

    def _fresh(self) -> FloatArray:
        weights = 0.1 * self._rng.normal(size=K * (D + 1))
        return np.concatenate([weights, [np.log(self._base / (MOST - self._base)), np.log(2.0)]])

    def sampled(self, n: int, scale: float, rng: np.random.Generator) -> FloatArray:
        """Weights of n draws from the posterior, shape (n, K, D + 1)."""
        deviation = np.linalg.solve(self._lower.T, rng.normal(size=(len(self._at), n))).T
        weights: FloatArray = (self._at + scale * deviation)[:, :-2].reshape(n, K, D + 1)
        return weights

    def _rates(
        self, at: FloatArray, x: FloatArray, arm: np.ndarray
    ) -> tuple[float, float, FloatArray, FloatArray, FloatArray]:
        """c, g, the softmax (n, K), that of the arm (n,), and the rate (n,)."""
        c, g = MOST / (1.0 + np.exp(-at[-2])), np.exp(at[-1])
        scores = x @ at[:-2].reshape(K, D + 1).T
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        own = shares[np.arange(len(x)), arm]
        return c, g, shares, own, np.clip(c * (1.0 + g * own), 1e-6, 1.0 - 1e-6)

    def _slopes(self, c: float, g: float, shares: FloatArray, own: FloatArray, arm: np.ndarray) -> FloatArray:
        """∂rate/∂scores, shape (n, K)."""
        slopes = -(c * g * own)[:, None] * shares
        slopes[np.arange(len(own)), arm] += c * g * own
        return slopes

    def _loss(self, at: FloatArray, x: FloatArray, arm: np.ndarray, reward: FloatArray) -> tuple[float, FloatArray]:
        c, g, shares, own, rate = self._rates(at, x, arm)
        off = at[-1] - np.log(2.0)
        loss = -(reward * np.log(rate) + (1.0 - reward) * np.log(1.0 - rate)).sum()
        loss += 0.5 * self._lam * (at[:-2] ** 2).sum() + 0.5 * off * off / GAIN_VARIANCE
        by_rate = (1.0 - reward) / (1.0 - rate) - reward / rate
        of_weights = (by_rate[:, None] * self._slopes(c, g, shares, own, arm)).T @ x
        of_c = (by_rate * (1.0 + g * own)).sum() * c * (1.0 - c / MOST)
        of_g = (by_rate * c * g * own).sum() + off / GAIN_VARIANCE
        return float(loss), np.r_[of_weights.ravel() + self._lam * at[:-2], of_c, of_g]

    def _information(self, x: FloatArray, arm: np.ndarray) -> FloatArray:
        """Fisher's, with the prior's."""
        precision = np.r_[np.full(K * (D + 1), self._lam), 1e-3, 1.0 / GAIN_VARIANCE]
        information = np.diag(precision)
        for start in range(0, len(x), 4_000):
            part, arms = x[start : start + 4_000], arm[start : start + 4_000]
            c, g, shares, own, rate = self._rates(self._at, part, arms)
            slopes = self._slopes(c, g, shares, own, arms)
            of_weights = (slopes[:, :, None] * part[:, None, :]).reshape(len(part), -1)
            of_c, of_g = (1.0 + g * own) * c * (1.0 - c / MOST), c * g * own
            rows = np.c_[of_weights, of_c, of_g] / np.sqrt(rate * (1.0 - rate))[:, None]
            information += rows.T @ rows
        return information


def share_of_the_gap(base: float, lift: float, seed: int, n: int, lam: float, scale: float, step: int) -> float:
    """Of all visitors, from the uniform choice (0) to the oracle (1)."""
    rng = np.random.default_rng(seed)
    rule = rng.normal(size=(K, D))
    z = rng.normal(size=(n, D))
    x, right = np.c_[np.ones(n), z], np.argmax(z @ rule.T, axis=1)
    arm, reward = rng.integers(K, size=n), np.zeros(n)
    learner = ToldTheForm(lam, base, rng)
    fit_at = step
    for start in range(0, n, step):
        rows = slice(start, min(n, start + step))
        if start:
            weights = learner.sampled(len(x[rows]), scale, rng)
            best = np.argmax(np.einsum("mkd,md->mk", weights, x[rows]), axis=1)
            arm[rows] = np.where(rng.random(len(best)) < BLIND, arm[rows], best)
        reward[rows] = rng.random(len(x[rows])) < np.where(arm[rows] == right[rows], base * lift, base)
        if rows.stop >= fit_at:
            learner.fit(x[: rows.stop], arm[: rows.stop], reward[: rows.stop])
            fit_at = int(1.2 * rows.stop)
    return float((np.mean(arm == right) - 1.0 / K) / (1.0 - 1.0 / K))


def main() -> None:
    """Play the seeds and print the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=float, default=0.05)
    parser.add_argument("--lift", type=float, default=3.0)
    parser.add_argument("--lam", type=float, default=1.0)
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--visitors", type=int, default=50_000)
    parser.add_argument("--step", type=int, default=500, help="visitors between two draws of a fit")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5, 6, 7, 8, 9])
    a = parser.parse_args()
    shares = [share_of_the_gap(a.base, a.lift, seed, a.visitors, a.lam, a.scale, a.step) for seed in a.seeds]
    print(json.dumps({"mean": round(float(np.mean(shares)), 3), "seeds": [round(share, 3) for share in shares]}))


if __name__ == "__main__":
    end_by_sigterm()
    main()
