"""Refusals of one key and act fold into a count, so that whoever may nothing pushes nothing out of the audit.

The first is recorded before it is answered. Those that come within a minute after it are counted, and the next
record says how many they were.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from msgspec import structs

from background.cancelling import pause
from personalization.audit.record import Act
from personalization.errors import NextbestError

EVERY_S = 60.0
"""A key that is refused the same act on and on is recorded so often."""

_LOOK_EVERY_S = 5.0


@dataclass(slots=True)
class _Folded:
    """The last act that was refused, how many have no record, and from when on they get one (seconds)."""

    act: Act
    n: int = 0
    due_s: float = 0.0


class RefusedActs:
    """Records refusals, many as one.

    Parameters
    ----------
    record
        Puts an act into the audit, or raises.
    """

    def __init__(self, record: Callable[[Act], Awaitable[int]]) -> None:
        self._record = record
        self._folded: dict[tuple[str, str], _Folded] = {}

    async def take(self, act: Act, now_s: float) -> None:
        """Count a refusal, and record it with those before it unless one was recorded within the minute.

        Raises
        ------
        Unavailable
            503: it is not recorded; it stays counted.
        """
        folded = self._folded.setdefault((act.actor, act.act), _Folded(act))
        folded.act = act
        folded.n += 1
        if now_s >= folded.due_s:
            await self._say(folded, now_s)

    async def run(self) -> None:
        """Record until cancelled what was counted and nothing came after."""
        while True:
            await self.settle(time.perf_counter())
            await pause(_LOOK_EVERY_S)

    async def settle(self, now_s: float) -> None:
        """Record what was counted more than a minute ago; what cannot be recorded now stays counted."""
        for key, folded in list(self._folded.items()):
            if now_s < folded.due_s:
                continue
            if not folded.n:
                del self._folded[key]
                continue
            try:
                await self._say(folded, now_s)
            except NextbestError:  # whoever is refused next is told of it
                return

    async def _say(self, folded: _Folded, now_s: float) -> None:
        n, due_s = folded.n, folded.due_s
        folded.n, folded.due_s = 0, now_s + EVERY_S  # before it waits: others come meanwhile
        try:
            await self._record(structs.replace(folded.act, times=n))
        except BaseException:
            folded.n += n
            folded.due_s = due_s
            raise
