"""What is served is corrected by what matured examples said: models learn late, their level must not lag."""

from __future__ import annotations

import math
from typing import Any

from online_models.conversion.stack import sigmoid

PLATT_PRIOR = 30.0
FORGETTING = 0.9998
"""Of the correction, per matured example: it follows within some 5,000."""

MIN_SCALE = 0.05


class Correction:
    """Log-odds → a·log-odds + b, learned online on matured labels (Platt, 1999), from a = 1, b = 0.

    A Kalman step per label, with forgetting: a level that moves is followed.
    """

    def __init__(self) -> None:
        self.scale, self.shift = 1.0, 0.0
        self._p = [1.0 / PLATT_PRIOR, 0.0, 1.0]

    @property
    def slope(self) -> float:
        """a, never negative, so that the ranking stays."""
        return max(MIN_SCALE, self.scale)

    def apply(self, log_odds: float) -> float:
        """The corrected log-odds."""
        return self.slope * log_odds + self.shift

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

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {"scale": self.scale, "shift": self.shift, "p": list(self._p)}

    @classmethod
    def load(cls, state: dict[str, Any]) -> Correction:
        """The inverse of ``dump``."""
        correction = cls()
        correction.scale, correction.shift, correction._p = state["scale"], state["shift"], list(state["p"])
        return correction
