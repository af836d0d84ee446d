"""Visitors by key while a log is read: as many in memory as were heard of lately, the others in a file."""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import closing

from personalization.data_cipher import DATA_KEY_BYTES, DataCipher
from personalization.visitor.folder_state import decode_folder, encode_folder
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import decode_visitor, encode_visitor

N_HELD = 20_000
"""Visitors in memory, about 5 kB each as objects: 100 MB. Events of one visitor come in bursts."""

N_SPILLED = 1_000
"""Written to the file together."""


class VisitorFile:
    """A map of visitors whose memory is bounded. The file has no name and is gone when it is closed.

    What stands in it is sealed under a key that nobody keeps.

    Parameters
    ----------
    initial
        Makes a visitor that was not heard of before.
    n_held
        How many are kept in memory.
    """

    def __init__(self, initial: Callable[[], Visitor], n_held: int = N_HELD) -> None:
        self._initial = initial
        self._n_held = n_held
        self._held: OrderedDict[str, Visitor] = OrderedDict()
        self._cipher = DataCipher(True, os.urandom)
        self._cipher.use(os.urandom(DATA_KEY_BYTES))
        self._file = sqlite3.connect("")  # a temporary file, opened when SQLite's own cache is full
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE visitors (key TEXT PRIMARY KEY, state BLOB, folder BLOB) WITHOUT ROWID")

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def get(self, key: str) -> Visitor:
        """The visitor, the caller's to change until the next one is asked for."""
        visitor = self._held.get(key)
        if visitor is not None:
            self._held.move_to_end(key)
            return visitor
        found = self._file.execute("SELECT state, folder FROM visitors WHERE key = ?", (key,)).fetchone()
        visitor = self._initial() if found is None else self._visitor(key, *found)
        self._held[key] = visitor
        if len(self._held) > self._n_held:
            self._spill(min(N_SPILLED, self._n_held))
        return visitor

    def items(self) -> Generator[tuple[str, Visitor]]:
        """All of them; nothing may be asked for meanwhile."""
        self._spill(len(self._held))
        with closing(self._file.execute("SELECT key, state, folder FROM visitors ORDER BY key")) as rows:
            for key, state, folder in rows:
                yield key, self._visitor(key, state, folder)

    def _visitor(self, key: str, state: bytes, folder: bytes) -> Visitor:
        bound = key.encode("utf-8", "surrogatepass")
        return Visitor(
            decode_visitor(self._cipher.opened(state, bound)), decode_folder(self._cipher.opened(folder, bound))
        )

    def _row(self, key: str, visitor: Visitor) -> tuple[str, bytes, bytes]:
        bound = key.encode("utf-8", "surrogatepass")
        state, folder = encode_visitor(visitor.state), encode_folder(visitor.folder)
        return key, self._cipher.sealed(state, bound), self._cipher.sealed(folder, bound)

    def _spill(self, n: int) -> None:
        gone = [self._held.popitem(last=False) for _ in range(n)]
        self._file.executemany(
            "INSERT OR REPLACE INTO visitors VALUES (?, ?, ?)",
            [self._row(key, each) for key, each in gone],
        )
