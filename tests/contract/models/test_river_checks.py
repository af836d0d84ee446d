"""River's own estimator checks, run over our default model as River runs them over its own."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from river import base, checks

from online_models.registry import _MODELS

OURS = sorted(set(_MODELS.values()), key=lambda each: each.__name__)


@pytest.fixture(autouse=True)
def without_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    """River imports scikit-learn's data sets before it knows whether a check needs them; a regressor's do not."""
    package, datasets = types.ModuleType("sklearn"), types.ModuleType("sklearn.datasets")
    monkeypatch.setattr(package, "datasets", datasets, raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", package)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", datasets)


@pytest.mark.parametrize("model", OURS)
def test_rivers_estimator_checks(model: Callable[[], Any]) -> None:
    names = [check.__name__ for check in checks.yield_checks(model())]
    assert len(names) > 20
    assert "check_shuffle_features_no_impact" in names
    checks.check_estimator(model())


def test_it_is_a_river_regressor() -> None:
    for model in _MODELS.values():
        assert issubclass(model, base.Regressor)
