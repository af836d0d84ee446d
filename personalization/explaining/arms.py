"""The arms that could be shown, laid in order over the tickets that draw them."""

from __future__ import annotations

from collections.abc import Sequence

from personalization.deciding.distribution import SCALE
from personalization.explaining.explanation import ExplainedArm


def drawn_arms(
    arms: Sequence[str],
    weights: Sequence[int],
    means: Sequence[float] | None = None,
    sds: Sequence[float] | None = None,
) -> list[ExplainedArm]:
    """The arms of a draw; ``means`` and ``sds`` are None where no model was asked.

    >>> [(arm.from_ticket, arm.to_ticket) for arm in drawn_arms(("a", "b"), (2**30, 3 * 2**30))]
    [(0, 1073741824), (1073741824, 4294967296)]
    """
    found, begin = [], 0
    for index, (arm, weight) in enumerate(zip(arms, weights, strict=True)):
        found.append(
            ExplainedArm(
                arm=arm,
                estimate=None if means is None else means[index],
                uncertainty=None if sds is None else sds[index],
                weight=weight,
                probability=weight / SCALE,
                from_ticket=begin,
                to_ticket=begin + weight,
            )
        )
        begin += weight
    return found


def undrawn_arms(arms: Sequence[str], shown: str, weight: int, *, others: int | None) -> list[ExplainedArm]:
    """The arms where nothing was drawn: ``shown`` for certain, or by an earlier draw.

    Parameters
    ----------
    others
        The weight of the others: 0, or None where it was not worked out.
    """
    names = arms if shown in arms else (*arms, shown)
    weights = [weight if arm == shown else others for arm in names]
    return [
        ExplainedArm(arm=arm, weight=each, probability=None if each is None else each / SCALE)
        for arm, each in zip(names, weights, strict=True)
    ]
