"""The client for asyncio: the same engine, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from nextbest_client.asking import Asked, Placements
from nextbest_client.engine import Engine
from nextbest_client.errors import as_nextbest_error
from nextbest_client.wire import Answer, Visitor


class AsyncClient(Engine):
    """Asks nextbest, and tells it; holds up no event loop, and may be used by several.

    ``track``, ``identify``, ``page``, ``reward`` and ``activate`` wait for nothing, so there is nothing to await.
    """

    async def decide(
        self,
        placements: Placements,
        visitor: Visitor,
        *,
        default: Any = None,
        defaults: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        context: Mapping[str, Any] | None = None,
        events: Sequence[Mapping[str, Any]] = (),
        activate: bool = True,
        deadline_ms: int | None = None,
        request_id: str | None = None,
    ) -> Answer:
        """What to show; on any failure, and when the time is over, the default: as ``Client.decide``."""
        asked = Asked(
            placements,
            visitor,
            default,
            defaults,
            events,
            request_id,
            context=context,
            activate=activate,
            deadlineMs=deadline_ms,
        )
        timeout_s = self._options.timeout_s if timeout is None else timeout
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._ask(asked, timeout_s)), timeout_s)
        except asyncio.CancelledError:
            self._tell_events(asked)
            raise
        except Exception as error:
            answer = self._failed(asked, error)
            if self._options.raise_errors:
                raise as_nextbest_error(error) from error
            return answer

    async def flush(self, timeout: float = 10.0) -> bool:
        """Have sent what waits now; whether it was, within so many seconds."""
        return await asyncio.get_running_loop().run_in_executor(None, self._outbox.flush, timeout)

    async def aclose(self) -> None:
        """Send what waits, and end. A process that exits does so by itself."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
