"""What a visitor would see, as it is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.errors import ErrorAnswer
from api.http.answer import Answer
from api.process.draft_check import DraftMistake
from api.services.previewing import Preview, PreviewedSlot
from personalization.explaining.explanation import Explanation


class PreviewSlotAnswer(Answer, frozen=True, kw_only=True):
    """What would stand in a slot, by one draw.

    Attributes
    ----------
    probability
        Of this content.
    explanation
        Why: as of a decision that is made, without an id.
    """

    slot: int
    content_id: str
    content: dict[str, Any]
    probability: float
    policy: str
    tier: str
    reason: str
    holdout: bool
    variant: str | None
    explanation: Explanation


class PreviewPlacementAnswer(Answer, frozen=True, kw_only=True):
    """What a visitor would see in a placement.

    Attributes
    ----------
    slots
        Empty: what it could show stands in placements that were named before it, its default included.
    """

    placement: str
    slots: list[PreviewSlotAnswer]


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


def preview_answer(
    preview: Preview, placements: Sequence[str], at_ms: int, catalog_version: int | None
) -> PreviewAnswer:
    """A preview of the placements, as it is answered."""
    slots: dict[str, list[PreviewSlotAnswer]] = {name: [] for name in placements}
    for each in preview.slots:
        slots[each.decision.placement].append(_slot(each))
    return PreviewAnswer(
        at_ms=at_ms,
        known=preview.is_known,
        catalog_version=catalog_version,
        placements=[PreviewPlacementAnswer(placement=name, slots=found) for name, found in slots.items()],
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
        message=f"{': '.join(part for part in (place, first.path, first.message) if part)}{more}",
        request_id=request_id,
        mistakes=[
            DraftMistakeAnswer(file=each.file, line=each.line, path=each.path, code=each.code, message=each.message)
            for each in mistakes
        ],
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
        holdout=decision.holdout,
        variant=decision.variant or None,
        explanation=found.why,
    )
