"""What the projector has added up, as routes ask for it."""

from __future__ import annotations

from typing import Protocol

from personalization.errors import Unavailable
from personalization.evaluation.strata import Stratum
from personalization.evaluation.trial_sums import TrialSums
from personalization.projecting.arms import ArmOfSide, ArmSums

_NOWHERE = "nothing is added up here: start `nextbest projector`"


class ReadModels(Protocol):
    """Sums over what happened; each look raises ``Unavailable``."""

    async def arms(self, placement: str, over_ms: int, now_ms: int) -> dict[ArmOfSide, ArmSums]:
        """What the arms of a placement were chosen, shown and worth in the last ``over_ms``."""
        ...

    async def strata(self, placement: str, now_ms: int) -> list[Stratum]:
        """The participants of a placement's experiments, by split."""
        ...

    async def trials(self, placement: str, now_ms: int) -> dict[int, TrialSums]:
        """What policies on trial would have brought in a placement, by what a trial is called."""
        ...


class NoReadModels:
    """Where nothing is added up."""

    async def arms(self, placement: str, over_ms: int, now_ms: int) -> dict[ArmOfSide, ArmSums]:
        """Raises ``Unavailable``."""
        raise Unavailable(_NOWHERE)

    async def strata(self, placement: str, now_ms: int) -> list[Stratum]:
        """Raises ``Unavailable``."""
        raise Unavailable(_NOWHERE)

    async def trials(self, placement: str, now_ms: int) -> dict[int, TrialSums]:
        """Raises ``Unavailable``."""
        raise Unavailable(_NOWHERE)
