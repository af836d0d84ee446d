"""What waits to be sent: filled by callers, emptied by one sender."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

from nextbest_client.batch import Batch, Item
from nextbest_client.errors import NextbestError
from nextbest_client.options import Options


class Outbox:
    """Batches in order, bounded in bytes; the last one may still be filled."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._folder = None if options.disk is None else Path(options.disk)
        self._changed = threading.Condition()
        self._batches: deque[Batch] = deque()
        self._filling: Batch | None = None
        self._oldest_s = 0.0
        self._n_bytes = self._n_put = self._n_done = self._n_urged = 0
        self._closes_s: float | None = None

    def adopt(self) -> None:
        """Take in what processes that are gone left in the folder."""
        if self._folder is not None:
            left = list(Batch.left_in(self._folder))
            with self._changed:
                self._batches.extendleft(reversed(left))
                self._n_bytes += sum(batch.n_bytes for batch in left)
                self._n_put += sum(len(batch.items) for batch in left)

    def put(self, item: Item) -> None:
        """Put one behind the others.

        Raises
        ------
        NextbestError
            ``queue_full`` or ``closed``: it was dropped; ``disk``: it waits in memory alone.
        """
        with self._changed:
            if self._closes_s is not None:
                raise NextbestError("closed", "the client is closed; the event was dropped")
            if self._n_bytes + len(item.body) > self._options.max_queue_bytes:
                raise NextbestError("queue_full", "max_queue_bytes wait to be sent; the event was dropped")
            self._n_bytes += len(item.body) + 1
            self._n_put += 1
            trouble = None
            if self._filling is None or not self._filling.takes(item):
                try:
                    self._filling = Batch(self._folder)
                except OSError as error:
                    self._filling, trouble = Batch(), error
                self._batches.append(self._filling)
                self._oldest_s = time.monotonic()
                self._changed.notify_all()
            try:
                self._filling.add(item)
            except OSError as error:
                trouble = error
            if trouble is not None:
                raise NextbestError("disk", f"the event waits in memory alone: {trouble}") from trouble

    def take(self) -> Batch | None:
        """The first batch, once it is full or has waited long enough; ``None``: closed, and nothing is left."""
        with self._changed:
            while True:
                if not self._batches:
                    if self._closes_s is not None:
                        return None
                    self._changed.wait()
                elif self._batches[0] is not self._filling:
                    return self._batches[0]
                else:
                    left_s = self._oldest_s + self._options.flush_every_s - time.monotonic()
                    if left_s <= 0 or self._n_done < self._n_urged or self._closes_s is not None:
                        self._filling = None
                    else:
                        self._changed.wait(left_s)

    def done(self, batch: Batch, n_items: int) -> None:
        """The first items of a batch were taken, or refused."""
        with self._changed:
            self._n_bytes -= batch.drop(n_items)
            self._n_done += n_items
            if not batch.items and batch in self._batches:
                self._batches.remove(batch)
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Have sent what waits now; whether it was, within the time."""
        with self._changed:
            self._n_urged = n_put = self._n_put
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._n_done >= n_put, timeout_s)

    def pause(self, pause_s: float, retry_after_s: float, *, is_tried_at_close: bool) -> bool:
        """Wait before the next try; whether there is to be one.

        Closing asks for one at once, unless the server said when it may be asked again.
        """
        end_s = time.monotonic() + pause_s
        with self._changed:
            was_open = self._closes_s is None
            closes = self._changed.wait_for(lambda: self._closes_s is not None, pause_s)
            if closes and not is_tried_at_close:
                return False
            if was_open and not (closes and retry_after_s):
                return True
            if self._closes_s is not None and end_s >= self._closes_s:
                return False
        time.sleep(max(0.0, end_s - time.monotonic()))
        return True

    def left_s(self, most_s: float) -> float:
        """How long a try may take."""
        with self._changed:
            return most_s if self._closes_s is None else min(most_s, self._closes_s - time.monotonic())

    def close(self, timeout_s: float) -> None:
        """Take nothing more; what waits is tried for so long."""
        with self._changed:
            self._closes_s = time.monotonic() + timeout_s
            self._changed.notify_all()

    def leave(self) -> int:
        """Let go of what was not sent; how many of it no file keeps.

        It takes no lock, which a fork may have left taken.
        """
        left = list(self._batches)
        self._batches.clear()
        n_lost = sum(len(batch.items) for batch in left if not batch.is_kept)
        for batch in left:
            batch.release()
        return n_lost
