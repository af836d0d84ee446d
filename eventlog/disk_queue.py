"""A bounded first-in-first-out queue of records on disk, in segment files.

A frame is ``length, crc32, msgpack [topic, key, value]``. Writes reach the kernel before they count, so they
survive the process being killed (not a power cut within the kernel's few seconds). A torn or damaged frame
ends its segment: what follows in it is given up and counted.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from eventlog.port import Record
from personalization.errors import Unavailable

_HEADER = struct.Struct("<II")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, str, bytes]).decode

SEGMENT_BYTES = 8 * 1024 * 1024
FIRST_SEGMENT = 10**9
"""Numbers below it are for records that have to go in front."""


class DiskQueue:
    """The queue in ``directory``, which it locks.

    Parameters
    ----------
    directory
        Made if missing; whatever an earlier process left there comes first.
    max_bytes
        Bound of all segment files together.

    Raises
    ------
    Unavailable
        If another process has the directory.
    """

    def __init__(self, directory: Path, max_bytes: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._max_bytes = max_bytes
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise Unavailable(f"another process spools to {directory}") from error
        self._tail: int | None = None
        self._tail_number = -1
        self._read_frames: list[int] = []
        self._cursor = 0
        self.n_bytes = 0
        self.n_records = 0
        self.corrupt_bytes = 0
        self._segments: dict[int, int] = {}
        self._recover()

    def __len__(self) -> int:
        return self.n_records

    def push(self, records: Sequence[Record]) -> int:
        """Append as many of ``records`` as there is room for, in order; returns how many."""
        frames: list[bytes] = []
        room = self._max_bytes - self.n_bytes
        for record in records:
            frame = _frame(record)
            if len(frame) > room:
                break
            room -= len(frame)
            frames.append(frame)
        if frames:
            data = b"".join(frames)
            if self._tail is None or self._segments[self._tail_number] >= SEGMENT_BYTES:
                self._open_tail(max(self._segments, default=FIRST_SEGMENT - 1) + 1)
            assert self._tail is not None
            _write_all(self._tail, data)
            self._segments[self._tail_number] += len(data)
            self.n_bytes += len(data)
            self.n_records += len(frames)
        return len(frames)

    def push_front(self, records: Sequence[Record]) -> None:
        """Put ``records`` before all others (a batch that was under way at shutdown)."""
        number = min(self._segments, default=FIRST_SEGMENT) - 1
        data = b"".join(map(_frame, records))
        self._path(number).write_bytes(data)
        self._segments = {number: len(data), **self._segments}
        self.n_bytes += len(data)
        self.n_records += len(records)

    def peek(self, max_records: int, max_bytes: int) -> list[Record]:
        """The oldest records; they stay until ``advance``."""
        self._read_frames = []
        if not self._segments:
            return []
        head = min(self._segments)
        with self._path(head).open("rb") as file:
            file.seek(self._head_offset(head))
            data = file.read(max_bytes)
            found = self._frames(data, max_records)
            if not found and data:  # one frame larger than the bound
                found = self._frames(data + file.read(), 1)
        return found

    def advance(self) -> None:
        """Forget what the last ``peek`` returned."""
        if not self._read_frames:
            return
        head = min(self._segments)
        offset = self._head_offset(head) + sum(self._read_frames)
        self.n_records -= len(self._read_frames)
        self._read_frames = []
        if offset >= self._segments[head]:
            self._drop(head)
        else:
            self._save_cursor(head, offset)

    def close(self) -> None:
        """Let go of the files and of the directory."""
        if self._tail is not None:
            os.close(self._tail)
            self._tail = None
        os.close(self._lock)

    # -- inside -----------------------------------------------------------------------------------------

    def _frames(self, data: bytes, max_records: int) -> list[Record]:
        records: list[Record] = []
        at = 0
        while len(records) < max_records:
            end = _end_of_frame(data, at)
            if end is None:
                break
            records.append(Record(*_decode(data[at + _HEADER.size : end])))
            self._read_frames.append(end - at)
            at = end
        return records

    def _recover(self) -> None:
        for path in sorted(self._directory.glob("*.spool")):
            data = path.read_bytes()
            number = int(path.stem)
            at = n = 0
            while (end := _end_of_frame(data, at)) is not None:
                at, n = end, n + 1
            if at < len(data):
                self.corrupt_bytes += len(data) - at
                os.truncate(path, at)
            self._segments[number] = at
            self.n_bytes += at
            self.n_records += n
        cursor = self._directory / "cursor"
        if cursor.exists() and self._segments:
            number, offset = map(int, cursor.read_text().split())
            if number in self._segments and offset <= self._segments[number]:
                with self._path(number).open("rb") as file:
                    data = file.read(offset)
                at = 0
                while at < offset and (end := _end_of_frame(data, at)) is not None:
                    at, self.n_records = end, self.n_records - 1
                self._cursor_number, self._cursor = number, offset
        for number in [n for n, size in self._segments.items() if self._head_offset(n) >= size]:
            self._drop(number)

    _cursor_number = -1

    def _head_offset(self, number: int) -> int:
        return self._cursor if number == self._cursor_number else 0

    def _save_cursor(self, number: int, offset: int) -> None:
        temporary = self._directory / "cursor.new"
        temporary.write_text(f"{number} {offset}")
        temporary.replace(self._directory / "cursor")
        self._cursor_number, self._cursor = number, offset

    def _drop(self, number: int) -> None:
        self.n_bytes -= self._segments.pop(number)
        if number == self._tail_number and self._tail is not None:
            os.close(self._tail)
            self._tail = None
        self._path(number).unlink(missing_ok=True)

    def _open_tail(self, number: int) -> None:
        if self._tail is not None:
            os.close(self._tail)
        self._tail = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._tail_number = number
        self._segments.setdefault(number, 0)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.spool"


def _frame(record: Record) -> bytes:
    payload = _encode((record.topic, record.key, record.value))
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def _end_of_frame(data: bytes, at: int) -> int | None:
    """Where the frame at ``at`` ends, if it is whole and sound."""
    if at + _HEADER.size > len(data):
        return None
    length, crc = _HEADER.unpack_from(data, at)
    end = at + _HEADER.size + length
    if end > len(data) or zlib.crc32(data[at + _HEADER.size : end]) != crc:
        return None
    return int(end)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
