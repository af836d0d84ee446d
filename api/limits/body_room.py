"""Bytes of bodies that a process holds at once, from their coming to the answer."""

from __future__ import annotations

from api.errors import no_room_for_bodies

MIN_ROOM_BYTES = 64 * 1024 * 1024
UNCOUNTED_BYTES = 16 * 1024
"""A body that comes in one piece of no more is not counted: that is what decisions have."""


class BodyRoom:
    """Room for the bodies of all requests under way: 64 MiB, or four of the largest.

    A body is 4 MiB at most, but as many may come at once as there are connections, and each may take its time.
    """

    __slots__ = ("_held_bytes", "_room_bytes")

    def __init__(self, max_body_bytes: int) -> None:
        self._room_bytes = max(MIN_ROOM_BYTES, 4 * max_body_bytes)
        self._held_bytes = 0

    def take(self, n_bytes: int) -> None:
        """Take so much more.

        Raises
        ------
        ApiError
            503 where there is not so much.
        """
        if self._held_bytes + n_bytes > self._room_bytes:
            raise no_room_for_bodies()
        self._held_bytes += n_bytes

    def give_back(self, n_bytes: int) -> None:
        """Give back what was taken."""
        self._held_bytes -= n_bytes
