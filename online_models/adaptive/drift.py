"""Noticing that the world has changed, from how much more is predicted than comes."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from enum import Enum
from itertools import accumulate
from math import log1p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_models.adaptive.witnesses import weights_of, without
from online_models.reward_model import FloatArray

SMALLEST, MILD = 16, 64
LOOK_BACK = 8
"""The last w outcomes are held against the 8w before them, w ≥ 16; for a mild fall ≥ 64."""

MAX_KEPT = 16_384
EVERY, LOOKS = 4, 4
"""A span is looked at every quarter of itself, and not more often than every 4 outcomes."""
SURPRISE = 12.0
"""−log of what chance may do, per look: six in a million."""
MAX_BLOCKS = 64

SLOW, SETTLED = 512, 4
"""A slow turn is looked for over the last w of at least 4w outcomes, w ≥ 512, every 512."""
LEAN = 0.03
"""Of the spread of rewards, at least, that is worth forgetting for: a third of what a turning world showed."""


class Drift(Enum):
    """What to do about it."""

    NONE = 0
    INFLATE = 1
    """Something may be wrong: widen the deviations."""
    RESET = 2
    """What was learned is wrong: keep the recent rows alone."""
    TURNED = 3
    """What was learned long ago is wrong: the same, of all arms."""


NOTHING = (Drift.NONE, 0)


class Told(NamedTuple):
    """Mean and variance of n disappointments."""

    mean: float
    variance: float
    n: float

    @classmethod
    def of(cls, errors: FloatArray, weights: FloatArray) -> Told:
        """Of those, each counting by its weight."""
        n = float(weights.sum())
        mean = float(weights @ errors) / n
        return cls(mean, max(0.0, float(weights @ (errors * errors)) / n - mean * mean), n)


class Rise(NamedTuple):
    """By how much n outcomes disappointed more than those before; its standard error; the least that counts."""

    size: float
    n: float
    error: float
    least: float

    def verdict(self, bursts: float) -> Drift:
        """What it calls for, where means over so many varied by ``bursts`` before."""
        size, n, _, least = self
        error = max(self.error, bursts)
        if size > least and bennett(size - 0.5 * least, n, error) > SURPRISE:
            return Drift.RESET
        return Drift.INFLATE if size > 0.5 * least + 3.0 * error else Drift.NONE


def _least(variance: float) -> float:
    """The least rise that is worth forgetting for."""
    return max(0.1, 0.5 * float(variance**0.5))


class DriftDetector:
    """Watches prediction − reward; it sees large, harmful shifts only, and none where nothing shifts.

    Disappointment is compared, not squared error: while a model learns, its errors change size in both
    directions. A reset needs a rise above max(.1, ½ sd), and above half of that by more than chance brings in six
    of a million looks (Bennett's inequality), at any of the spans 16, 32 …; it keeps what came after the split that
    tells best. Half of that rise and three standard errors inflate, once per stretch. Where 512 outcomes or more,
    up to a quarter of all, were clearly less than predicted, a world has turned slowly, and those are kept. The
    standard error is what means over so many outcomes varied by before, where that is more than their spread says:
    a visitor's outcomes come in bursts, and one visitor who is hard to please is no drift.

    Whatever outcomes show has to show again where each visitor and each network among those who are not believed
    counts once, in the span and in what it is held against: nobody makes a model forget by calling often.

    Parameters
    ----------
    most
        Outcomes kept, at least; at most twice as many are. Memory grows with the outcomes up to there.

    References
    ----------
    Bennett (1962), Probability inequalities for the sum of independent random variables.
    """

    def __init__(self, most: int = MAX_KEPT) -> None:
        self.most = most
        self._errors = array("d")
        self._witnesses = array("Q")
        """Whose each is, see ``witnesses``."""
        self._sums, self._squares = array("d", [0.0]), array("d", [0.0])
        """Running sums, one place ahead: a mean over any stretch is one subtraction."""
        self._quiet = 0
        """Outcomes during which nothing inflates."""

    def add(self, disappointment: float, witness: int = 0) -> tuple[Drift, int]:
        """One more outcome; what it calls for, and over how many outcomes that shows."""
        if len(self._errors) == 2 * self.most:
            self._witnesses = self._witnesses[self.most :]
            self._take(self._errors[self.most :])
        self._errors.append(disappointment)
        self._witnesses.append(witness)
        self._sums.append(self._sums[-1] + disappointment)
        self._squares.append(self._squares[-1] + disappointment * disappointment)
        if self._quiet:
            self._quiet -= 1
        return self._look() if len(self._errors) % EVERY == 0 else NOTHING

    def _take(self, errors: array[float]) -> None:
        self._errors = errors
        self._sums = array("d", accumulate(errors, initial=0.0))
        self._squares = array("d", accumulate((each * each for each in errors), initial=0.0))

    def forget(self) -> None:
        """Begin again: after a reset nothing of before says anything."""
        self._witnesses = array("Q")
        self._take(array("d"))

    def forget_visitors(self, units: Collection[bytes]) -> None:
        """Know no more whose outcomes were these persons'; each counts for itself from now on."""
        self._witnesses = array("Q", without(np.frombuffer(self._witnesses, np.uint64), units).tobytes())

    def last(self, n: int) -> FloatArray:
        """The last n, in order."""
        return np.array(self._errors[len(self._errors) - n :])

    def excuse(self, places: NDArray[np.intp]) -> None:
        """Take these, counted from the last one, for as predicted."""
        errors = np.array(self._errors)
        errors[len(errors) - 1 - places[places < len(errors)]] = 0.0
        self._take(array("d", errors.tobytes()))

    def _look(self) -> tuple[Drift, int]:
        verdict, span = NOTHING
        sums, squares, n = self._sums, self._squares, len(self._errors)
        w = SMALLEST
        while (1 + LOOK_BACK) * w <= n and n % max(EVERY, w // LOOKS) == 0:
            split, n_before = n - w, LOOK_BACK * w
            first = split - n_before
            mean = (sums[split] - sums[first]) / n_before
            rise = (sums[n] - sums[split]) / w - mean
            variance = max(0.0, (squares[split] - squares[first]) / n_before - mean * mean)
            least = _least(variance)
            error = (variance * (1.0 / w + 1.0 / n_before)) ** 0.5
            if rise > 0.5 * least + 3.0 * error:
                found = self._judge(w, Rise(rise, w, error, least))
                if found is Drift.RESET:
                    return found, self._since(2 * w)
                if found is Drift.INFLATE and w >= MILD and verdict is Drift.NONE and not self._quiet:
                    verdict, span = found, w
            w *= 2
        if verdict is Drift.INFLATE:
            self._quiet = LOOK_BACK * span
        if n % SLOW == 0 and verdict is Drift.NONE:
            return self._slow()
        return verdict, span

    def _judge(self, w: int, rise: Rise) -> Drift:
        """What a rise calls for, if it still does where everybody counts once."""
        bursts = self._bursts(w)
        verdict = rise.verdict(bursts)
        if verdict is Drift.NONE:
            return verdict
        n = len(self._errors)
        span, before = self._once(n - w, n), self._once(n - (1 + LOOK_BACK) * w, n - w)
        if span is None and before is None:
            return verdict
        span, before = span or self._each(n - w, n), before or self._each(n - (1 + LOOK_BACK) * w, n - w)
        error = (before.variance * (1.0 / span.n + 1.0 / before.n)) ** 0.5
        again = Rise(span.mean - before.mean, span.n, error, _least(before.variance)).verdict(bursts)
        return min(verdict, again, key=lambda each: each.value)

    def _once(self, first: int, last: int) -> Told | None:
        """What the outcomes tell where everybody counts once; None: each is somebody else's."""
        weights = weights_of(np.frombuffer(self._witnesses[first:last], np.uint64))
        return None if weights is None else Told.of(np.array(self._errors[first:last]), weights)

    def _each(self, first: int, last: int) -> Told:
        return Told.of(np.array(self._errors[first:last]), np.ones(last - first))

    def _slow(self) -> tuple[Drift, int]:
        """A world that turns slowly is never much worse than just before, and all the time than predicted."""
        sums, squares, n = self._sums, self._squares, len(self._errors)
        variance = squares[n] / n - (sums[n] / n) ** 2
        w = SLOW
        while SETTLED * w <= n:
            error = max((variance / w) ** 0.5, self._bursts(w // LOOK_BACK) / LOOK_BACK**0.5)
            if (sums[n] - sums[n - w]) / w > LEAN * variance**0.5 + 3.0 * error:
                once = self._once(n - w, n)
                if once is None:
                    return Drift.TURNED, w
                error *= (w / once.n) ** 0.5
                if once.mean > LEAN * variance**0.5 + 3.0 * error:
                    return Drift.TURNED, w
            w *= 2
        return NOTHING

    def _since(self, most: int) -> int:
        """For how many of the last ``most`` outcomes things have been different: the split that explains best."""
        window = np.array(self._errors[-(1 + LOOK_BACK) * most :])
        back = np.cumsum(window[::-1])
        k = np.arange(1, min(most, len(window) - 1) + 1)
        rise = back[k - 1] / k - (back[-1] - back[k - 1]) / (len(window) - k)
        return int(k[np.argmax(rise * np.sqrt(k * (len(window) - k)))])

    def _bursts(self, w: int) -> float:
        """Deviation of the mean over w outcomes as it was before: a visitor's outcomes come in bursts and agree."""
        n = len(self._errors)
        n_blocks = min(MAX_BLOCKS, n // w - 1)
        at = np.array(self._sums[n - (1 + n_blocks) * w : n - w + 1 : w])
        means = (at[1:] - at[:-1]) / w
        centred = means - np.add.reduce(means) / n_blocks
        return float(np.sqrt(centred @ centred / (n_blocks - 1)))

    def dump_witnesses(self) -> bytes:
        """Whose the outcomes are; nothing where all are believed."""
        return self._witnesses.tobytes() if any(self._witnesses) else b""

    def dump(self) -> bytes:
        """Everything but ``most`` and the witnesses."""
        return self._errors.tobytes() + array("d", [self._quiet]).tobytes()

    @classmethod
    def load(cls, state: bytes, most: int = MAX_KEPT, witnesses: bytes = b"") -> DriftDetector:
        """The inverse of ``dump`` and ``dump_witnesses``."""
        loaded, errors = cls(most), array("d", state)
        loaded._quiet = int(errors.pop())
        loaded._witnesses = array("Q", witnesses or bytes(8 * len(errors)))
        loaded._take(errors)
        return loaded


def bennett(rise: float, n: float, error: float) -> float:
    """−log of the chance, at most, that a mean of n numbers ≤ 1 lies so far above its expectation.

    Parameters
    ----------
    error
        Standard error of the mean.

    >>> round(bennett(0.5, 16, 0.0875), 1), round(bennett(0.1, 1600, 0.00875), 1)
    (8.2, 52.5)
    """
    variance = max(n * error * error, 1e-3)
    ratio = rise / variance
    return n * variance * ((1.0 + ratio) * log1p(ratio) - ratio)
