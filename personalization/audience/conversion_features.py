"""What a conversion's model sees of a visitor: the same when it learns and when it is asked."""

from __future__ import annotations

import functools

from personalization.audience.context import FeatureName, feature_names, raw_features
from personalization.audience.variables import VisitorScope
from personalization.catalog.compiled_catalog import CompiledConversion
from personalization.features import FeatureValue

OF_THE_MOMENT = frozenset(
    {"days_since_last", "event_count", "session.n_events", "session.n_views", "session.seconds"}
)
"""What runs on within a session and is nearly the same at the start of each: a model that learned from starts would
take a visit that goes on for another kind of visitor."""

_names = functools.lru_cache(maxsize=64)(feature_names)


def conversion_features(conversion: CompiledConversion, scope: VisitorScope) -> dict[str, FeatureValue]:
    """What the conversion's model sees of a visitor: the same when it learns and when it is asked.

    A score may be asked for at any moment of a session, and is learned from its start: what is ``OF_THE_MOMENT`` is
    left out, and ``days_since_first`` counts whole days.

    Parameters
    ----------
    scope
        Without scores: a segment that names one does not hold here.
    """
    names: tuple[FeatureName, ...] = _names(conversion.features)
    features = raw_features(names, scope)
    for name in OF_THE_MOMENT & features.keys():
        del features[name]
    days = features.get("days_since_first")
    if isinstance(days, float):
        features["days_since_first"] = float(int(days))
    return features
