"""How the log is laid out in Redis: which keys there are and what an entry is called.

Keys of one partition share a hash tag, so that a partition would be one slot of a Redis Cluster. One script call
appends to several partitions and asks for the identity besides, so the log lives on a single Redis today. On a
Cluster each partition would need a call of its own, and ``log_id`` and ``closed`` in its ``:meta``, written there
for every partition by whoever opens or closes an epoch.

=================================  ==========================================================================
``{shop.visitor-log:3}``           the stream; entry id ``0-(offset + 1)`` (an id of 0-0 is not allowed)
``{shop.visitor-log:3}:meta``      hash: ``n`` next offset, ``written`` bytes ever, ``base`` bytes trimmed,
                                   ``floor``, and the start of the newest segment (``at_ms``, ``at_bytes``)
``{shop.visitor-log:3}:segments``  list of segments, oldest first: ``offset written ms`` at their start
``{shop.log}:identity``            hash: ``epoch``, ``log_id`` (another in every epoch), ``n_partitions``;
                                   ``closed`` while the epoch takes nothing more
``{shop.folder}:lease``            who owns all partitions for a group, with a time to live
``{shop.folder}:generation``       counts the owners; every commit is fenced by it
``{shop.folder}:committed:visitor-log``  hash: partition → offset
=================================  ==========================================================================
"""

from __future__ import annotations

from typing import NamedTuple


class PartitionKeys(NamedTuple):
    """The keys of one partition."""

    stream: str
    meta: str
    segments: str


def partition_keys(topic_on_server: str, partition: int) -> PartitionKeys:
    """The keys of ``partition`` of a topic, by its name on the server."""
    stream = f"{{{topic_on_server}:{partition}}}"
    return PartitionKeys(stream, f"{stream}:meta", f"{stream}:segments")


def identity_key(prefix: str) -> str:
    """Where the identity of the log is kept."""
    return f"{{{prefix}log}}:identity"


class GroupKeys(NamedTuple):
    """The keys of one consuming group."""

    lease: str
    generation: str
    committed_prefix: str

    def committed(self, topic_on_server: str) -> str:
        """The hash of committed offsets of one topic."""
        return f"{self.committed_prefix}{topic_on_server}"


def group_keys(prefix: str, group: str) -> GroupKeys:
    """The keys of ``group``; they share a slot, so that a commit is fenced in one script."""
    tag = f"{{{prefix}{group}}}"
    return GroupKeys(f"{tag}:lease", f"{tag}:generation", f"{tag}:committed:")


def entry_id(offset: int) -> str:
    """The stream entry id of an offset.

    >>> entry_id(0)
    '0-1'
    """
    return f"0-{offset + 1}"


def offset_of(entry: bytes) -> int:
    """The offset of a stream entry id.

    >>> offset_of(b"0-1")
    0
    """
    return int(entry[2:]) - 1
