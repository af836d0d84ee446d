"""Sums that records add to: by span of time, and in it by name; each is a few numbers that belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias


class Bucket(NamedTuple):
    """A span of time of one read model, in which sums are kept together.

    Attributes
    ----------
    name
        Of the read model, the length of the span and its beginning.
    until_ms
        When its sums may go, milliseconds since 1970.
    """

    name: str
    until_ms: int


Sums: TypeAlias = dict[Bucket, dict[str, list[float]]]
"""What is added to each sum."""

ReadSums: TypeAlias = Mapping[str, Sequence[float]]
"""The sums of a bucket by name, as they are read back."""


def no_sums() -> Sums:
    """Sums to which nothing was added."""
    return defaultdict(dict)


def add(to: dict[str, list[float]], name: str, numbers: Sequence[float]) -> None:
    """Add to the sum called ``name``.

    >>> sums: dict[str, list[float]] = {}
    >>> add(sums, "clicks", (1.0, 0.5)), add(sums, "clicks", (1.0, 0.25)), sums
    (None, None, {'clicks': [2.0, 0.75]})
    """
    sum_ = to.get(name)
    if sum_ is None:
        to[name] = list(numbers)
        return
    for at, number in enumerate(numbers):
        sum_[at] += number
