"""River's own policies, and its linear models under the plainest exploration."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import river
from river import bandit, compose, forest, linear_model, optim, preprocessing

from operations.simulation.table import Table
from personalization.features import Features

VERSION: str = river.__version__


def encoder() -> Any:
    """Numbers standardised online, categories one-hot."""
    numbers = compose.SelectType(float) | preprocessing.StandardScaler()
    return numbers + (compose.SelectType(str) | preprocessing.OneHotEncoder())


class _Encoded:
    """Contexts encoded once: what was chosen by is what is learned."""

    def __init__(self) -> None:
        self._encoder = encoder()
        self._pending: dict[int, dict[str, float]] = {}

    def see(self, context: Features) -> dict[str, float]:
        self._encoder.learn_one(dict(context))
        x = {**self._encoder.transform_one(dict(context)), "constant": 1.0}
        self._pending[id(context)] = x
        return x

    def seen(self, context: Features) -> dict[str, float]:
        return self._pending.pop(id(context))


class LinUcbPlayer:
    """``river.bandit.LinUCBDisjoint``, with the arguments that it does take."""

    def __init__(self, table: Table, seed: int) -> None:
        self._policy = bandit.LinUCBDisjoint(seed=seed)
        self._arms: list[bandit.base.ArmID] = list(range(len(table.arms)))
        self._encoded = _Encoded()

    def choose(self, context: Features) -> tuple[int, float]:
        """It gives no probability."""
        return int(self._policy.pull(self._arms, context=self._encoded.see(context))), 1.0

    def learn(self, context: Features, arm: int, probability: float, reward: float) -> None:
        """Positional: ``reward=`` raises."""
        self._policy.update(arm, self._encoded.seen(context), reward)


class UcbPlayer:
    """``river.bandit.UCB``: without context, what knowing nobody is worth."""

    def __init__(self, table: Table, seed: int) -> None:
        self._policy = bandit.UCB(delta=1.0, seed=seed)
        self._arms: list[bandit.base.ArmID] = list(range(len(table.arms)))

    def choose(self, context: Features) -> tuple[int, float]:
        """It gives no probability."""
        return int(self._policy.pull(self._arms)), 1.0

    def learn(self, context: Features, arm: int, probability: float, reward: float) -> None:
        """The reward alone."""
        self._policy.update(arm, reward)


class GreedyPlayer:
    """ε-greedy (0.05) over a River linear model per arm: logistic where rewards are 0 or 1, else least squares."""

    EPSILON = 0.05

    def __init__(self, table: Table, seed: int) -> None:
        values = {value for value in table.rewards[:1000].ravel().tolist() if value == value}
        self._models: list[Any] = [_linear(values <= {0.0, 1.0}) for _ in table.arms]
        self._binary = values <= {0.0, 1.0}
        self._rng = random.Random(seed)
        self._encoded = _Encoded()

    def choose(self, context: Features) -> tuple[int, float]:
        """The best estimate, or any arm."""
        x, k = self._encoded.see(context), len(self._models)
        if self._rng.random() < self.EPSILON:
            return self._rng.randrange(k), self.EPSILON / k
        estimates = [self._estimate(model, x) for model in self._models]
        best = max(estimates)
        arm = self._rng.choice([index for index, estimate in enumerate(estimates) if estimate == best])
        return arm, 1 - self.EPSILON + self.EPSILON / k

    def learn(self, context: Features, arm: int, probability: float, reward: float) -> None:
        """The chosen arm's model alone."""
        self._models[arm].learn_one(self._encoded.seen(context), bool(reward) if self._binary else reward)

    def _estimate(self, model: Any, x: dict[str, float]) -> float:
        return float(model.predict_proba_one(x)[True] if self._binary else model.predict_one(x))


class _Forest:
    """``ARFClassifier``, which names no class before it has seen one."""

    def __init__(self) -> None:
        self._forest = forest.ARFClassifier(n_models=10, seed=1)

    def predict_proba_one(self, x: Features) -> dict[bool, float]:
        p = float(self._forest.predict_proba_one(dict(x)).get(True, 0.0))
        return {True: p, False: 1 - p}

    def learn_one(self, x: Features, y: bool) -> None:
        self._forest.learn_one(dict(x), y)


def _linear(binary: bool) -> Any:
    optimizer = optim.AdaGrad(0.1)
    if binary:
        return linear_model.LogisticRegression(optimizer=optimizer)
    return linear_model.LinearRegression(optimizer=optimizer)


PLAYERS: dict[str, Callable[[Table, int], Any]] = {
    "river linucb": LinUcbPlayer,
    "river ε-greedy linear": GreedyPlayer,
    "river ucb, no context": UcbPlayer,
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "river adagrad logistic": lambda: encoder() | linear_model.LogisticRegression(optimizer=optim.AdaGrad(0.1)),
    "river forest of 10": _Forest,
}
