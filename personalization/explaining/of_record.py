"""A decision of the past explained by its record, as far as that goes, and by the visitor as they are now.

The record holds what the model was told and said, what was drawn, and why arms were refused. It does not hold what
rules read. That is looked up in the visitor's state: if nothing has happened since, it is what decided; else it is
told as what it is, the visitor as they are now.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from msgspec import structs

from personalization.audience.variables import VisitorScope
from personalization.catalog.cel_reads import reads_of
from personalization.catalog.rules import Rule
from personalization.deciding.candidates import features_by_arm
from personalization.deciding.decider_catalog import PreparedCatalog, PreparedPlacement
from personalization.deciding.distribution import SCALE
from personalization.deciding.eligibility import NO_STATE, RULE
from personalization.deciding.reward_scorer import RewardScorer
from personalization.events.decision_record import DecisionRecord
from personalization.explaining.arms import drawn_arms, undrawn_arms
from personalization.explaining.effects import Asked, compared, effects_on
from personalization.explaining.explanation import (
    Apprentice,
    AsOf,
    Draw,
    Effects,
    ExplainedArm,
    Explanation,
    KeptChoice,
    RefusedArm,
    ToldConsent,
    Versions,
)
from personalization.explaining.refusals import (
    OF_REQUEST,
    Circumstances,
    closed_placement,
    refused_arm,
    refused_by_placement,
)
from personalization.explaining.sides import holdout_side
from personalization.explaining.steps import Explaining, at_once
from personalization.explaining.words import in_plain_words
from personalization.features import Features
from personalization.visitor.session import session_at
from personalization.visitor.visitor_key import is_registered
from personalization.visitor.visitor_state import VisitorState

_CLOSED = "the placement's rule does not hold"
"""How the reason of such a decision begins (``deciding.ladder``)."""

_SINCE_CHANGED = frozenset({"session", "scores", "tiers", "trends"})
"""Variables that decisions and models change too, while the visitor does nothing."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What there is to explain a record by.

    Attributes
    ----------
    catalog
        The version of the record if it is at hand, else the one in force.
    state
        The visitor's, as it is now; None: nobody is known any more, or it could not be read.
    scorer
        The model of the placement that is in memory; None: none is.
    secret
        What persons are assigned by.
    """

    catalog: PreparedCatalog
    state: VisitorState | None
    scorer: RewardScorer | None
    secret: bytes
    now_ms: int


def explain_record(record: DecisionRecord, around: Surroundings) -> Explanation:
    """``explaining_record`` in one go."""
    return at_once(explaining_record(record, around))


def explaining_record(record: DecisionRecord, around: Surroundings) -> Explaining:
    """Why the decision of ``record`` shows what it shows."""
    choice = record.choice
    placement = _placement(record, around.catalog)
    arms = _arms(record, placement, around)
    effects, note = _effects(record, placement, arms, around)
    closed, refused = yield from _refused(record, placement, around)
    segments, segments_as_of = _segments(record, around)
    gap_ms = around.catalog.catalog.catalog.session_gap_ms
    kept = KeptChoice(repeated=False, since_ms=record.decided_at_ms, until_silent_ms=gap_ms)
    explained = Explanation(
        words="",
        decision_id=choice.decision_id,
        placement=choice.placement,
        slot=choice.slot,
        shown=choice.arm,
        weight=choice.weight,
        probability=choice.weight / SCALE,
        policy=choice.policy,
        tier=record.tier,
        reason=record.reason,
        decided_at_ms=record.decided_at_ms,
        arms=arms,
        refused=refused,
        versions=Versions(
            catalog=choice.catalog_version,
            model=choice.model_version,
            state_revision=record.state_revision,
            state_age_ms=record.state_age_ms,
            explained_by_catalog=around.catalog.catalog.version,
        ),
        drawn=_draw(record),
        effects=effects,
        effects_note=note,
        consent=_consent(record, placement),
        segments=segments,
        segments_as_of=segments_as_of,
        placement_rule=closed,
        holdout=holdout_side(
            choice.holdout, record.unit, choice.placement, around.state, around.catalog, around.secret
        ),
        variant=choice.variant or None,
        kept=kept if record.sticky else None,
        apprentice=Apprentice(baseline=choice.arm, policy_arm=choice.policy_arm) if choice.policy_arm else None,
    )
    words = in_plain_words(explained, record.features, "past" if record.exposed else "deferred")
    return structs.replace(explained, words=words)


def _placement(record: DecisionRecord, catalog: PreparedCatalog) -> PreparedPlacement | None:
    placement = catalog.placements.get(record.choice.placement)
    if placement is None or not record.choice.variant:
        return placement
    return placement.variants.get(record.choice.variant)


def _is_of(record: DecisionRecord, catalog: PreparedCatalog) -> bool:
    return record.choice.catalog_version == catalog.catalog.version


def _arms(record: DecisionRecord, placement: PreparedPlacement | None, around: Surroundings) -> list[ExplainedArm]:
    if record.ticket is not None:
        told = record.eligible()
        asked = record.choice.holdout is not True
        means, sds = [arm.mean for arm in told], [arm.sd for arm in told]
        return drawn_arms(record.arms, record.weights, means if asked else None, sds if asked else None)
    others: tuple[str, ...] = ()
    if placement is not None and _is_of(record, around.catalog) and not record.reason.startswith(_CLOSED):
        # Those of the catalog alone: which items there were then, no version of it says.
        refused = {*record.filtered, *record.above, *placement.candidates.beside_catalog}
        others = tuple(arm for arm in placement.candidates.arms if arm not in refused)
    return undrawn_arms(others, record.choice.arm, record.choice.weight, others=0)


def _draw(record: DecisionRecord) -> Draw | None:
    if record.ticket is None:
        return None
    return Draw(ticket=record.ticket, arm=record.choice.policy_arm or record.choice.arm)


def _effects(
    record: DecisionRecord,
    placement: PreparedPlacement | None,
    arms: list[ExplainedArm],
    around: Surroundings,
) -> tuple[list[Effects], str | None]:
    names = compared(record.choice.arm, arms)
    if not names:
        return [], None
    version, told = 0, None
    if around.scorer is not None and placement is not None:
        told = _arm_features(record, placement)
        policy = placement.compiled.spec.policy
        version = around.scorer.distribution(
            record.arms, record.features, policy=policy, arm_features=told
        ).model_version
    asked = Asked(around.scorer, version, record.choice.model_version, record.features, told)
    return effects_on(names, asked)


def _arm_features(record: DecisionRecord, placement: PreparedPlacement) -> dict[str, Features] | None:
    told: dict[str, Features] = {**(features_by_arm(placement.compiled.arms) or {}), **record.arm_features}
    return told or None


def _refused(
    record: DecisionRecord, placement: PreparedPlacement | None, around: Surroundings
) -> Generator[None, None, tuple[RefusedArm | None, list[RefusedArm]]]:
    """Why the placement was closed, if it was, and the arms that could not be shown."""
    closed, told = None, []
    when = None if placement is None else placement.compiled.when
    if record.reason.startswith(_CLOSED) and when is not None:
        closed = structs.replace(
            closed_placement(when, _circumstances(record, around, when)), arm=record.choice.placement
        )
    candidates = None if placement is None else placement.candidates
    for name, reason in record.filtered.items():
        arm = None if candidates is None else candidates.by_id.get(name)
        rule = arm.when if arm is not None and reason in (RULE, NO_STATE) else None
        told.append(refused_arm(name, reason, arm, _circumstances(record, around, rule)))
        yield
    if closed is not None and candidates is not None and _is_of(record, around.catalog):
        told += [
            refused_by_placement(name, closed)
            for name in candidates.arms
            if name not in record.filtered and name not in candidates.beside_catalog
        ]
    return closed, told


def _circumstances(record: DecisionRecord, around: Surroundings, rule: Rule | None) -> Circumstances:
    """What to look at a refusal by; ``rule`` is the one that refused, None: it was none."""
    looks_at = frozenset[str]() if rule is None else _looks_at((rule,), around)
    as_of: AsOf = "now"
    if rule is not None and _is_as_it_was(record, around) and not looks_at & _SINCE_CHANGED:
        as_of = "decision"
    scope = _scope(record, around, as_of)
    gap_ms = around.catalog.catalog.catalog.session_gap_ms
    begin_ms = scope.now_ms if scope.state is None else session_at(scope.state.session, scope.now_ms, gap_ms)[1]
    lacks = bool(looks_at & (OF_REQUEST - {"known"}))
    return Circumstances(record.choice.placement, scope, begin_ms, as_of, lacks_request=lacks)


def _is_as_it_was(record: DecisionRecord, around: Surroundings) -> bool:
    """Whether the visitor has done nothing since: the state is the one that decided, and the fold is past it."""
    state = around.state
    return (
        state is not None
        and state.revision == record.state_revision
        and state.now_ms >= record.decided_at_ms
        and _is_of(record, around.catalog)
    )


def _scope(record: DecisionRecord, around: Surroundings, as_of: AsOf) -> VisitorScope:
    now_ms = record.decided_at_ms if as_of == "decision" else around.now_ms
    scope = VisitorScope(around.state, {}, around.catalog.catalog, now_ms, is_registered(record.key))
    if around.state is not None and around.catalog.catalog.segments:
        scope.take("segments", _told_segments(scope, around))
    return scope


def _looks_at(rules: Iterable[Rule], around: Surroundings) -> frozenset[str]:
    """The variables that rules look at, those of the segments that they name included."""
    found = frozenset[str]()
    segments = around.catalog.catalog.segments
    for rule in rules:
        found |= rule.variables
        if "segments" in rule.variables:
            looked = reads_of(rule.tree).get("segments")
            named = segments.keys() if looked is None else looked.entries.keys() & segments.keys()
            found = found.union(*(segments[name].variables for name in named))
    return found


def _told_segments(scope: VisitorScope, around: Surroundings) -> list[str]:
    """The segments that the visitor is in, without those whose rules look at a request, which is not there."""
    segments = around.catalog.catalog.segments
    lacking = OF_REQUEST - {"known"}
    return [name for name in scope.value("segments") or () if not segments[name].variables & lacking]


def _segments(record: DecisionRecord, around: Surroundings) -> tuple[list[str] | None, AsOf | None]:
    if around.state is None:
        return None, None
    looks_at = _looks_at(around.catalog.catalog.segments.values(), around)
    exact = _is_as_it_was(record, around) and not looks_at & (_SINCE_CHANGED | (OF_REQUEST - {"known"}))
    as_of: AsOf = "decision" if exact else "now"
    return list(_scope(record, around, as_of).value("segments")), as_of


def _consent(record: DecisionRecord, placement: PreparedPlacement | None) -> list[ToldConsent]:
    """The words it was made by: all of them grants, else nothing would have been recorded."""
    purposes = record.agreed if placement is None else dict.fromkeys(placement.compiled.consent)
    told = []
    for purpose in {**purposes, **record.agreed}:
        word = record.agreed.get(purpose)
        if word is None:
            told.append(ToldConsent(purpose=purpose, granted=True, by="default"))
            continue
        by = "receipt" if word.receipt else "request" if word.at_ms == record.decided_at_ms else "recorded"
        told.append(
            ToldConsent(
                purpose=purpose,
                granted=True,
                by=by,
                at_ms=word.at_ms,
                verified=word.verified,
                receipt=word.receipt or None,
            )
        )
    return told
