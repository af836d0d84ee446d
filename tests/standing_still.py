"""Processes that hang."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

BOUND_S = 10.0


def stand_still(pid: int) -> None:
    """Stop a process with all its threads, until it is told to go on (``SIGCONT``).

    The signal alone takes effect when one of its threads is next given a processor: until then the others go on,
    and on a busy machine they answer what was asked after the signal.
    """
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + BOUND_S
    while not _stands(pid):
        assert time.monotonic() < end, f"process {pid} runs on {BOUND_S:g} s after it was stopped"
        time.sleep(0.001)


def _stands(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").iterdir()
    try:
        return all((thread / "stat").read_text().rpartition(")")[2].split()[0] == "T" for thread in threads)
    except OSError:  # one of them has just ended
        return False
