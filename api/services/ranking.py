"""All that a caller brought, in the order it should be shown in."""

from __future__ import annotations

from personalization.deciding.candidates import Candidates
from personalization.deciding.decision import Answer
from personalization.deciding.distribution import SCALE


def ranked(answer: Answer, candidates: Candidates) -> list[tuple[str, float | None]]:
    """All that may be shown: what was drawn for each slot, then the most probable; as they came where nobody knows.

    Each with its probability of being drawn first; None for one that no distribution names.
    """
    drawn = [decision.content_id for decision in answer.decisions]
    first = answer.distributions[0]
    weights = dict(zip(first.arms, first.weights, strict=True))
    means = dict(zip(first.arms, first.means, strict=True))
    left = [arm for arm in candidates.arms if arm not in candidates.refused and arm not in drawn]
    # Equal items stay in the caller's order: sorting keeps it.
    left.sort(key=lambda arm: (weights.get(arm, 0), means.get(arm, 0.0)), reverse=True)
    return [(arm, weights[arm] / SCALE if arm in weights else None) for arm in (*drawn, *left)]
