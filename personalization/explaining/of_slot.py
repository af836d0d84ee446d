"""A decision explained as it is made: by the very state, rules, model and draw that made it."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from msgspec import structs

from personalization.deciding.decision import Tier
from personalization.deciding.distribution import SCALE, ArmDistribution
from personalization.deciding.watching import FilledSlot
from personalization.events.decision_record import pack_f32, unpack_f32
from personalization.explaining.arms import drawn_arms, undrawn_arms
from personalization.explaining.effects import Asked, compared, effects_on
from personalization.explaining.explanation import (
    Apprentice,
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
    Circumstances,
    closed_placement,
    refused_arm,
    refused_by_placement,
)
from personalization.explaining.sides import holdout_side
from personalization.explaining.steps import Explaining, at_once
from personalization.explaining.words import KEPT_REASON, Tense, in_plain_words


def explain_slot(filled: FilledSlot, tense: Tense | None = None) -> Explanation:
    """``explaining_slot`` in one go."""
    return at_once(explaining_slot(filled, tense))


def explaining_slot(filled: FilledSlot, tense: Tense | None = None) -> Explaining:
    """Why the slot shows what it shows.

    Parameters
    ----------
    tense
        None: as the request says whether what is decided is shown. ``now``: nothing is, and the decision has no id.
    """
    filling, call = filled.filling, filled.filling.call
    compiled = filling.placement.compiled
    found = _circumstances(filled)
    closed = None
    if not filling.open and compiled.when is not None:
        closed = structs.replace(closed_placement(compiled.when, found), arm=filling.name)
    refused = yield from _refused(filled, found, closed)
    shown, weight, policy, reason, model_version = _choice(filled)
    arms = _arms(filled, shown, weight)
    effects, note = _effects(filled, shown, arms, model_version)
    known = filling.scope.state is not None
    explained = Explanation(
        words="",
        decision_id="" if tense == "now" else _decision_id(filled),
        placement=filling.name,
        slot=filled.slot,
        shown=shown,
        weight=weight,
        probability=weight / SCALE,
        policy=policy,
        tier=(Tier.PERSONALISED if filled.rung is None else filled.rung.tier).value,
        reason=reason,
        decided_at_ms=call.now_ms,
        arms=arms,
        refused=refused,
        versions=Versions(
            catalog=call.catalog.catalog.version,
            model=model_version,
            state_revision=call.answer.state_revision,
            state_age_ms=call.answer.state_age_ms,
            explained_by_catalog=call.catalog.catalog.version,
        ),
        drawn=_draw(filled),
        effects=effects,
        effects_note=note,
        consent=_consent(filled),
        segments=list(filling.scope.value("segments")) if known else None,
        segments_as_of="decision" if known else None,
        placement_rule=closed,
        holdout=holdout_side(
            filling.control if known else None,
            call.unit,
            filling.name,
            filling.scope.state,
            call.catalog,
            call.keys.assignment,
        ),
        variant=compiled.variant or None,
        kept=_kept(filled),
        apprentice=_apprentice(filled, shown),
    )
    tense = tense or ("past" if call.request.activate else "deferred")
    return structs.replace(explained, words=in_plain_words(explained, filling.features_used, tense))


def _circumstances(filled: FilledSlot) -> Circumstances:
    filling = filled.filling
    return Circumstances(
        filling.name,
        filling.scope,
        filling.call.session_start_ms,
        counted=filled.counted,
        missing=filling.missing,
        of_type=filling.call.request.of_type,
    )


def _choice(filled: FilledSlot) -> tuple[str, int, str, str, int]:
    """What is shown, its weight, by which policy, why, and which version of the model was asked."""
    if filled.rung is None or filled.drawn is None:
        kept = filled.kept
        assert kept is not None, "a slot is drawn for, or keeps its choice"
        policy = "control" if filled.filling.control else filled.filling.spec.policy.name
        return kept.arm, kept.weight, policy, KEPT_REASON, 0
    distribution, index = filled.rung.distribution, filled.drawn.arm_index
    weight, version = distribution.weights[index], distribution.model_version
    return distribution.arms[index], weight, distribution.policy, filled.rung.reason, version


def _decision_id(filled: FilledSlot) -> str:
    if filled.drawn is not None:
        return filled.drawn.decision_id
    return "" if filled.kept is None else filled.kept.decision_id


def _distribution(filled: FilledSlot) -> ArmDistribution | None:
    """What is recorded of the arms: of an apprentice what its policy would have drawn from."""
    rung = filled.rung
    return None if rung is None else rung.policy or rung.distribution


def _asks_model(filled: FilledSlot) -> bool:
    return filled.scorer is not None and filled.rung is not None and filled.rung.draws


def _arms(filled: FilledSlot, shown: str, weight: int) -> list[ExplainedArm]:
    distribution = _distribution(filled)
    if distribution is None or filled.rung is None:
        return undrawn_arms(filled.arms, shown, weight, others=None)
    if not filled.rung.draws:
        return undrawn_arms(filled.arms, shown, weight, others=0)
    if not _asks_model(filled):
        return drawn_arms(distribution.arms, distribution.weights)
    means, sds = (unpack_f32(pack_f32(numbers)) for numbers in (distribution.means, distribution.sds))
    return drawn_arms(distribution.arms, distribution.weights, means, sds)


def _draw(filled: FilledSlot) -> Draw | None:
    distribution = _distribution(filled)
    if filled.drawn is None or filled.drawn.ticket is None or distribution is None:
        return None
    ticket = filled.drawn.ticket
    return Draw(ticket=ticket, arm=distribution.arms[distribution.draw(ticket)])


def _effects(
    filled: FilledSlot, shown: str, arms: Sequence[ExplainedArm], version: int
) -> tuple[list[Effects], str | None]:
    if not _asks_model(filled):
        return [], None
    filling = filled.filling
    asked = Asked(filled.scorer, version, version, filling.features_used, filling.candidates.features)
    return effects_on(compared(shown, arms), asked)


def _refused(
    filled: FilledSlot, found: Circumstances, closed: RefusedArm | None
) -> Generator[None, None, list[RefusedArm]]:
    filling = filled.filling
    candidates = filling.candidates
    told = []
    for name in candidates.arms:
        reason = filled.filtered.get(name)
        if reason is not None:
            known = name in candidates.by_id or name in candidates.bodies
            told.append(refused_arm(name, reason, candidates.arm(name) if known else None, found))
        elif closed is not None:
            told.append(refused_by_placement(name, closed))
        yield
    return told


def _consent(filled: FilledSlot) -> list[ToldConsent]:
    filling = filled.filling
    call = filling.call
    words = [call.consents.word(purpose, call.now_ms) for purpose in filling.placement.compiled.consent]
    return [
        ToldConsent(
            purpose=word.purpose,
            granted=word.granted,
            by=word.by,
            at_ms=word.at_ms,
            verified=word.verified,
            receipt=word.receipt or None,
        )
        for word in words
    ]


def _kept(filled: FilledSlot) -> KeptChoice | None:
    gap_ms = filled.filling.call.catalog.catalog.catalog.session_gap_ms
    if filled.drawn is None:
        kept = filled.kept
        return None if kept is None else KeptChoice(repeated=True, since_ms=kept.at_ms, until_silent_ms=gap_ms)
    if not filled.drawn.sticky:
        return None
    return KeptChoice(repeated=False, since_ms=filled.filling.call.now_ms, until_silent_ms=gap_ms)


def _apprentice(filled: FilledSlot, shown: str) -> Apprentice | None:
    drawn = _draw(filled)
    if filled.rung is None or filled.rung.policy is None or drawn is None:
        return None
    return Apprentice(baseline=shown, policy_arm=drawn.arm)
