"""The spool watched: how full it is, and whether anything goes through."""

from __future__ import annotations

import time

from eventlog.spool import Spool

STUCK_S = 5.0
HALF = 0.5


class SpoolWatch:
    """Notices a spool that fills, or that the log takes nothing from."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._n_appended = -1
        self._moved_s = time.monotonic()

    def look(self) -> None:
        """See whether anything went through since the last look."""
        if self._spool.n_appended != self._n_appended or not self._spool.n_waiting:
            self._n_appended = self._spool.n_appended
            self._moved_s = time.monotonic()

    def problem(self) -> str | None:
        """What is not well, for everybody to read."""
        n_waiting, share = self._spool.n_waiting, self._spool.fill_share
        stands_s = time.monotonic() - self._moved_s
        if share > HALF:
            return f"it is {share:.0%} full: {n_waiting} records wait for the log; at 100% decisions go unlogged"
        if n_waiting and stands_s > STUCK_S:
            return f"{n_waiting} records wait for the log, which has taken none for {stands_s:.0f} s"
        return None
