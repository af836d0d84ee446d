"""The doctor names what is wrong, hangs on nothing, and keeps secrets."""

from __future__ import annotations

import asyncio
import threading
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from msgspec import structs

from cli.doctor import surroundings
from config.loader import check_catalog, shipped_catalog
from config.setting_values import PREFIX
from config.settings import Settings
from operations.doctor.catalog import of_files, of_thresholds
from operations.doctor.disk import room
from operations.doctor.examination import examine, is_wrong
from operations.doctor.finding import Finding, Level
from operations.doctor.host import check_open_files, check_ports
from operations.doctor.kafka_broker import of_topic
from operations.doctor.known_holes import HOLES, KNOWN_UNTIL, open_holes
from operations.doctor.log_topics import behind
from operations.doctor.machine import Machine, Room
from operations.doctor.settings import check_settings
from operations.doctor.surroundings import Surroundings, readable
from operations.doctor.threads import DaemonThreads
from operations.doctor.versions import check_packages, of_version
from operations.watching.inner_port import Readiness
from personalization.catalog.catalog import Catalog, Score
from personalization.catalog.sections.scores import EventPoints
from personalization.catalog.tier_thresholds import TierThresholds, TopShare, measured_by
from state.catalog_store import encode_catalog

NOBODY = "redis://127.0.0.1:1/0"
SECRET = "0123456789abcdef" * 2


class FakeMachine(Machine):
    """A machine that is as a test says."""

    def __init__(self, room: Room | OSError | None = None, n_files: int = 1 << 20, taken: bool = False) -> None:
        self._room, self._n_files, self._taken = room, n_files, taken

    def room(self, path: Path) -> Room:
        if isinstance(self._room, OSError):
            raise self._room
        return self._room or super().room(path)

    def open_files(self) -> int:
        return self._n_files

    def is_taken(self, host: str, port: int) -> bool:
        return self._taken


def around(environment: dict[str, str], data_dir: Path, machine: Machine | None = None) -> Surroundings:
    left, mistakes = readable(environment)
    return Surroundings(
        environment, Settings.from_environment(left), data_dir, mistakes, machine=machine or FakeMachine()
    )


def levels(findings: list[Finding]) -> list[tuple[str, Level]]:
    return [(finding.check, finding.level) for finding in findings]


async def test_every_wrong_setting_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    environment = {
        f"{PREFIX}REDDIS": "redis://cache",
        f"{PREFIX}LEASE_MS": "soon",
        f"{PREFIX}LOG_BYTES": "1000",
        f"{PREFIX}SECRET": SECRET,
    }
    looked_at = around(environment, tmp_path)
    told = [finding.what for finding in await check_settings(looked_at) if finding.level is Level.WRONG]
    assert len(told) == 2
    assert "did you mean NEXTBEST_REDIS?" in told[0] + told[1]
    assert "NEXTBEST_LEASE_MS: must be a whole number" in told[0] + told[1]
    assert looked_at.settings.log_bytes == 1000


async def test_a_secret_that_is_wrong_is_told_of_and_not_printed(tmp_path: Path) -> None:
    short = tmp_path / "secret"
    short.write_text("hunter2-hunter2")
    for environment in ({f"{PREFIX}SECRET": "hunter2-hunter2"}, {f"{PREFIX}SECRET_FILE": str(short)}):
        findings = await check_settings(around(environment, tmp_path))
        assert findings[0].level is Level.WRONG
        assert "has 15 characters" in findings[0].what
        assert not any("hunter2" in finding.what + finding.do for finding in findings)


@pytest.mark.parametrize(
    ("name", "value", "level", "words"),
    [
        ("UNSAFE", "fence", Level.WRONG, "leaves out safeguards (fence)"),
        ("FAILPOINT", "after-save", Level.WRONG, "end on purpose"),
        ("ENCRYPT", "off", Level.LOOK, "as they are"),
        ("REDIS", "redis://:hunter2@cache.example/0", Level.LOOK, "Redis at cache.example is not encrypted"),
        ("REDIS", "rediss://cache.example/0", Level.LOOK, "without a password"),
        ("KAFKA", "kafka.example:9092", Level.LOOK, "Kafka is not encrypted"),
    ],
)
async def test_what_is_risky_is_told(name: str, value: str, level: Level, words: str, tmp_path: Path) -> None:
    calm = {f"{PREFIX}SECRET": SECRET}
    assert levels(await check_settings(around(calm, tmp_path))) == [("settings", Level.OK)]
    found = await check_settings(around({**calm, PREFIX + name: value}, tmp_path))
    assert levels(found) == [("settings", level)]
    assert words in found[0].what
    assert "hunter2" not in found[0].what


async def test_the_development_secret_is_told_of(tmp_path: Path) -> None:
    found = await check_settings(around({}, tmp_path))
    assert levels(found) == [("settings", Level.LOOK)]
    assert "for development" in found[0].what
    (tmp_path / "secret").write_text(SECRET)
    assert levels(await check_settings(around({}, tmp_path))) == [("settings", Level.OK)]


async def test_a_package_that_is_missing_is_wrong(tmp_path: Path) -> None:
    def version(name: str) -> str:
        if name == "river":
            raise PackageNotFoundError(name)
        return "1.0"

    found = await check_packages(around({}, tmp_path), version)
    assert levels(found) == [("versions", Level.WRONG)]
    assert found[0].what.startswith("river ")


@pytest.mark.parametrize(
    ("server", "version", "n_open"),
    [
        ("redis", (6, 2, 15), 5),
        ("redis", (7, 0, 15), 5),  # a line that its makers mend no more
        ("redis", (7, 2, 11), 1),
        ("redis", (8, 0, 9), 1),
        ("redis", (8, 2, 8), 0),
        ("redis", (8, 10, 0), 0),
        ("valkey", (8, 1, 4), 1),
        ("valkey", (9, 1, 1), 0),
        ("dragonfly", (1, 0, 0), 0),
    ],
)
def test_holes_are_known_by_the_version_that_mends_each_line(
    server: str, version: tuple[int, int, int], n_open: int
) -> None:
    assert len(open_holes(server, version)) == n_open


def test_a_hole_is_mended_by_the_releases_that_the_table_names() -> None:
    for server, holes in HOLES.items():
        for hole in holes:
            for line, version in hole.mended.items():
                assert hole not in open_holes(server, version)
                assert version[2] == 0 or hole in open_holes(server, (*line, version[2] - 1))


@pytest.mark.parametrize(("server", "version"), [("redis", "8.8.1"), ("redis", "99.0.0"), ("valkey", "9.1.1")])
def test_a_server_without_known_holes_is_told_until_when_they_are_known(server: str, version: str) -> None:
    found = of_version(server, version)
    assert found.level is Level.OK
    assert f"the list of holes ends with {KNOWN_UNTIL:%B %Y}" in found.what


def test_of_a_server_whose_holes_are_not_listed_nobody_says_that_it_has_none() -> None:
    assert of_version("dragonfly", "1.0.0").level is Level.LOOK


@pytest.mark.parametrize(
    ("free_share", "free_files", "level"),
    [(0.5, 100, Level.OK), (0.09, 100, Level.LOOK), (0.02, 100, Level.WRONG), (0.5, 1, Level.LOOK)],
)
def test_a_disk_that_fills_up_is_told_of(free_share: float, free_files: int, level: Level, tmp_path: Path) -> None:
    machine = FakeMachine(Room(int(free_share * 1e9), 1_000_000_000, free_files, 100))
    assert levels(list(room(machine, tmp_path, "it"))) == [("disk", level)]


def test_a_disk_that_cannot_be_looked_at_is_wrong(tmp_path: Path) -> None:
    found = list(room(FakeMachine(OSError(5, "Input/output error")), tmp_path, "it"))
    assert levels(found) == [("disk", Level.WRONG)]
    assert "Input/output error" in found[0].what


async def test_few_open_files_and_a_taken_port_are_told_of(tmp_path: Path) -> None:
    poor = around({}, tmp_path, FakeMachine(n_files=1024, taken=True))
    assert "holds 896 connections" in (await check_open_files(poor))[0].what
    assert "port 8700 on 127.0.0.1 is taken" in (await check_ports(poor))[0].what
    rich = around({}, tmp_path)
    assert levels(await check_open_files(rich)) == [("host", Level.OK)]
    assert await check_ports(rich) == []


def test_files_on_disk_are_compared_with_what_is_in_force(tmp_path: Path) -> None:
    checked = check_catalog(shipped_catalog())
    assert checked.catalog is not None
    digest = encode_catalog(checked.catalog)[0]
    assert of_files(tmp_path, checked, 3, digest) == []
    other = of_files(tmp_path, checked, 3, "another")
    assert levels(other) == [("catalog", Level.LOOK)]
    assert "another catalog than version 3" in other[0].what
    (tmp_path / "broken.yaml").write_text("placements: {hero: {content: [nothing]}}")
    broken = of_files(tmp_path, check_catalog(tmp_path), 3, digest)
    assert " mistake" in broken[0].what


def test_tiers_by_shares_that_begin_nowhere_are_told() -> None:
    score = Score(events=(EventPoints(event="V", points=1.0),), tiers={"hot": TopShare(top=0.1)})
    catalog = Catalog(placements={}, content={}, scores={"lead": score})
    waiting = of_thresholds(catalog, {})
    assert levels(waiting) == [("catalog", Level.LOOK)]
    assert "the tiers of lead begin nowhere yet" in waiting[0].what
    assert "100 visitors" in waiting[0].do
    known = TierThresholds(measured_by(catalog, "lead"), 1, 500, ((0.1, 5.0),))
    assert of_thresholds(catalog, {"lead": known}) == []
    assert levels(of_thresholds(catalog, {"lead": structs.replace(known, measured="other")})) == levels(waiting)


@pytest.mark.parametrize(
    ("own", "n_replicas", "level", "words"),
    [
        ({"min.insync.replicas": "2"}, 1, Level.WRONG, "it takes nothing"),
        ({"min.insync.replicas": "1"}, 3, Level.LOOK, "lost with that broker"),
        ({"cleanup.policy": "compact"}, 1, Level.WRONG, "is compacted"),
        ({"retention.ms": "3600000"}, 1, Level.LOOK, "is kept for 1 h, the settings say 24 h"),
    ],
)
def test_a_topic_that_keeps_too_little_is_told_of(
    own: dict[str, str], n_replicas: int, level: Level, words: str
) -> None:
    day_ms = 24 * 3_600_000
    found = of_topic("log", own, n_replicas, day_ms)
    assert levels(found) == [("kafka", level)]
    assert words in found[0].what
    assert of_topic("log", {"min.insync.replicas": "2", "retention.ms": "-1"}, 3, day_ms) == []


def test_entries_that_went_are_not_waited_for() -> None:
    assert behind([100, 50], [90, 0], [20, 40]) == 20


def test_what_a_process_waits_for_is_told_in_its_own_words() -> None:
    api = Readiness("waiting", missing=["redis"], warnings=["spool"], reasons={"redis": "gone", "spool": "fills"})
    assert (api.waits_for, api.not_well) == ("redis: gone", ["spool: fills"])
    worker = Readiness("waiting", reason="no partitions", warnings=["Redis fills up"])
    assert (worker.waits_for, worker.not_well) == ("no partitions", ["Redis fills up"])


async def test_when_everything_is_down_it_is_said_and_nothing_hangs(tmp_path: Path) -> None:
    looked_at, _ = surroundings(
        {f"{PREFIX}REDIS": NOBODY, f"{PREFIX}KAFKA": "127.0.0.1:1", f"{PREFIX}SECRET": SECRET},
        None,
        ["127.0.0.1:1"],
        FakeMachine(),
    )
    began = time.monotonic()
    findings = await examine(looked_at)
    assert time.monotonic() - began < 10
    wrong = {finding.check for finding in findings if finding.level is Level.WRONG}
    assert {"redis", "kafka", "processes"} <= wrong
    assert is_wrong(findings)


async def test_a_server_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        looked_at, _ = surroundings(
            {f"{PREFIX}REDIS": f"redis://127.0.0.1:{port}/0", f"{PREFIX}KAFKA": f"127.0.0.1:{port}"},
            None,
            [f"127.0.0.1:{port}"],
            FakeMachine(),
        )
        began = time.monotonic()
        findings = await examine(looked_at)
        assert time.monotonic() - began < 10
    assert {"redis", "kafka", "processes"} <= {each.check for each in findings if each.level is Level.WRONG}


async def test_where_nothing_runs_no_other_server_is_asked(tmp_path: Path) -> None:
    looked_at, words = surroundings({}, tmp_path, [], FakeMachine())
    assert words == f"no `nextbest up` runs on {tmp_path}"
    of_redis = [finding for finding in await examine(looked_at) if finding.check == "redis"]
    assert [finding.what for finding in of_redis] == [words]


def test_a_disk_that_hangs_does_not_keep_the_doctor() -> None:
    hangs = threading.Event()

    async def main() -> str:
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        try:
            async with asyncio.timeout(0.05):
                await asyncio.to_thread(hangs.wait)
        except TimeoutError:
            return "left"
        return "waited"

    began = time.monotonic()
    assert asyncio.run(main()) == "left"
    assert time.monotonic() - began < 5
    hangs.set()
