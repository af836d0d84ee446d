"""A conversion model with its correction: what can serve, be challenged, and be rolled back where it breaks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from online_models.conversion.correction import Correction
from online_models.conversion.model import ConversionModel, Explanation
from online_models.conversion.registry import ConversionModelImpl, make_conversion_model
from online_models.conversion.river_classifier import RiverClassifier
from online_models.conversion.stack import sigmoid
from personalization.catalog.policy_spec import ModelSpec

GOOD_COPY_EVERY = 1024
"""Labels between two copies to fall back on: one is 3 MB and costs 1 ms."""


class Contender:
    """One model and its correction. If the model raises while it learns, nothing was learned.

    Early labels (Ktena et al., 2019): every example is learned as a negative when it opens, weighted
    (1 − p)(1 + p), and again as a positive when it converts, weighted 1 + p, which undoes the fake negatives where
    traffic is steady. The correction, from matured labels alone, sees to the rest.

    Parameters
    ----------
    spec
        Name and parameters of the model.
    """

    def __init__(self, spec: ModelSpec | str = "default", model: ConversionModelImpl | None = None) -> None:
        self.spec = ModelSpec(spec) if isinstance(spec, str) else spec
        self.model = make_conversion_model(self.spec) if model is None else model
        self.correction = Correction()
        self.n_learned = 0
        """Labels the model was taught."""
        self._n_rollbacks = 0
        self._last_good: dict[str, Any] | None = None

    @property
    def holds_river(self) -> bool:
        """Whether there are River objects in it, which another version of River may not be able to load."""
        return isinstance(self.model, RiverClassifier)

    @property
    def n_rollbacks(self) -> int:
        """Times the model went back to a last good copy: this one's, or a River classifier's own."""
        return self._n_rollbacks + (self.model.n_rollbacks if isinstance(self.model, RiverClassifier) else 0)

    def predict(self, x: Mapping[Any, Any]) -> float:
        """The probability to serve."""
        return sigmoid(self.correction.apply(self.raw(x)))

    def raw(self, x: Mapping[Any, Any]) -> float:
        """Uncorrected log-odds; a model that gives none that is finite goes back to its last good copy."""
        log_odds = _log_odds(self.model, x)
        if not math.isfinite(log_odds):
            self._roll_back()
            log_odds = _log_odds(self.model, x)
        return log_odds if math.isfinite(log_odds) else 0.0

    def explain(self, x: Mapping[Any, Any]) -> Explanation | None:
        """Why ``predict`` says what it says, correction included; None where the model cannot say."""
        if not isinstance(self.model, ConversionModel):
            return None
        why = self.model.explain_one(x)
        a, b = self.correction.slope, self.correction.shift
        contributions = {name: a * part for name, part in why.contributions.items()}
        return Explanation(self.correction.apply(why.log_odds), a * why.bias + b, contributions)

    def begin(self, x: Mapping[Any, Any], unit: bytes = b"") -> None:
        """An early example opens: a negative, until it converts."""
        p = sigmoid(self.raw(x))
        self._teach(x, False, max(1e-3, (1.0 - p) * (1.0 + p)), unit)

    def convert(self, x: Mapping[Any, Any], unit: bytes = b"") -> None:
        """An early example converts."""
        self._teach(x, True, 1.0 + sigmoid(self.raw(x)), unit)

    def mature(self, x: Mapping[Any, Any], label: bool, unit: bytes = b"", *, teach: bool = True) -> None:
        """An example's horizon has closed.

        The correction learns from what *today's* model says: it is for the model that serves next, and what it said
        a horizon ago, perhaps untrained, would be corrected twice.

        Parameters
        ----------
        unit
            Hash of the person, see ``ConversionModel.learn_one``.
        teach
            False where the label was learned early.
        """
        raw = self.raw(x)
        if teach:
            self.model.learn_one(x, label, 1.0, unit)
        self.correction.learn(raw, float(label))
        if teach:
            self._taught()

    def forget(self, units: Collection[bytes]) -> None:
        """Persons with these units are erased; so they are from the copy to fall back on."""
        self.check()
        self.model.forget(units)
        if self._last_good is not None:
            self._last_good = None if isinstance(self.model, RiverClassifier) else self.model.dump()

    def _teach(self, x: Mapping[Any, Any], label: bool, weight: float, unit: bytes) -> None:
        self.model.learn_one(x, label, weight, unit)
        self._taught()

    def _taught(self) -> None:
        self.n_learned += 1
        if isinstance(self.model, RiverClassifier):  # it keeps a copy of its own
            return
        if not self.n_learned % GOOD_COPY_EVERY and self.check():
            self._last_good = self.model.dump()

    def check(self) -> bool:
        """See that every weight is finite; where one is not, go back to the last good copy, and say False."""
        if not isinstance(self.model, ConversionModel) or self.model.is_sound():
            return True
        self._roll_back()
        return False

    def _roll_back(self) -> None:
        n_rollbacks = self.n_rollbacks + 1
        good = self._last_good
        self.model = make_conversion_model(self.spec) if good is None else _loaded(good)
        self._n_rollbacks += n_rollbacks - self.n_rollbacks
        self.correction = Correction()

    # Checkpoints

    def dump(self, *, training: bool = True) -> dict[str, Any]:
        """Everything, as plain values; without ``training`` only what serving needs. Nothing broken leaves."""
        self.check()
        model = self.model
        return {
            "spec": [self.spec.name, dict(self.spec.params)],
            "model": model.dump(training=training) if isinstance(model, ConversionModel) else model.dump(),
            "correction": self.correction.dump(),
            "counts": [self.n_learned, self._n_rollbacks],
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Contender:
        """The inverse of ``dump``. Unpickles River estimators: authenticate first."""
        loaded = cls(ModelSpec(*state["spec"]), _loaded(state["model"]))
        loaded.correction = Correction.load(state["correction"])
        loaded.n_learned, loaded._n_rollbacks = state["counts"]
        loaded._last_good = None if loaded.holds_river else state["model"]
        return loaded


def _loaded(state: dict[str, Any] | bytes) -> ConversionModelImpl:
    return RiverClassifier.load(state) if isinstance(state, bytes) else ConversionModel.load(state)


def _log_odds(model: ConversionModelImpl, x: Mapping[Any, Any]) -> float:
    if isinstance(model, ConversionModel):
        return model.log_odds_one(x)
    p = min(1.0 - 1e-9, max(1e-9, model.predict_proba_one(x)[True]))
    return math.log(p / (1.0 - p))
