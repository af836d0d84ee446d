"""The record of a decision: found by what the projector noted, else by a walk over its visitor's partition."""

from __future__ import annotations

from eventlog.partition import partition_of
from eventlog.topics import DECISIONS
from installation.opened import Installation
from installation.records import records_of
from installation.secrets_of import secrets_of
from personalization.errors import InvalidInput, Unavailable
from personalization.events.decision_id import key_of
from personalization.events.decision_record import DecisionRecord, decode_record


async def find_record(opened: Installation, decision_id: str) -> DecisionRecord | None:
    """The first record of the decision that the log still has; None: it has none.

    An operator asks for one decision, also of a folder in which no projector ever ran, so that a walk is bearable.

    Raises
    ------
    InvalidInput
        Where the id was not made by this installation.
    """
    key = key_of(secrets_of(opened.settings).key("decision-ids"), decision_id)
    try:
        found = await records_of(opened).decision(decision_id)
    except Unavailable:  # no projector has run; if it is the log that is away, the walk says so
        found = None
    return found if found is not None else await _walked(opened, key, decision_id)


async def _walked(opened: Installation, key: str, decision_id: str) -> DecisionRecord | None:
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
