"""Hour and weekday where the visitor is."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_QUARTER_MS = 15 * 60_000
"""Every zone's offset is a multiple of a quarter of an hour: within one, hour and weekday stand still."""


def local_hour(now_ms: int, zone: object) -> tuple[int, int]:
    """(hour 0…23, weekday with Monday 0) at ``now_ms`` in ``zone``; UTC where that is no zone.

    >>> local_hour(0, None), local_hour(0, "Asia/Tokyo"), local_hour(0, "../etc/passwd")
    ((0, 3), (9, 3), (0, 3))
    """
    return _at_quarter(now_ms // _QUARTER_MS, zone if isinstance(zone, str) else "")


@lru_cache(maxsize=4096)
def _at_quarter(quarter: int, zone: str) -> tuple[int, int]:
    moment = datetime.fromtimestamp(quarter * _QUARTER_MS / 1000, _zone(zone))
    return moment.hour, moment.weekday()


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    if not name or len(name) > 64:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC
