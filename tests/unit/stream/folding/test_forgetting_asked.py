"""Every model is told whom to forget, wherever it is known, and the report says what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

from eventlog.partition import partition_of
from eventlog.port import EventLog, LogIdentity, Record
from eventlog.topics import OUTCOMES
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.events.forgotten import decode_forgotten
from state.checkpoint_store import CheckpointHeader, ModelCopy, SavedModel, encode_header
from state.keys import Keys
from stream.folding import forgetting
from stream.folding.forgetting import Forgetting
from tests.integration.workload import catalog
from tests.unit.stream.fakes import N_PARTITIONS, FixedCatalog, MemoryLog

KEYS = Keys("shop")
JANE = b"jane-jan"


class MemoryRedis:
    """What is published, kept and saved."""

    def __init__(self) -> None:
        self.sets: dict[str, set[bytes]] = {}
        self.values: dict[str, bytes] = {}

    def register_script(self, script: str) -> None:
        """Nothing is saved here."""

    async def smembers(self, name: str) -> set[bytes]:
        return self.sets.get(name, set())

    async def mget(self, names: Sequence[str]) -> list[bytes | None]:
        return [self.values.get(name) for name in names]

    async def delete(self, *names: str) -> int:
        return sum((self.sets.pop(name, None) or self.values.pop(name, None)) is not None for name in names)


class CommittedLog(MemoryLog):
    """A log whose learner has committed all, or nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.is_learned = True

    async def committed_offsets(self, group: str, topic: str) -> list[int | None]:
        return [len(self.of(topic)[number]) if self.is_learned else None for number in range(N_PARTITIONS)]


class Bench:
    def __init__(self, edited: CompiledCatalog | None = None) -> None:
        self.redis, self.log = MemoryRedis(), CommittedLog()
        self.forgetting = Forgetting(
            cast(Redis, self.redis),
            KEYS,
            cast(EventLog, self.log),
            FixedCatalog(edited or compile_catalog(catalog(), 1)),
            LogIdentity(1, "log", N_PARTITIONS),
        )

    def told(self) -> dict[str, Record]:
        return {record.key: record for record in self.log.all(OUTCOMES)}

    async def remaining(self, *, are_learned: bool = True) -> str:
        found = await self.forgetting.remains(are_learned=are_learned, now_ms=1, log_age_ms=7)
        return "\n".join(each.what for each in found)


async def test_all_are_told_that_the_catalog_names_or_that_ever_learned() -> None:
    bench = Bench()
    header = CheckpointHeader(1, 9, 1, 2, {"saved": SavedModel(b"", 0, 3)})
    bench.redis.values[KEYS.checkpoint(0, "current")] = encode_header(header)
    bench.redis.sets = {KEYS.models: {b"served"}, KEYS.conversions: {b"predicted"}}
    assert await bench.forgetting.forget({JANE}, 7)
    assert {"hero", "saved", "served", "conversion:predicted"} <= set(bench.told())
    assert {f"conversion:{name}" for name in catalog().conversions} <= set(bench.told())
    for key, record in bench.told().items():
        assert decode_forgotten(record.value).units == (JANE,)
        assert record in bench.log.of(OUTCOMES)[partition_of(key, N_PARTITIONS)]


async def test_challengers_that_were_kept_go() -> None:
    bench = Bench()
    bench.redis.sets = {KEYS.challengers: {b"c1"}}
    bench.redis.values = {KEYS.challenger("c1"): b"model", "another": b"value"}
    await bench.forgetting.forget({JANE}, 7)
    assert (bench.redis.sets, bench.redis.values) == ({}, {"another": b"value"})


async def test_a_learner_that_is_away_is_waited_for_a_while_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "LEARNED_S", 0.2)
    bench = Bench()
    bench.log.is_learned = False
    assert not await bench.forgetting.forget({JANE}, 7)
    assert "the learner is away" in await bench.remaining(are_learned=False)
    assert "the learner is away" not in await bench.remaining()


async def test_models_that_are_put_aside_are_named() -> None:
    bench = Bench()
    waiting = SavedModel(b"", 0, 3, (ModelCopy(1, 4, 2, 100),))
    header = CheckpointHeader(1, 9, 1, 2, {"aside": waiting, "live": SavedModel(b"", 0, 2, waiting.copies)})
    bench.redis.values[KEYS.checkpoint(0, "current")] = encode_header(header)
    assert "until they have caught up: aside" in await bench.remaining()


async def test_rivers_models_are_named_that_cannot_forget() -> None:
    assert "River" not in await Bench().remaining()
    base = catalog()
    hero = msgspec.structs.replace(base.placements["hero"], model="river.linear_model.LogisticRegression")
    edited: Any = msgspec.structs.replace(base, placements={"hero": hero})
    assert "which cannot forget: hero" in await Bench(compile_catalog(edited, 2)).remaining()
