"""What the learner asks of a kind of model: what is learned under a key of ``outcomes``, and who is served it.

There are two kinds, placements and conversions. The learner knows positions, fences and checkpoints; a training
knows its records, its models and its readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.example import conversion_of
from state.model_store import Published


class Book(Protocol):
    """What is learned under one key."""

    @property
    def n_learned(self) -> int:
        """Records that changed what is served."""

    @property
    def adaptations(self) -> Mapping[str, int]:
        """What it did about itself so far, by kind: rebuilds, rollbacks, …"""

    def schema(self) -> str:
        """What a checkpoint must agree with to go on."""


class Learned(NamedTuple):
    """What became of one record.

    Attributes
    ----------
    result
        A label for the metrics.
    changed
        Whether deciders should hear of it.
    closed_at_ms
        When what it tells was over: the lag to the published weights counts from here; None: not counted.
    """

    result: str
    changed: bool
    closed_at_ms: int | None = None


class Place(NamedTuple):
    """Where a checkpoint stands: everything of the partition before ``offset`` is in it."""

    partition: int
    offset: int
    generation: int
    epoch: int


class Training(Protocol):
    """How books of one kind are made, taught, kept and published; ``Any`` stands for its own kind of book."""

    def knows(self, key: str, catalog: CompiledCatalog) -> bool:
        """Whether the catalog names what is learned under the key."""

    def new(self, key: str, catalog: CompiledCatalog) -> Any:
        """An empty book, as the catalog wants it."""

    def load(self, key: str, blob: bytes) -> Any:
        """A book from its checkpoint; raises ``Refused``."""

    def is_signed_before(self, blob: bytes) -> bool:
        """Whether a checkpoint that was loaded was signed under a secret before, and should be written anew."""

    async def dump(self, book: Any, place: Place) -> bytes:
        """A book's checkpoint."""

    async def learn(self, book: Any, value: bytes) -> Learned:
        """Take one record of the log into its book; raises ``InvalidInput`` for what is none."""

    def relearn(self, book: Any, value: bytes) -> None:
        """Take an old record into a new book; raises ``InvalidInput`` for what is none."""

    def due(self, key: str) -> bool:
        """Whether the last publish is long enough ago."""

    async def publish(self, book: Any, generation: int, at_ms: int) -> tuple[Published, int]:
        """Publish the book as it stands; how it went, and its bytes."""

    def warnings(self, book: Any) -> list[str]:
        """What is not well about what it is taught, a sentence each."""

    def let_go(self, key: str) -> None:
        """The key is learned elsewhere: nothing is shown of it any more."""

    def forget(self, key: str) -> None:
        """The key was taken over: what was published before it is not known any more."""


class Trainings:
    """The training of a key."""

    def __init__(self, placements: Training, conversions: Training) -> None:
        self._placements = placements
        self._conversions = conversions

    def of(self, key: str) -> Training:
        """A conversion's, or else a placement's."""
        return self._placements if conversion_of(key) is None else self._conversions
