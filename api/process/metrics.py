"""What the API counts and times; summed over processes where several serve one port.

On the decision path an observation is an addition to a list; the histograms get them by the batch, off the
path, since one ``observe`` costs as much as a look-up of all rules.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from background.metrics import SPAN_S, Counter, Gauge, Histogram, beside_the_loop, exposition, show_build
from personalization.deciding.decision import Decision, Tier

MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"

STAGES = ("read", "score", "answer")
"""Parts of a decision request, one after the other."""

_CAUSES = (
    ("the deadline has passed", "deadline"),
    ("no model could be read", "model"),
    ("the model failed", "model"),
    ("visitor state unreadable", "state"),
    ("no visitor is named", "nobody"),
    ("no consent", "consent"),
)
"""How the ladder's reasons begin, and what of them is a label; all others are rules of the catalog."""

_Decided: TypeAlias = tuple[str, Tier, str, bool, str]
"""Placement, tier, variant, whether held out, and why below tier personalised."""


class ApiMetrics:
    """What the API shows on ``/metrics``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        r = self.registry = registry if registry is not None else CollectorRegistry()
        self.decision_seconds = Histogram(
            "nextbest_decision_seconds",
            "A decision request within the process, by the tier that answered",
            ["tier", "placement"],
            buckets=SPAN_S,
            registry=r,
        )
        self.redis_seconds = Histogram(
            "nextbest_redis_read_seconds",
            "One coalesced read of visitors",
            ["outcome"],
            buckets=SPAN_S,
            registry=r,
        )
        self.stage_seconds = Histogram(
            "nextbest_decision_stage_seconds",
            "Parts of a decision request: read (the request understood and the visitor read), score (eligibility, "
            "models, draws), answer (what happened queued for the log)",
            ["stage"],
            buckets=SPAN_S,
            registry=r,
        )
        self.decisions = Counter(
            "nextbest_decisions",
            "Decisions by the tier that answered, the variant (empty: the placement as it is written) and whether "
            "the visitor is held out",
            ["placement", "tier", "variant", "holdout"],
            registry=r,
        )
        self.deadline_misses = Counter(
            "nextbest_deadline_misses",
            "Decisions that were made after the deadline of their request",
            ["placement"],
            registry=r,
        )
        self.request_seconds = Histogram(
            "nextbest_request_seconds",
            "From the head of a request until its answer is handed to the connection, by endpoint",
            ["endpoint"],
            buckets=SPAN_S,
            registry=r,
        )
        self.requests_open = Gauge(
            "nextbest_requests_open",
            "Requests that are not answered yet",
            multiprocess_mode="livesum",
            registry=r,
        )
        self.loop_delay_seconds = Histogram(
            "nextbest_event_loop_delay_seconds",
            "By how much a look that was due twice a second came late: for so long nothing else was begun",
            buckets=SPAN_S,
            registry=r,
        )
        self.requests = Counter(
            "nextbest_requests", "Requests by endpoint and status", ["endpoint", "status"], registry=r
        )
        self.fallbacks = Counter(
            "nextbest_fallbacks",
            "Decisions below tier personalised, by cause: model, deadline and state (it could not be read) are "
            "faults; nobody (no visitor is named), consent and rule are as they should be",
            ["tier", "placement", "cause"],
            registry=r,
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
        self.disk_free_bytes = Gauge(
            "nextbest_disk_free_bytes",
            "Room left on the disk of the data folder, where the spool is; also Redis's, under nextbest up",
            multiprocess_mode="livemin",
            registry=r,
        )
        self.disk_size_bytes = Gauge(
            "nextbest_disk_size_bytes",
            "Size of the disk of the data folder",
            multiprocess_mode="livemin",
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
        self.spans = Counter(
            "nextbest_spans",
            "Spans of traces by what became of them: sent, dropped, failed",
            ["outcome"],
            registry=r,
        )
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
        self._aged: set[str] = set()
        self._cpu: Counter | None = None
        self._cpu_s = 0.0
        if MULTIPROCESS_DIR in os.environ:
            self._show_process()
        else:
            ProcessCollector(registry=r)
        show_build(r, "api")
        self.n_open = 0
        """Requests of this process that are not answered yet."""
        self._decided: defaultdict[_Decided, list[float]] = defaultdict(list)
        self._exemplars: dict[tuple[str, str], tuple[float, str]] = {}
        self._stages: tuple[list[float], list[float], list[float]] = ([], [], [])
        self._answered: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
        self._n_events: defaultdict[str, int] = defaultdict(int)

    def _show_process(self) -> None:
        """What Prometheus's client shows of a process that is alone, of those that share its port together."""
        self._cpu = Counter(
            "process_cpu_seconds",
            "User and system CPU of all processes that share the port",
            registry=self.registry,
        )
        self._resident_bytes = Gauge(
            "process_resident_memory_bytes",
            "Resident memory of all processes that share the port",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        Gauge(
            "process_start_time_seconds",
            "When the latest of the processes that share the port began",
            multiprocess_mode="max",
            registry=self.registry,
        ).set(time.time())

    def _look_at_process(self, cpu: Counter) -> None:
        now_s = time.process_time()
        cpu.inc(now_s - self._cpu_s)
        self._cpu_s = now_s
        with contextlib.suppress(OSError):
            n_pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._resident_bytes.set(n_pages * resource.getpagesize())

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """One request answered."""
        self._answered[endpoint, status].append(seconds)

    def collected(self, n_accepted: int, n_rejected: int, n_unlogged: int) -> None:
        """What became of the events of one request; ``n_unlogged`` for want of consent."""
        counts = self._n_events
        counts["accepted"] += n_accepted
        counts["rejected"] += n_rejected
        counts["dropped"] += n_unlogged

    def decided(self, decision: Decision, seconds: float, trace_id: str = "") -> None:
        """One decision answered, of a request that is traced under ``trace_id``; empty: it is not."""
        tier = decision.tier
        why = "" if tier == Tier.PERSONALISED else decision.reason
        self._decided[decision.placement, tier, decision.variant, decision.holdout, why].append(seconds)
        if trace_id:
            self._exemplars[tier, decision.placement] = (seconds, trace_id)

    def staged(self, read: float, scored: float, answered: float) -> None:
        """How long the parts of one decision request took, in seconds."""
        reads, scorings, answers = self._stages
        reads.append(read)
        scorings.append(scored)
        answers.append(answered)

    def imitated(self, placement: str, *, matched: bool) -> None:
        """One decision of an apprentice answered, with the baseline."""
        self.apprentice.labels(placement, "yes" if matched else "no").inc()

    def redis_read(self, seconds: float, worked: bool) -> None:
        """One round trip to Redis."""
        self.redis_seconds.labels("ok" if worked else "failed").observe(seconds)

    def redis_memory(self, used_bytes: int, limit_bytes: int) -> None:
        """How full Redis is."""
        self.redis_used_bytes.set(used_bytes)
        self.redis_limit_bytes.set(limit_bytes)

    def models_are(self, ages_ms: Mapping[str, int | None]) -> None:
        """How old the models are that decide; what is told of others, whose placements were removed, goes."""
        ages_s = {placement: age_ms / 1000 for placement, age_ms in ages_ms.items() if age_ms is not None}
        for placement in self._aged - ages_s.keys():
            if MULTIPROCESS_DIR in os.environ:  # where the library removes nothing
                self.model_age_seconds.labels(placement).set(0.0)
            else:
                self.model_age_seconds.remove(placement)
        for placement, age_s in ages_s.items():
            self.model_age_seconds.labels(placement).set(age_s)
        self._aged = set(ages_s)

    def disk(self, folder: Path) -> None:
        """How full the disk is that holds ``folder``; nothing is said while it cannot be told."""
        with contextlib.suppress(OSError):
            found = shutil.disk_usage(folder)
            self.disk_free_bytes.set(found.free)
            self.disk_size_bytes.set(found.total)

    def flush(self) -> None:
        """Hand what was collected to counters and histograms; a fraction of a microsecond each."""
        self.requests_open.set(self.n_open)
        if self._cpu is not None:
            self._look_at_process(self._cpu)
        decided, self._decided = self._decided, defaultdict(list)
        exemplars, self._exemplars = self._exemplars, {}
        for (placement, tier, variant, held_out, why), seconds in decided.items():
            self.decisions.labels(placement, tier, variant, "yes" if held_out else "no").inc(len(seconds))
            if tier != Tier.PERSONALISED:
                self.fallbacks.labels(tier, placement, cause_of(why)).inc(len(seconds))
            histogram = self.decision_seconds.labels(tier, placement)
            example = exemplars.pop((tier, placement), None)
            if example is not None and example[0] in seconds:
                seconds.remove(example[0])
                histogram.observe(example[0], {"trace_id": example[1]})
            histogram.observe_all(seconds)
        stages, self._stages = self._stages, ([], [], [])
        for stage, took in zip(STAGES, stages, strict=True):
            self.stage_seconds.labels(stage).observe_all(took)
        answered, self._answered = self._answered, defaultdict(list)
        for (endpoint, status), took in answered.items():
            self.requests.labels(endpoint, str(status)).inc(len(took))
            self.request_seconds.labels(endpoint).observe_all(took)
        events, self._n_events = self._n_events, defaultdict(int)
        for outcome, n_events in events.items():
            self.events.labels(outcome).inc(n_events)
        if events["dropped"]:
            self.unlogged.labels("consent").inc(events["dropped"])

    def exposition(self) -> bytes:
        """The metrics as Prometheus's text, of all processes that share ``PROMETHEUS_MULTIPROC_DIR``."""
        self.flush()
        return self._text("")[0]

    async def exposition_for(self, accept: str) -> tuple[bytes, str]:
        """The metrics as text for whoever accepts ``accept``, and its media type; requests go on meanwhile.

        Exemplars are shown of a process that serves alone, to whoever accepts OpenMetrics.
        """
        self.flush()
        return await beside_the_loop(partial(self._text, accept))

    def _text(self, accept: str) -> tuple[bytes, str]:
        folder = os.environ.get(MULTIPROCESS_DIR)
        if folder is not None:
            forget_the_dead(Path(folder))
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types here
            return exposition(registry, accept)
        return exposition(self.registry, accept)


def cause_of(reason: str) -> str:
    """Why a decision is below tier personalised, as a label: what its reason begins with.

    >>> cause_of("the deadline has passed: the first eligible by priority")
    'deadline'
    """
    return next((cause for beginning, cause in _CAUSES if reason.startswith(beginning)), "rule")


def forget_the_dead(folder: Path) -> None:
    """Take what processes that have ended said of themselves (queue lengths, versions) out of the sums.

    Whoever is asked does it: nobody is sure to see the others end. Counts and times of the dead stay.
    """
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except (ProcessLookupError, PermissionError):  # ended; or its number is a stranger's by now
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # nor here
