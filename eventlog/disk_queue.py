"""A bounded first-in-first-out queue of records on disk, in segment files.

A frame is ``length, crc32, msgpack [topic, key, value]``. Writes reach the kernel before they count, so they
survive the process being killed (not a power cut within the kernel's few seconds). A torn or damaged frame
ends its segment: what follows in it is given up and counted. Nothing is ever written behind such a frame: what a
failed write left is cut off, and a new process begins a new segment.

Not for several threads at once: its owner makes one call at a time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from eventlog.port import Record
from eventlog.sealing import sealed_record
from personalization.data_cipher import CLEAR, DataCipher

logger = logging.getLogger(__name__)

_HEADER = struct.Struct("<II")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, str, bytes]).decode

SEGMENT_BYTES = 8 * 1024 * 1024
READ_BYTES = 1024 * 1024

_NAME = re.compile(r"(\d{12})\.spool")

_BREATH = 1000
"""Frames counted before other threads may run: a quarter of a millisecond."""


@dataclass(slots=True)
class _Segment:
    """One file: its sound bytes, its frames, and how far it was read."""

    n_bytes: int
    n_records: int
    offset: int = 0


class DiskQueue:
    """The queue in ``directory``, which the caller has to itself (``spool_slots``).

    Parameters
    ----------
    directory
        What an earlier process left there comes first. Files that are no segments, or cannot be read, stay as
        they are.
    max_bytes
        Bound of all segment files together.
    cipher
        Seals what is written, as the log would; what is read stays sealed, and the log takes it so.

    Attributes
    ----------
    n_bytes, n_records
        What the segment files hold; what of it was not advanced over.
    corrupt_bytes
        What was given up: frames torn or damaged, and what stood behind them.
    """

    def __init__(self, directory: Path, max_bytes: int, cipher: DataCipher = CLEAR) -> None:
        self._directory = directory
        self._cipher = cipher
        self._max_bytes = max_bytes
        self._tail: int | None = None
        self._tail_number = -1
        self._last_number = 0
        self._peeked: list[int] = []
        self.n_bytes = 0
        self.n_records = 0
        self.corrupt_bytes = 0
        self._segments: dict[int, _Segment] = {}
        self._recover()

    def __len__(self) -> int:
        return self.n_records

    def push(self, records: Sequence[Record]) -> int:
        """Append as many of ``records`` as there is room for, in order; returns how many.

        Raises
        ------
        OSError
            If the disk does not take them: then it has taken none.
        """
        frames: list[bytes] = []
        room = self._max_bytes - self.n_bytes
        for record in records:
            frame = _frame(sealed_record(self._cipher, record))
            if len(frame) > room:
                break
            room -= len(frame)
            frames.append(frame)
        if not frames:
            return 0
        tail = self._writable_tail()
        segment = self._segments[self._tail_number]
        data = b"".join(frames)
        try:
            _write_all(tail, data)
        except OSError:
            self._cut(segment.n_bytes)
            raise
        segment.n_bytes += len(data)
        segment.n_records += len(frames)
        self.n_bytes += len(data)
        self.n_records += len(frames)
        return len(frames)

    def peek(self, max_records: int, max_bytes: int) -> list[Record]:
        """The oldest records, at least one if there is any; they stay until ``advance``.

        A damaged segment is given up, one that cannot be read stays for the next start; each has a line in the
        log.
        """
        while self._segments:
            number = min(self._segments)
            segment = self._segments[number]
            path = self._path(number)
            try:
                found = self._read(number, segment, max_records, max_bytes)
            except OSError as error:
                logger.error("spool_segment_unreadable", extra={"path": str(path), "reason": str(error)})
                self._drop(number, remove=not path.exists())
                continue
            if found:
                return found
            n_bytes = segment.n_bytes - segment.offset
            logger.error("spool_segment_damaged", extra={"path": str(path), "lost_bytes": n_bytes})
            self.corrupt_bytes += n_bytes
            self._drop(number)
        return []

    def advance(self, n_records: int) -> None:
        """Forget the ``n_records`` oldest."""
        while n_records > 0 and self._segments:
            if not self._peeked and not self.peek(n_records, READ_BYTES):
                return
            number = min(self._segments)
            segment = self._segments[number]
            taken = self._peeked[:n_records]
            self._peeked = self._peeked[n_records:]
            n_records -= len(taken)
            self.n_records -= len(taken)
            segment.n_records -= len(taken)
            segment.offset += sum(taken)
            if segment.offset >= segment.n_bytes:
                self._drop(number)
            else:
                self._save_cursor(number, segment.offset)

    def close(self) -> None:
        """Let go of the files."""
        if self._tail is not None:
            os.close(self._tail)
            self._tail = None

    # -- inside -----------------------------------------------------------------------------------------

    def _read(self, number: int, segment: _Segment, max_records: int, max_bytes: int) -> list[Record]:
        with self._path(number).open("rb") as file:
            file.seek(segment.offset)
            left = segment.n_bytes - segment.offset
            data = file.read(min(max_bytes, left))
            found = self._frames(data, max_records)
            if not found and len(data) < left:  # one frame larger than the bound
                found = self._frames(data + file.read(left - len(data)), 1)
        return found

    def _frames(self, data: bytes, max_records: int) -> list[Record]:
        records: list[Record] = []
        self._peeked = []
        at = 0
        while len(records) < max_records:
            end = _end_of_frame(data, at)
            if end is None or zlib.crc32(data[at + _HEADER.size : end]) != _HEADER.unpack_from(data, at)[1]:
                break
            try:
                records.append(Record(*_decode(data[at + _HEADER.size : end])))
            except msgspec.DecodeError:
                break
            self._peeked.append(end - at)
            at = end
        return records

    def _recover(self) -> None:
        for path in sorted(self._directory.iterdir()):
            name = _NAME.fullmatch(path.name)
            if name is None:
                if path.suffix == ".spool":
                    logger.warning("spool_file_unknown", extra={"path": str(path)})
                continue
            number = int(name[1])
            self._last_number = max(self._last_number, number)
            try:
                data = path.read_bytes()
            except OSError as error:
                logger.error("spool_segment_unreadable", extra={"path": str(path), "reason": str(error)})
                continue
            segment = _counted(data)
            self.corrupt_bytes += len(data) - segment.n_bytes
            self._segments[number] = segment
            self.n_bytes += segment.n_bytes
            self.n_records += segment.n_records
        number, offset = self._saved_cursor()
        if number in self._segments:
            self._skip_to(self._segments[number], number, offset)
        for number in [n for n, segment in self._segments.items() if segment.offset >= segment.n_bytes]:
            self._drop(number)

    def _saved_cursor(self) -> tuple[int, int]:
        """Where reading goes on; a cursor that is not there, or damaged, is a fresh start: records come again."""
        try:
            number, offset = map(int, (self._directory / "cursor").read_text().split())
        except FileNotFoundError:
            return -1, 0
        except (OSError, ValueError) as error:
            logger.warning("spool_cursor_unreadable", extra={"path": str(self._directory), "reason": str(error)})
            return -1, 0
        return number, offset

    def _skip_to(self, segment: _Segment, number: int, offset: int) -> None:
        if not 0 < offset <= segment.n_bytes:
            return
        try:
            data = self._path(number).read_bytes()
        except OSError:
            return
        at = n = 0
        while at < offset and (end := _end_of_frame(data, at)) is not None:
            at, n = end, n + 1
        if at == offset:  # else it points into the middle of a frame
            segment.offset = offset
            segment.n_records -= n
            self.n_records -= n

    def _save_cursor(self, number: int, offset: int) -> None:
        """Note how far was read. Where the disk does not take it, records come again after a restart."""
        temporary = self._directory / "cursor.new"
        with contextlib.suppress(OSError):
            temporary.write_text(f"{number} {offset}")
            temporary.replace(self._directory / "cursor")

    def _drop(self, number: int, *, remove: bool = True) -> None:
        """Forget a segment, read or not."""
        segment = self._segments.pop(number)
        self.n_bytes -= segment.n_bytes
        self.n_records -= segment.n_records
        self._peeked = []
        if number == self._tail_number:
            self.close()
        if not remove:
            return
        try:
            self._path(number).unlink(missing_ok=True)
        except OSError as error:
            logger.error("spool_segment_stays", extra={"path": str(self._path(number)), "reason": str(error)})

    def _writable_tail(self) -> int:
        """The file that is written to, begun anew if there is none or it is long enough."""
        if self._tail is not None and self._segments[self._tail_number].n_bytes < SEGMENT_BYTES:
            return self._tail
        self.close()
        number = self._last_number + 1
        self._tail = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._last_number = self._tail_number = number
        self._segments[number] = _Segment(0, 0)
        return self._tail

    def _cut(self, n_bytes: int) -> None:
        """Take half a frame away again, or write nothing more to that file: what stands behind it is not read."""
        assert self._tail is not None
        try:
            os.ftruncate(self._tail, n_bytes)
        except OSError:
            self.close()
        if not n_bytes:
            self._drop(self._tail_number)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:012d}.spool"


def _frame(record: Record) -> bytes:
    payload = _encode((record.topic, record.key, record.value))
    return _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def _end_of_frame(data: bytes, at: int) -> int | None:
    """Where the frame at ``at`` ends, if it is whole."""
    if at + _HEADER.size > len(data):
        return None
    end = at + _HEADER.size + int(_HEADER.unpack_from(data, at)[0])
    return None if end > len(data) else end


def _counted(data: bytes) -> _Segment:
    """The whole frames of a file; whether each is sound is seen when it is read."""
    at = n = 0
    while (end := _end_of_frame(data, at)) is not None:
        at, n = end, n + 1
        if n % _BREATH == 0:
            time.sleep(0)  # lets the event loop's thread run
    return _Segment(at, n)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
