"""Scores by rules, made ready: what has to be counted of events for them, their bounds and tiers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from personalization.catalog.compiled_series import CompiledSeries
from personalization.catalog.rules import Rule
from personalization.catalog.tier_thresholds import TierThresholds

if TYPE_CHECKING:
    from personalization.catalog.sections.scores import EventPoints, Repeat, Score

SLOW = 4
"""A trend compares points of late with those of a span so many times as long."""


class Addition(NamedTuple):
    """A number that an event adds to one of the sums kept of a visitor."""

    half_life_ms: int
    key: bytes
    amount: float


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something happened, as far as it counts: kept once for all scores that ask for the same.

    Attributes
    ----------
    key
        Six bytes that stand for it in states.
    half_life_ms
        In which an occurrence fades to half; 0: it does not.
    series
        If occurrences expire, what is kept of their times; else None.
    repeat
        How often it counts.
    trends
        What an occurrence adds to the trends of scores.
    """

    key: bytes
    when: Rule | None
    half_life_ms: int
    series: CompiledSeries | None
    repeat: Repeat | None
    trends: list[Addition]

    @property
    def at_most(self) -> int | None:
        """How often it counts for a visitor at all: of two ids that turn out to be one each may have had it."""
        return self.repeat.limit if self.repeat is not None and self.repeat.per == "visitor" else None


@dataclass(frozen=True, slots=True)
class CompiledEventPoints:
    """Points for a tally; ``group`` counts the score's groups, -1 for none."""

    tally: Tally
    points: float
    group: int
    spec: EventPoints


@dataclass(frozen=True, slots=True)
class CompiledTraitPoints:
    """Points for a condition; ``group`` counts the score's groups, -1 for none; ``changed_by`` names events."""

    rule: Rule
    points: float
    group: int
    changed_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier: reached ``starts_at``, and lost below ``lost_below``."""

    name: str
    starts_at: float
    lost_below: float


@dataclass(slots=True)
class CompiledScore:
    """A score, ready.

    Attributes
    ----------
    low, high
        The least and the most that it can be.
    bounds
        The most that each group counts.
    tiers
        Lowest first; empty: none.
    rest
        The tier of whom nothing is known: that of no points.
    key
        Stands for its trend in states.
    sums
        The points of what does not expire, by half-life: key of the tally, points, group, and the most that counts.
    expiring
        The points of what expires.
    changed_by, raised_by
        The events that may change it, and of those the ones that can do no more than raise it.
    next_at
        By tier, from how many points on the next is reached; None for the highest. The tier None is ``rest``.
    has_traits
        Whether a condition on the visitor gives it points.
    most_by_event
        The most points that an event of each name gives it.
    taken
        (half-life, key) of the tallies that take points.
    shares
        By tier, the share of visitors that it is for; empty: its tiers are by points.
    measured
        Stands for what gives it points, if its tiers are by shares.
    thresholds
        Where these begin; None: nobody has computed it yet, and nobody reaches or loses a tier.
    parts
        The scores of events and traits that it is made of, each with its factor: itself, if it is one; empty if a
        model has a say in it.
    """

    name: str
    spec: Score
    low: float
    high: float
    events: list[CompiledEventPoints] = field(default_factory=list)
    traits: list[CompiledTraitPoints] = field(default_factory=list)
    bounds: list[float] = field(default_factory=list)
    tiers: list[Tier] = field(default_factory=list)
    rest: str = ""
    key: bytes = b""
    changed_by: set[str] = field(default_factory=set)
    raised_by: frozenset[str] = frozenset()
    next_at: dict[str | None, float | None] = field(default_factory=dict)
    has_traits: bool = False
    most_by_event: dict[str, float] = field(default_factory=dict)
    taken: list[tuple[int, bytes]] = field(default_factory=list)
    sums: list[tuple[int, list[tuple[bytes, float, int, float]]]] = field(default_factory=list)
    expiring: list[CompiledEventPoints] = field(default_factory=list)
    shares: dict[str, float] = field(default_factory=dict)
    measured: str = ""
    thresholds: TierThresholds | None = None
    parts: list[tuple[float, CompiledScore]] = field(default_factory=list)


@dataclass(slots=True)
class CompiledScores:
    """All scores by rules of a catalog.

    Attributes
    ----------
    asked
        Those that a rule, a feature or a template names.
    tallies_by_event
        What they count of each event.
    tally_keys
        What stands for those counts, and for trends, in states.
    of_axes
        Those that are made of axes.
    computed
        The thresholds that were computed, by score.
    by_share
        Those with tiers for shares of visitors, by name.
    watched, watched_by_event
        Those whose tiers the fold follows, by name, and by each event that may change them.
    """

    asked: tuple[str, ...] = ()
    by_name: dict[str, CompiledScore] = field(default_factory=dict)
    tallies_by_event: dict[str, list[Tally]] = field(default_factory=dict)
    tally_keys: set[bytes] = field(default_factory=set)
    of_axes: list[CompiledScore] = field(default_factory=list)
    computed: dict[str, TierThresholds] = field(default_factory=dict)
    by_share: dict[str, CompiledScore] = field(default_factory=dict)
    watched: dict[str, CompiledScore] = field(default_factory=dict)
    watched_by_event: dict[str, list[CompiledScore]] = field(default_factory=dict)
