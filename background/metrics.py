"""What every process counts and times with: Prometheus's own metrics, of which none grows without end.

A metric has at most so many series. Beyond them whatever is newly named goes under one name, ``…other``: sums stay
right, and no catalog of a thousand placements fills the memory of whoever scrapes.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, TypeVar

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase

disable_created_metrics()  # type: ignore[no-untyped-call]  # else each series has another beside it, when it began

OTHER = "…other"
"""What stands for all names beyond the bound; no name of a catalog holds an ellipsis."""

OPEN_LABELS = frozenset({"arm", "conversion", "key", "placement", "rule", "source", "variant"})
"""Labels whose values a catalog or a caller names; all others are words of ours."""

SPAN_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Bounds of what a visitor waits for, in seconds; .05 is the objective of a decision."""

_M = TypeVar("_M", bound=MetricWrapperBase)


class _Bounded(MetricWrapperBase):
    MAX_SERIES: ClassVar[int]

    def labels(self: _M, *labelvalues: Any, **labelkwargs: Any) -> _M:
        """The series under these values; beyond the bound that of ``OTHER``."""
        if labelkwargs:
            labelvalues = tuple(labelkwargs[name] for name in self._labelnames)
        if len(self._metrics) >= self.MAX_SERIES and labelvalues not in self._metrics:  # type: ignore[attr-defined]
            labelvalues = tuple(
                OTHER if name in OPEN_LABELS and value else value
                for name, value in zip(self._labelnames, labelvalues, strict=True)
            )
        return super().labels(*labelvalues)


class Counter(_Bounded, prometheus.Counter):
    """Counts; 4,000 series: 50 placements of 20 arms, four kinds of what happens to each."""

    MAX_SERIES = 4_000


class Gauge(_Bounded, prometheus.Gauge):
    """Tells how much there is."""

    MAX_SERIES = 1_000


class Summary(_Bounded, prometheus.Summary):
    """Adds up and counts; two lines a series."""

    MAX_SERIES = 1_000


class Histogram(_Bounded, prometheus.Histogram):
    """Counts by size; some 18 lines a series."""

    MAX_SERIES = 400

    def observe_all(self, amounts: Sequence[float]) -> None:
        """What ``observe`` does for each amount, at a fifth of the cost.

        >>> h = Histogram("h", "Amounts", buckets=(1, 2), registry=None)
        >>> h.observe_all([0.5, 1.0, 7.0])
        >>> [s.value for s in next(iter(h.collect())).samples]
        [2.0, 2.0, 3.0, 3.0, 8.5]
        """
        if not amounts:
            return
        bounds = self._upper_bounds
        counts = [0] * len(bounds)
        for amount in amounts:
            counts[bisect_left(bounds, amount)] += 1
        self._sum.inc(sum(amounts))
        for bucket, n in zip(self._buckets, counts, strict=True):
            if n:
                bucket.inc(n)


def show_build(registry: CollectorRegistry, role: str) -> None:
    """Show which nextbest this is, as ``nextbest_build_info`` with the value 1."""
    try:
        release = version("nextbest")
    except PackageNotFoundError:  # run from a folder of sources
        release = "unknown"
    Gauge(
        "nextbest_build_info",
        "1; which nextbest the process is, on which Python, in which role",
        ["version", "python", "role"],
        multiprocess_mode="livemax",
        registry=registry,
    ).labels(release, platform.python_version(), role).set(1)


def exposition(registry: prometheus.registry.Collector, accept: str) -> tuple[bytes, str]:
    """The metrics as text, and its media type: OpenMetrics for whoever accepts it, else Prometheus's text."""
    encoder, media_type = choose_encoder(accept)
    return encoder(registry), media_type


async def beside_the_loop(make: Callable[[], tuple[bytes, str]]) -> tuple[bytes, str]:
    """What ``make`` gives, made in a thread of its own while the event loop turns on; one after the other.

    The text of a thousand placements takes .2 s. Python hands over between threads every 5 ms, and a decision has
    to be handed to nine times: so it does every half millisecond meanwhile.
    """
    return await asyncio.get_running_loop().run_in_executor(_scrapes, _handing_over, make)


_scrapes = ThreadPoolExecutor(1, "metrics")


def _handing_over(make: Callable[[], tuple[bytes, str]]) -> tuple[bytes, str]:
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        return make()
    finally:
        sys.setswitchinterval(usual_s)


def names(registries: Iterable[CollectorRegistry]) -> set[str]:
    """The names of all series that the registries' metrics have, as queries name them."""
    found: set[str] = set()
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}
    for registry in registries:
        for family in registry.collect():
            found |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    return found
