"""``nextbest replay --windows`` through real servers: windows declared today know what the log holds."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import structs

from cli.replay import replay
from eventlog.topics import VISITOR_LOG
from installation.opened import open_installation
from operations.replay import giving
from operations.replay.turn import only_backfill
from personalization.audience import windows
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.errors import Refused
from personalization.events.entry import Entry, decode_entry
from personalization.events.event import Backfilled, SegmentChanged, Track
from personalization.visitor.visitor_state import VisitorState
from state.catalog_store import CatalogStore
from state.visitor_store import unpack_visitor
from tests.integration import workload
from tests.integration.crashing import System, settings_of
from tests.integration.site import NAMESPACE, Site
from tests.of_type import of_type
from tests.running import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LOGS = [
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("kafka", marks=[pytest.mark.redis, pytest.mark.kafka]),
]
SEEN, BOUGHT = "Product Viewed", "Order Completed"


def looking() -> Catalog:
    segments = {"keen": f'count("{SEEN}", within="1h") >= 5', "quiet": f'never("{BOUGHT}", within="1h")'}
    return structs.replace(workload.catalog(), segments=segments)


@pytest.fixture
async def system(
    request: pytest.FixtureRequest, redis_server: Any, namespace: str, tmp_path: Path
) -> AsyncIterator[System]:
    kafka = request.getfixturevalue("kafka_server") if getattr(request, "param", "redis") == "kafka" else ""
    async with System(settings_of(kafka, redis_server.url, namespace), tmp_path, seed=43) as found:
        yield found


async def run(system: System) -> dict[str, Any]:
    environment = {"NEXTBEST_KAFKA": "", **system.environment}
    result = await asyncio.to_thread(CliRunner().invoke, replay, ["--windows", "--json"], env=environment)
    if result.exception is not None:
        raise result.exception
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def worked(system: System) -> CompiledCatalog:
    """A past under a catalog without windows, then one with them, and some more."""
    system.start("folder")
    for _ in range(3):
        await system.burst()
    await system.settle()
    store = CatalogStore(system.redis, system.settings.namespace)
    version = await store.publish(looking())
    system.load.stamp(version)
    await system.burst()
    await system.settle()
    return compile_catalog(looking(), version)


async def entries(system: System) -> list[tuple[str, Entry]]:
    return [
        (found.key, decode_entry(found.value))
        for partition in range(system.settings.partitions)
        async for found in system.log.read(VISITOR_LOG, partition, 0)
    ]


async def state(system: System, key: str) -> VisitorState:
    return unpack_visitor(of_type(bytes, await system.redis.get(system.keys.visitor(key))))


async def assert_counted(system: System, catalog: CompiledCatalog) -> None:
    """Of whoever only ever did things under one key, the log can be counted by hand."""
    done: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    others = set()
    for key, entry in await entries(system):
        event = entry.event
        if entry.provenance is not None and not isinstance(event, Backfilled | SegmentChanged):
            others |= {key, entry.provenance.source}
        elif isinstance(event, Track) and event.event == "Consent Updated":
            others.add(key)
        elif isinstance(event, Track):
            done[key][event.event].append(entry.occurred_at_ms)
    plain = done.keys() - others
    assert len(plain) > 10
    for key in plain:
        kept = (await state(system, key)).windows
        for name, (series,) in catalog.series_by_event.items():
            expected = sorted(done[key][name], reverse=True)[: series.n_kept]
            found = kept[series.key].moments() if series.key in kept else []
            assert found == expected, (key, name)
    assert any(len(done[key][SEEN]) >= 5 for key in plain)


@pytest.mark.parametrize("system", LOGS, indirect=True)
async def test_windows_know_what_the_log_holds(system: System) -> None:
    catalog = await worked(system)
    before = await entries(system)

    report = await run(system)

    assert report["series"] == [BOUGHT, SEEN]
    assert report["entries"] >= len(before)
    assert report["since_ms"] == min(e.received_at_ms for _, e in before if isinstance(e.event, Track))
    given = [(key, e.event) for key, e in await entries(system) if isinstance(e.event, Backfilled)]
    assert report["visitors"] == len({key for key, _ in given}) > 10
    await assert_counted(system, catalog)
    published = await CatalogStore(system.redis, system.settings.namespace).published(report["catalog_version"])
    assert published is not None
    reaching = compile_catalog(published, report["catalog_version"])
    assert report["catalog_version"] == catalog.version + 1
    assert {series.declared_ms for series in reaching.series.values()} == {0}
    known = [await state(system, key) for key, _ in given]
    now_ms = time.time_ns() // 1_000_000
    (quiet,) = (each for each in reaching.windows.values() if each.series.event == BOUGHT)
    says = {windows.holds(quiet, reaching.series[quiet.series.id], each, now_ms) for each in known}
    assert says == {True, False}, "nobody is unknown"
    await system.settle()
    assert await checked(system)
    with pytest.raises(Refused, match="nothing to gain"):
        await run(system)


async def test_one_that_was_interrupted_is_run_again_and_counts_once(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = await worked(system)
    n_appended = 0
    append = giving.Giving._append

    async def dying(self: Any, some: Any) -> None:
        nonlocal n_appended
        if n_appended == 2:
            raise ZeroDivisionError("ended on purpose")
        n_appended += 1
        await append(self, some)

    with monkeypatch.context() as patched:
        patched.setattr(giving, "TOGETHER", 5)
        patched.setattr(giving.Giving, "_append", dying)
        with pytest.raises(ZeroDivisionError):
            await run(system)
    assert await CatalogStore(system.redis, system.settings.namespace).latest_version() == catalog.version
    await system.burst()

    report = await run(system)

    assert report["visitors"] > 5
    await assert_counted(system, catalog)
    await system.settle()
    assert await checked(system)


async def test_nothing_is_claimed_under_a_version_that_is_not_in_force_any_more(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = await worked(system)
    store = CatalogStore(system.redis, system.settings.namespace)
    give = giving.Giving.give

    async def changed(self: Any, missing: Any, say: Any) -> None:
        await give(self, missing, say)
        other = structs.replace(looking(), count_half_life_ms=5)
        await CatalogStore(self.opened.redis, self.opened.settings.namespace).publish(other)

    with monkeypatch.context() as patched:
        patched.setattr(giving.Giving, "give", changed)
        with pytest.raises(Refused, match="run this again for the new one"):
            await run(system)
    newest = await store.published(await store.latest_version())
    assert newest is not None
    assert all(since_ms > 0 for since_ms, _ in newest.declared.values())
    report = await run(system)
    assert (report["visitors"], report["catalog_version"]) == (0, catalog.version + 2), "it was given before"
    await assert_counted(system, catalog)


async def test_one_backfill_at_a_time(system: System) -> None:
    await worked(system)
    async with open_installation(system.settings) as opened, only_backfill(opened) as turn:
        with pytest.raises(Refused, match="another backfill runs"):
            await run(system)
        turn.check()


async def checked(system: System) -> bool:
    """Whether every stored state is still what the log says."""
    environment = {"NEXTBEST_KAFKA": "", **system.environment}
    result = await asyncio.to_thread(CliRunner().invoke, replay, ["--check"], env=environment)
    return result.exit_code == 0


SITE = """
placements:
  only:
    content: [vip]
    default: plain
content:
  vip: {{type: html, body: <p>vip</p>, when: '"quiet" in segments'}}
  plain: {{type: html, body: <p>{body}</p>}}
segments:
  quiet: {quiet}
  reader: {reader}
sources:
  site:
    write_keys: [pk_dev]
    server_keys: [sk_dev]
    consent_default: granted
"""
NOBODY = {"quiet": "traits.quiet", "reader": "traits.reader"}
THEY = {"quiet": 'never("Ordered", within="1h")', "reader": 'count("Read", within="1h") >= 2'}


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site.open(tmp_path_factory, SITE.format(body="plain", **NOBODY)) as site:
        yield site


@pytest.mark.redis
def test_who_belongs_is_told_of_once_and_did_nothing_for_it(site: Site) -> None:
    for event in ("Read", "Read", "Ordered"):
        site.collect({"type": "track", "event": event, "anonymousId": "buyer"})
    for _ in range(2):
        site.collect({"type": "track", "event": "Read", "anonymousId": "reader"})
    site.collect({"type": "track", "event": "Looked", "anonymousId": "quiet"})
    until(lambda: all(site.up.event_count(v) for v in ("buyer", "reader", "quiet")), "all are folded")

    def told() -> dict[str, list[tuple[str, bool]]]:
        return {
            visitor: [(e.segment, e.entered) for e in site.events(f"a:{visitor}") if isinstance(e, SegmentChanged)]
            for visitor in ("buyer", "reader", "quiet")
        }

    history = "nextbest:{catalog}:version"
    before = site.redis.get(history)
    site.publish(SITE.format(body="plain", **THEY))
    until(lambda: site.redis.get(history) != before, "the windows are published")
    assert site.decide({"anonymousId": "reader"}, "only")["contentId"] == "plain", "nobody knows yet"

    environment = {
        "NEXTBEST_REDIS": site.up.redis_url(),
        "NEXTBEST_NAMESPACE": NAMESPACE,
        "NEXTBEST_DATA_DIR": str(site.up.data_dir),  # its secret stands there: what is done is recorded under it
    }
    done = CliRunner().invoke(replay, ["--windows"], env=environment)

    assert done.exit_code == 0, done.output
    assert "these reach back to" in done.stdout
    assert "  Ordered\n  Read\n" in done.stdout
    expected = {
        "buyer": [("reader", True)],
        "reader": [("quiet", True), ("reader", True)],
        "quiet": [("quiet", True)],
    }
    until(lambda: told() == expected, "all were told of")
    assert site.decide({"anonymousId": "reader"}, "only")["contentId"] == "vip"
    assert site.decide({"anonymousId": "buyer"}, "only")["contentId"] == "plain"
    site.publish(SITE.format(body="another", **THEY))
    until(lambda: "another" in str(site.decide({"anonymousId": "buyer"}, "only")), "it is published")
    site.collect({"type": "track", "event": "Looked", "anonymousId": "quiet"})
    until(lambda: site.up.event_count("quiet") == 2, "it is folded")
    assert told() == expected, "a later version begins nothing anew"
