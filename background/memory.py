"""How much memory there is for the processes here."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of a container, by version 2 and version 1 of control groups."""


def memory_bytes(limits: tuple[Path, ...] = CGROUP_LIMITS) -> int:
    """Of this machine, or of the container if it may have less.

    >>> memory_bytes() > 0
    True
    """
    found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in limits:
        with contextlib.suppress(OSError, ValueError):  # there is none, or it says "max"
            found = min(found, int(path.read_text()))
    return found
