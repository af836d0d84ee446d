"""How long a person pauses between two requests, so that the state has caught up when the second arrives."""

from __future__ import annotations

STALE_SHARE = 0.06
"""The share of decisions that may miss the person's latest ratings.

The pause is this quantile of the time until a state is updated, and most of what a replay takes: at 3 % the slowest
few events set the pace of all.
"""

UP_S = 0.002
DOWN_S = UP_S * STALE_SHARE / (1 - STALE_SHARE)
"""Steps of the pause: in balance exactly where ``STALE_SHARE`` of the answers are stale."""

LONGEST_S = 0.25


class Pacing:
    """A pause steered by what the answers say.

    Real people think for seconds between two films; a replay does not, and would ask before its own last event
    is folded. Every answer tells which revision of the state it saw, so no extra request is needed: a stale one
    lengthens everybody's pause, a current one shortens it a little (stochastic approximation of a quantile,
    Robbins & Monro 1951). It also keeps the replay from sending faster than the slowest part can take.

    >>> pacing = Pacing()
    >>> pacing.answered(current=False); pacing.pause_s
    0.002
    """

    def __init__(self) -> None:
        self.pause_s = 0.0

    def answered(self, current: bool) -> None:
        """One answer: whether its state knew all that the person had sent before."""
        step = -DOWN_S if current else UP_S
        self.pause_s = min(LONGEST_S, max(0.0, self.pause_s + step))
