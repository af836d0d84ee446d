"""Any River classifier as a conversion model: encoded and guarded input, rolled back where it breaks."""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from typing import Any

from online_models.conversion.model import MAX_WEIGHT, as_label
from online_models.encoding import Encoder

MAX_DIMS = 160
GOOD_COPY_EVERY = 1024
REFRESH = 64
NUMERIC_PREFIX = "z"


class RiverClassifier:
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

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.n_learned = 0
        self.n_rollbacks = 0
        self._encoder = Encoder(MAX_DIMS)
        self._frozen = self._encoder.freeze()
        self._last_good = pickle.dumps(estimator)

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0) -> None:
        """Learn one label; importance ``w`` is passed on where the estimator takes it, else rounded to copies."""
        label = as_label(y)
        if label is None or not (math.isfinite(w) and w > 0.0):
            return
        self._encoder.learn(x)
        self.n_learned += 1
        if self._encoder.n_dims != self._frozen.n_dims or self.n_learned <= REFRESH or not self.n_learned % REFRESH:
            self._frozen = self._encoder.freeze()
        features = self._features(x)
        weight = min(float(w), MAX_WEIGHT)
        if weight == 1.0:
            self.estimator.learn_one(features, label > 0.0)
        else:
            self._learn_weighted(features, label > 0.0, weight)
        if not math.isfinite(self._raw(features)):
            self.estimator = pickle.loads(self._last_good)
            self.n_rollbacks += 1
        elif not self.n_learned % GOOD_COPY_EVERY:
            self._last_good = pickle.dumps(self.estimator)

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

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_last_good"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._last_good = pickle.dumps(self.estimator)

    def dump(self) -> bytes:
        """Everything, pickled: load it only behind a MAC and under the same River version."""
        return pickle.dumps(self)

    @classmethod
    def load(cls, payload: bytes) -> RiverClassifier:
        """The inverse of ``dump``: authenticate the payload first."""
        loaded = pickle.loads(payload)
        if not isinstance(loaded, cls):
            raise TypeError(f"not a {cls.__name__}: {type(loaded)}")
        return loaded
