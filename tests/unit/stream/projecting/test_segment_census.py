"""When segments are counted again: soon where there is little to count."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, cast

from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.visitor.visitor_state import VisitorState
from state.segment_store import SegmentSizes
from stream.projecting.segment_census import SegmentCensus

CATALOG = compile_catalog(Catalog(placements={}, content={}, segments={"buyers": "n_orders > 0"}), 1)


@dataclass
class Catalogs:
    current: CompiledCatalog = field(default_factory=lambda: CATALOG)
    ready: bool = True


@dataclass
class FakeStore:
    """A few visitors in memory; tells whoever waits of each count."""

    states: dict[str, VisitorState] = field(default_factory=dict)
    counted: asyncio.Queue[SegmentSizes] = field(default_factory=asyncio.Queue)

    async def step(self, cursor: int) -> tuple[int, dict[str, VisitorState]]:
        return 0, dict(self.states)

    async def write(self, partition: int, counted: SegmentSizes) -> None:
        self.counted.put_nowait(counted)


async def test_who_comes_to_a_small_installation_is_counted_within_seconds() -> None:
    store = FakeStore()
    task = asyncio.create_task(SegmentCensus(cast(Any, store), Catalogs(), lambda: (0,), 1).run())
    try:
        async with asyncio.timeout(10):
            assert (await store.counted.get()).n_visitors == 0
            began_s = time.monotonic()
            store.states["a:1"] = VisitorState(first_ms=1, n_orders=1)
            counted = await store.counted.get()
        assert (counted.n_visitors, counted.sizes) == (1, {"buyers": 1})
        assert time.monotonic() - began_s > 1.5, "and rests meanwhile"
    finally:
        task.cancel()
