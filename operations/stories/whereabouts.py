"""How far an entry has come: whether its visitor's state holds it, and the model's checkpoint its outcome."""

from __future__ import annotations

from eventlog.partition import partition_of
from eventlog.topics import OUTCOMES
from installation.opened import Installation
from installation.visitors import visitors_of
from personalization.errors import InvalidInput
from personalization.events.logged_entry import LoggedEntry
from personalization.events.outcome import Outcome, decode_outcome
from state.checkpoint_store import CheckpointStore
from state.visitor_store import ABSENT, FENCE

TAIL = 20_000
"""Outcomes looked through behind a checkpoint: it is written after 5,000, unless the settings say otherwise."""


class Whereabouts:
    """Tells how far folder and learner have come, by what they have stored."""

    def __init__(self, opened: Installation) -> None:
        self._opened = opened
        self._visitors = visitors_of(opened.settings, opened.redis, opened.keys, opened.cipher)
        self._checkpoints = CheckpointStore(opened.redis, opened.keys, opened.cipher)

    async def is_folded(self, logged: LoggedEntry) -> bool:
        """Whether the visitor's state was written with this entry, or with a later one."""
        fence = (await self._visitors.load([logged.key]))[logged.key].fence
        if fence == ABSENT:
            return False
        epoch, offset = FENCE.unpack(fence)
        identity = await self._opened.log.identity()
        return bool((epoch, offset) >= (identity.epoch, logged.offset))

    async def is_learned(self, outcome: Outcome) -> bool | None:
        """Whether the last durable checkpoint of the outcome's model holds it; None if that cannot be told."""
        key, log = outcome.choice.model, self._opened.log
        identity = await log.identity()
        partition = partition_of(key, identity.n_partitions)
        headers = await self._checkpoints.headers(identity.n_partitions, identity.epoch)
        header = headers.get(partition)
        if header is None:
            return False
        behind = header.trained_through(key) + 1
        end = (await log.end_offsets(OUTCOMES))[partition]
        if end - behind > TAIL:
            return None
        async for entry in log.read(OUTCOMES, partition, behind, end):
            if _decision_id_of(entry.key, key, entry.value) == outcome.choice.decision_id:
                return False
        return True


def _decision_id_of(entry_key: str, key: str, value: bytes) -> str:
    if entry_key != key:
        return ""
    try:
        return decode_outcome(value).choice.decision_id
    except InvalidInput:
        return ""
