"""Any River classifier or regressor as a reward model: encoded and guarded input, arms made explicit.

A linear estimator gets every feature once shared and once crossed with the arm, so that arms can differ
by context; others get the arm as indicator features. The deviation comes from counts and residuals, so that every
policy works over it. An example that breaks the estimator is undone (``guarded_estimator``).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from river import base

from online_models.frozen_encoder import FrozenEncoder
from online_models.guarded_estimator import GuardedEstimator
from online_models.noise import coin_sd
from online_models.reward_model import ARM, ARM_FEATURES, Estimates, Float32Array, FloatArray, Scores

CLIP_GRADIENT = 10.0
"""River's own default (1e12) clips nothing."""

MAX_DIMS, FREE_DIMS = 160, 64
"""Encoded features, and how many of them need not be earned: River's estimators take a microsecond for each."""

PRIOR_ROWS = 8.0
MAX_ARMS = 1000
MAX_WEIGHT = 100.0


class Lesson(NamedTuple):
    """What the estimator learned of one outcome.

    Attributes
    ----------
    z
        The encoded context, shape (d,).
    n_known
        Arms that were known then, in the order they came.
    """

    arm: str
    z: Float32Array
    n_known: int
    reward: float
    weight: float


class RiverModel(GuardedEstimator[Lesson]):
    """A River estimator behind the reward-model protocol.

    Parameters
    ----------
    estimator
        Any River classifier (probability of a reward above 0) or regressor, not yet trained.
    max_dims
        Bound on encoded features.

    Examples
    --------
    >>> from river import linear_model
    >>> model = RiverModel(linear_model.LogisticRegression())
    >>> for i in range(200):
    ...     model.learn_one({"arm": "ab"[i % 2], "age": i % 7}, float(i % 2))
    >>> means, sds = model.score_arms({"age": 3}, ["a", "b"])
    >>> bool(means[1] > means[0])
    True
    """

    good_copy_every = 256

    def __init__(self, estimator: Any, max_dims: int = MAX_DIMS) -> None:
        super().__init__(estimator, max_dims, FREE_DIMS)
        self.classifies = isinstance(estimator, base.Classifier)
        self._weighs = "w" in inspect.signature(estimator.learn_one).parameters
        self.crosses = "linear_model" in type(estimator).__module__ or hasattr(estimator, "_weights")
        self.reward_sum = 0.0
        self.n: dict[str, int] = {}
        self.squared_error: dict[str, float] = {}

    # River's protocol

    def learn_one(self, x: dict[Any, Any], y: float, w: float = 1.0, unit: bytes = b"") -> None:
        """Learn one reward on the scale [0, 1]; anything that is no finite number is ignored.

        The weight ``w`` is passed on if the estimator takes one, else rounded to copies. Deviations and counts stay
        unweighted.

        If the estimator raises, its exception is raised, and nothing was learned.

        Parameters
        ----------
        unit
            Hash of the person: what has no dimension yet must be seen with several.
        """
        reward = float(y)
        if not (math.isfinite(reward) and math.isfinite(w) and w > 0.0):
            return
        arm = str(x.get(ARM, ""))
        context = {name: value for name, value in x.items() if name not in (ARM, ARM_FEATURES)}
        if arm not in self.n and len(self.n) >= MAX_ARMS:
            return
        mark = self._mark()
        try:
            self._meet(context, unit)
            lesson = Lesson(arm, self._frozen.encode(context), len(self.n), reward, min(float(w), MAX_WEIGHT))
            features = self._features_of(lesson)
            error = reward - self._predict(features)
            self._learn(lesson, features)
        except Exception:
            self._forget(mark)
            raise
        self.reward_sum += reward
        self.n[arm] = self.n.get(arm, 0) + 1
        self.squared_error[arm] = self.squared_error.get(arm, 0.0) + min(1.0, error * error)

    def predict_one(self, x: dict[Any, Any]) -> float:
        """The reward expected of ``x["arm"]``, in [0, 1]."""
        context = {name: value for name, value in x.items() if name not in (ARM, ARM_FEATURES)}
        return self._predict(self._features(str(x.get(ARM, "")), self._shared(context), self.n))

    def score_arms(self, x: dict[Any, Any], arms: Sequence[str]) -> Scores:
        """Means and deviations of the ``arms``."""
        estimates = self.estimate(arms, x)
        return Scores(estimates.mean, estimates.sd)

    def estimate(
        self, arms: Sequence[str], context: Mapping[Any, Any], arm_features: Mapping[str, Any] | None = None
    ) -> Estimates:
        """Mean, deviation and count of the ``arms``; one prediction of the estimator each."""
        shared = self._shared(context)
        noise = coin_sd(self.n_learned, self.reward_sum)
        n = np.array([self.n.get(arm, 0) for arm in arms], dtype=np.float64)
        offset = self.mean_reward
        mean = np.array(
            [self._predict(self._features(arm, shared, self.n)) if arm in self.n else offset for arm in arms],
            dtype=np.float64,
        )
        errors = np.array([self.squared_error.get(arm, 0.0) for arm in arms])
        residual = (PRIOR_ROWS * noise**2 + errors) / (PRIOR_ROWS + n)
        parameters = 1.0 + len(shared)
        sd = np.sqrt(np.minimum(residual, 4.0 * noise**2) * parameters / (parameters + n))
        return Estimates(tuple(arms), mean, sd, n, noise)

    def estimate_all(
        self,
        arms: Sequence[str],
        contexts: Sequence[Mapping[Any, Any]],
        arm_features: Mapping[str, Any] | None = None,
    ) -> Estimates:
        """``estimate`` for B contexts, shape (B, K): one by one, as River's estimators predict."""
        found = [self.estimate(arms, context) for context in contexts]
        mean, sd = np.stack([one.mean for one in found]), np.stack([one.sd for one in found])
        return Estimates(found[0].arms, mean, sd, found[0].n, found[0].noise_sd)

    @property
    def mean_reward(self) -> float:
        """Of all that was learned; 0 before."""
        return self.reward_sum / self.n_learned if self.n_learned else 0.0

    # For who takes an estimate apart

    def predict_encoded(self, arm: str, z: Float32Array) -> float:
        """The reward expected of ``arm`` at an encoded context, shape (d,)."""
        return self._predict(self._features(arm, self._inputs(z), self.n))

    def n_by_arm(self) -> dict[str, int]:
        """Outcomes learned of each arm."""
        return dict(self.n)

    def weights_of(self, arm: str, n_dims: int) -> FloatArray | None:
        """Of a linear estimator the weight of each dimension for ``arm``, shape (d,); None of any other.

        Linear is what answers a function of weights times inputs, which are z-scores.
        """
        weights = getattr(self.estimator, "weights", None)
        if "linear_model" not in type(self.estimator).__module__ or not isinstance(weights, Mapping):
            return None
        if not isinstance(weights.get(f"arm={arm}"), float):  # weights by class
            return None
        found = [weights.get(f"z{i}", 0.0) + weights.get(f"{arm}*z{i}", 0.0) for i in range(n_dims)]
        return np.array(found, dtype=np.float64)

    # Input and output guards

    def _shared(self, context: Mapping[Any, Any]) -> dict[str, float]:
        return self._inputs(self._frozen.encode(context))

    def _features(self, arm: str, shared: dict[str, float], known: Iterable[str]) -> dict[str, float]:
        if not self.crosses:
            return {**shared, **{f"arm={other}": float(other == arm) for other in known}, f"arm={arm}": 1.0}
        crossed = {f"{arm}*{name}": value for name, value in shared.items()}
        return {**shared, **crossed, f"arm={arm}": 1.0}

    def _predict(self, features: dict[str, float]) -> float:
        try:
            if self.classifies:
                probabilities = self.estimator.predict_proba_one(features)
                value = probabilities.get(True, 0.0 if probabilities else 0.5)
            else:
                value = self.estimator.predict_one(features)
        except Exception as error:
            self._cannot_answer(error)
            value = self.mean_reward
        number = float(value) if value is not None else 0.0
        return min(1.0, max(0.0, number)) if math.isfinite(number) else 0.0

    def _teach(self, lesson: Lesson, features: dict[str, float]) -> None:
        reward = lesson.reward > 0.0 if self.classifies else lesson.reward
        if self._weighs and lesson.weight != 1.0:
            self.estimator.learn_one(features, reward, w=lesson.weight)
            return
        for _ in range(max(1, round(lesson.weight))):
            self.estimator.learn_one(features, reward)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # What was pickled before outcomes had weights knows nothing of them.
        self.__dict__.setdefault("_weighs", "w" in inspect.signature(self.estimator.learn_one).parameters)

    def _features_of(self, lesson: Lesson) -> dict[str, float]:
        return self._features(lesson.arm, self._inputs(lesson.z), islice(self.n, lesson.n_known))

    def _is_sound(self, features: dict[str, float]) -> bool:
        weights = getattr(self.estimator, "weights", None)
        if isinstance(weights, dict):
            return all(math.isfinite(weights.get(name, 0.0)) for name in features)
        if self.classifies:
            return all(math.isfinite(p) for p in self.estimator.predict_proba_one(features).values())
        value = self.estimator.predict_one(features)
        return value is None or math.isfinite(value)

    def frozen(self) -> RiverModel:
        """A copy for deciders that later learning does not touch."""
        return self.load(self.dump())

    @property
    def encoder(self) -> FrozenEncoder:
        """The encoder in use."""
        return self._frozen


def guarded(factory: Any, params: Mapping[str, Any]) -> Any:
    """The estimator; with clipped gradients and a fixed seed where it takes them and none were given."""
    accepted = inspect.signature(factory.__init__).parameters
    chosen = dict(params)
    if "clip_gradient" in accepted:
        chosen.setdefault("clip_gradient", CLIP_GRADIENT)
    if "seed" in accepted:
        chosen.setdefault("seed", 0)
    return factory(**chosen)
