"""One policy over one order of the rows: decide, draw, learn, as the live system does."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from online_models.placement_model import PlacementModel
from online_models.reward_model import FloatArray
from operations.simulation.table import Table
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.deciding.distribution import SCALE, ticket
from personalization.errors import InvalidInput
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

SEED = 20_260
PLACEMENT = "simulation"


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """How to play.

    Attributes
    ----------
    delay
        A reward arrives so many decisions later.
    update_every
        A snapshot reaches the decider after so many updates.
    """

    policy: PolicySpec
    model: ModelSpec = field(default_factory=ModelSpec)
    reward_range: tuple[float, float] = (0.0, 1.0)
    delay: int = 0
    update_every: int = 1


@dataclass(slots=True)
class Run:
    """What one order brought.

    Attributes
    ----------
    rewards
        Of the chosen arms, in order; for logged data NaN where the choice was not what had been shown.
    chosen
        Index of the arm, in order.
    probability_of_shown, estimate_of_shown, estimate_of_policy
        Logged data: π(shown), the model's estimate of it, and of the policy's own choice; per row.
    """

    rewards: FloatArray
    decide_s: float
    update_s: float
    n_updates: int
    order: np.ndarray
    chosen: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    probability_of_shown: FloatArray = field(default_factory=lambda: np.zeros(0))
    estimate_of_shown: FloatArray = field(default_factory=lambda: np.zeros(0))
    estimate_of_policy: FloatArray = field(default_factory=lambda: np.zeros(0))

    @property
    def accepted(self) -> FloatArray:
        """The rewards that count."""
        return self.rewards[~np.isnan(self.rewards)]


def order_of(n: int, index: int, orders: int, keep_halves: bool) -> np.ndarray:
    """The ``index``-th of ``orders`` orders of n rows: the file's own where there is one alone, else seeded.

    >>> order_of(4, 0, 1, False).tolist()
    [0, 1, 2, 3]
    """
    if orders == 1:
        return np.arange(n)
    rng = np.random.default_rng([SEED, index])
    if keep_halves:
        return np.concatenate([rng.permutation(n // 2), n // 2 + rng.permutation(n - n // 2)])
    return rng.permutation(n)


def play(
    table: Table,
    settings: PlaySettings,
    order: np.ndarray,
    seed: int,
    advance: Callable[[int], None] = lambda n: None,
    tickets: Sequence[int] | None = None,
) -> Run:
    """Play the rows in ``order``; the same seed makes the same draws.

    Parameters
    ----------
    advance
        Called now and then with the number of rows done since.
    tickets
        The draws, one a step, instead of the seed's own: with those of live decisions it plays what they played.
    """
    n = len(order)
    learner = PlacementModel(PLACEMENT, settings.model, settings.reward_range)
    snapshot = learner.snapshot()
    secret = f"simulate {seed}".encode()
    waiting: deque[Outcome] = deque()
    rewards = np.full(n, np.nan)
    logged = table.logged
    run = Run(rewards, 0.0, 0.0, 0, order, np.zeros(n, np.intp))
    if logged:
        run.probability_of_shown, run.estimate_of_shown, run.estimate_of_policy = np.zeros((3, n))
    clock = time.process_time
    low, high = settings.reward_range
    pending = 0
    for step, row in enumerate(order.tolist()):
        context = table.contexts[row]
        name = f"{seed}-{step}"
        start = clock()
        distribution = snapshot.distribution(table.arms, context, policy=settings.policy)
        chosen = distribution.draw(ticket(secret, name) if tickets is None else tickets[step])
        run.decide_s += clock() - start
        run.chosen[step] = chosen
        if logged:
            shown = int(table.shown[row])
            probabilities = np.array(distribution.weights) / SCALE
            means = np.array(distribution.means)
            run.probability_of_shown[step] = probabilities[shown]
            run.estimate_of_shown[step] = means[shown]
            run.estimate_of_policy[step] = probabilities @ means
        reward = float(table.rewards[row, chosen])
        if reward == reward:
            if not low <= reward <= high:
                raise InvalidInput("--reward-range", f"row {row} brings {reward:g}, outside {low:g}:{high:g}")
            rewards[step] = reward
            waiting.append(
                Outcome(
                    Choice(name, PLACEMENT, 0, table.arms[chosen], distribution.weights[chosen]),
                    reward,
                    ClosingReason.FINAL,
                    step,
                    step,
                    step,
                    features=context,
                )
            )
        if len(waiting) > settings.delay:
            outcome = waiting.popleft()
            start = clock()
            learner.learn(outcome)
            pending += 1
            if pending >= settings.update_every:
                snapshot = learner.snapshot()
                pending = 0
            run.update_s += clock() - start
            run.n_updates += 1
        if step % 200 == 199:
            advance(200)
    advance(n % 200)
    return run
