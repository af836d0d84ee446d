"""Conversion models as an API process has them, and a visitor's scores with their reasons, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from online_models.conversion.checkpoint import Served
from online_models.snapshot import unpack_version
from personalization.audience.conversion_features import conversion_features
from personalization.audience.variables import VisitorScope
from personalization.visitor.purposes import PERSONALISING, may
from state.conversion_store import FollowedConversion

OF_REQUESTS = frozenset({"context", "device"})
"""Variables that only a visitor's own request tells."""


class Follower(Protocol):
    """What keeps the models current."""

    @property
    def names(self) -> list[str]:
        """The conversions that have a model."""
        ...

    def get(self, conversion: str) -> FollowedConversion | None:
        """The newest model of a conversion."""
        ...


class ConversionsInMemory(Mapping[str, Served]):
    """The model of every conversion that has learned something.

    One that learned nothing is published, too, once a learner has taken it over from another: in place of what may
    have been published before.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def __getitem__(self, conversion: str) -> Served:
        followed = self._follower.get(conversion)
        if followed is None or not followed.served.contender.n_learned:
            raise KeyError(conversion)
        return followed.served

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._follower.names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def shown_scores(models: Mapping[str, Served], scope: VisitorScope) -> dict[str, Any]:
    """Every score of a visitor and what made it, strongest first; none for who refused personalisation.

    ``logOdds`` = ``bias`` + the sum of the contributions, and ``probability`` is its logistic; a model that cannot
    explain itself (River's) gives the probability alone. There is no request here: device and context are missing.
    """
    if scope.state is None or not may(scope.state.consents, PERSONALISING, default=True):
        return {}
    shown: dict[str, Any] = {}
    plain = scope.without_scores()
    for name, conversion in scope.catalog.conversions.items():
        served = models.get(name)
        if served is None:
            continue
        features = conversion_features(conversion, plain)
        features = {name: value for name, value in features.items() if name.split(".")[0] not in OF_REQUESTS}
        generation, n_learned = unpack_version(served.version)
        shown[name] = {
            "probability": served.score(features),
            "horizonMs": conversion.spec.horizon_ms,
            "model": served.contender.spec.name,
            "modelVersion": {"generation": generation, "learned": n_learned},
        }
        why = served.contender.explain(features)
        if why is not None:
            parts = sorted(why.contributions.items(), key=lambda part: -abs(part[1]))
            shown[name] |= {"logOdds": why.log_odds, "bias": why.bias, "contributions": dict(parts)}
    return shown
