"""What the projector has added up, as routes ask for it."""

from __future__ import annotations

from typing import Protocol

from personalization.errors import Unavailable
from personalization.projecting.arms import ArmOfSide, ArmSums


class ReadModels(Protocol):
    """Sums over what happened; each look raises ``Unavailable``."""

    async def arms(self, placement: str, over_ms: int, now_ms: int) -> dict[ArmOfSide, ArmSums]:
        """What the arms of a placement were chosen, shown and worth in the last ``over_ms``."""
        ...


class NoReadModels:
    """Where nothing is added up."""

    async def arms(self, placement: str, over_ms: int, now_ms: int) -> dict[ArmOfSide, ArmSums]:
        """Raises ``Unavailable``."""
        raise Unavailable("nothing is added up here: start `nextbest projector`")
