"""Watching all outcomes, and every arm's own: has the world changed, or one arm?"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from online_models.adaptive.drift import LOOK_BACK, SMALLEST, Drift, DriftDetector

KEPT_PER_ARM = (1 + LOOK_BACK) * 4 * SMALLEST
"""Outcomes, at least: enough for the three shortest spans; 37 KB an arm at most."""

RECENT = 1_024
"""Outcomes of which it is known whose they were; a longer stretch of disappointment is everybody's."""

OTHERS_SHARE = 0.5
"""Of one arm's disappointment: where the others' is less, it is that arm's collapse."""


class Shift(NamedTuple):
    """What an outcome called for.

    Attributes
    ----------
    arm
        Its row; None: all of them.
    span
        For how many outcomes things have been different; of the arm's own, where there is one.
    """

    drift: Drift
    arm: int | None
    span: int


class DriftWatch:
    """Detectors of what all arms bring and of what each does.

    An offer sold out is one arm's collapse, and what is known of the others need not be forgotten for it: a
    collapse of what all bring is laid to the arm that disappointed most where the others' outcomes of that stretch
    show none.

    Examples
    --------
    >>> watch = DriftWatch()
    >>> shifts = (watch.add(i % 4, 0.8 if i % 4 == 3 and i >= 2000 else 0.0) for i in range(2100))
    >>> next((shift.drift.name, shift.arm, shift.span) for shift in shifts if shift)
    ('RESET', 3, 8)
    """

    def __init__(self) -> None:
        self._all = DriftDetector()
        self._arms: list[DriftDetector] = []
        self._recent: deque[int] = deque(maxlen=RECENT)
        """Rows of the arms of the last outcomes."""

    def add(self, row: int, disappointment: float, witness: int = 0) -> Shift | None:
        """One more outcome of the arm at ``row``; what it calls for, a reset being taken note of.

        Parameters
        ----------
        witness
            Whose it is, see ``witnesses``.
        """
        while row >= len(self._arms):
            self._arms.append(DriftDetector(KEPT_PER_ARM))
        self._recent.append(row)
        own, own_span = self._arms[row].add(disappointment, witness)
        drift, span = self._all.add(disappointment, witness)
        if drift is Drift.TURNED:
            shift = Shift(Drift.RESET, None, span)
        elif drift is Drift.RESET:
            shift = self._laid_to(span)
        elif own is Drift.RESET:  # a mild fall of one arm may be no more than who came by
            shift = Shift(own, row, own_span)
        else:
            return Shift(drift, None, span) if drift is not Drift.NONE else None
        self._answer(shift)
        return shift

    def forget(self, row: int) -> None:
        """Another arm is at ``row`` now."""
        if row < len(self._arms):
            self._arms[row].forget()

    def forget_visitors(self, units: Collection[bytes]) -> None:
        """Know no more which outcomes were these persons'."""
        for detector in (self._all, *self._arms):
            detector.forget_visitors(units)

    def _laid_to(self, span: int) -> Shift:
        if span <= len(self._recent):
            errors = self._all.last(span)
            rows = np.array(self._recent, np.intp)[-span:]
            worst = int(np.argmax(np.bincount(rows, errors)))
            own = rows == worst
            if own.all() or errors[~own].mean() < OTHERS_SHARE * errors[own].mean():
                return Shift(Drift.RESET, worst, int(own.sum()))
        return Shift(Drift.RESET, None, span)

    def _answer(self, shift: Shift) -> None:
        if shift.arm is None:
            self._all.forget()
            self._recent.clear()
            for detector in self._arms:
                detector.forget()
            return
        self._arms[shift.arm].forget()
        # What has been answered says nothing of the others.
        places = np.flatnonzero(np.array(self._recent, np.intp)[::-1] == shift.arm)
        self._all.excuse(places[: shift.span])

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "all": self._all.dump(),
            "arms": [detector.dump() for detector in self._arms],
            "recent": list(self._recent),
            "witnesses": [detector.dump_witnesses() for detector in (self._all, *self._arms)],
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> DriftWatch:
        """The inverse of ``dump``."""
        loaded = cls()
        # Checkpoints of before know of nobody whose outcomes they were.
        of_all, *of_arms = state.get("witnesses") or [b""] * (1 + len(state["arms"]))
        loaded._all = DriftDetector.load(state["all"], witnesses=of_all)
        loaded._arms = [
            DriftDetector.load(each, KEPT_PER_ARM, of_arm)
            for each, of_arm in zip(state["arms"], of_arms, strict=True)
        ]
        loaded._recent.extend(state["recent"])
        return loaded
