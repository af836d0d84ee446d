"""What the learner does for placements: outcomes into a reward model, its snapshot to the deciders."""

from __future__ import annotations

import logging
import time

from prometheus_client import CollectorRegistry

from online_models import checkpoint
from online_models.placement_model import PlacementModel
from personalization.catalog.catalog import Placement
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.catalog.policy_spec import ModelSpec
from personalization.errors import InvalidInput
from personalization.events.forgotten import decode_forgotten, is_forgotten
from personalization.events.outcome import Outcome, decode_outcome
from state.model_store import ModelPublisher, Published
from stream.learning.influence_watch import InfluenceWatch
from stream.learning.traces import trace_learning
from stream.learning.training import Learned, Place
from tracing.tracer import Tracer

logger = logging.getLogger(__name__)


class PlacementTraining:
    """``Training`` of placements."""

    def __init__(
        self,
        publisher: ModelPublisher,
        secret: bytes,
        registry: CollectorRegistry | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._publisher = publisher
        self._secret = secret
        self._influence = InfluenceWatch(registry or CollectorRegistry())

    def knows(self, key: str, catalog: CompiledCatalog) -> bool:
        """Whether the catalog has the placement, or the variant."""
        return key in catalog.models

    def new(self, key: str, catalog: CompiledCatalog) -> PlacementModel:
        """An empty model, as the catalog wants it."""
        compiled = catalog.models.get(key)
        if compiled is None:  # taken out of the catalog while its last decisions were open
            return PlacementModel(key)
        return PlacementModel(key, model_spec(compiled.spec), compiled.spec.reward_range)

    def load(self, key: str, blob: bytes) -> PlacementModel:
        """A model from its checkpoint; raises ``Refused``."""
        return checkpoint.load(blob, self._secret, placement=key).model

    def is_signed_before(self, blob: bytes) -> bool:
        """Whether a checkpoint that was loaded was signed under a secret before."""
        return checkpoint.ENVELOPE.is_signed_before(blob, self._secret)

    async def dump(self, book: PlacementModel, place: Place) -> bytes:
        """A model's checkpoint."""
        offsets = {place.partition: place.offset}
        return checkpoint.dump(book, offsets, self._secret, generation=place.generation, epoch=str(place.epoch))

    async def learn(self, book: PlacementModel, value: bytes) -> Learned:
        """Take one outcome, or forget somebody; raises ``InvalidInput`` for what is neither, or another model's."""
        if is_forgotten(value):
            if not book.forget(decode_forgotten(value).units):
                return Learned("forgotten", changed=False)
            self._publisher.forget(book.placement)  # the next publish is a whole one: no old part of it stays
            return Learned("forgotten", changed=True)
        began_ns = 0 if self._tracer is None else time.perf_counter_ns()
        outcome = self._outcome(book, value)
        before, resets = dict(book.counts), book.drift_resets
        book.learn(outcome)
        if book.drift_resets != resets:
            arm = book.let_go if book.let_go is not None else "all"
            logger.warning("drift_reset", extra={"placement": book.placement, "arm": arm})
        result = next(kind for kind, n in book.counts.items() if n != before.get(kind, 0))
        if self._tracer is not None and outcome.trace:
            trace_learning(self._tracer, outcome, result, began_ns)
        return Learned(result, result == "learned", outcome.closed_at_ms if result == "learned" else None)

    def relearn(self, book: PlacementModel, value: bytes) -> None:
        """Take an old outcome into a new model, or forget somebody."""
        if is_forgotten(value):
            book.forget(decode_forgotten(value).units)
            return
        book.learn(self._outcome(book, value))

    def due(self, key: str) -> bool:
        """Always: a change is some kilobytes."""
        return True

    async def publish(self, book: PlacementModel, generation: int, at_ms: int) -> tuple[Published, int]:
        """Publish the model as it stands."""
        self._influence.look(book)
        return await self._publisher.publish(book.placement, book.snapshot(generation), at_ms)

    def warnings(self, book: PlacementModel) -> list[str]:
        """Where few teach much, or the bound of influence leaves too little."""
        return self._influence.warnings(book)

    def let_go(self, key: str) -> None:
        """The placement is learned elsewhere: nothing is shown of it."""
        self._influence.forget(key)

    def forget(self, key: str) -> None:
        """The placement was taken over: its next publish is a whole one."""
        self._publisher.forget(key)

    @staticmethod
    def _outcome(book: PlacementModel, value: bytes) -> Outcome:
        outcome = decode_outcome(value)
        key = outcome.choice.model
        if key != book.placement:
            raise InvalidInput("placement", f"{key!r} stands under the key {book.placement!r}", "bad_outcome")
        return outcome


def model_spec(placement: Placement) -> ModelSpec:
    """Which reward model a placement asks for."""
    return ModelSpec(placement.model, placement.model_parameters)
