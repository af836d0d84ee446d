"""The names a catalog may use for models and policies, and what they stand for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeAlias

from river import base

from online_models.adaptive.arm_model import ArmModel
from online_models.arm_linear import ArmLinear
from online_models.policies.check import MODULES, policy_mistakes
from online_models.reward_model import Estimates, FloatArray
from online_models.river_model import RiverModel, guarded
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.errors import InvalidInput

if TYPE_CHECKING:
    from online_models.conversion.river_classifier import RiverClassifier

Policy: TypeAlias = Callable[[Estimates, PolicySpec], FloatArray]
RewardModelImpl: TypeAlias = ArmModel | RiverModel

POLICIES: dict[str, Policy] = {
    name: getattr(module, module.__name__.rpartition(".")[2]) for name, module in MODULES.items()
}
"""Each is the function that its file is named after."""

WITHOUT_FLOORS = frozenset({"uniform", "fixed"})
"""Somebody's own choice, and the one that needs none."""

_MODELS: dict[str, type[ArmModel | base.Estimator]] = {
    "default": ArmModel,
    "arm_linear": ArmLinear,
}
"""Our own. A new one is an estimator with River's protocol (``learn_one``, ``predict_one``) and one line here."""

_DOTTED = re.compile(r"river(\.[a-z][a-z_0-9]*)+\.[A-Z]\w*")


def policy_names() -> tuple[str, ...]:
    """Names a placement's ``policy`` may have.

    >>> "thompson" in policy_names()
    True
    """
    return tuple(POLICIES)


def model_names() -> tuple[str, ...]:
    """Names of our own models; any River class by its dotted path fits besides."""
    return tuple(_MODELS)


def check_policy(spec: PolicySpec, field: str = "policy", arms: Collection[str] | None = None) -> None:
    """Raise ``InvalidInput`` at ``field`` if the policy, its parameters or its bounds make no sense.

    Parameters
    ----------
    arms
        The placement's contents; None: they are not known here.
    """
    for mistake in policy_mistakes(spec, field, arms):
        raise mistake


def make_model(spec: ModelSpec | str, field: str = "model") -> RewardModelImpl:
    """A fresh reward model.

    Parameters
    ----------
    spec
        Name and parameters, or the name alone.
    field
        Where the catalog says so; errors name it.

    Raises
    ------
    InvalidInput
        For an unknown name, a class outside River, or parameters its constructor refuses.

    >>> type(make_model("river.linear_model.LogisticRegression").estimator).__name__
    'LogisticRegression'
    >>> make_model("os.system")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    personalization.errors.InvalidInput: model: unknown model 'os.system'; use one of default, arm_linear, ...
    """
    if isinstance(spec, str):
        spec = ModelSpec(spec)
    params: dict[str, Any] = dict(spec.params)
    own = _MODELS.get(spec.name)
    try:
        if own is not None and issubclass(own, ArmModel):
            return own(**params)
        return RiverModel(guarded(own or _river_class(spec.name, field), params))
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"{field}.params", f"{spec.name} cannot be made with {params}: {error}", "invalid_model_params"
        ) from error


def check_model(spec: ModelSpec | str, field: str = "model") -> None:
    """Raise ``InvalidInput`` at ``field`` unless the model can be made, and learns and answers if it is River's.

    >>> check_model("river.tree.SGTRegressor")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    personalization.errors.InvalidInput: model: river.tree.SGTRegressor cannot learn sample rows and answer (Zero...
    """
    made = make_model(spec, field)
    if isinstance(made, RiverModel):
        raise_unless_able(made, spec, field)


def raise_unless_able(made: RiverModel | RiverClassifier, spec: ModelSpec | str, field: str) -> None:
    """Raise ``InvalidInput`` at ``field`` unless the fresh model, made of ``spec``, learns and answers."""
    from online_models.rehearsal import trouble_with  # only those who check a catalog need it

    trouble = trouble_with(made)
    if trouble is not None:
        name = spec if isinstance(spec, str) else spec.name
        raise InvalidInput(
            field,
            f"{name} cannot learn sample rows and answer ({trouble}): name another River model, or default",
            "unusable_model",
        )


def _river_class(name: str, field: str) -> Any:
    if not _DOTTED.fullmatch(name):
        raise InvalidInput(
            field,
            f"unknown model {name!r}; use one of {', '.join(_MODELS)}, or a River class by its dotted path, "
            "e.g. river.linear_model.LogisticRegression",
            "unknown_model",
        )
    module_name, _, class_name = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise InvalidInput(field, f"River has no {name!r}: check the dotted path", "unknown_model") from error
    single = isinstance(found, type) and issubclass(found, base.Regressor | base.Classifier)
    if not single or issubclass(found, base.MultiLabelClassifier | base.MultiTargetRegressor):
        raise InvalidInput(
            field, f"{name} predicts no single reward: name a River regressor or classifier", "unknown_model"
        )
    return found
