"""A slot as whoever watches the decision sees it: filled, before the next one changes what it was filled from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from personalization.deciding.filling import Filling
from personalization.deciding.ladder import Rung
from personalization.deciding.reward_scorer import RewardScorer
from personalization.deciding.writing import Drawn
from personalization.visitor.visitor_state import Sticky


class FilledSlot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot, and all that decided it.

    Attributes
    ----------
    filling
        What the slots of its placement share. It stays as it is but for ``filtered``.
    arms
        The arms that could be shown in it.
    filtered
        The others, with the reason.
    above
        What the call showed before, in order.
    counted
        How often the call showed before what caps count together, by its name.
    rung, drawn
        Who answered, and what was drawn; None: the session keeps its choice.
    kept
        That choice.
    scorer
        The model that was asked; None: none was, or it failed.
    """

    filling: Filling
    slot: int
    arms: tuple[str, ...]
    filtered: dict[str, str]
    above: tuple[str, ...]
    counted: dict[str, int]
    rung: Rung | None = None
    drawn: Drawn | None = None
    kept: Sticky | None = None
    scorer: RewardScorer | None = None


Watch: TypeAlias = Callable[[FilledSlot], None]
"""Is told of each slot, in the order of the answer."""


def filled_slot(
    filling: Filling,
    slot: int,
    arms: tuple[str, ...],
    *,
    rung: Rung | None = None,
    drawn: Drawn | None = None,
    kept: Sticky | None = None,
    scorer: RewardScorer | None = None,
) -> FilledSlot:
    """The slot as it is now, before it is written down."""
    call = filling.call
    return FilledSlot(
        filling=filling,
        slot=slot,
        arms=arms,
        filtered=dict(filling.filtered),
        above=tuple(call.taken),
        counted=dict(call.counted),
        rung=rung,
        drawn=drawn,
        kept=kept,
        scorer=scorer,
    )
