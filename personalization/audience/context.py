"""Visitor and request to raw features, by the names a placement allows its model to look at.

A name is a variable (``rules.VISITOR_VARIABLES``) or a dotted path into one: ``device``, ``traits.age``,
``session.n_views``, ``context.page.path``; or a window that gives a number (``catalog.measures``). A path that ends
at a map gives one feature for each of its numbers and short texts (``affinities.category`` gives
``affinities.category.shoes``, …); one that ends at a list gives 1 for each text in it (``segments`` gives
``segments.vip``). What is missing is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personalization.audience.variables import VisitorScope
from personalization.catalog.measures import is_measure
from personalization.features import MAX_CATEGORY_CHARS, MAX_FEATURES, MAX_MAGNITUDE, FeatureValue, clean

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

_MAX_DEPTH = 3
_MAX_NAMES = 1024
"""Names of a map's entries remembered per feature; what comes beyond is made anew each time."""


class FeatureName:
    """One of a placement's features, split at its dots once.

    Names of what a map holds are remembered: a text that was seen before has its hash at hand, which the record,
    the model's encoder and the log all ask for.
    """

    __slots__ = ("entries", "first", "name", "names", "steps")

    def __init__(self, name: str) -> None:
        self.name = name
        self.first, *self.steps = [name] if is_measure(name) else name.split(".")
        self.names: dict[str, str] = {}
        self.entries: dict[str, FeatureName] = {}

    def name_of(self, key: str) -> str:
        """The name of one entry of the map this one names."""
        found = self.names.get(key)
        if found is None:
            found = f"{self.name}.{key}"
            if len(self.names) < _MAX_NAMES:
                self.names[key] = found
        return found

    def entry(self, key: str) -> FeatureName:
        """The feature of one entry, itself a map, of the map this one names."""
        found = self.entries.get(key)
        if found is None:
            found = FeatureName(self.name_of(key))
            if len(self.entries) < _MAX_NAMES:
                self.entries[key] = found
        return found


def feature_names(names: tuple[str, ...]) -> tuple[FeatureName, ...]:
    """The features of a placement, ready."""
    return tuple(FeatureName(name) for name in names or DEFAULT_FEATURES)


def raw_features(names: tuple[FeatureName, ...], scope: VisitorScope) -> dict[str, FeatureValue]:
    """The raw features of one request; at most ``MAX_FEATURES``, in order."""
    features: dict[str, FeatureValue] = {}
    for feature in names:
        value = scope.value(feature.first)
        for step in feature.steps:
            value = value.get(step) if type(value) is dict or isinstance(value, Mapping) else None
        if value is None:
            continue
        kind = type(value)
        if kind is dict or kind is list:
            _spread(features, feature, value, _MAX_DEPTH)
        elif (kind is float or kind is int) and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
            features[feature.name] = value if kind is float else float(value)
        else:
            cleaned = clean(value)
            if cleaned is not None:
                features[feature.name] = cleaned
    if len(features) > MAX_FEATURES:
        return dict(list(features.items())[:MAX_FEATURES])
    return features


def _spread(features: dict[str, FeatureValue], feature: FeatureName, value: Any, depth: int) -> None:
    if isinstance(value, list):
        for item in value[:MAX_FEATURES]:
            if isinstance(item, str) and len(features) < MAX_FEATURES:
                features[feature.name_of(item[:MAX_CATEGORY_CHARS])] = 1.0
        return
    names = feature.names
    crowded = len(features) + len(value) > MAX_FEATURES
    for key, item in value.items():
        if crowded and len(features) >= MAX_FEATURES:
            return
        kind = type(item)
        usable: FeatureValue | None
        if (kind is float or kind is int) and -MAX_MAGNITUDE <= item <= MAX_MAGNITUDE:
            usable = item if kind is float else float(item)
        elif kind is dict:
            if depth > 1:
                _spread(features, feature.entry(key), item, depth - 1)
            continue
        else:
            usable = clean(item)
            if usable is None:
                continue
        features[names.get(key) or feature.name_of(key)] = usable
