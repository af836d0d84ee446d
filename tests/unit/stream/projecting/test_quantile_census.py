"""Thresholds of tiers by shares: computed by all projectors together, published by one, and not too often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from eventlog.partition import partition_of
from personalization.catalog.catalog import Catalog, PublishedCatalog, Score
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.sections.scores import EventPoints, TraitPoints
from personalization.catalog.tier_thresholds import TierThresholds, TopShare
from personalization.visitor.purposes import Word
from personalization.visitor.visitor_state import VisitorState
from state.points_store import PointsOfPartition
from stream.projecting.quantile_census import WHO, QuantileCensus

NOW, HOUR_MS, N_PARTITIONS = 1_700_000_000_000, 3_600_000, 4
SCORE = Score(
    traits=tuple(TraitPoints(when=f"traits.bit{bit} == true", points=2**bit) for bit in range(10)),
    tiers={"hot": TopShare(top=0.1), "warm": TopShare(top=0.4)},
)


def catalog(version: int = 1, score: Score = SCORE, **terms: Any) -> CompiledCatalog:
    return compile_catalog(PublishedCatalog(placements={}, content={}, scores={"lead": score}, **terms), version)


def visitor(points: int, **terms: Any) -> VisitorState:
    traits: dict[str, str | float | int | bool] = {f"bit{bit}": True for bit in range(10) if points & 2**bit}
    return VisitorState(first_ms=NOW, traits=traits, **terms)


@dataclass
class Store:
    """Visitors, counts and versions in memory."""

    states: dict[str, VisitorState]
    current: CompiledCatalog = field(default_factory=catalog)
    ready: bool = True
    newest: int = 1
    counts: dict[int, PointsOfPartition] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    async def step(self, cursor: int) -> tuple[int, dict[str, VisitorState]]:
        keys = list(self.states)[cursor : cursor + 100]
        return (cursor + 100 if cursor + 100 < len(self.states) else 0), {key: self.states[key] for key in keys}

    async def write(self, partition: int, counted: PointsOfPartition) -> None:
        self.counts[partition] = counted

    async def read(self, n_partitions: int) -> list[PointsOfPartition | None]:
        return [self.counts.get(partition) for partition in range(n_partitions)]

    async def set_thresholds(
        self, version: int, thresholds: Mapping[str, TierThresholds], who: str, changes: list[str]
    ) -> int | None:
        assert who == WHO
        if version != self.newest:
            return None
        self.newest += 1
        self.history += changes
        self.current = catalog(self.newest, SCORE, thresholds=dict(thresholds))
        return self.newest


@dataclass
class Clock:
    now_ms: int = NOW

    def __call__(self) -> int:
        return self.now_ms


def census(store: Store, *owned: int, clock: Clock | None = None) -> QuantileCensus:
    ours = owned or tuple(range(N_PARTITIONS))
    return QuantileCensus(
        store, store, store, store, lambda: ours, N_PARTITIONS, HOUR_MS, cpu_share=1.0, now_ms=clock or Clock()
    )


def hundreds(n: int) -> Store:
    return Store({f"a:{number}": visitor(number) for number in range(1, n + 1)})


def thresholds(store: Store) -> dict[float, float | None]:
    return dict(store.current.scores.computed["lead"].points)


async def test_a_tenth_of_the_visitors_is_at_or_above_the_threshold() -> None:
    store = hundreds(200)
    await census(store).look()
    assert thresholds(store) == {0.1: 181, 0.4: 121}
    assert store.history == ["scores.lead: hot from 181 points, warm from 121 points, of 200 visitors"]


async def test_who_refused_or_moved_or_is_unknown_is_not_counted() -> None:
    store = hundreds(100)
    store.states["a:refused"] = visitor(900, consents={"personalization": Word(False, NOW)})
    store.states["a:moved"] = visitor(900, redirect="a:1")
    store.states["a:unknown"] = VisitorState()
    await census(store).look()
    assert store.current.scores.computed["lead"].n_visitors == 100


async def test_of_fewer_than_a_hundred_there_are_no_thresholds() -> None:
    store = hundreds(99)
    ours = census(store)
    await ours.count(store.current)
    assert await ours.publish(store.current) is None
    store.states["a:100"] = visitor(100)
    await ours.count(store.current)
    assert await ours.publish(store.current) == 2


async def test_several_projectors_agree_on_one_set_of_thresholds() -> None:
    together, alone = hundreds(200), hundreds(200)
    await census(alone).look()
    first, second = census(together, 0, 3), census(together, 1, 2)
    await first.look()
    assert together.newest == 1, "the others may have those with the most points"
    await second.look()
    assert together.newest == 1, "the owner of the first partition publishes"
    assert await first.publish(together.current) == 2
    assert thresholds(together) == thresholds(alone)


async def test_who_takes_over_from_a_killed_projector_counts_its_partitions() -> None:
    store = hundreds(200)
    await census(store, 0, 1).count(store.current)
    assert sorted(store.counts) == [0, 1], "the one with the others was killed in the middle of its walk"
    await census(store).look()
    assert thresholds(store) == {0.1: 181, 0.4: 121}


async def test_a_walk_is_given_up_where_other_points_count_by_now() -> None:
    store = hundreds(200)
    before = store.current
    other = Score(events=(EventPoints(event="V", points=1),), tiers={"hot": TopShare(top=0.1)})
    store.current = catalog(2, other)
    assert not await census(store).count(before)
    assert store.counts == {}


async def test_a_person_who_publishes_meanwhile_is_not_overtaken() -> None:
    store = hundreds(200)
    ours = census(store)
    await ours.count(store.current)
    store.newest = 2
    assert await ours.publish(store.current) is None
    store.current = catalog(2)
    assert await ours.publish(store.current) == 3


@pytest.mark.parametrize(
    ("after_ms", "shift", "expected"),
    [
        pytest.param(HOUR_MS - 1, 50, 2, id="too soon"),
        pytest.param(HOUR_MS, 50, 3, id="moved, an hour later"),
        pytest.param(HOUR_MS, 2, 2, id="hardly moved"),
    ],
)
async def test_thresholds_are_published_seldom_and_for_a_reason(after_ms: int, shift: int, expected: int) -> None:
    store, clock = hundreds(200), Clock()
    ours = census(store, clock=clock)
    await ours.look()
    assert store.newest == 2
    clock.now_ms += after_ms
    store.states = {f"a:{number}": visitor(number + shift) for number in range(1, 201)}
    await ours.count(store.current)
    await ours.publish(store.current)
    assert store.newest == expected


async def test_twice_as_many_visitors_are_reason_to_publish_sooner() -> None:
    store = hundreds(200)
    ours = census(store)
    await ours.look()
    store.states.update(hundreds(400).states)
    await ours.count(store.current)
    await ours.publish(store.current)
    assert thresholds(store) == {0.1: 361, 0.4: 241}
    assert store.history[-1].startswith("scores.lead: hot from 361 points (was 181 points), warm from 241")


async def test_ties_make_a_tier_smaller_and_never_larger() -> None:
    store = Store({f"a:{number}": visitor(8 if number < 30 else 1) for number in range(200)})
    await census(store).look()
    assert thresholds(store) == {0.1: None, 0.4: 8}


async def test_a_catalog_without_shares_costs_nothing() -> None:
    store = hundreds(200)
    store.current = compile_catalog(Catalog(placements={}, content={}), 1)
    await census(store).look()
    assert (store.counts, store.newest) == ({}, 1)


def test_the_keys_of_this_test_lie_in_every_partition() -> None:
    assert {partition_of(f"a:{number}", N_PARTITIONS) for number in range(1, 100)} == set(range(N_PARTITIONS))
