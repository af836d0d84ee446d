"""``python -m cli.tether COMMAND…``: become COMMAND, and see that it ends when the supervisor does.

For children that are not ours (redis-server) and so cannot hold the lifeline themselves. A watcher, detached
by a double fork, holds it for them; the command keeps this process's pid, so that the supervisor talks to it
directly. A second pipe, whose write end only the command holds, tells the watcher that the command has ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

from cli.lifeline import GRACE_S, VARIABLE


def main() -> None:
    """Fork the watcher, become the command."""
    command = sys.argv[1:]
    lifeline = int(os.environ.pop(VARIABLE))
    alive_read, alive_write = os.pipe()
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(alive_write)
            _watch(pid, lifeline, alive_read)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(alive_read)
    os.close(lifeline)
    os.set_inheritable(alive_write, True)
    os.execvp(command[0], command)


def _watch(pid: int, lifeline: int, alive: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ended, _, _ = select.select([lifeline, alive], [], [])
    if alive not in ended:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            if not select.select([alive], [], [], GRACE_S)[0]:
                os.kill(pid, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
