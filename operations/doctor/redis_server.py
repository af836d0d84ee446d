"""Redis itself: there, quick, and keeping what it is told."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from config.setting_values import is_loopback, shown_url
from eventlog.redis_errors import in_words, why_shut_out
from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.surroundings import Surroundings

N_PINGS = 5
ALWAYS = "[always]"


async def check_reachable(around: Surroundings, redis: Redis) -> list[Finding]:
    """Whether it answers, and how soon."""
    settings, where = around.settings, shown_url(around.settings.redis)
    took_ms = []
    try:
        await redis.ping()  # the first one opens the connection
        for _ in range(N_PINGS):
            began = time.perf_counter()
            await redis.ping()
            took_ms.append((time.perf_counter() - began) * 1000)
    except (RedisError, OSError, TimeoutError) as error:
        if why := why_shut_out(error):
            return [wrong("redis", f"at {where}: {why}", "give what it wants", "redis-and-kafka-by-tls")]
        remedy = "start it, or name another in NEXTBEST_REDIS; `nextbest up` brings one of its own"
        return [wrong("redis", f"at {where}: {in_words(error)}", remedy, "redis-away")]
    middle_ms = sorted(took_ms)[N_PINGS // 2]
    told = f"Redis at {where} answers within {middle_ms:.2g} ms"
    if middle_ms > settings.redis_timeout_ms:
        waits = f"a decision waits {settings.redis_timeout_ms} ms for it (NEXTBEST_REDIS_TIMEOUT_MS)"
        remedy = "what else runs there, what lies between? Or let decisions wait longer"
        return [wrong("redis", f"{told}, and {waits}: visitors' states go unread", remedy, "redis-slow")]
    if middle_ms > settings.redis_timeout_ms / 4:
        return [look("redis", told, "what else runs there, what lies between? SLOWLOG tells", "redis-slow")]
    return [ok("redis", told)]


async def check_writable(around: Surroundings, redis: Redis) -> list[Finding]:
    """Whether it is the one that takes writes."""
    info: dict[str, Any] = await redis.info("replication")
    if info.get("role") == "slave":
        master = f"{info.get('master_host')}:{info.get('master_port')}"
        return [
            wrong("redis", f"it is a replica of {master} and takes no writes", "name that one in NEXTBEST_REDIS")
        ]
    return []


async def check_persistence(_: Surroundings, redis: Redis) -> list[Finding]:
    """Whether what is written is still there after a restart."""
    info: dict[str, Any] = await redis.info("persistence")
    found = []
    if info.get("loading"):
        found.append(look("redis-persistence", "Redis reads its file, and answers nothing else yet", "wait"))
    if not info.get("aof_enabled"):
        found.append(
            wrong(
                "redis-persistence",
                "appendonly is no: whatever was written since the last snapshot is lost when Redis ends",
                "CONFIG SET appendonly yes, and in its configuration",
            )
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        found.append(
            wrong(
                "redis-persistence",
                "the last write to its append-only file failed: it takes no more",
                "make room on its disk, or mend it; it tries again by itself",
                "disk-full",
            )
        )
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        found.append(
            wrong(
                "redis-persistence",
                "its last snapshot failed; by its defaults Redis then takes no writes",
                "its log says why: a full disk, or no memory for a second process",
                "disk-full",
            )
        )
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        found.append(
            look(
                "redis-persistence",
                "the last rewriting of its append-only file failed: the file grows",
                "its log says why: a full disk, or no memory for a second process",
                "disk-fills-up",
            )
        )
    fsync = (await redis.config_get("appendfsync")).get("appendfsync", "") if info.get("aof_enabled") else ""
    if fsync == "no":
        found.append(
            look(
                "redis-persistence",
                "appendfsync is no: half a minute of events is lost if the machine stops",
                "CONFIG SET appendfsync everysec, and in its configuration",
            )
        )
    return found or [ok("redis-persistence", f"appends what is written to its file, fsync {fsync or '?'}")]


async def check_kernel(around: Surroundings, redis: Redis) -> list[Finding]:
    """The settings of the kernel that Redis warns of, if it runs on this machine."""
    host = urlsplit(around.settings.redis).hostname
    if host and not is_loopback(host):
        return []
    found = []
    if await asyncio.to_thread(around.machine.read, "/proc/sys/vm/overcommit_memory") == "0":
        found.append(
            look(
                "redis-kernel",
                "vm.overcommit_memory is 0: a snapshot or rewriting can fail for want of memory that it never uses",
                "sysctl vm.overcommit_memory=1, and in /etc/sysctl.conf",
            )
        )
    pages = await asyncio.to_thread(around.machine.read, "/sys/kernel/mm/transparent_hugepage/enabled")
    if ALWAYS in pages and (await redis.config_get("disable-thp")).get("disable-thp") == "no":
        found.append(
            look(
                "redis-kernel",
                "transparent huge pages are always used: a snapshot slows Redis and takes twice the memory",
                "let Redis do without them: disable-thp yes in its configuration",
            )
        )
    return found or [ok("redis-kernel", "the kernel lets Redis make snapshots")]
