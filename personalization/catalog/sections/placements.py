"""Places on a page or in an app: what may stand there, and how it is chosen and rewarded."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from personalization.catalog.check import Check, nearest
from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.rules import Rule
from personalization.catalog.section import RuleAt, Section
from personalization.catalog.sections.arms import named_arms, own_arms
from personalization.catalog.sections.challengers import (
    Challenger,
    Shadow,
    check_challenger,
    put_in_force,
)
from personalization.catalog.sections.content import Arm, Content
from personalization.catalog.sections.conversions import CONVERSION_KEY
from personalization.catalog.sections.variants import (
    PlacementVariant,
    as_varied,
    check_model_names,
    check_variants,
)
from personalization.catalog.spec import Cel, Share, Spec
from personalization.catalog.split import EXPERIMENT_KEY, split_of
from personalization.catalog.vocabulary import EVENT, VISITOR
from personalization.visitor.choice import model_key
from personalization.visitor.purposes import normal

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog

NO_ARM = Arm("", Content(), None)
"""The default of a placement whose arms are brought by callers: theirs."""

MAX_WEIGHTS = 16
"""Names of rewards per placement: an open decision may have to know each apart."""


class RewardRule(Spec, frozen=True, kw_only=True):
    """Which event is worth what to a placement.

    Attributes
    ----------
    event
        The event's name (a track's own, else ``page``, ``screen``, …).
    when
        CEL over the event; holds if absent.
    value
        A number, or CEL over the event giving one.
    arm
        CEL over the event giving the id of the content acted on; ``properties.contentId`` if absent.
    name
        What kind of success it is (``click``, ``revenue``): one of the placement's ``weights``. Of the rules of one
        name the first that holds counts, so one event may bring several names.
    """

    event: str
    when: Cel | None = None
    value: float | Cel = 1.0
    arm: Cel | None = None
    name: str = ""


class Placement(Spec, frozen=True, kw_only=True):
    """A place on a page or in an app, and how it is filled.

    Attributes
    ----------
    arms
        Where its arms come from: this ``catalog`` (and items, by ``tags``), or the ``caller``, who brings them with
        each request to ``POST /v1/rank``.
    content
        Ids of its arms, in order; the first eligible is the baseline.
    tags
        Every item that carries one of them is an arm too.
    default
        The content served when nothing may be decided. Of what a caller brings it is the first.
    slots
        How many of them are shown at once.
    when
        CEL over the visitor: whether anything is decided here at all; else the default is served.
    policy
        How it explores: a name, or a name with parameters.
    challenger
        A policy on trial beside it.
    model
        ``default``, or any River classifier or regressor by dotted name.
    model_parameters
        Keyword arguments of the model's constructor.
    features
        Names of what the model may look at (``personalization.audience.context``); empty: the catalog's.
    rewards
        Which events are worth what here; of the rules of one name the first that holds for an event counts.
    combine
        What several rewards of one name within one decision count: their ``sum``, the largest (``max``), or the
        ``first`` alone. Names add up.
    weights
        By what the values of each name are multiplied before anything else, e.g. of click, purchase and revenue. A
        name that is not listed weighs 1, and all such count as one name.
    rewards_by
        Whose word on rewards counts: ``anyone``'s, or that of a ``server`` key alone, by call as by event.
    attribution
        Which decision an event rewards: the last one shown whose content it acted on (``same_arm``), the last
        one shown (``last_exposed``), or the last one shown without a reward yet (``any_exposed``).
    window_ms
        How long after its exposure a decision can be rewarded.
    default_reward
        The reward of a decision that nothing rewarded.
    reward_range
        The total reward of one decision is clipped to [low, high].
    holdout
        Share of visitors served ``control`` and never trained on, [0, 1).
    horizon_ms
        How long after their first exposure what visitors do counts for the experiment that compares those held out,
        and the variants.
    control
        What held-out visitors see: the default, or any eligible content by chance.
    consent
        Consent purposes needed to personalise.
    sticky
        Keep the first choice for the visitor's session.
    apprentice
        Show the baseline to everybody (the default, or what the caller brings first), and record what the policy
        would have shown.
    variants
        What is different for shares of visitors, by name: two policies, models or sets of contents compared.
    """

    more_schema: ClassVar[dict[str, Any]] = {
        "anyOf": [{"required": ["default"]}, {"properties": {"arms": {"const": "caller"}}, "required": ["arms"]}]
    }

    arms: Literal["catalog", "caller"] = "catalog"
    content: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    default: str = ""
    slots: int = 1
    when: Cel | None = None
    policy: PolicySpec = PolicySpec()
    challenger: Challenger | None = None
    model: str = "default"
    model_parameters: dict[str, Any] = {}
    features: tuple[str, ...] = ()
    rewards: tuple[RewardRule, ...] = ()
    rewards_by: Literal["anyone", "server"] = "anyone"
    attribution: Literal["same_arm", "last_exposed", "any_exposed"] = "same_arm"
    window_ms: int = 30 * MINUTE_MS
    default_reward: float = 0.0
    reward_range: tuple[float, float] = (0.0, 1.0)
    combine: Literal["sum", "max", "first"] = "sum"
    weights: dict[str, float] = {}
    holdout: Share = 0.0
    horizon_ms: int = 7 * DAY_MS
    control: Literal["default", "uniform"] = "default"
    consent: tuple[str, ...] = ("personalization",)
    sticky: bool = False
    apprentice: bool = False
    variants: dict[str, PlacementVariant] = {}


@dataclass(frozen=True, slots=True)
class CompiledReward:
    """A reward rule, ready: what one event is worth to ``placement``, under ``name`` times ``weight``.

    Attributes
    ----------
    by_server
        Only if a server key says that it happened.
    """

    placement: str
    name: str
    weight: float
    when: Rule | None
    value: float | Rule
    arm: Rule | None
    by_server: bool = False


@dataclass(frozen=True, slots=True)
class CompiledPlacement:
    """A placement, ready, as it is written or as one of its variants makes it.

    Attributes
    ----------
    spec
        With what the variant overrides.
    arms
        In order.
    rules
        Hash of its reward rules.
    consent
        Purposes needed to personalise, in their normal form.
    model
        The key of the model that it asks and teaches.
    variant
        Its name; empty: as it is written.
    is_shared
        Whether it is a variant that teaches the model of the placement as it is written.
    variants
        Of a placement as it is written: what each of its variants makes of it, by name.
    split
        The sides that its experiment compares, and how probable each is; empty: there are none.
    shadow
        Of a placement as it is written, the policy that is asked beside the one in force; None: none is.
    """

    name: str
    spec: Placement
    when: Rule | None
    arms: tuple[Arm, ...]
    default: Arm
    features: tuple[str, ...]
    rules: bytes
    consent: tuple[str, ...]
    model: str
    variant: str = ""
    is_shared: bool = False
    variants: Mapping[str, CompiledPlacement] = field(default_factory=dict)
    split: Mapping[str, float] = field(default_factory=dict)
    shadow: Shadow | None = None

    def varied(self, variant: str) -> CompiledPlacement | None:
        """The placement as the variant of that name makes it; None: there is none."""
        return self.variants.get(variant) if variant else self

    def all_arms(self) -> dict[str, Arm]:
        """Its arms and those of its variants, by id."""
        return {arm.id: arm for each in (self, *self.variants.values()) for arm in each.arms}


def rules_hash(placement: Placement) -> bytes:
    """Eight bytes that stand for all that says what a decision of this placement is worth.

    >>> one, other = (Placement(content=("a",), default="a", holdout=share) for share in (0.0, 0.1))
    >>> rules_hash(one) == rules_hash(other) != rules_hash(Placement(content=("a",), default="a", window_ms=5))
    True
    """
    said = [getattr(placement, name) for name in _REWARD_FIELDS]
    return hashlib.blake2b(msgspec.json.encode(said, order="deterministic"), digest_size=8).digest()


_REWARD_FIELDS = (
    "rewards",
    "rewards_by",
    "attribution",
    "window_ms",
    "default_reward",
    "reward_range",
    "combine",
    "weights",
)


class PlacementSection(Section[Placement]):
    """``placements``."""

    name = "placements"
    noun = "placement"

    def rules(self, where: str, spec: Placement) -> Iterator[RuleAt]:
        """When anything is decided here, and what events are worth."""
        if spec.when is not None:
            yield RuleAt(f"{where}.when", spec.when, VISITOR, "yes_no")
        for index, reward in enumerate(spec.rewards):
            here = f"{where}.rewards[{index}]"
            if reward.when is not None:
                yield RuleAt(f"{here}.when", reward.when, EVENT, "yes_no", reward.event)
            if isinstance(reward.value, str):
                yield RuleAt(f"{here}.value", reward.value, EVENT, "number", reward.event)
            if reward.arm is not None:
                yield RuleAt(f"{here}.arm", reward.arm, EVENT, "text", reward.event)

    def events(self, where: str, spec: Placement) -> Iterator[tuple[str, str]]:
        """Those that reward a decision."""
        for index, reward in enumerate(spec.rewards):
            yield f"{where}.rewards[{index}].event", reward.event

    def features(self, where: str, spec: Placement) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What its models look at."""
        yield f"{where}.features", spec.features
        for name, variant in spec.variants.items():
            if variant.features is not None:
                yield f"{where}.variants.{name}.features", variant.features

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: Placement) -> None:
        """Its arms, and its reward rules by event."""
        where = f"placements.{name}"
        for taken in (CONVERSION_KEY, EXPERIMENT_KEY):
            check.demand(not name.startswith(taken), where, f"must not begin with {taken!r}")
        arms = own_arms(check, compiled, where, spec)
        check_variants(check, where, spec.variants)
        check_challenger(check, where, spec)
        check.demand(1 <= spec.slots <= 50, f"{where}.slots", "must lie between 1 and 50")
        check.demand(0 <= spec.holdout < 1, f"{where}.holdout", "is a share: 0 or more, below 1")
        check.demand(spec.window_ms > 0, f"{where}.window", "must be longer than nothing, e.g. 30m")
        check.demand(spec.horizon_ms > 0, f"{where}.horizon", "must be longer than nothing, e.g. 7d")
        low, high = spec.reward_range
        check.demand(low < high, f"{where}.reward_range", "must be [low, high] with low < high")
        check.demand(
            low >= high or low <= spec.default_reward <= high,
            f"{where}.default_reward",
            "must lie within reward_range",
        )
        for kind, weight in spec.weights.items():
            check.demand(math.isfinite(weight), f"{where}.weights.{kind}", "must be a finite number")
        check.demand(len(spec.weights) <= MAX_WEIGHTS, f"{where}.weights", f"names more than {MAX_WEIGHTS}")
        _check_apprentice(check, where, spec)
        _rewards(check, compiled, name, spec)
        when = check.of_visitor(spec.when, f"{where}.when")
        arms_of = {
            variant: named_arms(check, compiled, f"{where}.variants.{variant}", other.content, spec.tags)
            for variant, other in spec.variants.items()
            if other.content is not None and spec.arms != "caller"
        }
        default = compiled.arms.get(spec.default, NO_ARM if spec.arms == "caller" else None)
        if default is None or not (arms or spec.tags or spec.arms == "caller"):
            return
        in_force, shadow = put_in_force(spec, compiled.standings.get(name))
        made = CompiledPlacement(
            name,
            in_force,
            when,
            tuple(arms),
            default,
            spec.features or compiled.catalog.features,
            rules_hash(spec),
            tuple(normal(purpose) for purpose in spec.consent),
            model=name,
        )
        variants = {
            variant: _varied(compiled, made, variant, other, arms_of.get(variant, arms))
            for variant, other in spec.variants.items()
        }
        shares = {variant: other.share for variant, other in spec.variants.items()}
        split = split_of(compiled.catalog.holdout, spec.holdout, shares)
        compiled.placements[name] = replace(made, variants=variants, split=split, shadow=shadow)
        for each in (*variants.values(), compiled.placements[name]):  # its own model is the placement's as written
            compiled.models[each.model] = each

    def compile_all(self, check: Check, compiled: CompiledCatalog, specs: Mapping[str, Placement]) -> None:
        """All of them; no two share a model unless they say so."""
        super().compile_all(check, compiled, specs)
        check_model_names(check, specs)


def _varied(
    compiled: CompiledCatalog, made: CompiledPlacement, name: str, spec: PlacementVariant, arms: list[Arm]
) -> CompiledPlacement:
    varied = as_varied(made.spec, spec)
    return replace(
        made,
        spec=varied,
        arms=tuple(arms),
        features=varied.features or compiled.catalog.features,
        variant=name,
        model=model_key(made.name, name, shared=spec.is_shared),
        is_shared=spec.is_shared,
    )


def _check_apprentice(check: Check, where: str, spec: Placement) -> None:
    """Note what keeps the policy from ever agreeing with the baseline, or contradicts showing it to everybody."""
    if not spec.apprentice:
        return
    remedy = "of an apprentice everybody sees the baseline; leave it out, or leave out apprentice"
    check.demand(not spec.sticky, f"{where}.sticky", remedy)
    check.demand(spec.control == "default", f"{where}.control", remedy)
    known = spec.arms == "caller" or bool(spec.tags) or not spec.default or spec.default in spec.content
    message = "must be one of content: an apprentice is compared with what it could have chosen itself"
    check.demand(known, f"{where}.default", message)


def _rewards(check: Check, compiled: CompiledCatalog, name: str, spec: Placement) -> None:
    for index, reward in enumerate(spec.rewards):
        here = f"placements.{name}.rewards[{index}]"
        if reward.name and reward.name not in spec.weights:
            remedy = nearest(reward.name, spec.weights, f"say what it counts: weights: {{{reward.name}: 1}}")
            message = f"the placement's weights have no {reward.name!r}; {remedy}"
            check.fail(f"{here}.name", message, "unknown_name")
        value: float | Rule | None = (
            check.of_event(reward.value, f"{here}.value") if isinstance(reward.value, str) else float(reward.value)
        )
        made = CompiledReward(
            name,
            reward.name,
            spec.weights.get(reward.name, 1.0),
            check.of_event(reward.when, f"{here}.when"),
            0.0 if value is None else value,
            check.of_event(reward.arm, f"{here}.arm"),
            spec.rewards_by == "server",
        )
        for event in compiled.events.names(reward.event):
            compiled.rewards_by_event.setdefault(event, []).append(made)
