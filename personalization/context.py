"""Visitor and request to raw features, by the names a placement allows its model to look at.

A name is a variable (``rules.VISITOR_VARIABLES``) or a dotted path into one: ``device``, ``traits.age``,
``session.n_views``, ``context.page.path``. A path that ends at a map gives one feature for each of its numbers
and short texts (``affinities.category`` gives ``affinities.category.shoes``, …); one that ends at a list gives
1 for each text in it (``segments`` gives ``segments.vip``). What is missing is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personalization.features import MAX_FEATURES, FeatureValue, clean
from personalization.variables import VisitorScope

DEFAULT_FEATURES = (
    "affinities",
    "cart_value",
    "counts",
    "days_since_first",
    "days_since_last",
    "device",
    "event_count",
    "hour",
    "known",
    "n_orders",
    "segments",
    "session",
    "weekday",
)
"""Where neither placement nor catalog names any; traits are only looked at when named: they may be personal."""

FeaturePath = tuple[str, tuple[str, ...]]
"""A feature's name, and the same split at its dots."""

_MAX_DEPTH = 3


def feature_paths(names: tuple[str, ...]) -> tuple[FeaturePath, ...]:
    """The names of a placement's features, split once."""
    return tuple((name, tuple(name.split("."))) for name in names or DEFAULT_FEATURES)


def raw_features(paths: tuple[FeaturePath, ...], scope: VisitorScope) -> dict[str, FeatureValue]:
    """The raw features of one request; at most ``MAX_FEATURES``, in order."""
    features: dict[str, FeatureValue] = {}
    for name, path in paths:
        value = scope.value(path[0])
        for step in path[1:]:
            value = value.get(step) if isinstance(value, Mapping) else None
        kind = type(value)
        if kind is float and value - value == 0.0:
            features[name] = clean(value)  # type: ignore[assignment]  # finite: never None
        elif kind is dict or kind is list:
            _spread(features, name, value, _MAX_DEPTH)
        elif value is not None:
            cleaned = clean(value)
            if cleaned is not None:
                features[name] = cleaned
    if len(features) > MAX_FEATURES:
        return dict(list(features.items())[:MAX_FEATURES])
    return features


def _spread(features: dict[str, FeatureValue], name: str, value: Any, depth: int) -> None:
    if isinstance(value, list):
        for item in value[:MAX_FEATURES]:
            if isinstance(item, str) and len(features) < MAX_FEATURES:
                features[f"{name}.{item[:64]}"] = 1.0
        return
    for key, item in value.items():
        if len(features) >= MAX_FEATURES:
            return
        if isinstance(item, dict):
            if depth > 1:
                _spread(features, f"{name}.{key}", item, depth - 1)
            continue
        cleaned = clean(item)
        if cleaned is not None:
            features[f"{name}.{key}"] = cleaned
