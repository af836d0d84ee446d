"""What is kept of an experiment's participants: sums by split, segment and side."""

from __future__ import annotations

from dataclasses import dataclass, field

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS

EVERYBODY = ""
"""Stands for all participants, beside the segments."""

TIMES_MS: tuple[int, ...] = (
    *(n * MINUTE_MS for n in (1, 2, 5, 10, 20, 30)),
    *(n * HOUR_MS for n in (1, 2, 4, 8, 16)),
    *(n * DAY_MS for n in (1, 2, 3, 4, 5, 6, 7, 10, 14, 21, 28, 60, 90)),
)
"""How long after the first exposure something came is counted up to each of these; what came later has no place."""


@dataclass(slots=True)
class MetricSums:
    """What came of participants in one metric (y), and what had come before (x).

    Attributes
    ----------
    total, squares
        Σy and Σy²; of a share both are the number of participants it came of.
    before, before_squares, products
        Σx, Σx² and Σxy.
    times
        Of a share, of how many it came first within each of ``TIMES_MS`` and not within the one before.
    """

    total: float = 0.0
    squares: float = 0.0
    before: float = 0.0
    before_squares: float = 0.0
    products: float = 0.0
    times: list[float] = field(default_factory=lambda: [0.0] * len(TIMES_MS))


@dataclass(slots=True)
class SideSums:
    """The participants of one side.

    Attributes
    ----------
    n, n_crossover
        How many, and how many of them saw another side as well.
    cost
        What was shown to them cost.
    """

    n: float = 0.0
    n_crossover: float = 0.0
    cost: float = 0.0
    metrics: dict[str, MetricSums] = field(default_factory=dict)


@dataclass(slots=True)
class Stratum:
    """The participants who came while one split was in force, and were watched equally long.

    Attributes
    ----------
    split
        The probability of each side.
    horizon_ms
        How long they were watched.
    segments
        The sides' sums by segment, ``EVERYBODY`` among them.
    """

    split: dict[str, float]
    horizon_ms: int
    segments: dict[str, dict[str, SideSums]] = field(default_factory=dict)
