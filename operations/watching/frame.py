"""One look at an installation, as numbers that somebody watches."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from operations.watching.inner_port import Readiness
from operations.watching.intervals import Interval, Quantile, buckets, per_second, quantile
from operations.watching.scrape import Scrape

WINDOW_S = 10.0
"""Of rates and latency: a p99 of fewer decisions would jump."""

LEARNING_S = 60.0
"""Of what rarely happens: rewards that are learned."""

PERSONALISED = "personalised"

WANTED = frozenset(
    {
        *("nextbest_build_info", "nextbest_catalog_version", "nextbest_requests_open", "nextbest_events_total"),
        *("nextbest_decisions_total", "nextbest_decision_seconds_bucket", "nextbest_deadline_misses_total"),
        *("nextbest_event_to_state_seconds_bucket", "nextbest_reward_to_weights_seconds_bucket"),
        *("nextbest_log_lag_entries", "nextbest_projector_behind_seconds"),
        *("nextbest_spool_records", "nextbest_spool_dropped_records_total"),
        *("nextbest_redis_memory_used_bytes", "nextbest_redis_memory_limit_bytes"),
    }
)
"""The samples that are read."""


class ProcessLook(NamedTuple):
    """What a process said; None where it said nothing."""

    readiness: Readiness | None
    scrape: Scrape | None

    @property
    def role(self) -> str:
        """What it does; empty: it does not say."""
        if self.scrape is None:
            return ""
        return next((labels["role"] for labels, _ in self.scrape.series("nextbest_build_info")), "")


Look = Mapping[str, ProcessLook]
"""What all processes said at one moment, by name."""


class TierRow(NamedTuple):
    """Decisions of one tier."""

    tier: str
    per_s: float
    share: float
    p50_s: Quantile | None
    p99_s: Quantile | None


class Freshness(NamedTuple):
    """How long it takes until something counts."""

    p50_s: Quantile | None
    p99_s: Quantile | None


@dataclass(frozen=True, slots=True)
class Frame:
    """What is shown at one moment.

    Attributes
    ----------
    states
        By process: ``ready``, ``waiting`` or ``away``.
    notes
        What is not well, each in a sentence.
    window_s
        Over how long rates are; 0: there was one look, and nothing is known of them.
    below_share
        Of the decisions, those below tier personalised; None where nothing was decided.
    missed_share
        Of the decisions, those after their deadline.
    lags
        Entries by role.
    """

    states: Mapping[str, str]
    notes: Sequence[str]
    window_s: float
    decisions_per_s: float
    events_per_s: float
    tiers: Sequence[TierRow]
    below_share: float | None
    missed_share: float
    event_to_state: Freshness
    reward_to_weights: Freshness
    lags: Mapping[str, int]
    projector_behind_s: float | None
    n_spooled: int
    n_open: int
    redis_used_bytes: float
    redis_limit_bytes: float
    catalog_version: int


class History:
    """The looks of the last minute."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Look]] = deque()

    def add(self, at_s: float, look: Look) -> None:
        """Take a look up; those that are older than any window go."""
        self._looks.append((at_s, look))
        while len(self._looks) > 2 and self._looks[1][0] < at_s - LEARNING_S:
            self._looks.popleft()

    def intervals(self, window_s: float) -> list[Interval]:
        """Of each process that answers now, its oldest look within the window and its newest."""
        if not self._looks:
            return []
        now_s, newest = self._looks[-1]
        found = []
        for name, look in newest.items():
            if look.scrape is None:
                continue
            for _, earlier in (pair for pair in self._looks if pair[0] >= now_s - window_s):
                before = earlier.get(name)
                if before is not None and before.scrape is not None:
                    if before.scrape.at_s < look.scrape.at_s:
                        found.append(Interval(before.scrape, look.scrape))
                    break
        return found

    def frame(self) -> Frame:
        """What is to be shown now."""
        newest = self._looks[-1][1]
        intervals = self.intervals(WINDOW_S)
        by_tier = per_second(intervals, "nextbest_decisions_total", "tier")
        decided = sum(by_tier.values())
        took = buckets(intervals, "nextbest_decision_seconds", "tier")
        missed = sum(per_second(intervals, "nextbest_deadline_misses_total").values())
        tiers = [
            TierRow(tier, rate, rate / decided, *_quantiles(took.get(tier, {})))
            for tier, rate in sorted(by_tier.items(), key=lambda one: (one[0] != PERSONALISED, -one[1]))
            if rate
        ]
        scrapes = [look.scrape for look in newest.values() if look.scrape is not None]
        return Frame(
            states={name: _state(look) for name, look in newest.items()},
            notes=_notes(newest),
            window_s=max((interval.seconds for interval in intervals), default=0.0),
            decisions_per_s=decided,
            events_per_s=per_second(intervals, "nextbest_events_total", "outcome").get("accepted", 0.0),
            tiers=tiers,
            below_share=1 - by_tier.get(PERSONALISED, 0.0) / decided if decided else None,
            missed_share=missed / decided if decided else 0.0,
            event_to_state=self._freshness("nextbest_event_to_state_seconds", WINDOW_S),
            reward_to_weights=self._freshness("nextbest_reward_to_weights_seconds", LEARNING_S),
            lags=_lags(newest),
            projector_behind_s=_greatest(scrapes, "nextbest_projector_behind_seconds"),
            n_spooled=int(sum(scrape.total("nextbest_spool_records") for scrape in scrapes)),
            n_open=int(sum(scrape.total("nextbest_requests_open") for scrape in scrapes)),
            redis_used_bytes=_greatest(scrapes, "nextbest_redis_memory_used_bytes") or 0.0,
            redis_limit_bytes=_greatest(scrapes, "nextbest_redis_memory_limit_bytes") or 0.0,
            catalog_version=int(_greatest(scrapes, "nextbest_catalog_version") or 0),
        )

    def _freshness(self, name: str, window_s: float) -> Freshness:
        return Freshness(*_quantiles(buckets(self.intervals(window_s), name).get("", {})))


def _quantiles(counted: Mapping[float, float]) -> tuple[Quantile | None, Quantile | None]:
    return quantile(counted, 0.5), quantile(counted, 0.99)


def _state(look: ProcessLook) -> str:
    if look.readiness is None:
        return "away"
    return "waiting" if look.readiness.waits_for else "ready"


def _notes(look: Look) -> list[str]:
    """What is not well; what several say is said once."""
    notes: dict[str, list[str]] = {}
    for name, one in look.items():
        if one.readiness is None:
            notes.setdefault("does not answer", []).append(name)
            continue
        for words in filter(None, [one.readiness.waits_for, *one.readiness.not_well]):
            notes.setdefault(words, []).append(name)
    return [f"{', '.join(names)}: {words}" for words, names in notes.items()]


def _lags(look: Look) -> dict[str, int]:
    lags: dict[str, int] = {}
    for one in look.values():
        if one.scrape is not None and "nextbest_log_lag_entries" in one.scrape.values:
            lags[one.role] = lags.get(one.role, 0) + int(one.scrape.total("nextbest_log_lag_entries"))
    return lags


def _greatest(scrapes: Sequence[Scrape], name: str) -> float | None:
    return max((each for scrape in scrapes if (each := scrape.greatest(name)) is not None), default=None)
