"""What goes to the server together, in memory and, where there is a folder for it, in a file of its own."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import uuid
from collections import deque
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple

if sys.platform != "win32":
    import fcntl

EVENTS_PATH, EXPOSURES_PATH, REWARDS_PATH = "/v1/events", "/v1/exposures", "/v1/rewards"
_MOST = {EVENTS_PATH: 2_000, EXPOSURES_PATH: 1_000, REWARDS_PATH: 1_000}  # as the server takes them
MAX_ITEMS = max(_MOST.values())
MAX_BYTES = 500_000 - 1_000  # what stands around the items of a request is less than the rest
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
        self._file: FileIO | None = None
        self._path: Path | None = None
        self._is_whole = True
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
            if sys.platform == "win32":  # there what is open cannot be renamed
                self._file = FileIO(self._path, "x")
                return
            unseen = self._path.with_suffix(".new")  # until it is locked
            self._file = FileIO(unseen, "x")
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
            # Unbuffered: a process that is forked meanwhile finds no lock taken, and a full disk is told at once.
            line = item.path.encode() + b" " + item.body + b"\n"
            try:
                if not self._is_whole:
                    line = b"\n" + line  # behind what was cut off
                if self._file.write(line) != len(line):
                    raise OSError("the disk took a part of it; it may be full")
            except OSError:
                self._is_whole = False
                raise

    def head(self, n_most: int = MAX_ITEMS) -> list[Item]:
        """What goes in the next request: the first one, and those of its kind right behind it."""
        path = self.items[0].path
        alike = itertools.takewhile(lambda item: item.path == path, self.items)
        return list(itertools.islice(alike, min(n_most, _MOST[path])))

    def drop(self, n_items: int) -> int:
        """Forget the first ones; how many bytes they were."""
        n_bytes = sum(len(self.items.popleft().body) + 1 for _ in range(n_items))
        self.n_bytes -= n_bytes
        if not self.items and self._file is not None and self._path is not None:
            if sys.platform == "win32":  # there what is open cannot be removed
                self.release()
            with contextlib.suppress(OSError):  # then it is sent again by the next process, and counts once
                self._path.unlink()
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
        """Whether all of it outlives the process."""
        return self._file is not None and self._is_whole

    @classmethod
    def left_in(cls, folder: Path) -> Iterator[Batch]:
        """Those that no living process holds."""
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            try:
                file = FileIO(path, "r+")
            except OSError:
                continue
            if not _lock(file) or not path.exists():
                file.close()
                continue
            batch = cls()
            batch._path, batch._file = path, file
            for line in file.readall().split(b"\n")[:-1]:  # behind the last line end is what was being written
                to, _, body = line.partition(b" ")
                with contextlib.suppress(ValueError, KeyError):  # torn by a crash
                    json.loads(body)
                    _MOST[to.decode()]
                    batch.items.append(Item(to.decode(), body))
                    batch.n_bytes += len(body) + 1
            if batch.items:
                yield batch
            else:
                batch.drop(0)


def body_of(head: list[Item], now_ms: float) -> bytes:
    """The body of a request that tells these."""
    told = b",".join(item.body for item in head)
    if head[0].path == EVENTS_PATH:
        return b'{"events":[%b],"sentAt":%d}' % (told, now_ms)
    if head[0].path == EXPOSURES_PATH:
        return b'{"decisionIds":[%b]}' % told
    return b'{"rewards":[%b]}' % told


def _lock(file: FileIO) -> bool:
    if sys.platform == "win32":  # there each process needs a folder of its own
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
