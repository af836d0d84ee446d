"""Has models forget persons who are erased, by a record under the key of each, which the learner comes to in order.

The learner publishes what is left, and saves it twice, before it commits behind such a record: whoever sees it
committed knows that no snapshot and no copy of a checkpoint holds anything of those persons alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, cast

from redis.asyncio import Redis

from background.cancelling import pause
from eventlog.partition import partition_of
from eventlog.port import EventLog, LogIdentity, Record
from eventlog.topics import OUTCOMES
from personalization.catalog.compiled_catalog import CompiledCatalog
from personalization.events.example import example_key
from personalization.events.forgotten import Forgotten, encode_forgotten
from state.checkpoint_store import CheckpointHeader, CheckpointStore
from state.erasure_store import Remaining
from state.keys import Keys
from stream.current_catalog import CurrentCatalog

POLL_S = 0.1
LEARNED_S = 15.0
"""A learner at work commits within ten seconds, and behind a record of who was erased within one."""

OWN_MODELS = frozenset({"default", "arm_linear"})
"""Models that keep nothing of a person but what they can let go of; all others are River's."""


class Forgetting:
    """Tells models whom to forget, and waits until they have."""

    def __init__(
        self, redis: Redis, keys: Keys, log: EventLog, catalog: CurrentCatalog, identity: LogIdentity
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._log = log
        self._catalog = catalog
        self._identity = identity
        self._checkpoints = CheckpointStore(redis, keys)

    async def forget(self, units: Collection[bytes], now_ms: int) -> bool:
        """Have all models forget these persons; whether they had within ``LEARNED_S``.

        Challengers that were kept go too: one that has entered lives on in the checkpoint of its conversion.
        """
        keys = await self._model_keys()
        value = encode_forgotten(Forgotten(tuple(sorted(units)), now_ms))
        await self._log.append([Record(OUTCOMES, key, value) for key in keys], self._identity)
        ends = await self._log.end_offsets(OUTCOMES)
        told = {partition_of(key, self._identity.n_partitions) for key in keys}
        are_learned = await self.until_learned({partition: ends[partition] - 1 for partition in told})
        await self._remove_challengers()
        return are_learned

    async def until_learned(self, offsets: Mapping[int, int]) -> bool:
        """Wait a while for the learner to be past these offsets, by partition; whether it is."""
        for _ in range(int(LEARNED_S / POLL_S)):
            committed = await self._log.committed_offsets("learner", OUTCOMES)
            if all((committed[partition] or 0) > offset for partition, offset in offsets.items()):
                return True
            await pause(POLL_S)
        return False

    async def remains(self, *, are_learned: bool, now_ms: int, log_age_ms: int) -> list[Remaining]:
        """What models keep of persons who are erased, and until when."""
        found = [
            Remaining("weights of models: numbers that were learned from many, and hold no id"),
            Remaining("8-byte hashes by which the log tells models whom to forget", now_ms + log_age_ms),
        ]
        catalog = self._catalog.current
        rivers = [name for name, model in _models_of(catalog).items() if model not in OWN_MODELS]
        if rivers:
            found.append(
                Remaining(f"what River's models keep by themselves, which cannot forget: {_listed(rivers)}")
            )
        behind = [key for header in await self._headers() for key in header.waiting()]
        if behind:
            found.append(Remaining(f"models that are put aside, until they have caught up: {_listed(behind)}"))
        if not are_learned:
            found.append(
                Remaining(
                    "names and rows in models: the learner is away or behind, and forgets them once it is not"
                )
            )
        return found

    async def _headers(self) -> list[CheckpointHeader]:
        headers = await self._checkpoints.headers(self._identity.n_partitions, self._identity.epoch)
        return list(headers.values())

    async def _model_keys(self) -> list[str]:
        """Under which keys models are, or will be once the learner has read what the log holds."""
        catalog = self._catalog.current
        keys = {*catalog.models, *map(example_key, catalog.conversions)}
        for header in await self._headers():
            keys |= header.models.keys()
        placements: set[bytes] = await cast("Any", self._redis.smembers(self._keys.models))
        conversions: set[bytes] = await cast("Any", self._redis.smembers(self._keys.conversions))
        keys |= {name.decode(errors="replace") for name in placements}
        keys |= {example_key(name.decode(errors="replace")) for name in conversions}
        return sorted(keys)

    async def _remove_challengers(self) -> None:
        kept: set[bytes] = await cast("Any", self._redis.smembers(self._keys.challengers))
        names = [self._keys.challenger(each.decode(errors="replace")) for each in kept]
        await cast("Any", self._redis.delete(self._keys.challengers, *names))


def _models_of(catalog: CompiledCatalog) -> dict[str, str]:
    """Key → name of the model."""
    found = {key: compiled.spec.model for key, compiled in catalog.models.items()}
    return found | {name: compiled.spec.model for name, compiled in catalog.conversions.items()}


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
