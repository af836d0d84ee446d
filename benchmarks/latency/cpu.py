"""CPU seconds of processes and all that they started, by ``/proc/*/stat``."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """A process, its children, and theirs."""
    children = defaultdict(list)
    for pid, fields in _stats().items():
        children[int(fields[1])].append(pid)
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def cpu_s(root: int) -> float:
    """What a process and its living descendants have used so far, kernel included, all threads."""
    stats = _stats()
    pids = [pid for pid in tree(root) if pid in stats]
    return sum(int(stats[pid][11]) + int(stats[pid][12]) for pid in pids) / TICKS_PER_S


def _stats() -> dict[int, list[str]]:
    """The fields of ``stat`` behind the process's name, by pid: state, parent …"""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                found[int(folder.name)] = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has ended
    return found
