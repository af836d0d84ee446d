"""The thread that sends what waits, each batch until it is taken or refused."""

from __future__ import annotations

import threading
import time

from nextbest_client.batch import EVENTS_PATH, Item
from nextbest_client.connections import Connections, pause_s
from nextbest_client.errors import NextbestError, as_nextbest_error, refusal, rejections
from nextbest_client.options import Options
from nextbest_client.outbox import Outbox

MAX_INTERNAL_ERRORS = 10
"""A request that the server fails at each time must not hold up those behind it for ever."""


class Sender:
    """Empties an outbox. Started by the first event, so that a process that was forked has one of its own."""

    def __init__(self, connections: Connections, outbox: Outbox, options: Options) -> None:
        self._connections, self._outbox, self._options = connections, outbox, options
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start, unless it runs."""
        if not self._is_running():
            with self._starting:
                if not self._is_running():
                    self._thread = threading.Thread(target=self._run, name="nextbest-sender", daemon=True)
                    self._thread.start()

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def close(self, timeout_s: float) -> None:
        """Send what waits, for so long; what no file keeps then is told."""
        self._outbox.close(timeout_s)
        if self._thread is not None:
            self._thread.join(timeout_s + 0.1)
        n_lost = self._outbox.leave()
        if n_lost:
            message = (
                f"{n_lost} events were not sent before the client closed; `disk` keeps them for the next start"
            )
            self._options.tell(NextbestError("not_sent", message))

    def _run(self) -> None:
        try:
            self._outbox.adopt()
        except OSError as error:
            self._options.tell(NextbestError("disk", f"what an earlier process left cannot be read: {error}"))
        while True:
            batch = self._outbox.take()
            if batch is None:
                return
            while batch.items:
                head = batch.head()
                if not self._send(head):
                    return
                self._outbox.done(batch, len(head))

    def _send(self, head: list[Item]) -> bool:
        """Send until it is taken or refused, which is told; whether either came to be before the client closed."""
        n_failed = 0
        while True:
            left_s = self._outbox.left_s(self._options.send_timeout_s)
            if left_s <= 0:
                return False
            retry_after_s = 0.0
            rejected: list[NextbestError] = []
            try:
                reply = self._connections.post(head[0].path, _body(head), left_s)
                retry_after_s, rejected = reply.retry_after_s, rejections(reply.status, reply.body)
                if 200 <= reply.status < 300:
                    self._tell(rejected)
                    return True
                error = refusal(reply.status, reply.body)
            except Exception as failure:
                error = as_nextbest_error(failure)
            n_failed += 1
            self._tell(rejected or [error])
            if not error.may_pass or (error.status in (500, 501) and n_failed >= MAX_INTERNAL_ERRORS):
                return True
            pause = pause_s(n_failed, self._options.first_pause_s, self._options.longest_pause_s, retry_after_s)
            if not self._outbox.pause(pause, retry_after_s):
                return False

    def _tell(self, errors: list[NextbestError]) -> None:
        for error in errors:
            self._options.tell(error)


def _body(head: list[Item]) -> bytes:
    if head[0].path != EVENTS_PATH:
        return head[0].body
    events = b",".join(item.body for item in head)
    return b'{"events":[%b],"sentAt":%d}' % (events, time.time() * 1000)
