"""The record of a decision where nobody has noted where it stands: its visitor's partition is read through."""

from __future__ import annotations

from eventlog.partition import partition_of
from eventlog.topics import DECISIONS
from installation.opened import Installation
from installation.secrets_of import secrets_of
from personalization.errors import InvalidInput
from personalization.events.decision_id import key_of
from personalization.events.decision_record import DecisionRecord, decode_record


async def record_in_log(opened: Installation, decision_id: str) -> DecisionRecord | None:
    """The first record of the decision that the log still has; None: it has none.

    For a command of an operator alone: it takes as long as the partition is long.

    Raises
    ------
    InvalidInput
        Where the id was not made by this installation.
    """
    key = key_of(secrets_of(opened.settings).key("decision-ids"), decision_id)
    partition = partition_of(key, (await opened.log.identity()).n_partitions)
    start = (await opened.log.earliest_offsets(DECISIONS))[partition]
    async for read in opened.log.read(DECISIONS, partition, start):
        if read.key != key:
            continue
        try:
            record = decode_record(read.value)
        except InvalidInput:  # another entry may be whole
            continue
        if record.choice.decision_id == decision_id:
            return record
    return None
