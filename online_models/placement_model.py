"""What the learner keeps for one placement: the model, what its arms brought, the outcomes it knows."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Collection
from typing import Any

import msgspec

from online_models.concentration import Concentration
from online_models.imitation import Imitation
from online_models.influence import Influence, witness_of
from online_models.registry import make_model
from online_models.reward_model import ARM, ARM_FEATURES
from online_models.river_model import RiverModel
from online_models.snapshot import ModelSnapshot, pack_version
from personalization.bounded import short_hash
from personalization.catalog.policy_spec import ModelSpec
from personalization.evaluation.intervals import wilson
from personalization.events.decision_id import trial_of
from personalization.events.outcome import Outcome
from personalization.features import MAX_CATEGORY_CHARS, MAX_FEATURES, MAX_MAGNITUDE, Features, clean, storable

RECENT_IDS = 32_768
"""Outcomes remembered by id, 8 bytes each: a redelivered batch, or one emitted twice, lies well within."""

MAX_ARM_STATISTICS = 4_096
"""Arms with books of their own, four times what a model knows; the one that was shown longest ago makes room."""

IDLE_MS = 30 * 24 * 3_600_000
"""An arm that had no outcome for so long makes room for the next new one: an article of last month is history."""

MAX_SAMPLE_WEIGHT = 1e6
"""Shares of outcomes kept are 1/64 and more; a weight far beyond that is somebody's bug."""


class ArmStatistics(msgspec.Struct):
    """What one arm has brought, learned outcomes and control ones apart.

    Attributes
    ----------
    exposures, reward_sum
        Of all outcomes that those learned stand for: sums of their weights, and of weight times reward.
    squared_weights
        Sum of their squares: how much of that was really seen.
    control_exposures, control_reward_sum
        The same of the holdout's control group.
    last_closed_ms, first_closed_ms
        Of its outcomes; 0: it had none, or a release before did not keep the first.
    """

    exposures: float = 0.0
    reward_sum: float = 0.0
    squared_weights: float = 0.0
    control_exposures: float = 0.0
    control_reward_sum: float = 0.0
    last_closed_ms: int = 0
    first_closed_ms: int = 0

    @property
    def n_effective(self) -> float:
        """Outcomes of equal weight that would tell as much (Kish, 1965); at most as many as were learned.

        >>> ArmStatistics(exposures=40.0, squared_weights=160.0).n_effective
        10.0
        """
        return self.exposures * self.exposures / self.squared_weights if self.squared_weights else 0.0


class ArmReport(msgspec.Struct, frozen=True):
    """One arm for people, in reward units.

    Attributes
    ----------
    exposures, rewards
        Of all outcomes, those above a learner's capacity included, of which the learned ones are a sample.
    mean, low, high
        Mean reward and its 95 % interval: as wide as what was really learned leaves it if each outcome is another
        person's; too narrow where the same people bring many.
    """

    arm: str
    exposures: int
    rewards: float
    mean: float
    low: float
    high: float


class PlacementModel:
    """A placement's reward model and its books.

    Parameters
    ----------
    placement
        Its name.
    model
        Name or spec of the reward model.
    reward_range
        (low, high): rewards are clipped to it and scaled to [0, 1] for the model.

    Examples
    --------
    >>> from personalization.events.outcome import ClosingReason, Outcome
    >>> from personalization.visitor.choice import Choice
    >>> learner = PlacementModel("home.hero")
    >>> chosen = Choice("d1", "home.hero", 0, "shoes", 2**31)
    >>> o = Outcome(chosen, 1.0, ClosingReason.WINDOW, 0, 1)
    >>> learner.learn(o), learner.learn(o)
    (True, False)
    >>> learner.snapshot(generation=3).version == pack_version(3, 1)
    True
    """

    def __init__(
        self,
        placement: str,
        model: ModelSpec | str = "default",
        reward_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        low, high = reward_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ValueError(f"reward_range {reward_range} is no interval")
        self.placement = placement
        self.spec = ModelSpec(model) if isinstance(model, str) else model
        self.reward_range = (float(low), float(high))
        self._no_reward = min(high, max(low, 0.0))
        self._farthest = max(high - self._no_reward, self._no_reward - low)
        """Where 0 is no reward, the least there is stands for none; amounts are shares of the farthest from it."""
        self.model = make_model(self.spec)
        self.arms: dict[str, ArmStatistics] = {}
        self.forgotten_arms = 0
        """Arms whose books made room for others."""
        self.counts: Counter[str] = Counter()
        """Outcomes by what became of them: learned, duplicate, untrained, invalid, bounded. And
        forgotten: times that somebody was erased."""
        self.influence = Influence()
        self.concentration = Concentration()
        self.imitation = Imitation()
        """Of an apprentice: how often its policy agrees with the baseline."""
        self._recent: OrderedDict[bytes, None] = OrderedDict()

    @property
    def n_learned(self) -> int:
        """Records that changed what is served: outcomes learned, and erasures."""
        return self.counts["learned"] + self.counts["forgotten"]

    @property
    def adaptations(self) -> dict[str, int]:
        """What the model did about itself, counted: rebuilds, failed_rebuilds, drift_inflations, drift_resets,
        drift_arm_resets, rollbacks, dimensions_given_back; and forgotten_arms."""
        model = self.model
        if isinstance(model, RiverModel):
            return {"forgotten_arms": self.forgotten_arms, "rollbacks": model.n_rollbacks}
        return {
            "forgotten_arms": self.forgotten_arms,
            "rebuilds": model.rebuilds,
            "failed_rebuilds": model.failed_rebuilds,
            "drift_inflations": model.drift_inflations,
            "drift_resets": model.drift_resets,
            "drift_arm_resets": model.drift_arm_resets,
            "rollbacks": model.rollbacks,
            "dimensions_given_back": model.given_back,
        }

    @property
    def drift_resets(self) -> int:
        """Times the model has let go of what it knew, of one arm or of all."""
        model = self.model
        return 0 if isinstance(model, RiverModel) else model.drift_resets + model.drift_arm_resets

    @property
    def let_go(self) -> str | None:
        """The arm of the last time; None: all of them."""
        model = self.model
        return None if isinstance(model, RiverModel) else model.let_go

    def learn(self, outcome: Outcome) -> bool:
        """Update the model with one outcome; False if it is not for training, known already, or broken.

        A model that raises has learned nothing, and neither have the books: the outcome can be learned again later.
        The books count by ``sample_weight``, models by ``training_weight`` (``docs/decisions/0022``).
        """
        key = short_hash(trial_of(outcome.choice.decision_id))
        if key in self._recent:
            self.counts["duplicate"] += 1
            return False
        reward, weight, arm = outcome.reward, outcome.sample_weight, outcome.choice.arm
        usable = arm in self.arms or (bool(arm) and storable(arm))
        if not (usable and math.isfinite(reward) and 0.0 < weight <= MAX_SAMPLE_WEIGHT):
            self._remember(key)
            self.counts["invalid"] += 1
            return False
        low, high = self.reward_range
        reward = min(high, max(low, reward))
        scaled = (reward - low) / (high - low)
        amount = abs(reward - self._no_reward) / self._farthest
        if outcome.trains and self.influence.is_beyond(outcome):
            self._remember(key)
            self.influence.leave(outcome)
            self.counts["bounded"] += 1
            return False
        if outcome.trains:
            x = _usable(outcome.features)
            x[ARM] = arm
            if outcome.arm_features:
                x[ARM_FEATURES] = outcome.arm_features
            if arm not in self.arms:
                self._let_idle_go(outcome.closed_at_ms)
            # May raise: nothing has changed so far.
            if isinstance(self.model, RiverModel):
                self.model.learn_one(x, scaled, outcome.training_weight, outcome.unit)
            else:
                self.model.learn_one(x, scaled, outcome.training_weight, outcome.unit, witness_of(outcome))
        self._remember(key)
        statistics = self._statistics(arm)
        if not statistics.last_closed_ms:
            statistics.first_closed_ms = outcome.closed_at_ms
        statistics.last_closed_ms = max(statistics.last_closed_ms, outcome.closed_at_ms)
        if outcome.choice.holdout and outcome.exposed_at_ms is not None:
            statistics.control_exposures += weight
            statistics.control_reward_sum += weight * reward
        if not outcome.trains:
            self.counts["untrained"] += 1
            return False
        statistics.exposures += weight
        statistics.reward_sum += weight * reward
        statistics.squared_weights += weight * weight
        self.influence.count(outcome, amount)
        self.concentration.add(outcome, amount)
        if outcome.choice.policy_arm:
            self.imitation.count(shown=arm, policy_arm=outcome.choice.policy_arm)
        self.counts["learned"] += 1
        return True

    def forget(self, units: Collection[bytes]) -> bool:
        """Persons with these units are erased; False where nothing was learned yet.

        Sums of rewards by arm stay: they are of many.
        """
        if not self.n_learned:
            return False
        self.model.forget(units)
        self.influence.forget(units)
        self.concentration.forget(units)
        self.counts["forgotten"] += 1
        return True

    def _let_idle_go(self, now_ms: int) -> None:
        """An arm is new: one that had no outcome for ``IDLE_MS`` makes room for it, the one idle longest."""
        if not self.arms or isinstance(self.model, RiverModel):
            return
        idle = min(self.arms, key=lambda each: self.arms[each].last_closed_ms)
        if self.arms[idle].last_closed_ms < now_ms - IDLE_MS:
            self.model.make_room(idle)
            del self.arms[idle]
            self.forgotten_arms += 1

    def _remember(self, key: bytes) -> None:
        self._recent[key] = None
        if len(self._recent) > RECENT_IDS:
            self._recent.popitem(last=False)

    def _statistics(self, arm: str) -> ArmStatistics:
        statistics = self.arms.get(arm)
        if statistics is None:
            if len(self.arms) >= MAX_ARM_STATISTICS:
                del self.arms[min(self.arms, key=lambda each: self.arms[each].last_closed_ms)]
                self.forgotten_arms += 1
            statistics = self.arms[arm] = ArmStatistics()
        return statistics

    def snapshot(self, generation: int = 0) -> ModelSnapshot:
        """The model as it stands, for deciders; its version is (generation, outcomes learned)."""
        model = self.model
        scorer = model.frozen() if isinstance(model, RiverModel) else model.scorer()
        return ModelSnapshot(self.spec.name, pack_version(generation, self.n_learned), self.reward_range, scorer)

    def report(self) -> list[ArmReport]:
        """Every arm with its mean and Wilson interval, in reward units, most exposed first."""
        low, high = self.reward_range
        rows = []
        for arm, statistics in self.arms.items():
            n = statistics.exposures
            mean = statistics.reward_sum / n if n else low
            bounds = wilson((mean - low) / (high - low), statistics.n_effective)
            interval = [low + bound * (high - low) for bound in bounds]
            rows.append(ArmReport(arm, round(n), statistics.reward_sum, mean, *interval))
        return sorted(rows, key=lambda row: (-row.exposures, row.arm))

    # Checkpoints

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values and bytes."""
        model = self.model
        return {
            "placement": self.placement,
            "spec": msgspec.to_builtins(self.spec),
            "reward_range": list(self.reward_range),
            "model": model.dump(),
            "arms": {arm: msgspec.to_builtins(statistics) for arm, statistics in self.arms.items()},
            "forgotten_arms": self.forgotten_arms,
            "counts": dict(self.counts),
            "recent": b"".join(self._recent),
            "influence": self.influence.dump(),
            "concentration": self.concentration.dump(),
            "imitation": msgspec.to_builtins(self.imitation),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> PlacementModel:
        """The inverse of ``dump``. Unpickles River estimators: authenticate first."""
        low, high = state["reward_range"]
        loaded = cls(state["placement"], msgspec.convert(state["spec"], ModelSpec), (low, high))
        loaded.model = type(loaded.model).load(state["model"])
        loaded.arms = {arm: msgspec.convert(each, ArmStatistics) for arm, each in state["arms"].items()}
        loaded.forgotten_arms = state["forgotten_arms"]
        loaded.counts = Counter(state["counts"])
        if "influence" in state:  # checkpoints of before have none
            loaded.influence = Influence.load(state["influence"])
        if "concentration" in state:
            loaded.concentration = Concentration.load(state["concentration"])
        if "imitation" in state:
            loaded.imitation = msgspec.convert(state["imitation"], Imitation)
        recent = state["recent"]
        loaded._recent = OrderedDict((recent[at : at + 8], None) for at in range(0, len(recent), 8))
        return loaded

    def schema(self) -> str:
        """What a checkpoint must agree with to be loaded: model, its parameters, reward scale."""
        return repr((self.placement, self.spec, self.reward_range))

    @property
    def holds_river(self) -> bool:
        """Whether there are River objects in it, which another version of River may not be able to load."""
        return isinstance(self.model, RiverModel)


def _usable(features: Features) -> dict[str, Any]:
    """A copy without what no model can use."""
    plain: dict[str, Any] = {
        name: value
        for name, value in features.items()
        if (type(value) is float and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE)
        or (type(value) is str and 0 < len(value) <= MAX_CATEGORY_CHARS)
    }
    if len(plain) == len(features) <= MAX_FEATURES and ARM not in plain and ARM_FEATURES not in plain:
        return plain  # most are: no call for each of them
    usable: dict[str, Any] = {}
    for name, value in features.items():
        cleaned = clean(value)
        if cleaned is not None and name not in (ARM, ARM_FEATURES):
            usable[name] = cleaned
        if len(usable) >= MAX_FEATURES:
            break
    return usable
