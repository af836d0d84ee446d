"""The default reward model: one Bayesian linear regression per arm, its uncertainty carried by samples.

Per arm P = (Λ + Σφφᵀ)⁻¹, θ and B samples S of the posterior around zero. One outcome costs one
symmetric rank-one update: k = Pφ/(1 + φᵀPφ), θ += k(y − θᵀφ), S += (ε − Sφ)kᵀ with ε ~ N(0, I). Then
mean((Sφ)²) estimates φᵀPφ, so that scoring K arms is one matrix-vector product and the decider never sees P.

How strongly the weights are held at zero decides much (at 2 % clicks a hundred times more than for
handwritten digits), and nobody should have to know it. So a strong and a weak prior are carried along, each with
its own P, θ and S; every outcome is first predicted by both. The strong one leads unless the other's squared
error is clearly smaller, old outcomes fading; the leader is what deciders get. Measured: leading with the strong
one is worth .010 on the MovieLens stream at 20,000 events, 15 % at 2 % clicks in the first half, and costs
nothing on digits (64 features: the weak one takes over within 100 rows), .12 on letters (26 arms). Marginal
likelihood as the judge settles too early for strong priors (digits .857 → .787).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from river import base

from online_models.encoding import Encoder, FrozenEncoder
from online_models.linear_scorer import LINEAR_SCALE, LinearScorer, feature_vector, noise_sd
from online_models.reward_model import ARM, Float32Array, FloatArray, Scores

GROWTH = 16
"""Room for features and arms is added in steps of this many, so that growth is rare."""

NOISE_BLOCK = 64
WARM_UP = (64, 128, 256, 512)
"""After so many outcomes everything is fitted anew from the rows kept so far: the first rows were scaled by
deviations of a handful of values, and m₀ was not known."""

REFRESH = 64
"""The scaler in use follows the running statistics every so many outcomes: decided by the same numbers as
learned, and deltas stay small."""

FADE = 0.9998
"""The comparison remembers about 5,000 outcomes: what was too flexible at first may be right later."""

CLEAR_GAIN = 1.0
"""Standard errors by which another prior must predict better than the first before it takes over."""

MAX_REWARD = 1e6


def _normals(seed: int, *domain: int | str, shape: tuple[int, ...]) -> Float32Array:
    """Standard normals that are a pure function of (seed, domain): a replay draws the same."""
    digest = hashlib.blake2b(repr((seed, *domain)).encode(), digest_size=16).digest()
    key = np.frombuffer(digest, np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, dtype=np.float32)


class ArmLinear(base.Regressor):  # type: ignore[misc]
    """Bayesian linear regression per arm over online-scaled features.

    Parameters
    ----------
    precisions
        The prior precisions λ of the weights; the intercept's is 1: one observation.
    optimism
        Deviation of an arm never tried, in units of the reward's noise σ.
    n_samples
        Posterior samples B kept per arm; the deviation's own error is 1/√(2B).
    max_dims
        Bound on encoded features.
    max_arms
        Bound on arms; the one learned longest ago makes room.
    seed
        Of the samples. Same seed, same outcomes: the same model, bit for bit.

    Examples
    --------
    >>> model = ArmLinear()
    >>> for i in range(200):
    ...     arm = "ab"[i % 2]
    ...     model.learn_one({"arm": arm, "age": i % 7}, float(arm == "b"))
    >>> model.predict_one({"arm": "b", "age": 3}) > 0.9 > 0.1 > model.predict_one({"arm": "a", "age": 3})
    True
    >>> mean, sd = model.score_arms({"age": 3}, ["a", "b", "never tried"])
    >>> bool(sd[2] > sd[0])
    True

    References
    ----------
    Li et al. (2010), LinUCB; Osband et al. (2019), randomised value functions (the perturbed samples).
    """

    def __init__(
        self,
        precisions: tuple[float, ...] = (100.0, 1.0),
        optimism: float = 1.0,
        n_samples: int = 16,
        max_dims: int = 160,
        max_arms: int = 1000,
        seed: int = 0,
    ) -> None:
        self.precisions = tuple(float(precision) for precision in precisions)
        if not self.precisions or min(self.precisions) <= 0.0:
            raise ValueError(f"precisions must be positive numbers, at least one; not {precisions!r}")
        if n_samples < 1 or max_arms < 1:
            raise ValueError("n_samples and max_arms must be at least 1")
        self.optimism = optimism
        self.n_samples = n_samples
        self.max_dims = max_dims
        self.max_arms = max_arms
        self.seed = seed
        self.n_learned = 0
        self.reward_sum = 0.0
        self._encoder = Encoder(max_dims)
        self._frozen: FrozenEncoder = self._encoder.freeze()
        self._offset = 0.0
        self._scale = LINEAR_SCALE
        self._arms: list[str] = []
        self._rows: dict[str, int] = {}
        self._n = np.zeros(0)
        self._last = np.zeros(0, np.int64)
        n_priors = len(self.precisions)
        self._weights: Float32Array = np.zeros((n_priors, 0, 1 + n_samples, GROWTH), np.float32)
        self._covariance: Float32Array = np.zeros((n_priors, 0, GROWTH, GROWTH), np.float32)
        self._gain = np.zeros(n_priors)
        self._gain_squares = np.zeros(n_priors)
        self._leader = 0
        self._all_touched = 0
        self._buffer: list[tuple[str, dict[Any, Any], float]] = []
        self._noise: Float32Array | None = None
        self._scorer: LinearScorer | None = None

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {}

    # River's protocol

    def learn_one(self, x: dict[Any, Any], y: float) -> None:
        """Update the arm ``x["arm"]`` with the reward ``y``; a reward that is no finite number is ignored."""
        reward = float(y)
        if not np.isfinite(reward):
            return
        reward = min(MAX_REWARD, max(-MAX_REWARD, reward))
        arm = str(x.get(ARM, ""))
        context = {name: value for name, value in x.items() if name != ARM}
        self._encoder.learn(context)
        self.n_learned += 1
        self.reward_sum += reward
        if self._encoder.n_dims != self._frozen.n_dims or self.n_learned <= REFRESH or not self.n_learned % REFRESH:
            self._refresh()
        if self.n_learned <= WARM_UP[-1]:
            self._buffer.append((arm, context, reward))
        if self.n_learned in WARM_UP:
            self._refit()
        else:
            self._update(arm, context, reward, self.n_learned)
        self._scorer = None

    def predict_one(self, x: dict[Any, Any]) -> float:
        """The reward expected of ``x["arm"]``."""
        return float(self.scorer().estimate([str(x.get(ARM, ""))], x).mean[0])

    def score_arms(self, x: dict[Any, Any], arms: Sequence[str]) -> Scores:
        """Means and standard deviations of the ``arms`` in the context ``x``."""
        estimates = self.scorer().estimate(arms, x)
        return Scores(estimates.mean, estimates.sd)

    def scorer(self) -> LinearScorer:
        """The model as deciders see it, an immutable copy."""
        if self._scorer is None:
            n_arms = len(self._arms)
            self._scorer = LinearScorer(
                self._frozen,
                tuple(self._arms),
                self._weights[self._leader, :n_arms].copy(),
                self._n[:n_arms].copy(),
                np.maximum(self._last[:n_arms], self._all_touched),
                prior_precision=self.precisions[self._leader],
                offset=self._offset,
                scale=self._scale,
                noise=noise_sd(self.n_learned, self.reward_sum),
                optimism=self.optimism,
            )
        return self._scorer

    # Learning

    def _update(self, arm: str, context: dict[Any, Any], reward: float, counter: int) -> None:
        row = self._row(arm)
        phi = feature_vector(self._frozen, context, self._weights.shape[-1], self._scale)
        covariance, weights = self._covariance[:, row], self._weights[:, row]  # (priors, F, F), (priors, 1 + B, F)
        gain = covariance @ phi
        spread = 1.0 + gain @ phi
        if not (spread.min() >= 1.0 and spread.max() < np.inf):  # rounding has cost P its definiteness
            self._reset_covariance(row)
            gain = covariance @ phi
            spread = 1.0 + gain @ phi
        k = gain / spread[:, None]
        target = self._noise_row(counter)
        target[0] = reward - self._offset
        step = target - weights @ phi
        self._weigh(step[:, 0].astype(np.float64), spread.astype(np.float64))
        weights += step[:, :, None] * k[:, None, :]
        covariance -= k[:, :, None] * gain[:, None, :]
        self._n[row] += 1
        self._last[row] = counter

    def _weigh(self, error: FloatArray, spread: FloatArray) -> None:
        """Take one outcome into the paired comparison with the first prior."""
        squared = np.minimum(error * error, 1.0)
        gain = squared[0] - squared
        self._gain *= FADE
        self._gain += gain
        self._gain_squares *= FADE
        self._gain_squares += gain * gain
        clear = self._gain / np.sqrt(self._gain_squares + 1e-12)
        best = int(np.argmax(self._gain))
        if clear[best] < CLEAR_GAIN:
            best = self._leader if clear[self._leader] > CLEAR_GAIN - 1.0 else 0
        if best == 0 or self._gain[best] > 1.1 * self._gain[self._leader]:
            if best != self._leader:
                self._all_touched = self.n_learned
            self._leader = best

    def _noise_row(self, counter: int) -> Float32Array:
        """[room for the reward, ε] of the outcome ``counter``, a pure function of it."""
        at = counter % NOISE_BLOCK
        if at == 0 or self._noise is None:
            shape = (NOISE_BLOCK, 1 + self.n_samples)
            self._noise = _normals(self.seed, "noise", counter // NOISE_BLOCK, shape=shape)
        row: Float32Array = self._noise[at].copy()
        return row

    def _refresh(self) -> None:
        """Take over the running statistics, and make room for new features."""
        self._frozen = self._encoder.freeze()
        if self.n_learned <= WARM_UP[-1]:
            self._scale = LINEAR_SCALE / max(1, self._frozen.n_dims) ** 0.5
        width = self._weights.shape[-1]
        needed = 1 + self._frozen.n_dims
        if needed > width:
            wider = -(-needed // GROWTH) * GROWTH
            n_priors, n_arms, n_rows, _ = self._weights.shape
            weights = np.zeros((n_priors, n_arms, n_rows, wider), np.float32)
            covariance = np.zeros((n_priors, n_arms, wider, wider), np.float32)
            weights[..., :width] = self._weights
            covariance[..., :width, :width] = self._covariance
            self._weights, self._covariance = weights, covariance
            self._all_touched = self.n_learned
            for row, arm in enumerate(self._arms):
                self._set_prior(row, arm, width)

    def _refit(self) -> None:
        """Learn the kept rows again under the scaling and the mean reward known now."""
        self._frozen = self._encoder.freeze()
        self._scale = LINEAR_SCALE / max(1, self._frozen.n_dims) ** 0.5
        self._offset = min(1.0, max(0.0, self.reward_sum / self.n_learned))
        self._all_touched = self.n_learned
        self._n[:] = 0
        self._gain[:] = 0.0
        self._gain_squares[:] = 0.0
        for row, arm in enumerate(self._arms):
            self._set_prior(row, arm, 0)
        for counter, (arm, context, reward) in enumerate(self._buffer, start=1):
            self._update(arm, context, reward, counter)
        if self.n_learned >= WARM_UP[-1]:
            self._buffer = []

    # Arms

    def _row(self, arm: str) -> int:
        row = self._rows.get(arm)
        if row is not None:
            return row
        if len(self._arms) >= self.max_arms:
            row = int(np.argmin(self._last[: len(self._arms)]))
            del self._rows[self._arms[row]]
            self._arms[row] = arm
        else:
            row = len(self._arms)
            self._arms.append(arm)
            if row >= self._weights.shape[1]:
                self._make_room_for_arms()
        self._rows[arm] = row
        self._n[row] = 0
        self._set_prior(row, arm, 0)
        return row

    def _make_room_for_arms(self) -> None:
        def extended(array: Any, axis: int = 0) -> Any:
            more = list(array.shape)
            more[axis] = GROWTH
            return np.concatenate([array, np.zeros(more, array.dtype)], axis=axis)

        self._weights, self._covariance = extended(self._weights, 1), extended(self._covariance, 1)
        self._n, self._last = extended(self._n), extended(self._last)

    def _set_prior(self, row: int, arm: str, first: int) -> None:
        """The prior in all dimensions from ``first`` on."""
        width = self._weights.shape[-1]
        variances = self._prior_variances()[:, first:]
        covariance = self._covariance[:, row]
        covariance[:, first:, :] = 0.0
        covariance[:, :, first:] = 0.0
        diagonal = np.arange(first, width)
        covariance[:, diagonal, diagonal] = variances
        self._weights[:, row, 0, first:] = 0.0
        samples = _normals(self.seed, arm, first, shape=(self.n_samples, width - first))
        self._weights[:, row, 1:, first:] = samples * np.sqrt(variances)[:, None, :]

    def _reset_covariance(self, row: int) -> None:
        width = self._weights.shape[-1]
        self._covariance[:, row] = self._prior_variances()[:, :, None] * np.eye(width, dtype=np.float32)

    def _prior_variances(self) -> Float32Array:
        """Shape (priors, F): 1 for the intercept, 1/λ for the rest."""
        variances = np.ones((len(self.precisions), self._weights.shape[-1]), np.float32)
        variances[:, 1:] = 1.0 / np.array(self.precisions, np.float32)[:, None]
        return variances

    # Checkpoints

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values; ``load`` continues bit for bit."""
        n_arms = len(self._arms)
        return {
            "params": self._get_params(),
            "n_learned": self.n_learned,
            "reward_sum": self.reward_sum,
            "encoder": self._encoder.dump(),
            "frozen": [
                self._frozen.mean.tobytes(),
                self._frozen.inverse_sd.tobytes(),
            ],
            "all_touched": self._all_touched,
            "offset": self._offset,
            "scale": self._scale,
            "arms": list(self._arms),
            "width": self._weights.shape[-1],
            "gain": self._gain.tobytes(),
            "gain_squares": self._gain_squares.tobytes(),
            "leader": self._leader,
            "n": self._n[:n_arms].tobytes(),
            "last": self._last[:n_arms].tobytes(),
            "weights": self._weights[:, :n_arms].tobytes(),
            "covariance": self._covariance[:, :n_arms].tobytes(),
            "buffer": [list(row) for row in self._buffer],
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> ArmLinear:
        """The inverse of ``dump``."""
        model = cls(**state["params"])
        model.n_learned, model.reward_sum = state["n_learned"], state["reward_sum"]
        model._encoder = Encoder.load(state["encoder"])
        layout = model._encoder.freeze()
        mean, inverse_sd = (np.frombuffer(part, np.float64) for part in state["frozen"])
        model._frozen = FrozenEncoder(
            layout.numeric, layout.missing, layout.levels, mean, inverse_sd, layout.absent, layout.hashed_from
        )
        model._all_touched = state["all_touched"]
        model._offset, model._scale = state["offset"], state["scale"]
        model._arms = list(state["arms"])
        model._rows = {arm: row for row, arm in enumerate(model._arms)}
        n_arms, width = len(model._arms), state["width"]
        model._n = np.frombuffer(state["n"], np.float64).copy()
        model._last = np.frombuffer(state["last"], np.int64).copy()
        n_priors = len(model.precisions)
        weights, covariance = (np.frombuffer(state[part], np.float32) for part in ("weights", "covariance"))
        model._weights = weights.reshape(n_priors, n_arms, 1 + model.n_samples, width).copy()
        model._covariance = covariance.reshape(n_priors, n_arms, width, width).copy()
        model._gain = np.frombuffer(state["gain"], np.float64).copy()
        model._gain_squares = np.frombuffer(state["gain_squares"], np.float64).copy()
        model._leader = state["leader"]
        model._buffer = [(arm, context, reward) for arm, context, reward in state["buffer"]]
        return model
