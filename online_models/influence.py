"""How far one visitor, and one network, may move a model in a day.

A write key stands in a page: whoever reads it there can ask for decisions and reward them, a thousand times. What
one visitor and one network teach is therefore bounded by what all others taught; what is beyond it is counted and
left. Sums never overstate (``FrequentItems``), so nobody is left out for what others did. A server key is believed,
and so is who comes from no network of the internet.
"""

from __future__ import annotations

from typing import Any

from online_models.frequent_items import FrequentItems
from personalization.bounded import short_hash
from personalization.catalog.duration import DAY_MS
from personalization.events.outcome import Outcome

OF_VISITOR = 0.005
"""Of what was learned of a placement in a day, what one visitor may have taught."""

OF_NETWORK = 0.02
"""Of the outcomes of an arm, and of what they brought, what may come from one network (/24, /48) in a day."""

LEAST_OF_VISITOR = 5.0
LEAST_OF_NETWORK = 5.0
"""Outcomes that always count: of a new arm nothing is known, and somebody has to be the first."""

LEAST_REWARD = 1.0
"""What a network may always bring an arm, as a share of the largest reward there is. Three clicks on an offer that
had three double what it seems to bring: many are shown it the next moment."""

SIZE = 512


class Influence:
    """Who taught a placement's model how much today."""

    def __init__(self) -> None:
        self._day = 0
        self._today = 0.0
        self._visitors = FrequentItems(SIZE)
        self._networks = FrequentItems(SIZE)
        self._earned = FrequentItems(SIZE)

    def is_beyond(self, outcome: Outcome, reward: float, of_arm: float, brought: float) -> bool:
        """Whether the outcome comes from somebody who has taught as much as they may.

        Parameters
        ----------
        reward
            Of the outcome, in [0, 1].
        of_arm, brought
            The weight of all outcomes that were learned of the arm, and the sum of their rewards in [0, 1].
        """
        network = _network(outcome)
        if network is None or outcome.closed_at_ms // DAY_MS > self._day:
            return False
        weight = outcome.sample_weight
        if outcome.unit:
            own = self._visitors.of(outcome.unit)
            if own + weight > max(LEAST_OF_VISITOR * weight, OF_VISITOR * (self._today - own)):
                return True
        own, earned = self._networks.of(network), self._earned.of(network)
        return own + weight > max(LEAST_OF_NETWORK * weight, OF_NETWORK * (of_arm - own)) or (
            earned > 0.0 and earned + weight * reward > max(LEAST_REWARD * weight, OF_NETWORK * (brought - earned))
        )

    def count(self, outcome: Outcome, reward: float) -> None:
        """The outcome was learned."""
        day = outcome.closed_at_ms // DAY_MS
        if day > self._day:
            self._day, self._today = day, 0.0
            for each in (self._visitors, self._networks, self._earned):
                each.clear()
        weight = outcome.sample_weight
        self._today += weight
        network = _network(outcome)
        if network is not None:
            if outcome.unit:
                self._visitors.add(outcome.unit, weight)
            self._networks.add(network, weight)
            if reward > 0.0:
                self._earned.add(network, weight * reward)

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        return {
            "day": self._day,
            "today": self._today,
            "visitors": self._visitors.dump(),
            "networks": self._networks.dump(),
            "earned": self._earned.dump(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Influence:
        """The inverse of ``dump``."""
        loaded = cls()
        loaded._day, loaded._today = state["day"], state["today"]
        loaded._visitors = FrequentItems.load(SIZE, state["visitors"])
        loaded._networks = FrequentItems.load(SIZE, state["networks"])
        loaded._earned = FrequentItems.load(SIZE, state["earned"])
        return loaded


def _network(outcome: Outcome) -> bytes | None:
    """The arm and the network that taught it; None if it is not known, or a server's own."""
    if not outcome.origin or outcome.by == "server":
        return None
    return short_hash(f"{outcome.origin.hex()}{outcome.choice.arm}")
