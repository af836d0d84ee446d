"""The lifeline: a pipe that ends when the supervisor does, however it does.

The supervisor keeps the write end and never writes; every child inherits the read end. When the supervisor
is gone (``kill -9`` included) the read returns, and the child stops as if it had been told to. Unlike
``PR_SET_PDEATHSIG`` this works on every Unix.
"""

from __future__ import annotations

import os
import signal
import threading
import time

VARIABLE = "NEXTBEST_LIFELINE"
"""Environment variable that holds the number of the read end."""

GRACE_S = 8.0
"""From asking ourselves to stop to leaving anyway; shorter than a person's patience before ``kill -9``."""


class Lifeline:
    """The supervisor's end."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()
        os.set_inheritable(self.read_fd, True)

    def environment(self) -> dict[str, str]:
        """What a child must find in its environment."""
        return {VARIABLE: str(self.read_fd)}

    def close(self) -> None:
        """Let go of both ends."""
        os.close(self.read_fd)
        os.close(self._write_fd)


def hold() -> None:
    """In a child: stop this process when the supervisor is gone. Without a supervisor, nothing."""
    text = os.environ.pop(VARIABLE, "")
    if text.isdecimal():
        threading.Thread(target=_wait_for_end, args=(int(text),), daemon=True, name="lifeline").start()


def _wait_for_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
