"""Spans on their way to a collector: a bounded queue and a thread. Whoever puts a span never waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from tracing.span import Span

logger = logging.getLogger(__name__)

MAX_WAITING = 4_096
"""Spans of about 1 KB: some 4 MB, while a collector is away."""

MAX_AT_ONCE = 512
LINGER_S = 0.5
"""How long the first span of a batch waits for others."""

END_S = 2.0
"""How long the end of a process waits for the last spans."""

SAY_EVERY_S = 60.0
"""How often the log says that a collector takes none: a batch goes every half second."""

Export = Callable[[Sequence[Span]], bool]
"""Hands spans to a collector; whether it took them. It may take seconds, and may raise."""


class SpanQueue:
    """Hands spans to ``export``, beside whatever the process does.

    Parameters
    ----------
    counted
        Told how many spans were ``sent``, ``dropped`` (too many waited), ``failed`` (the collector took none).
    """

    def __init__(
        self,
        export: Export,
        counted: Callable[[str, int], object],
        *,
        max_waiting: int = MAX_WAITING,
        linger_s: float = LINGER_S,
    ) -> None:
        self._export = export
        self._counted = counted
        self._max_waiting = max_waiting
        self._linger_s = linger_s
        self._waiting: deque[Span] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._said_s = -SAY_EVERY_S
        self._n_lost = 0

    def put(self, span: Span) -> None:
        """Queue a span; it is dropped, and counted, if too many wait."""
        if len(self._waiting) >= self._max_waiting:
            self._counted("dropped", 1)
            return
        self._waiting.append(span)
        if self._thread is None:  # not before: a process that has forked since would have none
            self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self, within_s: float = END_S) -> None:
        """Hand over what waits, as far as the collector takes it in time."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(within_s)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._closing.wait(self._linger_s)
            self._wake.clear()
            while self._waiting:
                self._send([self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_AT_ONCE))])
            if self._closing.is_set():
                return

    def _send(self, batch: list[Span]) -> None:
        reason = "the collector took none"
        try:
            taken = self._export(batch)
        except Exception as error:  # whatever a collector's client raises concerns no visitor
            taken, reason = False, str(error) or repr(error)
        self._counted("sent" if taken else "failed", len(batch))
        self._note(len(batch), taken=taken, reason=reason)

    def _note(self, n_spans: int, *, taken: bool, reason: str) -> None:
        now_s = time.monotonic()
        if taken:
            if self._n_lost:
                logger.warning("spans_sent_again", extra={"n_lost": self._n_lost})
            self._n_lost = 0
            return
        self._n_lost += n_spans
        if now_s - self._said_s >= SAY_EVERY_S:
            self._said_s = now_s
            logger.warning("spans_not_sent", extra={"n_lost": self._n_lost, "reason": reason})
