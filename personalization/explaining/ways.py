"""In which way something came to be shown: told apart in one place, said by whoever tells of it."""

from __future__ import annotations

from enum import Enum

from personalization.deciding.decision import Tier


class Way(Enum):
    """Who chose what is shown."""

    KEPT = "the visit keeps an earlier choice"
    DEFAULT = "nothing else may be shown"
    HELD_OUT = "the visitor is held out"
    RULES = "rules alone"
    APPRENTICE = "the baseline, while a policy only watches"
    REQUEST = "a model, by the request alone"
    MODEL = "a model, by what is known of the visitor"


def way_of(tier: str, *, held_out: bool, apprentice: bool, repeated: bool = False) -> Way:
    """The way of a decision.

    Parameters
    ----------
    repeated
        Whether it repeats a choice that the visit keeps.

    >>> way_of("personalised", held_out=False, apprentice=True)
    <Way.APPRENTICE: 'the baseline, while a policy only watches'>
    """
    if repeated:
        return Way.KEPT
    if tier == Tier.DEFAULT:
        return Way.DEFAULT
    if held_out:
        return Way.HELD_OUT
    if tier == Tier.RULES:
        return Way.RULES
    if apprentice:
        return Way.APPRENTICE
    return Way.REQUEST if tier == Tier.CONTEXTUAL else Way.MODEL
