"""Any River classifier as a conversion model: encoded and guarded input, rolled back where it breaks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from online_models.conversion.model import MAX_WEIGHT, as_label
from online_models.guarded_estimator import GuardedEstimator
from online_models.reward_model import Float32Array

MAX_DIMS, FREE_DIMS = 160, 64
"""Encoded features, and how many of them need not be earned."""


class Lesson(NamedTuple):
    """What the estimator learned of one example: its encoded features, shape (d,), its label and their weight."""

    z: Float32Array
    label: bool
    weight: float


class RiverClassifier(GuardedEstimator[Lesson]):
    """A River classifier behind ``learn_one(x, y, w)`` and ``predict_proba_one(x)``.

    Parameters
    ----------
    estimator
        Any River classifier, not yet trained. It sees z-scores and indicators, never a raw value.

    Examples
    --------
    >>> from river import linear_model
    >>> model = RiverClassifier(linear_model.LogisticRegression())
    >>> for i in range(300):
    ...     model.learn_one({"pages": i % 10}, i % 10 > 7)
    >>> model.predict_proba_one({"pages": 9})[True] > model.predict_proba_one({"pages": 0})[True]
    True
    """

    good_copy_every = 1024

    def __init__(self, estimator: Any) -> None:
        super().__init__(estimator, MAX_DIMS, FREE_DIMS)
        self.n_positive = 0
        self._weighs = "w" in inspect.signature(estimator.learn_one).parameters

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0, unit: bytes = b"") -> None:
        """Learn one label; importance ``w`` is passed on if the estimator takes it, else rounded to copies.

        If the estimator raises, its exception is raised, and nothing was learned.

        Parameters
        ----------
        unit
            Hash of the person: what has no dimension yet must be seen with several.
        """
        label = as_label(y)
        if label is None or not (math.isfinite(w) and w > 0.0):
            return
        mark = self._mark()
        try:
            self._meet(x, unit)
            lesson = Lesson(self._frozen.encode(x), label > 0.0, min(float(w), MAX_WEIGHT))
            self._learn(lesson, self._features_of(lesson))
        except Exception:
            self._forget(mark)
            raise
        self.n_positive += label > 0.0

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[bool, float]:
        """Probability of either label; the rate of all examples if the estimator cannot say."""
        try:
            p = self._raw(self._inputs(self._frozen.encode(x)))
        except Exception as error:
            self._cannot_answer(error)
            p = (self.n_positive + 1.0) / (self.n_learned + 2.0)
        p = min(1.0, max(0.0, p)) if math.isfinite(p) else 0.5
        return {False: 1.0 - p, True: p}

    def _features_of(self, lesson: Lesson) -> dict[str, float]:
        return self._inputs(lesson.z)

    def _teach(self, lesson: Lesson, features: dict[str, float]) -> None:
        _, label, weight = lesson
        if self._weighs and weight != 1.0:
            self.estimator.learn_one(features, label, w=weight)
            return
        for _ in range(max(1, round(weight))):
            self.estimator.learn_one(features, label)

    def _is_sound(self, features: dict[str, float]) -> bool:
        return math.isfinite(self._raw(features))

    def _raw(self, features: dict[str, float]) -> float:
        given: dict[Any, float] = self.estimator.predict_proba_one(features)
        return float(given.get(True, 0.0 if given else 0.5))
