"""Scores: how likely a visitor is to convert, worked out only where a rule or a feature names them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from personalization.audience.conversion_features import conversion_features
from personalization.audience.variables import VisitorScope
from personalization.events.example import example_key
from personalization.features import FeatureValue


class ConversionScorer(Protocol):
    """A conversion's model, ready to be asked."""

    def score(self, features: Mapping[str, FeatureValue]) -> float:
        """Probability of the conversion within its horizon."""
        ...


Scorers = Mapping[str, ConversionScorer]
"""By conversion; one that has learned nothing yet is absent."""

Fault = tuple[str, Exception]


class Scores:
    """Works out scores for the scopes of one request.

    Parameters
    ----------
    faults
        Is told of models that failed, by their key: their score is absent.
    """

    __slots__ = ("_faults", "_scorers")

    def __init__(self, scorers: Scorers, faults: list[Fault]) -> None:
        self._scorers = scorers
        self._faults = faults

    def __call__(self, scope: VisitorScope) -> dict[str, float]:
        """The scores that this catalog names anywhere, for the visitor in ``scope``."""
        catalog = scope.catalog
        plain = scope.without_scores() if catalog.looks_at_scores else scope
        found: dict[str, float] = {}
        for name in sorted(catalog.scored):
            scorer = self._scorers.get(name)
            if scorer is None:
                continue
            try:
                score = scorer.score(conversion_features(catalog.conversions[name], plain))
            except Exception as error:  # whatever a model may raise, the visitor gets an answer
                self._faults.append((example_key(name), error))
                continue
            if math.isfinite(score):
                found[name] = score
        return found
