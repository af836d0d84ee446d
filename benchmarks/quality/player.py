"""What a contender is: it chooses with a probability, and learns what its choice brought. And the loop it plays."""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

import numpy as np

from benchmarks.quality.data_sets import DataSet
from operations.simulation.play import Run
from operations.simulation.table import Table
from personalization.features import Features


class Player(Protocol):
    """A contender in one order of one data set. Rewards are scaled to [0, 1], contexts raw."""

    def choose(self, context: Features) -> tuple[int, float]:
        """Index of an arm, drawn by the contender's own policy, and the probability it had."""
        ...

    def learn(self, context: Features, arm: int, probability: float, reward: float) -> None:
        """The chosen arm's reward, and no other's."""
        ...


def play_contender(table: Table, data_set: DataSet, player: Player, order: np.ndarray) -> Run:
    """Play the rows in ``order`` as ``operations.simulation.play`` plays ours: same delay, same rejection."""
    low, high = data_set.reward_range
    rewards = np.full(len(order), np.nan)
    run = Run(rewards, 0.0, 0.0, 0, order)
    waiting: deque[tuple[Features, int, float, float]] = deque()
    clock = time.process_time
    for step, row in enumerate(order.tolist()):
        context = table.contexts[row]
        start = clock()
        chosen, probability = player.choose(context)
        run.decide_s += clock() - start
        reward = float(table.rewards[row, chosen])
        if reward == reward:
            rewards[step] = reward
            waiting.append((context, chosen, probability, (reward - low) / (high - low)))
        if len(waiting) > data_set.delay:
            start = clock()
            player.learn(*waiting.popleft())
            run.update_s += clock() - start
            run.n_updates += 1
    return run
