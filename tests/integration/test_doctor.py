"""The doctor finds what is wrong with real servers, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from background.ports import free_port
from config.loader import load_catalog, shipped_catalog
from config.setting_values import PREFIX
from config.settings import Settings
from eventlog.opening import open_log
from eventlog.topics import DEAD_LETTERS, Topics
from installation.redis_clients import catalog_client
from operations.doctor.examination import examine
from operations.doctor.finding import Finding, Level
from operations.doctor.machine import Machine
from operations.doctor.surroundings import Surroundings, readable
from state.catalog_store import CatalogStore
from state.embedded import EmbeddedRedis
from tests.requirements import require
from tests.running import ROOT

pytestmark = pytest.mark.redis

SECRET = "0123456789abcdef" * 2


class Behind(Machine):
    """A machine whose clock is an hour slow."""

    def clock_ms(self) -> int:
        return super().clock_ms() - 3_600_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    require("redis")
    folder = tmp_path / "redis"
    folder.mkdir()
    with EmbeddedRedis(folder, port=free_port()) as running:
        yield running


async def found(url: str, data_dir: Path, machine: Machine | None = None, **more: str) -> dict[str, list[Finding]]:
    """What the doctor says, by check."""
    environment = {f"{PREFIX}REDIS": url, f"{PREFIX}SECRET": SECRET, **{PREFIX + k: v for k, v in more.items()}}
    left, mistakes = readable(environment)
    around = Surroundings(
        environment, Settings.from_environment(left), data_dir, mistakes, machine=machine or Machine()
    )
    by_check: dict[str, list[Finding]] = {}
    for finding in await examine(around):
        by_check.setdefault(finding.check, []).append(finding)
    return by_check


def worst(findings: list[Finding]) -> Level:
    return max((finding.level for finding in findings), key=[*Level].index)


async def test_a_redis_that_would_lose_or_forget_is_wrong(server: EmbeddedRedis, tmp_path: Path) -> None:
    before = await found(server.url, tmp_path)
    assert worst(before["redis"]) is Level.OK
    assert worst(before["redis-persistence"]) is Level.OK
    with Redis.from_url(server.url) as redis:
        redis.config_set("appendonly", "no")
        redis.config_set("maxmemory", str(64 * 1024 * 1024))
        redis.config_set("maxmemory-policy", "allkeys-lru")
    after = await found(server.url, tmp_path)
    assert "appendonly is no" in after["redis-persistence"][0].what
    assert worst(after["redis-persistence"]) is Level.WRONG
    assert "allkeys-lru" in after["redis-memory"][0].what
    assert worst(after["redis-memory"]) is Level.WRONG


async def test_a_redis_that_is_full_is_wrong(server: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(server.url) as redis:
        for n in range(800):
            redis.set(f"nextbest:model:{n}", b"x" * 10_000)
        redis.config_set("maxmemory-policy", "noeviction")
        told = redis.info("memory")
        counted = int(told["used_memory"]) - int(told["mem_not_counted_for_evict"])
        redis.config_set("maxmemory", str(counted + 200_000))
    said = await found(server.url, tmp_path)
    assert worst(said["redis-memory"]) is Level.WRONG
    assert said["redis-use"][0].what.startswith("model ")


async def test_a_replica_is_wrong(server: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(server.url) as redis:
        redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    assert "takes no writes" in (await found(server.url, tmp_path))["redis"][-1].what


async def test_a_user_of_redis_who_may_little_is_told_what_could_not_be_seen(
    server: EmbeddedRedis, tmp_path: Path
) -> None:
    with Redis.from_url(server.url) as redis:
        redis.execute_command(
            "ACL", "SETUSER", "poor", "on", ">hunter2", "~*", "+@all", "-config", "-info", "-memory"
        )
    url = server.url.replace("redis://", "redis://poor:hunter2@")
    said = await found(url, tmp_path)
    assert worst(said["redis"]) is Level.LOOK
    for check in ("redis-version", "redis-persistence", "redis-memory"):
        assert worst(said[check]) is Level.LOOK, said[check]
    assert not any("hunter2" in each.what + each.do for findings in said.values() for each in findings)


async def test_a_wrong_password_is_told_of_and_not_printed(server: EmbeddedRedis, tmp_path: Path) -> None:
    with Redis.from_url(server.url) as redis:
        redis.config_set("requirepass", "hunter2")
    said = await found(server.url.replace("redis://", "redis://:hunter3@"), tmp_path)
    assert [finding.level for finding in said["redis"]] == [Level.WRONG]
    assert "password" in said["redis"][0].what
    assert "hunter" not in said["redis"][0].what


async def test_clocks_that_are_apart_are_wrong(server: EmbeddedRedis, tmp_path: Path) -> None:
    said = await found(server.url, tmp_path, Behind())
    assert "3,600 s behind Redis's" in said["clock"][0].what


async def test_a_log_that_nobody_reads_and_a_missing_catalog_are_wrong(
    server: EmbeddedRedis, tmp_path: Path
) -> None:
    first = await found(server.url, tmp_path)
    assert "none is published" in first["catalog"][0].what
    assert worst(first["log"]) is Level.LOOK
    log = open_log(server.url, Topics("nextbest."))
    await log.create(2)
    await log.close()
    async with catalog_client(server.url) as redis:
        await CatalogStore(redis, "nextbest").publish(load_catalog(shipped_catalog()))
    with Redis.from_url(server.url) as client:
        keys = sorted(client.keys("*"))
        said = await found(server.url, tmp_path, CATALOG=str(shipped_catalog()))
        assert sorted(client.keys("*")) == keys  # it only looks
    assert [finding.what for finding in said["log"]] == [
        "no folder is at work: 0 entries of visitor-log wait",
        "no learner is at work: 0 entries of outcomes wait",
    ]
    assert not any("another catalog" in finding.what for finding in said["catalog"])


async def test_another_log_than_was_folded_is_wrong(server: EmbeddedRedis, tmp_path: Path) -> None:
    log = open_log(server.url, Topics("nextbest."))
    await log.create(2)
    await log.close()
    with Redis.from_url(server.url) as redis:
        redis.set("nextbest:folded-log", json.dumps({"epoch": 1, "log_id": "other", "n_partitions": 2}))
    said = await found(server.url, tmp_path)
    assert "The states were folded from log other" in said["log"][0].what
    assert worst(said["log"]) is Level.WRONG


def test_the_command_exits_1_in_words_and_as_json(server: EmbeddedRedis, tmp_path: Path) -> None:
    environment = {**os.environ, f"{PREFIX}REDIS": server.url, f"{PREFIX}REDDIS": "x", "PYTHONPATH": str(ROOT)}
    for more in ([], ["--json"]):
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "cli", "doctor", *more],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
            env=environment,
        )
        assert ended.returncode == 1, ended.stderr
        assert "did you mean NEXTBEST_REDIS?" in ended.stdout
        if more:
            assert {json.loads(line)["level"] for line in ended.stdout.splitlines()} == {"ok", "look", "wrong"}


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_broker_without_a_topic_is_wrong(
    kafka_server: str, server: EmbeddedRedis, namespace: str, tmp_path: Path
) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    name = namespace.rstrip(".")
    log = open_log(f"kafka://{kafka_server}", Topics(namespace))
    await log.start()
    await log.create(2)
    await log.close()
    whole = await found(server.url, tmp_path, KAFKA=kafka_server, NAMESPACE=name)
    assert worst(whole["kafka"]) is Level.OK, whole["kafka"]
    assert "no folder is at work" in whole["log"][0].what
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server)
    await admin.start()
    await admin.delete_topics([f"{namespace}{DEAD_LETTERS}"])
    await admin.close()
    said = await found(server.url, tmp_path, KAFKA=kafka_server, NAMESPACE=name)
    assert f"topics are missing: {namespace}{DEAD_LETTERS}" in said["kafka"][0].what
    assert worst(said["kafka"]) is Level.WRONG
