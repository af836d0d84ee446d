"""Versions of what we run on: packages here, the server there."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from redis.asyncio import Redis

from operations.doctor.finding import Finding, look, ok, wrong
from operations.doctor.known_holes import HOLES, KNOWN_UNTIL, mended_by, open_holes, version_of
from operations.doctor.surroundings import Surroundings

PACKAGES = ("redis", "faust-streaming", "aiokafka", "river", "numpy")


async def check_packages(_: Surroundings, version_of_package: Callable[[str], str] = version) -> list[Finding]:
    """That what we stand on is installed, and which release of it."""
    told, missing = [], []
    for name in PACKAGES:
        try:
            told.append(f"{name} {version_of_package(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return [wrong("versions", f"{', '.join(missing)} cannot be found here", "install nextbest again, whole")]
    try:
        ours = version_of_package("nextbest")
    except PackageNotFoundError:
        ours = "from a folder of sources"
    return [ok("versions", f"nextbest {ours}, Python {platform.python_version()}, {', '.join(told)}")]


async def check_redis_version(_: Surroundings, redis: Redis) -> list[Finding]:
    """Whether the server has holes that are known."""
    info: dict[str, Any] = await redis.info("server")
    server = str(info.get("server_name", "redis"))
    told = str(info.get(f"{server}_version", info.get("redis_version", "")))
    return [of_version(server, told)]


def of_version(server: str, told: str) -> Finding:
    """What is known of a server's version.

    Parameters
    ----------
    server
        ``redis``, ``valkey``, or what another calls itself.
    told
        Its version, as it says.
    """
    name = f"{server.capitalize()} {told or 'of an unknown version'}"
    parsed = version_of(told)
    if parsed is None:
        return look("redis-version", f"{name}: its version cannot be read", "see that it gets fixes")
    if server not in HOLES:
        return look(
            "redis-version", f"{name}: the holes of this server are not listed here", "see that it gets fixes"
        )
    holes = open_holes(server, parsed)
    if not holes:
        until = f"the list of holes ends with {KNOWN_UNTIL:%B %Y}, and knows of no later one"
        return ok("redis-version", f"{name} has none of the holes known here: {until}")
    mending = mended_by(server, parsed)
    if mending:
        remedy = f"update it to {'.'.join(map(str, mending))} or later"
    else:
        remedy = (
            "update it to a line that its makers mend; if your distribution mends this one, its changelog names "
            "these"
        )
    worst = "; ".join(f"{hole.name} ({hole.lets})" for hole in holes[:2])
    more = f", and {len(holes) - 2} more" if len(holes) > 2 else ""
    return look("redis-version", f"{name} has known holes: {worst}{more}", remedy)
