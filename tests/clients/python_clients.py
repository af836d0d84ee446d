"""The client for code that waits and the one for asyncio, called alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from nextbest_client import Answer, AsyncClient, Client, NextbestError, Visitor

T = TypeVar("T")


class Both(Protocol):
    """What a test calls; all else is the ``engine``'s, and the same code."""

    engine: Client | AsyncClient
    told: list[NextbestError]

    def __init__(self, url: str, **options: Any) -> None: ...
    def decide(self, placements: Any, visitor: Visitor, **more: Any) -> Answer: ...
    def flush(self) -> bool: ...
    def close(self) -> None: ...


class Waiting:
    def __init__(self, url: str, **options: Any) -> None:
        self.told: list[NextbestError] = []
        given = {"on_error": self.told.append, **options}
        self.engine = Client(url, given.pop("key", "pk_dev"), **given)

    def decide(self, placements: Any, visitor: Visitor, **more: Any) -> Answer:
        return self.engine.decide(placements, visitor, **more)

    def flush(self) -> bool:
        return self.engine.flush()

    def close(self) -> None:
        self.engine.close()


class Awaiting:
    """Its loop runs in a thread, as a server's does."""

    def __init__(self, url: str, **options: Any) -> None:
        self.told: list[NextbestError] = []
        given = {"on_error": self.told.append, **options}
        self.engine = AsyncClient(url, given.pop("key", "pk_dev"), **given)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def decide(self, placements: Any, visitor: Visitor, **more: Any) -> Answer:
        return self._run(self.engine.decide(placements, visitor, **more))

    def flush(self) -> bool:
        return self._run(self.engine.flush())

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._run(self.engine.aclose())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
