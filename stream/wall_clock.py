"""The time that workers go by."""

from __future__ import annotations

import time


def wall_clock_ms() -> int:
    """Now."""
    return time.time_ns() // 1_000_000
