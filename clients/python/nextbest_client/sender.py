"""The thread that sends what waits, each request until it is taken or refused."""

from __future__ import annotations

import threading
import time

from nextbest_client.batch import MAX_ITEMS, Batch, body_of
from nextbest_client.connections import Connections, pause_s
from nextbest_client.errors import NextbestError, as_nextbest_error, is_taken, refusal, rejections
from nextbest_client.options import Options
from nextbest_client.outbox import Outbox

MAX_TRIES = 10
"""A request that the server, or what stands in front of it, fails at each time must not hold up others for ever."""


class Sender:
    """Empties an outbox. Started by the first event, so that a process that was forked has one of its own."""

    def __init__(self, connections: Connections, outbox: Outbox, options: Options) -> None:
        self._connections, self._outbox, self._options = connections, outbox, options
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._n_most = MAX_ITEMS

    def start(self) -> None:
        """Start, unless it runs.

        Raises
        ------
        RuntimeError
            Where the process may have no more threads.
        """
        if not self._is_running():
            with self._starting:
                if not self._is_running():
                    thread = threading.Thread(target=self._run, name="nextbest-sender", daemon=True)
                    thread.start()
                    self._thread = thread

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
                n_done = self._send(batch)
                if not n_done:
                    return
                self._outbox.done(batch, n_done)

    def _send(self, batch: Batch) -> int:
        """Send the first ones until they are taken or refused, which is told; how many, 0 where the client closed.

        Those that are refused together are sent in halves, so that the others do not go with the one that is wrong.
        """
        n_failed = 0
        while True:
            left_s = self._outbox.left_s(self._options.send_timeout_s)
            if left_s <= 0:
                return 0
            head = batch.head(self._n_most)
            retry_after_s = 0.0
            rejected: list[NextbestError] = []
            try:
                reply = self._connections.post(head[0].path, body_of(head, time.time() * 1000), left_s)
                retry_after_s, rejected = reply.retry_after_s, rejections(reply.status, reply.body)
                if is_taken(reply.status, reply.body):
                    self._tell(rejected)
                    self._n_most = min(MAX_ITEMS, self._n_most * 2)
                    return len(head)
                error = refusal(reply.status, reply.body)
            except Exception as failure:
                error = as_nextbest_error(failure)
            n_failed += 1
            may_pass = error.may_pass or error.is_of_the_key
            is_doubtful = _is_doubtful(error)
            if is_doubtful:
                may_pass = n_failed < MAX_TRIES
            is_searched = is_doubtful and self._n_most < MAX_ITEMS
            if (not may_pass or is_searched) and not rejected and len(head) > 1:
                self._n_most = len(head) // 2
                if error.status < 500 and not error.is_of_others:
                    continue  # what is wrong with it is known
            elif not may_pass:
                self._tell(rejected or [error])
                return len(head)
            else:
                self._tell([error])
            first_s = self._options.longest_pause_s if error.is_of_the_key else self._options.first_pause_s
            pause = pause_s(n_failed, first_s, self._options.longest_pause_s, retry_after_s)
            if not self._outbox.pause(pause, retry_after_s, is_tried_at_close=not error.is_of_the_key):
                return 0

    def _tell(self, errors: list[NextbestError]) -> None:
        for error in errors:
            self._options.tell(error)


def _is_doubtful(error: NextbestError) -> bool:
    """Whether it may be this very request that fails, or all of them."""
    return error.status in (500, 501) or (error.is_of_others and not error.may_pass and error.status != 413)
