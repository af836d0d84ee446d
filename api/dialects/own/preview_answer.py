"""What a visitor would see, as it is answered."""

from __future__ import annotations

from typing import Any

from api.dialects.own.visitor_parts import ReasonAnswer, reason_answer
from api.errors import ErrorAnswer
from api.http.answer import Answer
from api.process.draft_check import DraftMistake
from api.services.previewing import Preview
from personalization.explaining.preview import PreviewedPlacement, PreviewedSlot, RefusedArm


class PreviewArmAnswer(Answer, frozen=True, kw_only=True):
    """An arm that may be shown.

    Attributes
    ----------
    estimate, uncertainty
        What the model expects of it, in units of reward, and the standard deviation of that; null: none was asked.
    """

    content_id: str
    probability: float
    estimate: float | None
    uncertainty: float | None


class PreviewSlotAnswer(Answer, frozen=True, kw_only=True):
    """What would stand in a slot, by one draw.

    Attributes
    ----------
    probability
        Of this content.
    arms
        All that it was drawn from; empty: the session keeps its choice.
    """

    slot: int
    content_id: str
    content: dict[str, Any]
    probability: float
    policy: str
    tier: str
    reason: str
    arms: list[PreviewArmAnswer]


class PreviewRefusalAnswer(Answer, frozen=True, kw_only=True):
    """An arm that may not be shown.

    Attributes
    ----------
    reason
        The word that records have for it.
    rule
        Why its rule does not hold, if that is the reason.
    """

    content_id: str
    reason: str
    words: str
    rule: ReasonAnswer | None


class PreviewPlacementAnswer(Answer, frozen=True, kw_only=True):
    """What a visitor would see in a placement.

    Attributes
    ----------
    rule
        Why the placement's own rule holds or does not; null: it has none.
    missing_consent
        The purpose without which nothing is personalised here; null: none is missing.
    holdout
        Whether the visitor is served its control.
    """

    placement: str
    rule: ReasonAnswer | None
    missing_consent: str | None
    holdout: bool
    variant: str | None
    slots: list[PreviewSlotAnswer]
    refused: list[PreviewRefusalAnswer]


class PreviewAnswer(Answer, frozen=True, kw_only=True):
    """What a visitor would see. Nothing of it was shown, logged, or counted.

    Attributes
    ----------
    at_ms
        When it would be.
    known
        Whether something is known of the visitor.
    catalog_version
        Null: the draft.
    failed_models
        Those that could not answer: rules did.
    """

    at_ms: int
    known: bool
    catalog_version: int | None
    placements: list[PreviewPlacementAnswer]
    failed_models: list[str]


class DraftMistakeAnswer(Answer, frozen=True, kw_only=True):
    """A mistake in a draft; line 0: of the file as a whole."""

    file: str
    line: int
    path: str
    code: str
    message: str


class MistakenDraftAnswer(ErrorAnswer, frozen=True, kw_only=True):
    """What is wrong with a draft: the first mistake, and each."""

    mistakes: list[DraftMistakeAnswer]


def preview_answer(preview: Preview, at_ms: int, catalog_version: int | None) -> PreviewAnswer:
    """A preview, as it is answered."""
    return PreviewAnswer(
        at_ms=at_ms,
        known=preview.is_known,
        catalog_version=catalog_version,
        placements=[_placement(each) for each in preview.placements],
        failed_models=preview.faults,
    )


def mistaken_draft(mistakes: list[DraftMistake], request_id: str) -> MistakenDraftAnswer:
    """The refusal of a draft."""
    first = mistakes[0]
    more = f" ({len(mistakes) - 1} more in `mistakes`)" if len(mistakes) > 1 else ""
    place = f"{first.file}:{first.line}" if first.line else first.file
    return MistakenDraftAnswer(
        code="mistaken_draft",
        field="catalog.files",
        message=f"{place}: {first.path}: {first.message}{more}",
        request_id=request_id,
        mistakes=[
            DraftMistakeAnswer(file=each.file, line=each.line, path=each.path, code=each.code, message=each.message)
            for each in mistakes
        ],
    )


def _placement(found: PreviewedPlacement) -> PreviewPlacementAnswer:
    return PreviewPlacementAnswer(
        placement=found.placement,
        rule=None if found.rule is None else reason_answer(found.rule),
        missing_consent=found.missing,
        holdout=found.held_out,
        variant=found.variant or None,
        slots=[_slot(each) for each in found.slots],
        refused=[_refused(each) for each in found.refused],
    )


def _slot(found: PreviewedSlot) -> PreviewSlotAnswer:
    decision = found.decision
    return PreviewSlotAnswer(
        slot=decision.slot,
        content_id=decision.content_id,
        content=decision.content,
        probability=decision.probability,
        policy=decision.policy,
        tier=decision.tier.value,
        reason=decision.reason,
        arms=[
            PreviewArmAnswer(
                content_id=arm.content,
                probability=arm.probability,
                estimate=arm.estimate,
                uncertainty=arm.uncertainty,
            )
            for arm in found.arms
        ],
    )


def _refused(arm: RefusedArm) -> PreviewRefusalAnswer:
    return PreviewRefusalAnswer(
        content_id=arm.content,
        reason=arm.reason,
        words=arm.words,
        rule=None if arm.rule is None else reason_answer(arm.rule),
    )
