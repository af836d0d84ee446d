"""How far an export is: a small SQLite file beside the rows, changed in one step with every batch of them.

First the rows of a batch are on the disk, then this file says how long they are and where in the log they end.
Whatever ends the process in between, what lies behind that length is cut off and read again: no row is lost, and
none is there twice. It also holds a hash of every row's id, for the log may have a record twice.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from eventlog.port import LogIdentity
from operations.exporting.columns import ARM_FEATURE, FEATURE, MAX_FEATURE_COLUMNS, Row
from operations.exporting.rows_file import OWNER_ONLY
from personalization.errors import Refused

_ID_BYTES = 16
"""Of a hash: among 10⁹ rows two are taken for one with a chance of 10⁻²⁰."""

_TABLES = """
CREATE TABLE IF NOT EXISTS state (one INTEGER PRIMARY KEY CHECK (one = 1), value BLOB);
CREATE TABLE IF NOT EXISTS seen (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS columns (name TEXT PRIMARY KEY, has_text INTEGER) WITHOUT ROWID;
"""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for, as it was typed: an export goes on only with the same."""

    what: str
    placements: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    with_ids: bool = False
    closed_by_all: bool = False


class Standing(msgspec.Struct, kw_only=True):
    """How far an export is.

    Attributes
    ----------
    since_ms, until_ms
        What the times that were asked for were when it began.
    begins, ends
        By partition: the first offset, and the one before which it ends; the log as it was when it began.
    next
        By partition: the offset that is read next.
    n_bytes, n_rows
        Of the file of rows.
    left_out
        How many records were left out, by reason.
    is_read
        All rows are there.
    """

    asked: Asked
    log: LogIdentity | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    begins: list[int] = []
    ends: list[int] = []
    next: list[int] = []
    n_bytes: int = 0
    n_rows: int = 0
    left_out: dict[str, int] = {}
    is_read: bool = False

    def leave_out(self, reason: str, n: int = 1) -> None:
        """Count what has no row."""
        if n:
            self.left_out[reason] = self.left_out.get(reason, 0) + n


class Progress:
    """The file that says how far an export is, held by one process at a time.

    Raises
    ------
    Refused
        If another process holds it, or it is something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY))
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            # A lock that is taken stays: whoever comes second is told.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(f"BEGIN EXCLUSIVE; {_TABLES} COMMIT;")
            found = self._db.execute("SELECT value FROM state").fetchone()
            self._columns = {
                name: bool(has) for name, has in self._db.execute("SELECT name, has_text FROM columns")
            }
            self.standing = None if found is None else _decode(found[0])
        except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
            self._db.close()
            raise Refused(_why(path, error)) from error

    @property
    def columns(self) -> dict[str, bool]:
        """The features that have columns, and whether any row has text there."""
        return self._columns

    def begin(self, standing: Standing) -> None:
        """Forget what there was, and begin with ``standing``."""
        self._columns = {}
        self._db.execute("BEGIN IMMEDIATE")
        for table in ("state", "seen", "columns"):
            self._db.execute(f"DELETE FROM {table}")
        self._write(standing)
        self._db.execute("COMMIT")
        self.standing = standing

    def are_new(self, ids: Sequence[str]) -> list[bool]:
        """Which of some rows are not there yet; from the next ``commit`` on they are."""
        self._change()
        insert = "INSERT OR IGNORE INTO seen VALUES (?)"
        return [self._db.execute(insert, (_hash(each),)).rowcount == 1 for each in ids]

    def note_columns(self, rows: Iterable[Row]) -> None:
        """Note the features of these rows."""
        changed: dict[str, bool] = {}
        for row in rows:
            for name, value in row.items():
                if name.startswith((FEATURE, ARM_FEATURE)):
                    known = self._columns.get(name)
                    is_text = isinstance(value, str)
                    if (known is None and len(self._columns) < MAX_FEATURE_COLUMNS) or (known is False and is_text):
                        changed[name] = self._columns[name] = is_text
        if changed:
            self._change()
            self._db.executemany("INSERT OR REPLACE INTO columns VALUES (?, ?)", changed.items())

    def commit(self) -> None:
        """Let all of it stand, in one step."""
        assert self.standing is not None
        self._change()
        self._write(self.standing)
        self._db.execute("COMMIT")

    def remove(self) -> None:
        """The export is over: take the file away."""
        self.close()
        for name in (self._path, self._path.with_name(self._path.name + "-journal")):
            name.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; what was not committed is undone."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _change(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN IMMEDIATE")

    def _write(self, standing: Standing) -> None:
        self._db.execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (_encode(standing),))


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Standing).decode


def _hash(row_id: str) -> bytes:
    return hashlib.blake2b(row_id.encode("utf-8", "surrogatepass"), digest_size=_ID_BYTES).digest()


def _why(path: Path, error: Exception) -> str:
    if "locked" in str(error):
        return f"another export is writing there, and holds {path}: wait for it, or name another file"
    return f"{path} does not say how far an export is ({error}): delete it, and begin anew"
