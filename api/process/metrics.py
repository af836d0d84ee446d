"""What the API counts and times; summed over processes where several serve one port.

On the decision path an observation is an addition to a list; the histograms get them by the batch, off the
path, since one ``observe`` costs as much as a look-up of all rules.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_FAST_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"


class ApiMetrics:
    """What the API shows on ``/metrics``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        r = self.registry = registry if registry is not None else CollectorRegistry()
        self.decision_seconds = Histogram(
            "nextbest_decision_seconds",
            "A decision request within the process, by the tier that answered",
            ["tier", "placement"],
            buckets=_FAST_S,
            registry=r,
        )
        self.redis_seconds = Histogram(
            "nextbest_redis_read_seconds",
            "One coalesced read of visitors",
            ["outcome"],
            buckets=_FAST_S,
            registry=r,
        )
        self.scoring_seconds = Histogram(
            "nextbest_scoring_seconds",
            "Choosing for one request: eligibility, models, draws",
            buckets=_FAST_S,
            registry=r,
        )
        self.requests = Counter(
            "nextbest_requests", "Requests by endpoint and status", ["endpoint", "status"], registry=r
        )
        self.fallbacks = Counter(
            "nextbest_fallbacks", "Decisions below tier personalised", ["tier", "placement"], registry=r
        )
        self.faults = Counter("nextbest_model_faults", "Models that failed to score", ["placement"], registry=r)
        self.apprentice = Counter(
            "nextbest_apprentice_decisions",
            "Decisions of apprentices, by whether the policy would have shown the baseline too: yes, no",
            ["placement", "matched"],
            registry=r,
        )
        self.events = Counter(
            "nextbest_events",
            "Events by what became of them at the door: accepted, rejected, dropped",
            ["outcome"],
            registry=r,
        )
        self.unlogged = Counter(
            "nextbest_unlogged", "What was not logged, by reason: consent, spool_full", ["reason"], registry=r
        )
        self.degenerate_ids = Counter(
            "nextbest_degenerate_ids", "Ids sent that are nobody's, such as undefined", ["source"], registry=r
        )
        self.refused_events = Counter(
            "nextbest_refused_events",
            "Events that were refused though their sender was told 200, by source and reason",
            ["source", "reason"],
            registry=r,
        )
        self.unverified_users = Counter(
            "nextbest_unverified_users",
            "Events whose user came without a proof that holds, though their sender was told nothing of it",
            ["source"],
            registry=r,
        )
        self.clock_ahead_seconds = Gauge(
            "nextbest_clock_ahead_seconds",
            "By how much this machine's clock is ahead of Redis's",
            multiprocess_mode="livemax",
            registry=r,
        )
        self.redis_used_bytes = Gauge(
            "nextbest_redis_memory_used_bytes",
            "Memory of Redis as it counts for its bound",
            multiprocess_mode="livemax",
            registry=r,
        )
        self.redis_limit_bytes = Gauge(
            "nextbest_redis_memory_limit_bytes",
            "Bound of Redis's memory (maxmemory), of its machine's where it has none",
            multiprocess_mode="livemax",
            registry=r,
        )
        self.connections_closed = Counter(
            "nextbest_connections_closed",
            "Connections closed at a bound of the door, by the bound",
            ["reason"],
            registry=r,
        )
        self.rate_limited = Counter(
            "nextbest_rate_limited",
            "Requests refused with 429, by source and the limit of it that was reached",
            ["source", "limit"],
            registry=r,
        )
        self.unknown_fields = Counter(
            "nextbest_unknown_fields", "Objects received that held a field nobody knows", registry=r
        )
        self.rule_errors = Counter(
            "nextbest_rule_errors",
            "Rules of the catalog that failed when they were evaluated: values of kinds that do not fit together",
            ["rule"],
            registry=r,
        )
        self.spool_depth = Gauge(
            "nextbest_spool_records", "Records waiting for the log", multiprocess_mode="livesum", registry=r
        )
        self.spool_dropped = Counter("nextbest_spool_dropped_records", "Records lost for want of room", registry=r)
        self.task_restarts = Counter(
            "nextbest_task_restarts", "Background tasks that ended and were started again", ["task"], registry=r
        )
        self.not_well = Gauge(
            "nextbest_not_well",
            "1 while /readyz names this part among what is missing or not well",
            ["part"],
            multiprocess_mode="livemax",
            registry=r,
        )
        self.model_age_seconds = Gauge(
            "nextbest_model_age_seconds",
            "Since the model in use was published",
            ["placement"],
            multiprocess_mode="livemax",
            registry=r,
        )
        self.catalog_version = Gauge(
            "nextbest_catalog_version", "The catalog in force", multiprocess_mode="livemin", registry=r
        )
        if MULTIPROCESS_DIR not in os.environ:
            ProcessCollector(registry=r)
        self._latencies: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._scorings: list[float] = []
        self._n_answered: defaultdict[str, int] = defaultdict(int)
        self._n_events: defaultdict[str, int] = defaultdict(int)

    def answered(self, endpoint: str) -> None:
        """One request answered with 200."""
        self._n_answered[endpoint] += 1

    def collected(self, n_accepted: int, n_rejected: int, n_unlogged: int) -> None:
        """What became of the events of one request; ``n_unlogged`` for want of consent."""
        counts = self._n_events
        counts["accepted"] += n_accepted
        counts["rejected"] += n_rejected
        counts["dropped"] += n_unlogged

    def decided(self, tier: str, placement: str, seconds: float) -> None:
        """One decision answered."""
        self._latencies[tier, placement].append(seconds)

    def imitated(self, placement: str, *, matched: bool) -> None:
        """One decision of an apprentice answered, with the baseline."""
        self.apprentice.labels(placement, "yes" if matched else "no").inc()

    def scored(self, seconds: float) -> None:
        """One request's choices made."""
        self._scorings.append(seconds)

    def redis_read(self, seconds: float, worked: bool) -> None:
        """One round trip to Redis."""
        self.redis_seconds.labels("ok" if worked else "failed").observe(seconds)

    def redis_memory(self, used_bytes: int, limit_bytes: int) -> None:
        """How full Redis is."""
        self.redis_used_bytes.set(used_bytes)
        self.redis_limit_bytes.set(limit_bytes)

    def flush(self) -> None:
        """Hand what was collected to the histograms; some microseconds per thousand."""
        collected, self._latencies = self._latencies, defaultdict(list)
        for (tier, placement), seconds in collected.items():
            _observe_all(self.decision_seconds.labels(tier, placement), seconds)
            if tier != "personalised":
                self.fallbacks.labels(tier, placement).inc(len(seconds))
        scorings, self._scorings = self._scorings, []
        _observe_all(self.scoring_seconds, scorings)
        answered, self._n_answered = self._n_answered, defaultdict(int)
        for endpoint, n_requests in answered.items():
            self.requests.labels(endpoint, "200").inc(n_requests)
        events, self._n_events = self._n_events, defaultdict(int)
        for outcome, n_events in events.items():
            self.events.labels(outcome).inc(n_events)
        if events["dropped"]:
            self.unlogged.labels("consent").inc(events["dropped"])

    def exposition(self) -> bytes:
        """The metrics as text, of all processes that share ``PROMETHEUS_MULTIPROC_DIR``."""
        self.flush()
        folder = os.environ.get(MULTIPROCESS_DIR)
        if folder is not None:
            forget_the_dead(Path(folder))
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types here
            return generate_latest(registry)
        return generate_latest(self.registry)


def forget_the_dead(folder: Path) -> None:
    """Take what processes that have ended said of themselves (queue lengths, versions) out of the sums.

    Whoever is asked does it: nobody is sure to see the others end. Counts and times of the dead stay.
    """
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, PermissionError):  # ended; or its number is a stranger's by now
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # nor here


def _observe_all(histogram: Histogram, values: list[float]) -> None:
    for value in values:
        histogram.observe(value)
