"""A training whose models raise when they are told to, half changed as a real one would be."""

from __future__ import annotations

from collections.abc import Callable

from online_models.placement_model import PlacementModel
from personalization.events.outcome import decode_outcome
from state.model_store import Published
from stream.learning.placement_training import PlacementTraining
from stream.learning.training import Learned, Place


class Broken(RuntimeError):
    """What a model raises."""


Trouble = Callable[[str, str, str], bool]
"""(what it does, key, id of the outcome) → whether it raises."""


def never(stage: str, key: str, decision_id: str) -> bool:
    return False


class TroubledTraining(PlacementTraining):
    """``PlacementTraining``, and trouble."""

    trouble: Trouble = staticmethod(never)

    def load(self, key: str, blob: bytes) -> PlacementModel:
        self._perhaps("load", key)
        return super().load(key, blob)

    async def dump(self, book: PlacementModel, place: Place) -> bytes:
        self._perhaps("dump", book.placement)
        return await super().dump(book, place)

    async def learn(self, book: PlacementModel, value: bytes) -> Learned:
        learned = await super().learn(book, value)
        self._perhaps("learn", book.placement, decode_outcome(value).choice.decision_id)
        return learned

    def relearn(self, book: PlacementModel, value: bytes) -> None:
        super().relearn(book, value)
        self._perhaps("learn", book.placement, decode_outcome(value).choice.decision_id)

    async def publish(self, book: PlacementModel, generation: int, at_ms: int) -> tuple[Published, int]:
        self._perhaps("publish", book.placement)
        return await super().publish(book, generation, at_ms)

    def _perhaps(self, stage: str, key: str, decision_id: str = "") -> None:
        if self.trouble(stage, key, decision_id):
            raise Broken(f"{stage} of {key} {decision_id}")
