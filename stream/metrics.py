"""What folder, learner and projector count and time, in a registry of their own, under names of the field.

The rule *Adding up* is checked against these: received = applied + duplicate + forwarded + dead_letter + dropped;
``redelivered`` and ``stale_epoch`` are entries the log gave a second time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from prometheus_client import CollectorRegistry, ProcessCollector

from background.metrics import Counter, Gauge, Histogram, Summary, show_build
from personalization.events.outcome import EARNED, Outcome

logger = logging.getLogger(__name__)

_FAST_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
_BATCH = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


class WorkerMetrics:
    """What all workers show.

    Parameters
    ----------
    behind
        What ``lag`` counts.
    role
        What the worker does: folder, learner, projector.
    """

    def __init__(self, behind: str, role: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = r = registry if registry is not None else CollectorRegistry()
        ProcessCollector(registry=r)
        show_build(r, role)
        self.n_warnings = Gauge("nextbest_warnings", "Warnings that /readyz lists", registry=r)
        self.retries = Counter(
            "nextbest_retries", "Attempts that failed for a transient reason", ["part"], registry=r
        )
        self.waiting: dict[str, str] = {}
        """What the worker waits for now, and why; readiness names it."""
        self.task_restarts = Counter(
            "nextbest_task_restarts", "Background tasks that ended and were started again", ["task"], registry=r
        )
        self.lag = Gauge("nextbest_log_lag_entries", f"{behind}, per partition owned", ["partition"], registry=r)
        self.skipped = Counter(
            "nextbest_log_skipped_entries",
            "Entries the log no longer had when the worker came to them: lost for it",
            ["partition"],
            registry=r,
        )
        self.spans = Counter(
            "nextbest_spans",
            "Spans of traces by what became of them: sent, dropped, failed",
            ["outcome"],
            registry=r,
        )
        self.redis_used_bytes = Gauge(
            "nextbest_redis_memory_used_bytes", "Memory of Redis as it counts for its bound", registry=r
        )
        self.redis_limit_bytes = Gauge(
            "nextbest_redis_memory_limit_bytes",
            "Bound of Redis's memory (maxmemory), of its machine's where it has none",
            registry=r,
        )

    def redis_memory(self, used_bytes: int, limit_bytes: int) -> None:
        """How full Redis is."""
        self.redis_used_bytes.set(used_bytes)
        self.redis_limit_bytes.set(limit_bytes)

    def gap(self, partition: int, n_entries: int) -> None:
        """The log went on ``n_entries`` further than it should: say so, loudly."""
        logger.error("entries_missing_from_log", extra={"partition": partition, "n_entries": n_entries})
        self.skipped.labels(str(partition)).inc(n_entries)


class FolderMetrics(WorkerMetrics):
    """What the folder shows on ``/metrics``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__("Entries not folded yet", "folder", registry)
        r = self.registry
        self.entries = Counter(
            "nextbest_entries",
            "Entries of the visitor log by what became of them",
            ["outcome", "reason"],
            registry=r,
        )
        self.notes = Counter(
            "nextbest_decision_notes",
            "What happened to decisions (exposed, rewarded, closed_*, late, orphan) and to examples (example_*)",
            ["kind", "placement", "arm"],
            registry=r,
        )
        self.rewards = Summary(
            "nextbest_reward",
            "Total rewards of shown decisions whose window ended, by variant: control is who is held out, "
            "empty the placement as it is written",
            ["placement", "variant"],
            registry=r,
        )
        self.emitted = Counter("nextbest_emitted", "Records the fold appended to the log", ["kind"], registry=r)
        self.outcome_share = Gauge(
            "nextbest_outcome_share",
            "Share of the outcomes that is kept for the learner: below 1 while it, or the log, cannot take all",
            registry=r,
        )
        self.outcome_share.set(1.0)
        self.thinned = Counter(
            "nextbest_outcomes_thinned",
            "Outcomes and examples that were not kept, being above capacity",
            registry=r,
        )
        self.rule_errors = Counter(
            "nextbest_rule_errors",
            "Rules of the catalog that failed when they were evaluated: values of kinds that do not fit together",
            ["rule"],
            registry=r,
        )
        self.timeouts = Counter("nextbest_timeouts", "Time-outs appended by the clock", registry=r)
        self.swept = Counter(
            "nextbest_swept_visitors", "Visitors woken because a published catalog may move them", registry=r
        )
        self.freshness = Histogram(
            "nextbest_event_to_state_seconds",
            "From receipt of an event by the collector until its visitor's state is written",
            buckets=_FAST_S,
            registry=r,
        )
        self.batch_entries = Histogram(
            "nextbest_fold_batch_entries", "Entries per batch", buckets=_BATCH, registry=r
        )
        self.batch_visitors = Histogram(
            "nextbest_fold_batch_visitors", "Visitors per batch", buckets=_BATCH, registry=r
        )
        self.batch_seconds = Histogram(
            "nextbest_fold_batch_seconds", "Load, fold, emit and save of one batch", buckets=_FAST_S, registry=r
        )
        self.lost_races = Counter(
            "nextbest_fold_lost_races", "Visitors written by somebody else meanwhile and folded again", registry=r
        )

    def closed(self, outcome: Outcome) -> None:
        """A decision was closed. Whoever may be on either side of a holdout stands for neither."""
        choice = outcome.choice
        shown = outcome.exposed_at_ms is not None and not outcome.shown_by_reward
        if shown and outcome.reason in EARNED and choice.holdout is not None:
            variant = "control" if choice.holdout else choice.variant
            self.rewards.labels(choice.placement, variant).observe(outcome.reward)


class LearnerMetrics(WorkerMetrics):
    """What the learner shows on ``/metrics``."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        super().__init__("Outcomes not learned yet", "learner", registry)
        r = self.registry
        self.outcomes = Counter(
            "nextbest_outcomes",
            "Outcomes, and examples of conversions, by what became of them: learned, served, judged, challenger, "
            "duplicate, untrained, bounded, invalid, forgotten, redelivered, dead_letter; behind: kept for a model "
            "that is to catch up",
            ["placement", "result"],
            registry=r,
        )
        self.reward_to_weights = Histogram(
            "nextbest_reward_to_weights_seconds",
            "From the closing of a decision until weights that know it are published",
            buckets=(*_FAST_S, 300, 3600),
            registry=r,
        )
        self.published_bytes = Histogram(
            "nextbest_model_publish_bytes",
            "Bytes per published change of a model",
            ["placement"],
            buckets=(100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6, 1e7),
            registry=r,
        )
        self.published_ms = Gauge(
            "nextbest_model_published_timestamp_seconds",
            "When a placement's model was last published: its age is now minus this",
            ["placement"],
            registry=r,
        )
        self.version = Gauge(
            "nextbest_model_outcomes_learned", "Outcomes the published model has learned", ["placement"], registry=r
        )
        self.adaptations = Gauge(
            "nextbest_model_adaptations",
            "What the model of a placement, or of a conversion (conversion:NAME), did about itself so far: "
            "rebuilds, failed_rebuilds, forgotten_arms, dimensions_given_back, drift_inflations, drift_resets, "
            "drift_arm_resets, rollbacks",
            ["placement", "kind"],
            registry=r,
        )
        self.learn_seconds = Histogram(
            "nextbest_learn_batch_seconds", "Learning one batch of outcomes", buckets=_FAST_S, registry=r
        )
        self.checkpoints = Counter("nextbest_checkpoints", "Checkpoints by result", ["result"], registry=r)
        self.checkpoint_bytes = Gauge(
            "nextbest_checkpoint_bytes", "Size of a placement's last checkpoint", ["placement"], registry=r
        )
        self.checkpointed = Gauge(
            "nextbest_checkpoint_timestamp_seconds", "When the last checkpoint was written", registry=r
        )
        self.set_aside = Gauge(
            "nextbest_models_set_aside",
            "1 while the model of a placement or conversion (conversion:NAME) is put aside because it raised",
            ["key"],
            registry=r,
        )
        self.model_failures = Counter(
            "nextbest_model_failures",
            "Times a model raised and was put aside, by what it was doing: learn, publish, save, load",
            ["key", "stage"],
            registry=r,
        )
        self.outcomes_lost = Counter(
            "nextbest_model_outcomes_lost",
            "Outcomes a model that caught up did not find in the log any more",
            ["key"],
            registry=r,
        )


class ProjectorMetrics(WorkerMetrics):
    """What the projector shows on ``/metrics``.

    Parameters
    ----------
    behind_s
        How far its sums and rows are behind the log.
    """

    def __init__(self, behind_s: Callable[[], float], registry: CollectorRegistry | None = None) -> None:
        super().__init__("Entries not projected yet", "projector", registry)
        r = self.registry
        behind = Gauge(
            "nextbest_projector_behind_seconds",
            "How far the projector's sums and rows are behind the log, at most",
            registry=r,
        )
        behind.set_function(behind_s)
        self.projected = Counter(
            "nextbest_projected_entries",
            "Entries that the projector has read, by topic and what became of them: projected, duplicate (a copy "
            "of one before), unreadable",
            ["topic", "result"],
            registry=r,
        )
        self.policy_changes = Counter(
            "nextbest_policy_changes",
            "Policies on trial that were promoted or demoted by themselves, by placement and what became of them",
            ["placement", "became"],
            registry=r,
        )
        self.rows_bytes = Gauge(
            "nextbest_record_rows_bytes", "Bytes of the rows that tell where records stand, about", registry=r
        )
