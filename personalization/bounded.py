"""Maps and rings that never grow beyond their bound, and forget the same thing on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import TypeVar

V = TypeVar("V")

HASH_BYTES = 8


def trim(
    mapping: dict[str, V], bound: int, worth: Callable[[V], float], named: Collection[str] = frozenset()
) -> list[V]:
    """Drop the entries of least worth (of equal ones, the first by name) until ``bound`` remain beside the named.

    Returns what was dropped, the least first.

    >>> m = {"a": 1.0, "b": 3.0, "c": 2.0}
    >>> trim(m, 2, float), m
    ([1.0], {'b': 3.0, 'c': 2.0})
    >>> trim(m, 0, float, {"c"}), m
    ([3.0], {'c': 2.0})
    """
    if len(mapping) <= bound:
        return []
    others = [name for name in mapping if name not in named] if named else list(mapping)
    excess = len(others) - bound
    if excess <= 0:
        return []
    if excess == 1:
        return [mapping.pop(min(others, key=lambda name: (worth(mapping[name]), name)))]
    ranked = sorted(others, key=lambda name: (worth(mapping[name]), name))
    return [mapping.pop(name) for name in ranked[:excess]]


def short_hash(text: str, n_bytes: int = HASH_BYTES) -> bytes:
    """Eight bytes, or another number of them, that stand for ``text``."""
    if n_bytes != HASH_BYTES:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=n_bytes).digest()
    made = _EMPTY.copy()  # two thirds of what making one costs
    made.update(text.encode("utf-8", "surrogatepass"))
    return made.digest()


_EMPTY = hashlib.blake2b(digest_size=HASH_BYTES)


def contains(ring: bytes, item: bytes) -> bool:
    """Whether the ring of hashes, all as long as ``item``, holds it.

    >>> contains(b"AAAAAAAABBBBBBBB", b"BBBBBBBB"), contains(b"AAAAAAAABBBBBBBB", b"AAAABBBB")
    (True, False)
    """
    start = ring.find(item)
    while start >= 0:
        if start % len(item) == 0:
            return True
        start = ring.find(item, start + 1)
    return False


def push(ring: bytes, items: bytes, bound: int, n_bytes: int = HASH_BYTES) -> bytes:
    """The ring with one or more hashes of ``n_bytes`` at its end, the oldest dropped beyond ``bound``."""
    return (ring + items)[-bound * n_bytes :]
