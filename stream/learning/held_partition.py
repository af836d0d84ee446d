"""One partition of ``outcomes`` as a learner holds it."""

from __future__ import annotations

from dataclasses import dataclass, field

from state.checkpoint_store import CheckpointHeader, ModelCopy
from stream.learning.held_model import NOTHING, HeldModel
from stream.learning.replaced_models import Kept


@dataclass(slots=True)
class HeldPartition:
    """What is held of one partition.

    Attributes
    ----------
    position
        Everything up to this offset is in a model, or waits for one that was put aside.
    copy_number
        The highest number any copy had so far.
    header
        The checkpoint as it is stored.
    replaced
        Models that others replaced, the oldest first.
    unpublished
        Keys whose models changed since they were published.
    waiting_since_ms
        Key → when what is learned and not published yet was over.
    n_unsaved
        Records since the last checkpoint.
    """

    number: int
    generation: int
    position: int = NOTHING
    copy_number: int = 0
    header: CheckpointHeader | None = None
    models: dict[str, HeldModel] = field(default_factory=dict)
    replaced: Kept = ()
    unpublished: set[str] = field(default_factory=set)
    waiting_since_ms: dict[str, list[int]] = field(default_factory=dict)
    n_unsaved: int = 0

    def is_caught_up(self, model: HeldModel) -> bool:
        """Whether a model with a book holds all of its key that the partition is past."""
        return model.book is not None and model.position >= self.position

    def trained_through(self, model: HeldModel) -> tuple[int, int]:
        """How far a model is: up to which offset, and how many records of its key that is."""
        return (self.position, model.n_records) if model.live else (model.position, model.n_passed)

    def next_copy(self, position: int, n_records: int, n_bytes: int) -> ModelCopy:
        """A copy that is to be stored."""
        self.copy_number += 1
        return ModelCopy(self.copy_number, position, n_records, n_bytes)
