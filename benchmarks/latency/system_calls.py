"""What a process asks of the kernel, counted by ``strace -c -f``: turns of its loop, reads, writes."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass

GROUPS = {
    "turns": ("epoll_wait", "epoll_pwait", "epoll_pwait2"),
    "reads": ("read", "readv", "recvfrom", "recvmsg"),
    "writes": ("write", "writev", "sendto", "sendmsg"),
    "getpid": ("getpid",),
}

_ROW = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", re.M)


@dataclass(frozen=True)
class SystemCalls:
    """How many of each group, and of all kinds."""

    groups: dict[str, int]
    kinds: dict[str, int]


def count(pids: dict[str, int], seconds: float) -> dict[str, SystemCalls]:
    """The calls of each named process within ``seconds``, all threads."""
    tracers = {
        name: subprocess.Popen(
            ["strace", "-c", "-f", "-p", str(pid)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        for name, pid in pids.items()
    }
    time.sleep(seconds)
    for tracer in tracers.values():
        tracer.send_signal(signal.SIGINT)
    return {name: counted(tracer.communicate()[1]) for name, tracer in tracers.items()}


def counted(table: str) -> SystemCalls:
    """The calls in what ``strace -c`` prints."""
    kinds = {name: int(calls) for calls, name in _ROW.findall(table) if name != "total"}
    return SystemCalls({group: sum(kinds.get(name, 0) for name in names) for group, names in GROUPS.items()}, kinds)
