"""Random bytes by the buffer."""

from __future__ import annotations

import os


class Randomness:
    """Gives random bytes: one system call for hundreds of ids."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._buffer = b""
        self._at = 0

    def __call__(self) -> bytes:
        """The next ``size`` bytes."""
        at = self._at
        if at + self._size > len(self._buffer):
            self._buffer = os.urandom(self._size * 512)
            at = 0
        self._at = at + self._size
        return self._buffer[at : self._at]
