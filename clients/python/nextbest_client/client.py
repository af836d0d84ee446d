"""The client for code that waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from nextbest_client.asking import Asked, Placements
from nextbest_client.engine import Engine
from nextbest_client.errors import as_nextbest_error
from nextbest_client.wire import Answer, Visitor


class Client(Engine):
    """Asks nextbest, and tells it. One for a process, used by all its threads."""

    def decide(
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
        """What to show; on any failure, and when the time is over, the default.

        Parameters
        ----------
        default, defaults
            The content in place of an answer: of every placement, or by placement.
        timeout
            In seconds, all tries together; the options' unless given.
        events
            What the visitor has just done, as ``/v1/events`` takes it: counts in this answer already.
        activate
            ``False``: shown only once ``activate`` says so.

        Raises
        ------
        NextbestError
            Only where the options say ``raise_errors``.
        """
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
            future = self._ask(asked, timeout_s)
            try:
                return future.result(timeout_s)
            finally:
                future.cancel()
        except Exception as error:
            answer = self._failed(asked, error)
            if self._options.raise_errors:
                raise as_nextbest_error(error) from error
            return answer

    def flush(self, timeout: float = 10.0) -> bool:
        """Have sent what waits now; whether it was, within so many seconds."""
        return self._outbox.flush(timeout)

    def close(self) -> None:
        """Send what waits, and end. A process that exits does so by itself."""
        self._close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
