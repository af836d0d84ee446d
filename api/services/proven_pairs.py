"""Which browsers proved lately whose they are: their events need no proof of their own for a while.

A proof links the browser's anonymous id to the user, and the link's entry says that it was proven: so every process
finds it in the visitor's state. Until it is folded there, the process that saw the proof remembers it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from personalization.catalog.duration import DAY_MS
from personalization.errors import Unavailable
from personalization.visitor.visitor_key import anonymous_key, user_key
from personalization.visitor.visitor_state import VisitorState

PROVEN_FOR_MS = 30 * DAY_MS
"""Or until another user proves to use the browser."""

FOLDED_WITHIN_MS = 10_000
"""So long a process believes what it saw itself: then the state has it, and whatever another process saw since."""

MAX_PROVEN = 65_536
"""Pairs that each process remembers."""

Pair: TypeAlias = tuple[str, str]
"""An anonymous id, and the user id."""


class _Visitors(Protocol):
    async def read_each(
        self, visitors: Sequence[tuple[Sequence[str], str | None]]
    ) -> list[list[VisitorState] | Unavailable]: ...


class ProvenPairs:
    """Knows of pairs of ids whether the browser proved that it is the user's."""

    def __init__(self, visitors: _Visitors, size: int = MAX_PROVEN) -> None:
        self._visitors = visitors
        self._size = size
        self._proven: OrderedDict[str, tuple[str, int]] = OrderedDict()

    def remember(self, anonymous_id: str, user_id: str, now_ms: int) -> None:
        """The browser has just proven whose it is, and the log says so."""
        self._proven[anonymous_id] = (user_id, now_ms)
        self._proven.move_to_end(anonymous_id)
        while len(self._proven) > self._size:
            self._proven.popitem(last=False)

    def forget(self, anonymous_id: str) -> None:
        """The browser is not the user's any more."""
        self._proven.pop(anonymous_id, None)

    async def known(self, pairs: Sequence[Pair], now_ms: int) -> list[bool]:
        """Which of ``pairs`` were proven lately. Where states cannot be read, those that this process saw proven.

        Only what is kept of the browser is read, never what is kept of the user.
        """
        latest = {anonymous_id: self._just_proven(anonymous_id, now_ms) for anonymous_id, _ in pairs}
        asked = [anonymous_id for anonymous_id, user_id in latest.items() if user_id is None]
        states: dict[str, list[VisitorState] | Unavailable] = {}
        if asked:
            read = await self._visitors.read_each([((anonymous_key(each),), None) for each in asked])
            states = dict(zip(asked, read, strict=True))
        return [
            user_id == latest[anonymous_id] or _is_kept(states.get(anonymous_id, []), user_key(user_id), now_ms)
            for anonymous_id, user_id in pairs
        ]

    def _just_proven(self, anonymous_id: str, now_ms: int) -> str | None:
        user_id, at_ms = self._proven.get(anonymous_id, (None, 0))
        return user_id if now_ms - at_ms < FOLDED_WITHIN_MS else None


def _is_kept(states: list[VisitorState] | Unavailable, user: str, now_ms: int) -> bool:
    if isinstance(states, Unavailable):
        return False
    return any(state.redirect == user and 0 <= now_ms - state.proven_ms < PROVEN_FOR_MS for state in states)
