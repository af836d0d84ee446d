"""Labels that arrive late: an example is a visitor's session start, and its label is known when the horizon closes.

Two ways to train. ``mature`` (default) learns either label when the horizon closes: exact, a horizon late.
``early`` learns every example as a negative at once and again as a positive when it converts, with the importance
weights that undo the fake negatives (Ktena et al., 2019): fresher, but biased while traffic grows, since
the positives of today's traffic are still to come. Therefore, either way, what is *served* is corrected and
judged on matured cohorts only.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from online_models.conversion.metrics import Calibration, calibration
from online_models.conversion.stack import sigmoid
from personalization.errors import InvalidInput

MAX_OPEN = 200_000
MAX_MATURED = 5_000
"""Newest matured predictions the calibration is reported on."""

PLATT_PRIOR = 30.0
FORGETTING = 0.9998
"""Of the correction, per matured example: it follows within some 5,000."""


class Classifier(Protocol):
    """What learns: ours, or any River classifier behind ``RiverClassifier``."""

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0) -> None:
        """Learn one label with importance ``w``."""

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[bool, float]:
        """Probability of either label."""


class Correction:
    """Log-odds → a·log-odds + b, learned online on matured labels (Platt, 1999), from a = 1, b = 0.

    A Kalman step per label, with forgetting: a level that moves is followed.
    """

    def __init__(self) -> None:
        self.scale, self.shift = 1.0, 0.0
        self._p = [1.0 / PLATT_PRIOR, 0.0, 1.0]

    def apply(self, log_odds: float) -> float:
        """The corrected log-odds; the scale is never negative, so that the ranking stays."""
        return max(0.05, self.scale) * log_odds + self.shift

    def learn(self, log_odds: float, label: float) -> None:
        """One matured label, and the uncorrected prediction for it."""
        s = min(8.0, max(-8.0, log_odds))
        p = sigmoid(self.scale * s + self.shift)
        aa, ab, bb = (value / FORGETTING for value in self._p)
        aa, bb = min(aa, 1.0 / PLATT_PRIOR), min(bb, 1.0)
        ab = max(-0.99, min(0.99, ab / math.sqrt(aa * bb))) * math.sqrt(aa * bb)
        gain_a, gain_b = aa * s + ab, ab * s + bb
        curvature = max(1e-3, p * (1.0 - p))
        scale = 1.0 + curvature * (s * gain_a + gain_b)
        self.scale += gain_a * (label - p) / scale
        self.shift += gain_b * (label - p) / scale
        shrink = curvature / scale
        self._p = [aa - shrink * gain_a * gain_a, ab - shrink * gain_a * gain_b, bb - shrink * gain_b * gain_b]


class _Open(NamedTuple):
    closes_ms: int
    key: str
    x: Mapping[Any, Any]
    served: float


class LabelWindow:
    """Open examples of one conversion model, and the training they cause. Pure: time is an argument.

    Parameters
    ----------
    model
        Learns, and is asked for the prediction that is served.
    horizon_ms
        A conversion counts when it comes at most this long after the session's start.
    labels
        ``mature`` or ``early``, see the module.
    max_open
        Bound on open examples. Beyond it the oldest are closed without training, and counted in ``n_evicted``:
        a share of the newest would be silently unlabelled otherwise.

    Examples
    --------
    >>> from online_models.conversion.model import ConversionModel
    >>> window = LabelWindow(ConversionModel(), horizon_ms=1000)
    >>> window.start("v1/s1", {"pages": 3.0}, now_ms=0), window.start("v1/s1", {"pages": 9.0}, now_ms=10)
    (0.5, None)
    >>> window.convert("v1/s1", now_ms=400), window.convert("v2/s7", now_ms=400)
    (True, False)
    >>> window.advance(now_ms=1001), window.n_matured
    (1, 1)
    """

    def __init__(
        self,
        model: Classifier,
        horizon_ms: int,
        labels: Literal["mature", "early"] = "mature",
        max_open: int = MAX_OPEN,
    ) -> None:
        if horizon_ms <= 0:
            raise InvalidInput("horizon_ms", "must be positive")
        self.model, self.horizon_ms, self.labels, self.max_open = model, horizon_ms, labels, max_open
        self.correction = Correction()
        self.n_matured = self.n_evicted = self.n_late = 0
        self._open: dict[str, _Open] = {}
        self._converted: set[str] = set()
        self._due: list[tuple[int, str]] = []
        self._matured: deque[tuple[float, float]] = deque(maxlen=MAX_MATURED)

    def predict(self, x: Mapping[Any, Any]) -> float:
        """The probability to serve."""
        return sigmoid(self.correction.apply(self._raw(x)))

    def start(self, session: str, x: Mapping[Any, Any], now_ms: int) -> float | None:
        """A session starts: serve its probability and open its example; None where it is open already.

        Parameters
        ----------
        session
            Visitor and session, together one example.
        x
            What is known of the visitor at this moment; later knowledge must not reach it.
        """
        self.advance(now_ms)
        if session in self._open:
            return None
        raw = self._raw(x)
        served = sigmoid(self.correction.apply(raw))
        closes_ms = now_ms + self.horizon_ms
        self._open[session] = _Open(closes_ms, session, dict(x), served)
        heapq.heappush(self._due, (closes_ms, session))
        while len(self._open) > self.max_open:
            self._evict()
        if self.labels == "early":
            # Weight 1 − p of the negative: the p that will convert are not negatives.
            p = sigmoid(raw)
            self.model.learn_one(x, False, max(1e-3, (1.0 - p) * (1.0 + p)))
        return served

    def convert(self, session: str, now_ms: int) -> bool:
        """The session's visitor bought; whether an open example took it (once, and within the horizon)."""
        self.advance(now_ms)
        example = self._open.get(session)
        if example is None:
            self.n_late += 1
            return False
        if session in self._converted:
            return False
        self._converted.add(session)
        if self.labels == "early":
            self.model.learn_one(example.x, True, 1.0 + sigmoid(self._raw(example.x)))
        return True

    def advance(self, now_ms: int) -> int:
        """Close every horizon that ended before ``now_ms``; how many did. Costs nothing where none did."""
        n = 0
        while self._due and self._due[0][0] < now_ms:
            _, session = heapq.heappop(self._due)
            example = self._open.pop(session, None)
            if example is None:
                continue
            label = float(session in self._converted)
            self._converted.discard(session)
            self._mature(example, label)
            n += 1
        return n

    def calibration(self) -> Calibration:
        """Of what was served, on matured examples only, with the floor that sampling alone would show."""
        if not self._matured:
            return Calibration(math.nan, math.nan)
        p, y = np.array(self._matured).T
        return calibration(y, p)

    def _mature(self, example: _Open, label: float) -> None:
        self.n_matured += 1
        self._matured.append((example.served, label))
        # Today's model on yesterday's visitor: the correction is for the model that serves next, and what it said a
        # horizon ago, perhaps untrained, would be corrected twice.
        self.correction.learn(self._raw(example.x), label)
        if self.labels == "mature":
            self.model.learn_one(example.x, bool(label))

    def _evict(self) -> None:
        _, session = heapq.heappop(self._due)
        if self._open.pop(session, None) is not None:
            self._converted.discard(session)
            self.n_evicted += 1

    def _raw(self, x: Mapping[Any, Any]) -> float:
        p = min(1.0 - 1e-9, max(1e-9, self.model.predict_proba_one(x)[True]))
        return math.log(p / (1.0 - p))
