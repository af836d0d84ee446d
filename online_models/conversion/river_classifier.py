"""Any River classifier as a conversion model: encoded and guarded input, rolled back where it breaks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from online_models.conversion.model import MAX_WEIGHT, as_label
from online_models.guarded_estimator import GuardedEstimator

MAX_DIMS = 160
NUMERIC_PREFIX = "z"


class RiverClassifier(GuardedEstimator):
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
        super().__init__(estimator, MAX_DIMS)

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0) -> None:
        """Learn one label; importance ``w`` is passed on where the estimator takes it, else rounded to copies."""
        label = as_label(y)
        if label is None or not (math.isfinite(w) and w > 0.0):
            return
        self._meet(x)
        features = self._features(x)
        weight = min(float(w), MAX_WEIGHT)
        if weight == 1.0:
            self.estimator.learn_one(features, label > 0.0)
        else:
            self._learn_weighted(features, label > 0.0, weight)
        self._keep_or_roll_back(sound=math.isfinite(self._raw(features)))

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[bool, float]:
        """Probability of either label."""
        p = self._raw(self._features(x))
        p = min(1.0, max(0.0, p)) if math.isfinite(p) else 0.5
        return {False: 1.0 - p, True: p}

    def _learn_weighted(self, features: dict[str, float], label: bool, weight: float) -> None:
        try:
            self.estimator.learn_one(features, label, w=weight)
        except TypeError:
            for _ in range(max(1, round(weight))):
                self.estimator.learn_one(features, label)

    def _raw(self, features: dict[str, float]) -> float:
        given: dict[Any, float] = self.estimator.predict_proba_one(features)
        return float(given.get(True, 0.0 if given else 0.5))

    def _features(self, x: Mapping[Any, Any]) -> dict[str, float]:
        return {f"{NUMERIC_PREFIX}{i}": value for i, value in enumerate(self._frozen.encode(x).tolist())}
