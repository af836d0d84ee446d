"""An embedded Redis that fills up says so before it is full; at the bound nothing is forgotten, and all goes on."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import OutOfMemoryError, Redis

from tests.requirements import require
from tests.running import Up, start, stop, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(240)]

MIB = 1024 * 1024
PIECE = b"x" * (MIB // 16)
EVENT = {"type": "track", "event": "Product Viewed", "anonymousId": "a1", "messageId": "m2"}


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    require("redis")
    running = start(tmp_path / "data", NEXTBEST_REDIS_MEMORY_BYTES=str(64 * MIB), NEXTBEST_REDIS_TIMEOUT_MS="1000")
    yield running
    stop(running)


def read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def fill(redis: Redis, until_share: float) -> None:
    n = redis.dbsize()
    while redis.info("memory")["used_memory"] < until_share * 64 * MIB:
        n += 1
        redis.set(f"filler:{n}", PIECE)


def test_it_is_said_before_and_nothing_is_lost_at_the_bound(up: Up) -> None:
    said = "".join(up.said)
    (folder,), (api,) = (re.findall(rf"{role} (http\S+)/metrics", said) for role in ("folder", "api"))
    up.track("a1", "m1")
    until(lambda: up.event_count("a1") == 1, "the event reaches its state")
    assert "redis-memory" not in read(api + "/readyz")
    with Redis.from_url(up.redis_url()) as redis:
        assert redis.config_get("maxmemory") == {"maxmemory": str(64 * MIB)}
        fill(redis, 0.9)
        until(lambda: "redis-memory" in json.loads(read(api + "/readyz"))["warnings"], "the API warns")
        until(lambda: "% of the 64 MiB it may" in read(folder + "/readyz"), "the folder warns")
        assert json.loads(read(api + "/readyz"))["status"] == "ready"
        (limit,) = re.findall(r"^nextbest_redis_memory_limit_bytes (\S+)$", read(api + "/metrics"), re.MULTILINE)
        assert float(limit) == 64 * MIB
        with pytest.raises(OutOfMemoryError):
            fill(redis, 1.1)
        until(lambda: status(up, EVENT) == (503, "storage_full"), "collectors say why")
        decision = up.call("POST", "/v1/decide", {"visitor": {"anonymousId": "a1"}, "placements": ["home.hero"]})
        assert decision["decisions"][0]["contentId"], "decisions go on"
        for name in redis.scan_iter("filler:*", count=1000):
            redis.delete(name)
    until(lambda: status(up, EVENT)[0] == 200, "there is room again")
    until(lambda: up.event_count("a1") == 2, "what was acknowledged is folded, and what was before is there")
    until(lambda: "redis-memory" not in read(api + "/readyz"), "the warning goes")


def status(up: Up, event: dict[str, Any]) -> tuple[int, str]:
    try:
        up.call("POST", "/v1/events", event)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["code"]
    return 200, ""
