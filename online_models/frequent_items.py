"""How much came from each of very many, as far as it is much: a bounded memory that never says too much."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable

_ITEM = struct.Struct("<8sd")


class FrequentItems:
    """Sums of weights by an 8-byte key, each at most the true one, and short of it by less than 1/``size`` of all.

    Misra and Gries (1982), "Finding repeated elements", with deductions made for many at once (Anderson et al.,
    2017, "A high-performance algorithm for identifying frequent items in data streams").

    Parameters
    ----------
    size
        How many are known at least; twice as many at most. It may change; the smallest it was counts for the error.

    >>> seen = FrequentItems(2)
    >>> for key in [b"frequent"] * 10 + [b"%08d" % n for n in range(4)]:
    ...     seen.add(key, 1.0)
    >>> seen.of(b"frequent"), len(seen)
    (9.0, 1)
    """

    __slots__ = ("_sums", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._sums: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self._sums)

    def add(self, key: bytes, weight: float) -> None:
        """Count ``weight``, more than 0, for ``key``."""
        sums = self._sums
        sums[key] = sums.get(key, 0.0) + weight
        if len(sums) > 2 * self.size:
            least = sorted(sums.values(), reverse=True)[self.size]
            self._sums = {key: held - least for key, held in sums.items() if held > least}

    def of(self, key: bytes) -> float:
        """What is known to have come from ``key``."""
        return self._sums.get(key, 0.0)

    def items(self) -> Iterable[tuple[bytes, float]]:
        """All that are known, with what came from each."""
        return self._sums.items()

    def drop(self, keys: Collection[bytes]) -> None:
        """Know nothing of these any more."""
        self._sums = {key: held for key, held in self._sums.items() if key not in keys}

    def clear(self) -> None:
        """Begin anew."""
        self._sums = {}

    def dump(self) -> bytes:
        """All of it, 16 bytes each."""
        return b"".join(_ITEM.pack(key, held) for key, held in self._sums.items())

    @classmethod
    def load(cls, size: int, data: bytes) -> FrequentItems:
        """The inverse of ``dump``."""
        loaded = cls(size)
        loaded._sums = dict(_ITEM.iter_unpack(data))
        return loaded
