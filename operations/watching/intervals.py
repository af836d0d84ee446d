"""What processes counted between two looks: rates, and quantiles of histograms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from operations.watching.scrape import Labels, Scrape


class Interval(NamedTuple):
    """Two looks at one process, the earlier first."""

    before: Scrape
    after: Scrape

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.after.at_s - self.before.at_s


class Quantile(NamedTuple):
    """What a share of the values do not exceed.

    Attributes
    ----------
    value
        Interpolated within its bucket, as Prometheus does.
    is_beyond
        Whether it lies beyond the last bound, which ``value`` is then.
    """

    value: float
    is_beyond: bool = False


def increases(interval: Interval, name: str) -> dict[Labels, float]:
    """By how much each series of a counter rose. A process that has begun anew counts from 0."""
    before = interval.before.values.get(name, {})
    risen = {}
    for labels, value in interval.after.values.get(name, {}).items():
        earlier = before.get(labels, 0.0)
        risen[labels] = value - earlier if value >= earlier else value
    return risen


def per_second(intervals: Sequence[Interval], name: str, by: str = "") -> dict[str, float]:
    """The rate of a counter over all processes, by the values of a label; of them all under ``""`` without one."""
    rates: defaultdict[str, float] = defaultdict(float)
    for interval in intervals:
        for labels, risen in increases(interval, name).items():
            rates[dict(labels).get(by, "")] += risen / interval.seconds
    return dict(rates)


def buckets(intervals: Sequence[Interval], name: str, by: str = "") -> dict[str, dict[float, float]]:
    """What a histogram counted, over all processes: by the values of a label, then by the bucket's upper bound."""
    found: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    for interval in intervals:
        for labels, risen in increases(interval, f"{name}_bucket").items():
            named = dict(labels)
            found[named.get(by, "")][float(named["le"])] += risen
    return {value: dict(counted) for value, counted in found.items()}


def quantile(counted: Mapping[float, float], share: float) -> Quantile | None:
    """The value that ``share`` of what was counted does not exceed; None where nothing was.

    Parameters
    ----------
    counted
        How many were no greater than each bound; the greatest bound is infinite.

    >>> quantile({0.01: 50, 0.02: 100, float("inf"): 100}, 0.75)
    Quantile(value=0.015, is_beyond=False)
    >>> quantile({0.01: 0, float("inf"): 3}, 0.5)
    Quantile(value=0.01, is_beyond=True)
    """
    bounds = sorted(counted)
    if len(bounds) < 2 or not counted[bounds[-1]]:
        return None
    wanted = share * counted[bounds[-1]]
    lower, n_below = 0.0, 0.0
    for bound in bounds[:-1]:
        if counted[bound] >= wanted:
            n_within = counted[bound] - n_below
            return Quantile(lower + (bound - lower) * ((wanted - n_below) / n_within if n_within else 1.0))
        lower, n_below = bound, counted[bound]
    return Quantile(bounds[-2], is_beyond=True)
