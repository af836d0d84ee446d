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
"""Of what was learned of a placement of late (a day before counts half), what one visitor may teach in a day."""

OF_NETWORK = 0.02
"""Of an arm's outcomes of late, and of what they brought, what may come from one network (/24, /48) in a day."""

LEAST_OF_VISITOR = 5.0
LEAST_OF_NETWORK = 5.0
"""Outcomes that always count: of a new arm nothing is known, and somebody has to be the first."""

LEAST_REWARD = 1.0
"""What a network may always bring an arm, as a share of the largest reward there is. Three clicks on an offer that
had three double what it seems to bring: many are shown it the next moment."""

SIZE = 512
SIZE_OF_REWARDS = 4_096
"""Rewards are few and move much: of a hundred thousand outcomes a day, of which one in twenty brings one, what is
known of a network and an arm is short of the truth by little more than one reward."""


class Influence:
    """Who taught a placement's model how much today, and what it was taught of late."""

    def __init__(self) -> None:
        self._day = 0
        self._of_placement = 0.0
        self._of_arms: dict[str, list[float]] = {}
        self._visitors = FrequentItems(SIZE)
        self._networks = FrequentItems(SIZE)
        self._earned = FrequentItems(SIZE_OF_REWARDS)

    def is_beyond(self, outcome: Outcome, reward: float) -> bool:
        """Whether the outcome comes from somebody who has taught as much as they may; ``reward`` in [0, 1]."""
        self._turn_to(outcome.closed_at_ms // DAY_MS)
        network = _network(outcome)
        if network is None:
            return False
        weight = outcome.sample_weight
        # Above the log's capacity each outcome stands for as many, whoever it is of. What an outcome stands for of
        # its visitor's others, which made room, is that visitor's own doing.
        one = weight / max(1.0, outcome.training_weight)
        if outcome.unit:
            own = self._visitors.of(outcome.unit)
            if own + weight > max(LEAST_OF_VISITOR * one, OF_VISITOR * (self._of_placement - own)):
                return True
        own, earned = self._networks.of(network), self._earned.of(network)
        of_arm, brought = self._of_arms.get(outcome.choice.arm, (0.0, 0.0))
        if own + weight > max(LEAST_OF_NETWORK * one, OF_NETWORK * (of_arm - own)):
            return True
        return earned + weight * reward > max(LEAST_REWARD * one, OF_NETWORK * (brought - earned))

    def count(self, outcome: Outcome, reward: float) -> None:
        """The outcome was learned."""
        self._turn_to(outcome.closed_at_ms // DAY_MS)
        weight = outcome.sample_weight
        self._of_placement += weight
        of_arm = self._of_arms.setdefault(outcome.choice.arm, [0.0, 0.0])
        of_arm[0] += weight
        of_arm[1] += weight * reward
        network = _network(outcome)
        if network is not None:
            if outcome.unit:
                self._visitors.add(outcome.unit, weight)
            self._networks.add(network, weight)
            if reward > 0.0:
                self._earned.add(network, weight * reward)

    def _turn_to(self, day: int) -> None:
        """A day ends: networks have other names in the next, and what was learned before counts half."""
        if day <= self._day:
            return
        fade = 0.5 ** min(day - self._day, 64)
        self._day = day
        self._of_placement *= fade
        faded = {arm: [each * fade for each in sums] for arm, sums in self._of_arms.items()}
        self._of_arms = {arm: sums for arm, sums in faded.items() if sums[0] >= 1.0}
        for each in (self._visitors, self._networks, self._earned):
            each.clear()

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        return {
            "day": self._day,
            "of_placement": self._of_placement,
            "of_arms": {arm: list(sums) for arm, sums in self._of_arms.items()},
            "visitors": self._visitors.dump(),
            "networks": self._networks.dump(),
            "earned": self._earned.dump(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Influence:
        """The inverse of ``dump``."""
        loaded = cls()
        loaded._day, loaded._of_placement = state["day"], state["of_placement"]
        loaded._of_arms = {arm: list(sums) for arm, sums in state["of_arms"].items()}
        loaded._visitors = FrequentItems.load(SIZE, state["visitors"])
        loaded._networks = FrequentItems.load(SIZE, state["networks"])
        loaded._earned = FrequentItems.load(SIZE_OF_REWARDS, state["earned"])
        return loaded


def _network(outcome: Outcome) -> bytes | None:
    """The arm and the network that taught it; None if it is not known, or a server's own."""
    if not outcome.origin or outcome.by == "server":
        return None
    return short_hash(f"{outcome.origin.hex()}{outcome.choice.arm}")
