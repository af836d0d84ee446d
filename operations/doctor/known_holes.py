"""Holes of Redis that are known, and the release that mends each line of it.

From the release notes of Redis and Valkey. A line that is not named and is older than one that is gets no fix from
its makers; a distribution may have mended it all the same, under the same version.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

Version = tuple[int, int, int]
Line = tuple[int, int]


class Hole(NamedTuple):
    """A hole, and where it is mended.

    Attributes
    ----------
    name
        Its number, or how its makers call it.
    lets
        What it lets somebody do.
    """

    name: str
    lets: str
    mended: Mapping[Line, Version]


def _lines(*versions: Version) -> dict[Line, Version]:
    return {(major, minor): (major, minor, patch) for major, minor, patch in versions}


KNOWN_UNTIL = date(2026, 7, 31)
"""Release notes were read up to the end of this month; move it together with ``HOLES``."""

HOLES: Mapping[str, tuple[Hole, ...]] = {
    "redis": (
        Hole(
            "the security release of July 2026",
            "a client runs code of its own on the server",
            _lines((6, 2, 23), (7, 2, 15), (7, 4, 10), (8, 2, 8), (8, 4, 5), (8, 6, 5), (8, 8, 1)),
        ),
        Hole(
            "CVE-2025-49844",
            "a Lua script runs code of its own on the server",
            _lines((6, 2, 20), (7, 2, 11), (7, 4, 6), (8, 0, 4), (8, 2, 2)),
        ),
        Hole(
            "CVE-2025-32023",
            "a client writes beyond its memory by HyperLogLog",
            _lines((6, 2, 19), (7, 2, 10), (7, 4, 5), (8, 0, 3)),
        ),
        Hole(
            "CVE-2025-21605",
            "whoever has no password fills the server's memory",
            _lines((6, 2, 18), (7, 2, 8), (7, 4, 3)),
        ),
        Hole(
            "CVE-2024-31449",
            "a Lua script overflows the stack",
            _lines((6, 2, 16), (7, 2, 6), (7, 4, 1)),
        ),
    ),
    "valkey": (
        Hole(
            "CVE-2026-56684, CVE-2026-63639",
            "a client runs code of its own on the server",
            _lines((7, 2, 14), (8, 0, 10), (8, 1, 9), (9, 0, 5), (9, 1, 1)),
        ),
        Hole(
            "CVE-2025-49844",
            "a Lua script runs code of its own on the server",
            _lines((7, 2, 11), (8, 0, 6), (8, 1, 4)),
        ),
    ),
}


def version_of(text: str) -> Version | None:
    """The version that a server tells.

    >>> version_of("7.2.11"), version_of("unstable")
    ((7, 2, 11), None)
    """
    parts = text.split("-")[0].split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return None
    major, minor, patch = map(int, parts)
    return major, minor, patch


def open_holes(server: str, version: Version) -> list[Hole]:
    """The holes that a server of this version has, newest first.

    Parameters
    ----------
    server
        ``redis`` or ``valkey``.

    >>> [hole.name for hole in open_holes("redis", (7, 4, 9))], open_holes("redis", (7, 4, 10))
    (['the security release of July 2026'], [])
    """
    return [hole for hole in HOLES.get(server, ()) if _is_open(hole, version)]


def _is_open(hole: Hole, version: Version) -> bool:
    mended = hole.mended.get(version[:2])
    return version < (max(hole.mended.values()) if mended is None else mended)


def mended_by(server: str, version: Version) -> Version | None:
    """The release of the same line that mends all holes known; None: its makers mend that line no more.

    >>> mended_by("redis", (7, 2, 0)), mended_by("redis", (7, 0, 15))
    ((7, 2, 15), None)
    """
    mending = [hole.mended.get(version[:2]) for hole in open_holes(server, version)]
    return None if None in mending else max((each for each in mending if each), default=None)
