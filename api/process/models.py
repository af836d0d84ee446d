"""The models a process decides with: snapshots in memory, followed in Redis by ``state.model_store``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from api.process.catalog import CatalogInForce, NotInForce
from online_models.snapshot import ModelSnapshot
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.reward_scorer import RewardScorer
from state.model_store import Followed


class Follower(Protocol):
    """What keeps the snapshots current."""

    reached_ms: int

    def get(self, placement: str) -> Followed | None:
        """The newest model of a placement."""
        ...


class ModelsInMemory(Mapping[str, RewardScorer]):
    """A scorer for every placement, as ``decide`` takes them.

    A placement that nothing was learned for has the prior, provided Redis said so: while it never could,
    the placement has no model, and rules decide.
    """

    def __init__(self, follower: Follower, catalog: CatalogInForce) -> None:
        self._follower = follower
        self._catalog = catalog
        self._priors: dict[tuple[str, tuple[float, float]], ModelSnapshot] = {}

    def __contains__(self, placement: object) -> bool:
        return self._follower.reached_ms > 0 or self._follower.get(str(placement)) is not None

    def __getitem__(self, placement: str) -> RewardScorer:
        spec = self._catalog.current.catalog.models[placement].spec
        followed = self._follower.get(placement)
        if followed is not None and followed.snapshot.model == spec.model:
            return followed.snapshot
        if not self._follower.reached_ms and followed is None:
            raise KeyError(placement)
        # Nothing learned yet, or with another model than the catalog names now: start from the prior.
        wanted = (spec.model, spec.reward_range)
        prior = self._priors.get(wanted)
        if prior is None:
            prior = self._priors[wanted] = ModelSnapshot.prior(spec.model, spec.reward_range)
        return prior

    def __iter__(self) -> Iterator[str]:
        return iter(self._catalog.current.catalog.models)

    def __len__(self) -> int:
        return len(self._catalog.current.catalog.models)

    def under(self, catalog: PreparedCatalog) -> ModelsInMemory:
        """The same models, as a catalog that is not in force would ask them."""
        return ModelsInMemory(self._follower, NotInForce(catalog))

    def age_ms(self, placements: list[str], now_ms: int) -> int | None:
        """Since the oldest of these placements' models was published; None where all are priors."""
        oldest: int | None = None
        for placement in placements:
            followed = self._follower.get(placement)
            if followed is not None and (oldest is None or followed.at_ms < oldest):
                oldest = followed.at_ms
        return None if oldest is None else max(0, now_ms - oldest)
