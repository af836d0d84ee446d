"""What goes to the server together, in memory and, where there is a folder for it, in a file of its own."""

from __future__ import annotations

import contextlib
import json
import sys
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

if sys.platform != "win32":
    import fcntl

EVENTS_PATH = "/v1/events"
MAX_ITEMS = 2_000
MAX_BYTES = 500_000 - 1_000  # what stands around the events of a request is less than the rest
_SUFFIX = ".events"


class Item(NamedTuple):
    """One thing to be told: where, and the JSON. Sent twice it counts once, by the id that it holds."""

    path: str
    body: bytes


class Batch:
    """Items in order. A file that outlives its process is found by the next one, and sent again."""

    def __init__(self, folder: Path | None = None) -> None:
        self.items: deque[Item] = deque()
        self.n_bytes = 0
        self._file: IO[bytes] | None = None
        self._path: Path | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
            unseen = self._path.with_suffix(".new")  # until it is locked
            self._file = unseen.open("xb")
            _lock(self._file)
            unseen.rename(self._path)

    def takes(self, item: Item) -> bool:
        """Whether it has room."""
        return len(self.items) < MAX_ITEMS and (not self.items or self.n_bytes + len(item.body) + 1 <= MAX_BYTES)

    def add(self, item: Item) -> None:
        """Add one behind the others.

        Raises
        ------
        OSError
            Where the disk did not take it; it is in memory.
        """
        self.items.append(item)
        self.n_bytes += len(item.body) + 1
        if self._file is not None:
            self._file.write(item.path.encode() + b" " + item.body + b"\n")
            self._file.flush()

    def head(self) -> list[Item]:
        """What goes in the next request: events together, all else one by one."""
        head = [self.items[0]]
        if head[0].path == EVENTS_PATH:
            for item in list(self.items)[1:]:
                if item.path != EVENTS_PATH:
                    break
                head.append(item)
        return head

    def drop(self, n_items: int) -> int:
        """Forget the first ones; how many bytes they were."""
        n_bytes = sum(len(self.items.popleft().body) + 1 for _ in range(n_items))
        self.n_bytes -= n_bytes
        if not self.items and self._file is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            self.release()
        return n_bytes

    def release(self) -> None:
        """Leave the file, if there is one, to whoever finds it."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what it could not write was told when it was added
                self._file.close()
            self._file = None

    @property
    def is_kept(self) -> bool:
        """Whether it outlives the process."""
        return self._file is not None

    @classmethod
    def left_in(cls, folder: Path) -> Iterator[Batch]:
        """Those that no living process holds."""
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            try:
                file = path.open("r+b")
            except OSError:
                continue
            if not _lock(file) or not path.exists():
                file.close()
                continue
            batch = cls()
            batch._path, batch._file = path, file
            for line in file.read().split(b"\n")[:-1]:  # behind the last line end is what was being written
                to, _, body = line.partition(b" ")
                with contextlib.suppress(ValueError):  # torn by a crash
                    json.loads(body)
                    batch.items.append(Item(to.decode(), body))
                    batch.n_bytes += len(body) + 1
            if batch.items:
                yield batch
            else:
                batch.drop(0)


def _lock(file: IO[bytes]) -> bool:
    if sys.platform == "win32":  # there each process needs a folder of its own
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
