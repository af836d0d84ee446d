"""Waiting for the folder at work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from eventlog.port import EventLog
from eventlog.topics import VISITOR_LOG
from personalization.errors import Refused

SILENT_S = 30.0
"""A folder that commits nothing for so long while it has something to do is not at work."""

POLL_S = 0.1


async def until_folded(log: EventLog, ends: Sequence[int], behind: int = 0) -> None:
    """Wait until the folder is at most ``behind`` entries short of ``ends``.

    Raises
    ------
    Refused
        If it gets nowhere.
    """
    least, moved_s = -1, time.monotonic()
    while True:
        committed = await log.committed_offsets("folder", VISITOR_LOG)
        lag = sum(max(0, end - (offset or 0)) for end, offset in zip(ends, committed, strict=True))
        if lag <= behind:
            return
        if least < 0 or lag < least:
            least, moved_s = lag, time.monotonic()
        elif time.monotonic() - moved_s > SILENT_S:
            raise Refused(
                f"the folder is {lag:,} entries behind and has folded none for {SILENT_S:.0f} s: start it "
                "(`nextbest up`, `nextbest folder`), and run this again; what was given counts once"
            )
        await asyncio.sleep(POLL_S)
