"""The file that rows are gathered in: one JSON object a line, as long as the progress beside it says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import orjson

from operations.exporting.columns import Row
from personalization.errors import Refused

OWNER_ONLY = 0o600
"""What is exported is personal data: its owner's alone, until they give it away."""


class RowsFile:
    """Rows are added at its end, behind ``n_bytes`` that are known to be good; what lies behind those is cut off.

    Raises
    ------
    Refused
        If it is shorter than that.
    """

    def __init__(self, path: Path, n_bytes: int) -> None:
        self._file = open_owned(path, truncate=n_bytes == 0)
        size = os.fstat(self._file.fileno()).st_size
        if size < n_bytes:
            self._file.close()
            raise Refused(f"{path} has {size} bytes, and {n_bytes} were written: begin anew, without --resume")
        self._file.truncate(n_bytes)
        self._file.seek(n_bytes)
        self.n_bytes = n_bytes

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; they are durable after ``sync``."""
        for row in rows:
            self.n_bytes += self._file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def sync(self) -> None:
        """See that all rows are on the disk."""
        sync(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_rows(path: Path) -> Iterator[Row]:
    """All rows, one after the other."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def open_owned(path: Path, *, truncate: bool = True) -> IO[bytes]:
    """A file to write that nobody else may read."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if truncate else 0)
    return os.fdopen(os.open(path, flags, OWNER_ONLY), "r+b")


def sync(file: IO[bytes]) -> None:
    """See that a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """See that names given and taken in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
