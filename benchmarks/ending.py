"""How a benchmark ends that is told to: what it has started ends with it."""

from __future__ import annotations

import signal


def end_by_sigterm() -> None:
    """Let SIGTERM (``kill PID``, ``timeout``) end this process as Ctrl-C does: through every ``finally``.

    Python's own way is to be gone at once, and what was started stays behind.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
