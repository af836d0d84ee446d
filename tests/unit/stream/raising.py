"""Parts that fail as nobody thought of: the n-th awaited call raises an error of no known kind, once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


class UnknownError(Exception):
    """No code expects it."""


class RaisesOnce:
    """Counts the awaited calls of several parts, and fails one of them.

    Parameters
    ----------
    at
        The number of the call that fails; −1: none.
    after
        Whether it fails once its effect is there, as an answer that got lost does, or before.
    """

    def __init__(self, at: int = -1, *, after: bool = False) -> None:
        self.at = at
        self.after = after
        self.calls: list[str] = []

    def around(self, part: Any) -> Any:
        """The ``part``, each of its async methods counted."""
        return _Counted(self, part)

    async def call(self, name: str, method: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
        number = len(self.calls)
        self.calls.append(name)
        if number == self.at and not self.after:
            raise UnknownError(name)
        result = await method(*args, **kwargs)
        if number == self.at:
            raise UnknownError(name)
        return result


class _Counted:
    def __init__(self, raises: RaisesOnce, part: Any) -> None:
        self._raises = raises
        self._part = part

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)
        if not callable(method) or name in _SYNCHRONOUS:
            return method

        async def counted(*args: Any, **kwargs: Any) -> Any:
            return await self._raises.call(f"{type(self._part).__name__}.{name}", method, *args, **kwargs)

        return counted


_SYNCHRONOUS = {"of", "read", "all"}
