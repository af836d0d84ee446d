"""The names a conversion model may have, and what they stand for."""

from __future__ import annotations

import importlib
from typing import Any, TypeAlias

from river import base

from online_models import registry as reward_models
from online_models.conversion.model import ConversionModel
from online_models.conversion.river_classifier import RiverClassifier
from personalization.catalog.policy_spec import ModelSpec
from personalization.errors import InvalidInput

ConversionModelImpl: TypeAlias = ConversionModel | RiverClassifier
NAMES = ("default",)


def make_conversion_model(spec: ModelSpec | str = "default", field: str = "model") -> ConversionModelImpl:
    """A fresh model: ours by name, any River classifier by its dotted path.

    Raises
    ------
    InvalidInput
        At ``field``, for an unknown name, something that is no classifier, or parameters it refuses.

    >>> make_conversion_model("river.forest.ARFClassifier").estimator.__class__.__name__
    'ARFClassifier'
    >>> make_conversion_model("river.linear_model.LinearRegression")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    personalization.errors.InvalidInput: model: river.linear_model.LinearRegression is no classifier: ...
    """
    if isinstance(spec, str):
        spec = ModelSpec(spec)
    if spec.name in NAMES:
        try:
            params: dict[str, Any] = dict(spec.params)
            return ConversionModel(**params)
        except TypeError as error:
            raise InvalidInput(f"{field}.params", str(error), "invalid_model_params") from error
    if not spec.name.startswith("river."):
        raise InvalidInput(
            field,
            f"unknown model {spec.name!r}; use one of {', '.join(NAMES)}, or a River classifier by its "
            "dotted path, e.g. river.forest.ARFClassifier",
            "unknown_model",
        )
    made = reward_models.make_model(_completed(spec), field)
    estimator = getattr(made, "estimator", None)
    if not isinstance(estimator, base.Classifier):
        raise InvalidInput(
            field, f"{spec.name} is no classifier: a conversion model gives a probability", "unknown_model"
        )
    return RiverClassifier(estimator)


def check_conversion_model(spec: ModelSpec | str = "default", field: str = "model") -> None:
    """Raise ``InvalidInput`` at ``field`` unless there is such a model, and a River classifier learns and answers.

    >>> check_conversion_model("river.linear_model.LogisticRegression")
    """
    made = make_conversion_model(spec, field)
    if isinstance(made, RiverClassifier):
        reward_models.raise_unless_able(made, spec, field)


def _completed(spec: ModelSpec) -> ModelSpec:
    """``spec`` with a Hoeffding tree as base model, where the class wraps one and none is given."""
    module_name, _, class_name = spec.name.rpartition(".")
    try:
        wraps = issubclass(getattr(importlib.import_module(module_name), class_name), base.Wrapper | base.Ensemble)
    except (ImportError, AttributeError, TypeError, ValueError):
        return spec  # make_model says what is wrong
    if not wraps or spec.params:
        return spec
    try:
        reward_models.make_model(spec)
    except InvalidInput:
        from river.tree import HoeffdingTreeClassifier  # half a second, for those who ask for it

        params: dict[str, Any] = {"model": HoeffdingTreeClassifier()}
        return ModelSpec(spec.name, params)
    return spec
