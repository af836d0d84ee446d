"""Sums that records add to: by span of time, and in it by name."""

from __future__ import annotations

from collections import defaultdict
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


Sums: TypeAlias = dict[Bucket, dict[str, float]]
"""What is added to each sum."""


def no_sums() -> Sums:
    """Sums that are added to by ``sums[bucket][name] += value``."""
    return defaultdict(lambda: defaultdict(float))
