"""A placement's learner as its last durable checkpoint has it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from eventlog.partition import partition_of
from eventlog.port import EventLog
from online_models import checkpoint
from online_models.placement_model import PlacementModel
from state.checkpoint_store import CheckpointHeader, CheckpointStore


class StoredModel(NamedTuple):
    """A learner at rest, and the checkpoint of its partition that says how far it is."""

    book: PlacementModel
    header: CheckpointHeader
    partition: int


async def stored_model(
    checkpoints: CheckpointStore, log: EventLog, key: str, secret: bytes, wait_s: float | None = None
) -> StoredModel | None:
    """The learner under ``key``; None while no checkpoint has it.

    Parameters
    ----------
    wait_s
        For log and Redis.

    Raises
    ------
    Refused
        If its copy is damaged, or of another secret or release.
    """
    async with asyncio.timeout(wait_s):
        partition = partition_of(key, (await log.identity()).n_partitions)
        stored = await checkpoints.load(partition)
    blob = stored.blobs.get(key) if stored is not None else None
    if stored is None or blob is None:
        return None
    # Off the loop: a large model takes milliseconds to load.
    loaded = await asyncio.to_thread(checkpoint.load, blob, secret, placement=key)
    return StoredModel(loaded.model, stored.header, partition)
