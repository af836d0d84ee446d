"""The topics of the log, what each may keep, and their names on the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

VISITOR_LOG: Final = "visitor-log"
"""Everything that happens to one visitor, in order; key = visitor. Folded by the group ``folder``."""

DECISIONS: Final = "decisions"
"""Full decision records, for evaluation and explanation; key = visitor. No group owns them."""

OUTCOMES: Final = "outcomes"
"""Closed decisions with their reward; key = placement. Learned by the group ``learner``."""

DEAD_LETTERS: Final = "dead-letters"
"""Events that can never be folded, each with its reason."""

DAY_MS: Final = 24 * 60 * 60 * 1000
MIB: Final = 1024 * 1024


class Trim(StrEnum):
    """What old entries may be dropped when a topic is over its age or bytes."""

    ANY = "any"
    """The oldest, whoever has read them."""
    COMMITTED = "committed"
    """Only entries below the committed offset of the consuming group."""
    FLOOR = "floor"
    """Only entries below a floor somebody sets (the learner: its previous good checkpoint)."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a topic is kept.

    Parameters
    ----------
    max_bytes
        Of keys and values, over all partitions. Redis Streams holds it in memory, hence 256 MiB; Kafka has
        disks and is bounded by age alone.
    max_age_ms
        Entries older than this may go.
    trim
        Which entries may go.
    """

    max_bytes: int = 256 * MIB
    max_age_ms: int = 7 * DAY_MS
    trim: Trim = Trim.ANY


RETENTION: Final[Mapping[str, Retention]] = MappingProxyType(
    {
        VISITOR_LOG: Retention(trim=Trim.COMMITTED),
        DECISIONS: Retention(),
        OUTCOMES: Retention(trim=Trim.FLOOR),
        DEAD_LETTERS: Retention(max_bytes=32 * MIB),
    }
)


@dataclass(frozen=True, slots=True)
class Topics:
    """The namespace of one log: which topics it has and what they are called on the server.

    Code speaks of topics by their plain names; only adapters and Faust apps use the names on the server,
    which carry the prefix (several logs on one server) and the epoch (a new epoch starts at offset 0).

    Examples
    --------
    >>> Topics().on_server(VISITOR_LOG, epoch=1)
    'visitor-log'
    >>> Topics(prefix="shop.").on_server(VISITOR_LOG, epoch=3)
    'shop.visitor-log.e3'
    """

    prefix: str = ""
    retention: Mapping[str, Retention] = field(default_factory=lambda: RETENTION)

    @classmethod
    def bounded(cls, prefix: str, max_bytes: int, max_age_ms: int) -> Topics:
        """All topics within these bounds; dead letters, which nobody waits for, within an eighth of the bytes.

        >>> Topics.bounded("shop.", 800, 5).retention[DEAD_LETTERS].max_bytes
        100
        """
        return cls(
            prefix,
            {
                topic: Retention(max_bytes // 8 if topic == DEAD_LETTERS else max_bytes, max_age_ms, kept.trim)
                for topic, kept in RETENTION.items()
            },
        )

    def on_server(self, topic: str, epoch: int) -> str:
        """The name of ``topic`` on the server in ``epoch``."""
        return f"{self.prefix}{topic}" if epoch == 1 else f"{self.prefix}{topic}.e{epoch}"

    def epoch_of(self, name: str, topic: str) -> int | None:
        """The epoch whose ``topic`` is called ``name`` on the server, if it is one of this namespace."""
        plain = self.prefix + topic
        if name == plain:
            return 1
        epoch = name.removeprefix(plain + ".e")
        return int(epoch) if epoch != name and epoch.isdecimal() else None

    def __iter__(self) -> Iterator[str]:
        """The plain names of all topics."""
        return iter(self.retention)
