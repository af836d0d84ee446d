"""A catalog version made ready for the hot paths: rules compiled, references resolved, lookups by event.

``compile_catalog`` is the one check of meaning; ``config.loader`` checks shape and knows files.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec

from personalization.catalog.catalog import AffinitySpec, Catalog, Content, Conversion, Placement
from personalization.catalog.cel_parser import Unreadable, parse
from personalization.catalog.cel_tree import keys_of
from personalization.catalog.compiled_windows import CompiledSeries, FollowedSegments, compile_series, follow
from personalization.catalog.named import NOTHING_NAMED, Named, named_by
from personalization.catalog.rules import EVENT_VARIABLES, VISITOR_VARIABLES, Rule
from personalization.catalog.windows import MAX_TIMES, Window
from personalization.errors import InvalidInput, NextbestError
from personalization.visitor.purposes import normal

MAX_WEIGHTS = 16
"""Names of rewards per placement: an open decision may have to know each apart."""

MAX_CONVERSIONS = 8
"""Each keeps examples open per visitor and a model in every process."""

CONVERSION_KEY = "conversion:"
"""Before a conversion's name in the keys of ``outcomes``; no placement may begin so."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class InvalidCatalog(NextbestError):
    """A catalog with mistakes: all of them, each an ``InvalidInput``."""

    def __init__(self, errors: list[InvalidInput]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Arm:
    """A content ready to be an arm."""

    id: str
    content: Content
    when: Rule | None


@dataclass(frozen=True, slots=True)
class CompiledReward:
    """A reward rule, ready: what one event is worth to ``placement``, under ``name`` times ``weight``."""

    placement: str
    name: str
    weight: float
    when: Rule | None
    value: float | Rule
    arm: Rule | None


@dataclass(frozen=True, slots=True)
class CompiledPlacement:
    """A placement, ready: its arms in order, and a hash of its reward rules."""

    name: str
    spec: Placement
    when: Rule | None
    arms: tuple[Arm, ...]
    default: Arm
    features: tuple[str, ...]
    rules: bytes
    consent: tuple[str, ...]
    """Purposes needed to personalise, in their normal form."""


@dataclass(frozen=True, slots=True)
class CompiledAffinity:
    """An affinity rule, ready: one event raises the keys at ``path``."""

    name: str
    spec: AffinitySpec
    path: tuple[str, ...]
    weight: float
    when: Rule | None


@dataclass(frozen=True, slots=True)
class CompiledConversion:
    """A conversion, ready: which events are it, and what its model looks at."""

    name: str
    spec: Conversion
    when: Rule | None
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompiledCatalog:
    """One version of the catalog as folder and decider use it.

    Attributes
    ----------
    scored
        The conversions whose score a rule or a feature names: no other is worked out for a decision.
    scored_segments
        Whether a segment names a score: then what models see of segments is not what rules see of them.
    named
        What it names of visitors: that always has a place in their states.
    followed
        The segments that are followed.
    windows
        Windows of all rules by the variable that stands for each.
    series, series_by_event
        What windows look at, by key, and by the event's name.
    """

    version: int
    catalog: Catalog
    placements: dict[str, CompiledPlacement] = field(default_factory=dict)
    segments: dict[str, Rule] = field(default_factory=dict)
    rewards_by_event: dict[str, list[CompiledReward]] = field(default_factory=dict)
    affinities_by_event: dict[str, list[CompiledAffinity]] = field(default_factory=dict)
    conversions: dict[str, CompiledConversion] = field(default_factory=dict)
    conversions_by_event: dict[str, list[CompiledConversion]] = field(default_factory=dict)
    scored: frozenset[str] = frozenset()
    scored_segments: bool = False
    named: Named = NOTHING_NAMED
    followed: FollowedSegments = field(default_factory=FollowedSegments)
    windows: dict[str, Window] = field(default_factory=dict)
    series: dict[bytes, CompiledSeries] = field(default_factory=dict)
    series_by_event: dict[str, list[CompiledSeries]] = field(default_factory=dict)


def rules_hash(placement: Placement) -> bytes:
    """Eight bytes that stand for all that says what a decision of this placement is worth.

    >>> from personalization.catalog.catalog import Placement
    >>> one, other = (Placement(content=("a",), default="a", holdout=share) for share in (0.0, 0.1))
    >>> rules_hash(one) == rules_hash(other) != rules_hash(Placement(content=("a",), default="a", window_ms=5))
    True
    """
    said = [getattr(placement, name) for name in _REWARD_FIELDS]
    return hashlib.blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=8).digest()


_REWARD_FIELDS = ("rewards", "attribution", "window_ms", "default_reward", "reward_range", "combine", "weights")


class _Check:
    """Collects every mistake instead of stopping at the first."""

    def __init__(self) -> None:
        self.errors: list[InvalidInput] = []
        self.looking_back: list[Rule] = []

    def fail(self, where: str, message: str, code: str = "invalid_field") -> None:
        self.errors.append(InvalidInput(where, message, code))

    def rule(self, source: str | None, where: str, variables: frozenset[str]) -> Rule | None:
        if source is None:
            return None
        try:
            rule = Rule(source, where, variables, looks_back=variables is not EVENT_VARIABLES)
        except InvalidInput as error:
            self.errors.append(error)
            return None
        if rule.windows:
            self.looking_back.append(rule)
        return rule

    def demand(self, holds: bool, where: str, message: str) -> None:
        if not holds:
            self.fail(where, message)


def compile_catalog(catalog: Catalog, version: int) -> CompiledCatalog:
    """Compile one version.

    Raises
    ------
    InvalidCatalog
        With every mistake of meaning: unknown references, bad rules, numbers out of range.
    """
    check = _Check()
    scored_segments = any(scores_named(rule) != set() for rule in catalog.segments.values())
    compiled = CompiledCatalog(
        version, catalog, scored=_scored(catalog), scored_segments=scored_segments, named=named_by(catalog)
    )
    for name, source in catalog.segments.items():
        rule = check.rule(source, f"segments.{name}", VISITOR_VARIABLES - {"segments"})
        if rule is not None:
            compiled.segments[name] = rule
    arms = {name: _compile_content(check, name, content) for name, content in catalog.content.items()}
    for name, spec in catalog.affinities.items():
        _compile_affinity(check, compiled, name, spec)
    for name, conversion in catalog.conversions.items():
        _compile_conversion(check, compiled, name, conversion)
    check.demand(len(catalog.conversions) <= MAX_CONVERSIONS, "conversions", f"are at most {MAX_CONVERSIONS}")
    for name, placement in catalog.placements.items():
        _compile_placement(check, compiled, arms, name, placement)
    series = compile_series(catalog, check.looking_back, check.fail)
    for found in series:
        compiled.series[found.key] = found
        if found.event:
            compiled.series_by_event.setdefault(found.event, []).append(found)
    for rule in check.looking_back:
        compiled.windows.update((window.variable, window) for window in rule.windows)
    follow(compiled.segments, compiled.series, compiled.followed)
    if check.errors:
        raise InvalidCatalog(check.errors)
    return compiled


def _no_content(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else "define it under content"
    return f"no content {name!r}; {remedy}"


def _no_weight(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {close[0]!r}?" if close else f"say what it counts: weights: {{{name}: 1}}"
    return f"the placement's weights have no {name!r}; {remedy}"


def _compile_content(check: _Check, name: str, content: Content) -> Arm:
    where = f"content.{name}"
    check.demand(
        content.type == "json" or isinstance(content.body, str),
        f"{where}.body",
        f"a {content.type} content needs text here",
    )
    if content.starts_ms is not None and content.ends_ms is not None:
        check.demand(content.starts_ms < content.ends_ms, f"{where}.ends", "must lie after starts")
    if content.cap is not None:
        check.demand(content.cap.limit >= 1, f"{where}.cap.limit", "must be 1 or more")
        if content.cap.within_ms is not None:
            check.demand(content.cap.within_ms > 0, f"{where}.cap.within", "must be longer than nothing, e.g. 7d")
            check.demand(
                content.cap.limit <= MAX_TIMES,
                f"{where}.cap.limit",
                f"is at most {MAX_TIMES} in a length of time",
            )
    return Arm(name, content, check.rule(content.when, f"{where}.when", VISITOR_VARIABLES))


def _compile_affinity(check: _Check, compiled: CompiledCatalog, name: str, spec: AffinitySpec) -> None:
    where = f"affinities.{name}"
    check.demand(0 < spec.decay_per_event <= 1, f"{where}.decay_per_event", "must lie in (0, 1]")
    check.demand(spec.half_life_ms is None or spec.half_life_ms > 0, f"{where}.half_life", "must be positive")
    for index, rule in enumerate(spec.rules):
        here = f"{where}.rules[{index}]"
        path = tuple(rule.key.split("."))
        check.demand(
            path[0] in EVENT_VARIABLES and all(path),
            f"{here}.key",
            f"must be a dotted path that starts with one of {', '.join(sorted(EVENT_VARIABLES))}",
        )
        compiled.affinities_by_event.setdefault(rule.event, []).append(
            CompiledAffinity(name, spec, path, rule.weight, check.rule(rule.when, f"{here}.when", EVENT_VARIABLES))
        )


def _compile_conversion(check: _Check, compiled: CompiledCatalog, name: str, spec: Conversion) -> None:
    where = f"conversions.{name}"
    check.demand(
        _NAME.fullmatch(name) is not None,
        where,
        "rules name it as scores.name: use at most 64 letters, digits and _, beginning with a letter or _",
    )
    check.demand(bool(spec.event), f"{where}.event", "must name the event that is the conversion")
    check.demand(spec.horizon_ms > 0, f"{where}.horizon", "must be longer than nothing, e.g. 7d")
    for index, feature in enumerate(spec.features):
        if feature.split(".")[0] == "scores":
            check.fail(f"{where}.features[{index}]", "a score cannot look at scores; name what they are made of")
    made = CompiledConversion(
        name,
        spec,
        check.rule(spec.when, f"{where}.when", EVENT_VARIABLES),
        spec.features or tuple(one for one in compiled.catalog.features if one.split(".")[0] != "scores"),
    )
    compiled.conversions[name] = made
    compiled.conversions_by_event.setdefault(spec.event, []).append(made)


def scores_named(rule: str) -> set[str] | None:
    """The conversions whose score a rule names; None where it takes the whole map.

    >>> scores_named("scores.buys_soon > 0.2 && scores['leaves'] < 0.1") == {"buys_soon", "leaves"}
    True
    >>> scores_named("size(scores) > 0") is None
    True
    """
    try:
        named = keys_of(parse(rule), "scores")
    except Unreadable:  # the rule is refused elsewhere
        return set()
    return None if named is None else set(named)


def _scored(catalog: Catalog) -> frozenset[str]:
    conditions = [content.when for content in catalog.content.values()]
    conditions += [placement.when for placement in catalog.placements.values()]
    rules = [*catalog.segments.values(), *filter(None, conditions)]
    used: set[str] = set()
    for rule in rules:
        named = scores_named(rule)
        used |= set(catalog.conversions) if named is None else named
    for features in (catalog.features, *(placement.features for placement in catalog.placements.values())):
        for first, *rest in (feature.split(".") for feature in features):
            if first == "scores":
                used |= set(rest[:1] or catalog.conversions)
    return frozenset(used & catalog.conversions.keys())


def _compile_placement(
    check: _Check, compiled: CompiledCatalog, arms: dict[str, Arm], name: str, spec: Placement
) -> None:
    where = f"placements.{name}"
    check.demand(not name.startswith(CONVERSION_KEY), where, f"must not begin with {CONVERSION_KEY!r}")
    known: list[Arm] = []
    check.demand(bool(spec.content), f"{where}.content", "must name at least one content")
    for index, content in enumerate(spec.content):
        if content in arms:
            known.append(arms[content])
        else:
            check.fail(f"{where}.content[{index}]", _no_content(content, arms), "unknown_name")
    check.demand(len(set(spec.content)) == len(spec.content), f"{where}.content", "names a content twice")
    if spec.default not in arms:
        check.fail(f"{where}.default", _no_content(spec.default, arms), "unknown_name")
    check.demand(1 <= spec.slots <= 50, f"{where}.slots", "must lie between 1 and 50")
    check.demand(0 <= spec.holdout < 1, f"{where}.holdout", "is a share: 0 or more, below 1")
    check.demand(spec.window_ms > 0, f"{where}.window", "must be longer than nothing, e.g. 30m")
    low, high = spec.reward_range
    check.demand(low < high, f"{where}.reward_range", "must be [low, high] with low < high")
    check.demand(
        low >= high or low <= spec.default_reward <= high, f"{where}.default_reward", "must lie within reward_range"
    )
    for kind, weight in spec.weights.items():
        check.demand(math.isfinite(weight), f"{where}.weights.{kind}", "must be a finite number")
    check.demand(len(spec.weights) <= MAX_WEIGHTS, f"{where}.weights", f"names more than {MAX_WEIGHTS}")
    for index, reward in enumerate(spec.rewards):
        here = f"{where}.rewards[{index}]"
        if reward.name and reward.name not in spec.weights:
            check.fail(f"{here}.name", _no_weight(reward.name, spec.weights), "unknown_name")
        value: float | Rule | None = (
            check.rule(reward.value, f"{here}.value", EVENT_VARIABLES)
            if isinstance(reward.value, str)
            else float(reward.value)
        )
        compiled.rewards_by_event.setdefault(reward.event, []).append(
            CompiledReward(
                name,
                reward.name,
                spec.weights.get(reward.name, 1.0),
                check.rule(reward.when, f"{here}.when", EVENT_VARIABLES),
                0.0 if value is None else value,
                check.rule(reward.arm, f"{here}.arm", EVENT_VARIABLES),
            )
        )
    when = check.rule(spec.when, f"{where}.when", VISITOR_VARIABLES)
    if known and spec.default in arms:
        compiled.placements[name] = CompiledPlacement(
            name,
            spec,
            when,
            tuple(known),
            arms[spec.default],
            spec.features or compiled.catalog.features,
            rules_hash(spec),
            tuple(normal(purpose) for purpose in spec.consent),
        )
