"""A moment several tasks wait for, again and again."""

from __future__ import annotations

import asyncio


class Signal:
    """Wakes whoever waits when it fires, and nobody who comes later. Costs nothing while nobody waits."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Wait for the next ``fire``."""
        fired = asyncio.get_running_loop().create_future()
        self._waiting.append(fired)
        try:
            await fired
        finally:
            if fired in self._waiting:
                self._waiting.remove(fired)

    def fire(self) -> None:
        """Wake those who wait now."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for fired in waiting:
                if not fired.done():
                    fired.set_result(None)
