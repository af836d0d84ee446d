"""What is looked at before a call of ``append`` joins others: what is wrong with one must not fail theirs."""

from __future__ import annotations

from collections.abc import Sequence, Set

from eventlog.partition import hash_of
from eventlog.port import LogIdentity, Record
from personalization.errors import EpochClosed, InvalidInput, Unavailable


def checked(records: Sequence[Record], topics: Set[str]) -> tuple[list[int], int]:
    """The hash of every key, and the bytes of all records.

    Raises
    ------
    InvalidInput
        If a key is no text that can be sent, or the log has no such topic.
    """
    n_bytes = 0
    hashes = []
    for record in records:
        if record.topic not in topics:
            raise InvalidInput("topic", f"the log has no topic {record.topic!r}")
        try:
            hashes.append(hash_of(record.key))
        except UnicodeEncodeError as error:
            raise InvalidInput("key", f"{record.key!r} is no Unicode text: {error.reason}") from error
        n_bytes += len(record.value) + len(record.key)
    return hashes, n_bytes


def closed(made_for: LogIdentity, in_force: LogIdentity) -> EpochClosed:
    """What a caller is told whose records were made for another log."""
    return EpochClosed(
        f"this was made for log {made_for.log_id} (epoch {made_for.epoch}), but the log in force is "
        f"{in_force.log_id} (epoch {in_force.epoch}): start again to go on there"
    )


def closed_meanwhile() -> Unavailable:
    """What a caller is told between the end of an epoch and the beginning of the next."""
    return Unavailable("this epoch of the log is closed, and the next is not open yet")
