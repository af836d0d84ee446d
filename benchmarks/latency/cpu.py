"""CPU seconds of processes and all that they started, by ``/proc/*/stat``."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

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


REST = "rest"
"""Of the processes that have no name: the supervisor, for one."""


def cpu_s(root: int, names: Mapping[str, int] = MappingProxyType({})) -> dict[str, float]:
    """What a process and its living descendants have used so far, kernel included, all threads.

    Parameters
    ----------
    names
        Pids of those that are told apart, by name; what all others used is that of ``REST``.
    """
    stats, name_of = _stats(), {pid: name for name, pid in names.items()}
    used = dict.fromkeys((*names, REST), 0.0)
    for pid in tree(root):
        if pid in stats:
            used[name_of.get(pid, REST)] += (int(stats[pid][11]) + int(stats[pid][12])) / TICKS_PER_S
    return used


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
