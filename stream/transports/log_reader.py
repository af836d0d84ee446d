"""What our consumers ask of a transport, beyond what Faust does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from faust.types import TP


class Receiver(Protocol):
    """Takes what was read as it came, all partitions together."""

    @property
    def pause_s(self) -> float:
        """How long what comes is left to gather before it is looked for, where there was no more of it."""
        ...

    async def until_room(self) -> None:
        """Wait while nothing more can be taken."""

    async def take(self, found: Mapping[TP, Sequence[Any]], offsets: Mapping[TP, int]) -> Mapping[TP, int]:
        """Take the entries found from ``offsets`` on; the offsets that are read next."""
        ...


class LogReader(ABC):
    """Reads a log from where it is told, and keeps no place of its own between two reads."""

    @abstractmethod
    async def resume_offsets(self, tps: Collection[TP]) -> dict[TP, int]:
        """Where the group goes on: at its committed offset, or else at the oldest entry the log still has."""

    @abstractmethod
    async def read_from(self, offsets: Mapping[TP, int], timeout_s: float) -> dict[TP, list[Any]]:
        """What the log holds from ``offsets`` on, in order and with nothing left out; empty after ``timeout_s``.

        An offset that is missing between the one asked for and the last one given is missing in the log.
        """

    @abstractmethod
    def most_at_once(self, n_partitions: int) -> int:
        """How many entries of one partition ``read_from`` gives at most, of so many that it reads."""


if TYPE_CHECKING:
    from faust.transport.consumer import Consumer as FaustConsumer

    class ReadingConsumer(FaustConsumer, LogReader):
        """What stands behind the mixins: a Faust consumer whose transport reads from where it is told."""

else:
    ReadingConsumer = object
