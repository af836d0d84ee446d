"""Scores by rules: points for what visitors do and for what they are, and the tiers they reach with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from personalization.catalog.check import Check
from personalization.catalog.duration import DAY_MS, read_duration_ms
from personalization.catalog.score_compiler import compile_scores
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.spec import Cel, Share, Spec
from personalization.catalog.tier_thresholds import TopShare
from personalization.catalog.vocabulary import EVENT, VISITOR

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog

_REPEAT = re.compile(r"(?P<limit>\d{1,9})(?:\s*(?:x|times)?\s*(?:per|a|/)\s*(?P<per>day|visitor))?", re.IGNORECASE)


class Repeat(Spec, frozen=True, kw_only=True):
    """How often an event counts: ``limit`` times a day (UTC, by the client's time), or at all.

    Attributes
    ----------
    limit
        How often, 1 or more.
    per
        Each ``day``, or once and for all for a ``visitor``.
    """

    short_form: ClassVar[str] = "5 per day"
    short_schema: ClassVar[dict[str, Any]] = {
        "type": ["string", "integer"],
        "pattern": r"^\d+(\s*(x|times)?\s*(per|a|/)\s*(day|visitor))?$",
        "examples": ["5 per day", "1 per visitor"],
    }

    limit: int
    per: Literal["day", "visitor"] = "visitor"

    @classmethod
    def from_short(cls, text: str) -> Repeat | None:
        """``5 per day``, ``1 per visitor`` or ``1``; None if the text is none of them."""
        match = _REPEAT.fullmatch(text.strip())
        if match is None:
            return None
        return cls(limit=int(match["limit"]), per="day" if (match["per"] or "").lower() == "day" else "visitor")


class EventPoints(Spec, frozen=True, kw_only=True):
    """Points that an event gives, or takes.

    Attributes
    ----------
    event
        The event's name.
    points
        How many each time; below zero they are taken.
    when
        CEL over the event; holds if absent.
    repeat
        How often it counts; each time if absent.
    group
        One of the score's ``groups``, whose points together have a bound.
    half_life_ms
        The time in which its points fade to half; the score's if absent.
    expires_ms
        How long its points count in full, and then not at all; the score's if absent.
    """

    event: str
    points: float
    when: Cel | None = None
    repeat: Repeat | None = None
    group: str = ""
    half_life_ms: int = 0
    expires_ms: int = 0


class TraitPoints(Spec, frozen=True, kw_only=True):
    """Points that a visitor has, or lacks, as long as a condition holds.

    Attributes
    ----------
    when
        CEL over traits, the basket, orders and windows.
    points
        How many; below zero they are taken.
    group
        One of the score's ``groups``, whose points together have a bound.
    """

    when: Cel
    points: float
    group: str = ""


class Trend(Spec, frozen=True, kw_only=True):
    """Whether the points of late come faster or slower than before.

    Attributes
    ----------
    over_ms
        The half-life of what counts as of late. It is compared with a span of four times that half-life.
    margin
        By which share faster they come if the score is ``rising``, or slower if it is ``falling``.
    """

    short_form: ClassVar[str] = "7d"
    short_schema: ClassVar[dict[str, Any]] = {"type": "string", "examples": ["7d", "24h"]}

    over_ms: int = 7 * DAY_MS
    margin: Share = 0.25

    @classmethod
    def from_short(cls, text: str) -> Trend | None:
        """A length of time; None if the text is none."""
        over_ms = read_duration_ms(text)
        return cls(over_ms=over_ms) if over_ms else None


class Score(Spec, frozen=True, kw_only=True):
    """A score: points for what a visitor does and is; or several scores as one.

    Attributes
    ----------
    events
        Points that events give or take.
    traits
        Points as long as a condition holds.
    groups
        By name, the most that the points of a group count, above zero and below.
    half_life_ms
        The time in which the points of events fade to half, unless they say otherwise. They never do if neither
        this nor ``expires`` is written.
    expires_ms
        How long the points of events count in full, and then not at all.
    range
        The score is clipped to [low, high]; it has no bounds if absent.
    axes
        Two or more scores with tiers, in place of events and traits: this one is their sum, its tier theirs side by
        side (``A1``).
    blend
        Scores and conversions by name, each with the factor it is multiplied by, in place of events and traits:
        this one is the sum.
    tiers
        By name, from how many points on; the lowest holds for everybody below the second. Or by name, for which
        share of all visitors: `top 10%`, and `rest` for everybody else; thresholds are computed of them then.
    hysteresis
        How many points below its threshold a tier is lost; a tenth of the threshold if absent, at most half way to
        the next tier below.
    rearm_ms
        How long a tier that was reached is not told again.
    trend
        Whether ``trends.name`` says ``rising``, ``steady`` or ``falling``.
    """

    events: tuple[EventPoints, ...] = ()
    traits: tuple[TraitPoints, ...] = ()
    groups: dict[str, float] = {}
    half_life_ms: int | None = None
    expires_ms: int | None = None
    range: tuple[float, float] | None = None
    axes: tuple[str, ...] = ()
    blend: dict[str, float] = {}
    tiers: Mapping[str, float | TopShare] = {}
    hysteresis: float | None = None
    rearm_ms: int | None = None
    trend: Trend | None = None


class ScoreSection(Section[Score]):
    """``scores``."""

    name = "scores"
    noun = "score"
    defines = ("scores", "tiers", "trends")

    def rules(self, where: str, spec: Score) -> Iterator[RuleAt]:
        """Which events count, and which conditions."""
        for index, points in enumerate(spec.events):
            if points.when is not None:
                yield RuleAt(f"{where}.events[{index}].when", points.when, EVENT, "yes_no", points.event)
        for index, trait in enumerate(spec.traits):
            yield RuleAt(f"{where}.traits[{index}].when", trait.when, VISITOR, "yes_no")

    def events(self, where: str, spec: Score) -> Iterator[tuple[str, str]]:
        """Those that give or take points."""
        for index, points in enumerate(spec.events):
            yield f"{where}.events[{index}].event", points.event

    def compile_all(self, check: Check, compiled: CompiledCatalog, specs: Mapping[str, Score]) -> None:
        """All of them; some are made of others."""
        compile_scores(check, compiled, specs)
