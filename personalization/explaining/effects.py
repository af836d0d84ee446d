"""What the features of the context did to the estimates: asked of the model, where it can say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from personalization.explaining.contributions import ContributionsOf
from personalization.explaining.explanation import Effects, ExplainedArm
from personalization.features import Features


class Asked(NamedTuple):
    """A model, and what it was told.

    Attributes
    ----------
    version
        The model's own.
    decided_by
        The version that decided; 0: the prior, which has learned nothing.
    """

    scorer: object | None
    version: int
    decided_by: int
    features: Features
    arm_features: Mapping[str, Features] | None


def compared(shown: str, arms: Sequence[ExplainedArm]) -> list[str]:
    """The arms whose estimates are taken apart: what was shown, and the best of the others."""
    others = [arm for arm in arms if arm.arm != shown and arm.estimate is not None]
    known = any(arm.arm == shown and arm.estimate is not None for arm in arms)
    best = max(others, key=lambda arm: arm.estimate or 0.0, default=None)
    return [*([shown] if known else []), *([best.arm] if best is not None else [])]


def effects_on(names: Sequence[str], asked: Asked) -> tuple[list[Effects], str | None]:
    """What the features did to the estimates of the arms ``names``, and what is to be said of that."""
    if not names:
        return [], None
    if not asked.decided_by:
        return [], "The model had learned nothing yet, so no feature spoke for or against anything."
    if asked.scorer is None:
        return [], "The model that decided is not at hand, so nothing tells what each feature did."
    if not hasattr(asked.scorer, "contributions"):
        return [], "This model cannot tell what each feature did."
    scorer = cast(ContributionsOf, asked.scorer)
    found = []
    for arm in names:
        try:
            parts = scorer.contributions(arm, asked.features, asked.arm_features)
        except Exception as error:  # whatever a model may raise: the rest of the explanation stands
            return [], f"The model failed to tell what each feature did ({type(error).__name__})."
        strongest = sorted(parts.by_feature.items(), key=lambda part: (-abs(part[1]), part[0]))
        found.append(
            Effects(
                arm=arm,
                mean_context_estimate=parts.mean_estimate,
                estimate=parts.estimate,
                by_feature=dict(strongest),
                model_version=asked.version,
            )
        )
    if not any(change for effects in found for change in effects.by_feature.values()):
        return found, "By what the model has learned so far, no feature speaks for or against anything."
    if asked.version == asked.decided_by:
        return found, None
    return found, (
        f"What the features did is told by version {asked.version} of the model: version {asked.decided_by}, which "
        "decided, is not in memory any more."
    )
