"""A base: states, checkpoints and offsets in one file, from which a replay can begin once the log was trimmed.

It may be written while everything runs. The committed offsets are read first and the states afterwards, so each
state is at least as far as the offsets, and its own fence says how far: entries of the log it has seen already are
skipped, exactly as when the log gives them a second time.

The file is gzip over msgpack frames, 4 bytes of length before each: a head, a frame per visitor, an end with their
number. Where the installation encrypts personal data each frame is sealed, and read with the same data key alone.
"""

from __future__ import annotations

import gzip
import struct
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from eventlog.partition import hash_of
from eventlog.port import LogIdentity
from eventlog.topics import VISITOR_LOG
from installation.opened import Installation
from installation.visitors import visitors_of
from personalization.data_cipher import CLEAR, DataCipher, why_sealed
from personalization.errors import Refused
from personalization.visitor.visitor import Visitor
from state.checkpoint_store import CheckpointHeader, CheckpointStore, StoredCheckpoint
from state.visitor_store import Stored, VisitorStore

FORMAT = 1
TOGETHER = 500
BELONGS_TO = b"base"
"""What frames are bound to when they are sealed."""

_LENGTH = struct.Struct(">I")


class SavedCheckpoint(msgspec.Struct, frozen=True, array_like=True):
    """One partition's checkpoint: its header, and the model of each placement."""

    header: CheckpointHeader
    blobs: dict[str, bytes]


class BaseHead(msgspec.Struct, frozen=True):
    """What a base says first.

    Attributes
    ----------
    folder_offsets
        Per partition of the visitor log, where a replay from here begins.
    checkpoints
        Partition of ``outcomes`` → what was learned by then.
    """

    format: int
    made_at_ms: int
    identity: LogIdentity
    folder_offsets: list[int]
    checkpoints: dict[int, SavedCheckpoint]


class BaseVisitor(msgspec.Struct, frozen=True, array_like=True):
    """One visitor, as stored."""

    key: str
    visitor: bytes
    folder: bytes


class BaseEnd(msgspec.Struct, frozen=True, array_like=True):
    """The last frame: how many visitors stand before it."""

    n_visitors: int


@dataclass(frozen=True, slots=True)
class Base:
    """A base as read, states still packed."""

    head: BaseHead
    stored: dict[str, BaseVisitor]

    def visitors(self, partition: int) -> dict[str, Visitor]:
        """Fresh visitors of one partition of the visitor log."""
        mask = self.head.identity.n_partitions - 1
        return {
            key: Stored(each.visitor, each.folder).visitor()
            for key, each in self.stored.items()
            if hash_of(key) & mask == partition
        }

    def checkpoint(self, partition: int) -> StoredCheckpoint | None:
        """What was learned of a partition of ``outcomes``."""
        saved = self.head.checkpoints.get(partition)
        return None if saved is None else StoredCheckpoint(saved.header, dict(saved.blobs))


async def save_base(opened: Installation, path: Path) -> int:
    """Write a base; how many visitors. The file is there whole or not at all.

    Raises
    ------
    Refused
        Where a checkpoint lacks a model: it would be no base to learn from.
    """
    identity = await opened.log.identity()
    committed = await opened.log.committed_offsets("folder", VISITOR_LOG)
    head = BaseHead(
        FORMAT,
        time.time_ns() // 1_000_000,
        identity,
        [offset or 0 for offset in committed],
        await _checkpoints(opened, identity.n_partitions),
    )
    partial = path.with_name(path.name + ".part")
    n_visitors = 0
    with gzip.open(partial, "wb", compresslevel=6) as file:

        def put(frame: msgspec.Struct) -> None:
            _put(file, opened.cipher.sealed(msgspec.msgpack.encode(frame), BELONGS_TO))

        put(head)
        seen: set[str] = set()
        async for visitor in _stored(opened):
            if visitor.key not in seen:  # a scan may name a key twice
                seen.add(visitor.key)
                put(visitor)
        n_visitors = len(seen)
        put(BaseEnd(n_visitors))
    partial.replace(path)
    return n_visitors


def read_base(path: Path, identity: LogIdentity, cipher: DataCipher = CLEAR) -> Base:
    """Read a base of this very log.

    Raises
    ------
    Refused
        Where it is none, is cut short, is of another log, or was encrypted with another data key.
    """
    stored: dict[str, BaseVisitor] = {}
    try:
        with gzip.open(path, "rb") as file:
            frames = _opened_frames(file, path, cipher)
            head = msgspec.msgpack.decode(next(frames), type=BaseHead)
            previous = b""
            for frame in frames:
                if previous:
                    visitor = msgspec.msgpack.decode(previous, type=BaseVisitor)
                    stored[visitor.key] = visitor
                previous = frame
            end = msgspec.msgpack.decode(previous, type=BaseEnd)
    except (OSError, EOFError, StopIteration, msgspec.DecodeError, struct.error) as error:
        raise Refused(
            f"{path} is no base written by `nextbest replay --save-base`, or it is damaged: {error}"
        ) from error
    if end.n_visitors != len(stored) or head.format != FORMAT:
        raise Refused(f"{path} is cut short, or of another release (format {head.format})")
    if head.identity != identity:
        raise Refused(
            f"{path} is a base of log {head.identity.log_id} (epoch {head.identity.epoch}), this is log "
            f"{identity.log_id} (epoch {identity.epoch}): offsets mean nothing across logs"
        )
    return Base(head, stored)


def read_head(path: Path, cipher: DataCipher = CLEAR) -> BaseHead:
    """What a base says first, for people and tests."""
    with gzip.open(path, "rb") as file:
        return msgspec.msgpack.decode(next(_opened_frames(file, path, cipher)), type=BaseHead)


async def _checkpoints(opened: Installation, n_partitions: int) -> dict[int, SavedCheckpoint]:
    store = CheckpointStore(opened.redis, opened.keys, opened.cipher)
    saved = {}
    for partition in range(n_partitions):
        found = await store.load(partition)
        if found is None:
            continue
        blobs = {name: blob for name, blob in found.blobs.items() if blob is not None}
        if len(blobs) < len(found.blobs):
            raise Refused(f"the checkpoint of partition {partition} lacks a model: save the base again in a moment")
        saved[partition] = SavedCheckpoint(found.header, blobs)
    return saved


async def _stored(opened: Installation) -> AsyncIterator[BaseVisitor]:
    """Every visitor, both keys read together."""
    keys = opened.keys
    store = visitors_of(opened.settings, opened.redis, keys, opened.cipher)
    some: list[str] = []
    async for name in opened.redis.scan_iter(match=f"{keys.namespace}:visitor:*", count=1000):
        key = keys.visitor_key_of(name.decode())
        if key is not None:
            some.append(key)
        if len(some) >= TOGETHER:
            for visitor in await _read(store, some):
                yield visitor
            some = []
    for visitor in await _read(store, some):
        yield visitor


async def _read(store: VisitorStore, some: list[str]) -> list[BaseVisitor]:
    return [
        BaseVisitor(key, stored.visitor_value, stored.folder_value or b"")
        for key, stored in (await store.load(some)).items()
        if stored.visitor_value
    ]


def _put(file: IO[bytes] | gzip.GzipFile, frame: bytes) -> None:
    file.write(_LENGTH.pack(len(frame)) + frame)


def _opened_frames(file: IO[bytes] | gzip.GzipFile, path: Path, cipher: DataCipher) -> Iterator[bytes]:
    for frame in _frames(file):
        opened = cipher.opened(frame, BELONGS_TO)
        if sealed := why_sealed(opened):
            raise Refused(f"{path} is {sealed}")
        yield opened


def _frames(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while head := file.read(_LENGTH.size):
        (length,) = _LENGTH.unpack(head)
        yield file.read(length)
