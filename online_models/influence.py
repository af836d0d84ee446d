"""How far one visitor, and one network, may move a model in a day.

A write key stands in a page: whoever reads it there can ask for decisions and reward them, a thousand times. What
one visitor and one network teach is therefore bounded by what all others taught; what is beyond it is counted and
left. Sums never overstate (``FrequentItems``), so nobody is left out for what others did. A server key is believed,
and so is who comes from no network of the internet.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from online_models.frequent_items import FrequentItems
from online_models.intake import Intake
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

VISITORS = 2_048
"""What is known of a visitor is short of the truth by a tenth of what a visitor may teach."""

NETWORKS, NETWORKS_OF_ARM = 65_536, 512
"""Networks remembered of all arms together, and of one at most. What is known of a network is short of the truth by
one part in so many of its arm as the arm has room for: by .2 % of it with up to 128 arms, by 1.5 % with a thousand.
Twice as many are held for a while, and as many again of those that brought something: 4 MB of a checkpoint."""

MAX_ARMS = 4_096
"""Arms with sums of their own; beyond, the lighter half begins anew."""


class ArmSums:
    """What an arm was taught of late, and by which networks today.

    Attributes
    ----------
    outcomes, brought
        Sums of weights, and of weight times amount.
    networks, earned
        The same of each network, today's alone.
    """

    __slots__ = ("brought", "earned", "networks", "outcomes")

    def __init__(self, outcomes: float = 0.0, brought: float = 0.0) -> None:
        self.outcomes, self.brought = outcomes, brought
        self.networks = FrequentItems(NETWORKS_OF_ARM)
        self.earned = FrequentItems(NETWORKS_OF_ARM)


_NOTHING = ArmSums()


class Influence:
    """Who taught a placement's model how much today, and what it was taught of late."""

    def __init__(self) -> None:
        self._day = 0
        self._of_placement = 0.0
        self._arms: dict[str, ArmSums] = {}
        self._visitors = FrequentItems(VISITORS)
        self.intake = Intake()
        """What became of the outcomes of today and the day before."""

    def is_beyond(self, outcome: Outcome) -> bool:
        """Whether the outcome comes from somebody who has taught as much as they may, whatever it brought.

        Were that looked at, successes would be left and failures learned, and arms would seem worse than they are.
        So a network may bring one reward more than its share.
        """
        self._turn_to(outcome.closed_at_ms // DAY_MS)
        if is_believed(outcome):
            return False
        weight = outcome.sample_weight
        # Above the log's capacity each outcome stands for as many, whoever it is of. What an outcome stands for of
        # its visitor's others, which made room, is that visitor's own doing.
        one = weight / max(1.0, outcome.training_weight)
        if outcome.unit:
            own = self._visitors.of(outcome.unit)
            if own + weight > max(LEAST_OF_VISITOR * one, OF_VISITOR * (self._of_placement - own)):
                return True
        arm = self._arms.get(outcome.choice.arm, _NOTHING)
        own, earned = arm.networks.of(outcome.origin), arm.earned.of(outcome.origin)
        if own + weight > max(LEAST_OF_NETWORK * one, OF_NETWORK * (arm.outcomes - own)):
            return True
        return earned + weight - one >= max(LEAST_REWARD * one, OF_NETWORK * (arm.brought - earned))

    def leave(self, outcome: Outcome) -> None:
        """The outcome was beyond, and was not learned."""
        self.intake.add(outcome, learned=False)

    def count(self, outcome: Outcome, amount: float) -> None:
        """The outcome was learned.

        Parameters
        ----------
        amount
            How far its reward is from none, whichever way, as a share of the farthest there may be: [0, 1].
        """
        self._turn_to(outcome.closed_at_ms // DAY_MS)
        weight = outcome.sample_weight
        self._of_placement += weight
        self.intake.add(outcome, learned=True)
        arm = self._arms.get(outcome.choice.arm)
        if arm is None:
            arm = self._add(outcome.choice.arm)
        arm.outcomes += weight
        arm.brought += weight * amount
        if is_believed(outcome):
            return
        if outcome.unit:
            self._visitors.add(outcome.unit, weight)
        arm.networks.size = arm.earned.size = min(NETWORKS_OF_ARM, NETWORKS // len(self._arms))
        arm.networks.add(outcome.origin, weight)
        if amount > 0.0:
            arm.earned.add(outcome.origin, weight * amount)

    def _add(self, name: str) -> ArmSums:
        if len(self._arms) >= MAX_ARMS:
            heaviest = sorted(self._arms, key=lambda each: self._arms[each].outcomes, reverse=True)
            self._arms = {each: self._arms[each] for each in heaviest[: MAX_ARMS // 2]}
        arm = self._arms[name] = ArmSums()
        return arm

    def forget(self, units: Collection[bytes]) -> None:
        """Know nothing of these persons any more; what was learned of all stays counted."""
        self._visitors.drop(units)

    def _turn_to(self, day: int) -> None:
        """A day ends: networks have other names in the next, and what was learned before counts half."""
        if day <= self._day:
            return
        n_days = day - self._day
        fade = 0.5 ** min(n_days, 64)
        self._day = day
        self._of_placement *= fade
        faded = {name: ArmSums(arm.outcomes * fade, arm.brought * fade) for name, arm in self._arms.items()}
        self._arms = {name: arm for name, arm in faded.items() if arm.outcomes >= 1.0}
        self._visitors.clear()
        self.intake.turn(n_days)

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        return {
            "day": self._day,
            "of_placement": self._of_placement,
            "arms": {
                name: [arm.outcomes, arm.brought, arm.networks.dump(), arm.earned.dump()]
                for name, arm in self._arms.items()
            },
            "visitors": self._visitors.dump(),
            "intake": self.intake.dump(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Influence:
        """The inverse of ``dump``."""
        loaded = cls()
        loaded._day, loaded._of_placement = state["day"], state["of_placement"]
        loaded._visitors = FrequentItems.load(VISITORS, state["visitors"])
        if "arms" not in state:  # of before: which network taught which arm today cannot be told
            loaded._arms = {name: ArmSums(*sums) for name, sums in state["of_arms"].items()}
            return loaded
        for name, (outcomes, brought, networks, earned) in state["arms"].items():
            arm = loaded._arms[name] = ArmSums(outcomes, brought)
            arm.networks = FrequentItems.load(NETWORKS_OF_ARM, networks)
            arm.earned = FrequentItems.load(NETWORKS_OF_ARM, earned)
        loaded.intake = Intake.load(state["intake"])
        return loaded


def is_believed(outcome: Outcome) -> bool:
    """Whether it counts whoever it is of: by a server, from no network of the internet, or as the catalog says."""
    return outcome.free or outcome.by == "server" or not outcome.origin


def witness_of(outcome: Outcome) -> int:
    """Whose word it is, where each counts once: visitor and network, four bytes each; 0: it is believed."""
    if is_believed(outcome):
        return 0
    return int.from_bytes(outcome.unit[:4] + outcome.origin[:4])
