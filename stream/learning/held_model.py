"""One model as a learner holds it: its book, how far that is, its stored copies, and what is wrong with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from state.checkpoint_store import ModelCopy, SavedModel
from stream.learning.training import Book

NOTHING = -1
"""Position of what nothing is learned of."""


class Stage(StrEnum):
    """What a model was doing when it raised."""

    LEARN = "learn"
    PUBLISH = "publish"
    SAVE = "save"
    LOAD = "load"


@dataclass(slots=True)
class Trouble:
    """Why a model was put aside, and when it is tried again.

    Attributes
    ----------
    n_failures
        In a row: the pause grows with them.
    retry_s
        When it is tried again, by the clock of ``SettingAside``.
    """

    stage: Stage
    cause: str
    n_failures: int
    retry_s: float


@dataclass(slots=True)
class HeldModel:
    """What is held of one key.

    A model is *live* while everything of its key up to the partition's position is in its book. One that is not
    has a position of its own; records of its key pass it by until it has caught up from the log.

    Attributes
    ----------
    schema
        Digest of what the model is.
    origin
        An empty book is complete up to this offset.
    book
        None while the model is put aside.
    position, n_passed
        While it is not live: everything up to this offset is in the book, and so many records of its key that is.
    n_records
        Records of its key up to the partition's position.
    moved
        Whether the book learned something that no copy holds, or its copies were signed under a secret before.
    forgot
        Records of who was erased from the book, whom its copies may still hold.
    n_learned
        Records taken since the book was loaded.
    raises
        Offset → how often it raised there.
    unlearnable
        Offsets that were given up on.
    anew_below
        Records below it were learned by the model this one replaced.
    replaces
        Whether it was loaded to learn those: what the log no longer holds of them is no loss of this model's.
    """

    key: str
    schema: bytes = b""
    origin: int = NOTHING
    book: Book | None = None
    live: bool = False
    position: int = NOTHING
    n_passed: int = 0
    n_records: int = 0
    moved: bool = False
    forgot: list[bytes] = field(default_factory=list)
    n_learned: int = 0
    copies: tuple[ModelCopy, ...] = ()
    anew_below: int = NOTHING
    replaces: bool = False
    trouble: Trouble | None = None
    raises: dict[int, int] = field(default_factory=dict)
    unlearnable: set[int] = field(default_factory=set)

    @classmethod
    def from_saved(cls, key: str, saved: SavedModel, *, same_epoch: bool) -> HeldModel:
        """A model as a header names it, not loaded yet. Offsets of an older epoch mean nothing here."""
        copies = saved.copies if same_epoch else without_positions(saved.copies)
        held = cls(
            key,
            saved.schema,
            saved.origin if same_epoch else NOTHING,
            n_records=saved.n_records,
            copies=copies,
            anew_below=saved.anew_below if same_epoch else NOTHING,
            unlearnable=set(saved.unlearnable) if same_epoch else set(),
        )
        held.go_back()
        return held

    def saved(self) -> SavedModel:
        """What a header says of it."""
        given_up = tuple(sorted(self.unlearnable))
        return SavedModel(self.schema, self.origin, self.n_records, self.copies, self.anew_below, given_up)

    def go_back(self) -> None:
        """Let go of the book: the newest copy is what there is."""
        newest = self.copies[0] if self.copies else None
        self.book = None
        self.live = self.moved = False
        self.forgot = []
        self.n_learned = 0
        self.position = self.origin if newest is None else newest.position
        self.n_passed = 0 if newest is None else newest.n_records

    def take(self, book: Book) -> None:
        """Hold a book that is complete up to ``position``."""
        self.book = book
        self.replaces = self.position + 1 < self.anew_below
        self.schema = digest_of(book)

    def begin_anew(self) -> None:
        """No copy is any good: all that the log holds is to be learned."""
        self.copies = ()
        self.origin = NOTHING
        self.go_back()

    @property
    def is_aside(self) -> bool:
        """Whether it was put aside and has not caught up since."""
        return self.trouble is not None and not self.live

    def n_waiting(self) -> int:
        """Records of its key that it has not learned and others are past."""
        return 0 if self.live else self.n_records - self.n_passed


def digest_of(book: Book) -> bytes:
    """Names what a book is: its schema in 16 bytes."""
    return hashlib.blake2b(book.schema().encode(), digest_size=16).digest()


def without_positions(copies: tuple[ModelCopy, ...]) -> tuple[ModelCopy, ...]:
    """Copies of another epoch: what they hold counts, where in that log it stood does not."""
    return tuple(ModelCopy(copy.number, NOTHING, copy.n_records, copy.n_bytes) for copy in copies)
