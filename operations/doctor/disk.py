"""Room and rights where we and Redis write."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio import Redis

from config.setting_values import is_loopback
from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.machine import Machine
from operations.doctor.surroundings import Surroundings

FILLS_SHARE, FULL_SHARE = 0.1, 0.03
"""As the alerts have it."""

FEW_FILES_SHARE = 0.05
GIB = 1024**3
PRIVATE = ("secret", "running.json")


async def check_data_dir(around: Surroundings) -> list[Finding]:
    """The data folder and the spool in it."""
    return await asyncio.to_thread(lambda: list(_data_dir(around)))


async def check_redis_disk(around: Surroundings, redis: Redis) -> list[Finding]:
    """Where Redis keeps its files, if that is here."""
    host = urlsplit(around.settings.redis).hostname
    if host and not is_loopback(host):
        return []
    folder = Path(str((await redis.config_get("dir")).get("dir", "")))
    is_here = await asyncio.to_thread(folder.is_dir)  # a container's path is none of ours
    return await asyncio.to_thread(lambda: list(room(around.machine, folder, "Redis's files"))) if is_here else []


def _data_dir(around: Surroundings) -> Iterator[Finding]:
    folder = around.data_dir
    if not folder.is_dir():
        what = f"there is no data folder {folder}"
        yield look("disk", what, "`nextbest up` makes it; another is named by --data-dir or NEXTBEST_DATA_DIR")
        return
    for each in (folder, folder / "spool"):
        if each.is_dir() and not os.access(each, os.W_OK | os.X_OK):
            what = (
                f"{each} cannot be written by this user: decisions that wait for the log are kept in memory alone"
            )
            yield wrong("disk", what, "give it to the user who runs nextbest", "disk-full")
    for path in (folder, *(folder / name for name in PRIVATE)):
        if path.exists() and (mode := path.stat().st_mode & 0o077):
            remedy = f"chmod go= {path}"
            yield look("disk", f"others on this machine may look at {path} (mode {mode:03o} for them)", remedy)
    yield from room(around.machine, folder, "the data folder")


def room(machine: Machine, folder: Path, what: str) -> Iterator[Finding]:
    """How full the disk of a folder is."""
    try:
        found = machine.room(folder)
    except OSError as error:
        yield wrong("disk", f"{folder} cannot be looked at: {error.strerror}", "mend that disk", "disk-full")
        return
    share = found.free_bytes / found.size_bytes if found.size_bytes else 1.0
    told = f"{found.free_bytes / GIB:,.1f} GiB ({share:.0%}) are left on the disk of {what} ({folder})"
    if share < FULL_SHARE:
        yield wrong("disk", told, "make room there", "disk-full")
    elif share < FILLS_SHARE:
        yield look("disk", told, "make room there", "disk-fills-up")
    elif found.n_files and found.free_files / found.n_files < FEW_FILES_SHARE:
        yield look("disk", f"the disk of {what} ({folder}) takes few more files", "remove small files there")
    else:
        yield ok("disk", told)
