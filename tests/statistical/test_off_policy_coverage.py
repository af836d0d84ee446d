"""The 95 % intervals of off-policy estimates hold the truth, on logs of fixed and of learned probabilities.

A small version of ``benchmarks.coverage``, which prints the table; with ``-s`` this prints what it counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.coverage import WORLDS, World, judged
from personalization.evaluation.off_policy import Estimate, FloatArray, doubly_robust, ips, snips
from personalization.evaluation.off_policy_sample import Sample, stabilised

pytestmark = pytest.mark.slow

N_LOGS, N_FADING = 1_200, 200
N_LEARNED, N_DECISIONS = 10, 1_500
Z = 1.959964


def share_held(intervals: Iterator[tuple[float, float]], truth: float) -> float:
    return float(np.mean([abs(value - truth) <= Z * error for value, error in intervals]))


def logs_of_regulars() -> Iterator[tuple[FloatArray, FloatArray, FloatArray, FloatArray, Sample]]:
    """Reward, weight, and a model's estimates; 200 visitors come six times, each with a chance of their own."""
    rng = np.random.default_rng(2)
    logged, policy = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.3, 0.5])
    chances, model = np.array([0.2, 0.3, 0.4]), np.array([0.25, 0.3, 0.3])
    for _ in range(N_LOGS):
        unit = np.repeat(np.arange(200), 6)
        own = rng.choice([-0.18, 0.18], 200)[unit]
        shown = rng.choice(3, 1_200, p=logged)
        reward = (rng.random(1_200) < chances[shown] + own).astype(np.float64)
        yield (
            reward,
            (policy / logged)[shown],
            np.full(1_200, policy @ model),
            model[shown],
            Sample.of(np.ones(1_200), unit),
        )


def test_intervals_hold_the_truth_though_visitors_come_back() -> None:
    truth, logs = 0.2 * 0.2 + 0.3 * 0.3 + 0.5 * 0.4, list(logs_of_regulars())
    found = {
        "ips": share_held((ips(reward, weight, sample) for reward, weight, _, _, sample in logs), truth),
        "snips": share_held((snips(reward, weight, sample) for reward, weight, _, _, sample in logs), truth),
        "dr": share_held((doubly_robust(*log) for log in logs), truth),
    }
    alone = share_held((doubly_robust(*log[:4]) for log in logs), truth)
    print(f"{found} of {N_LOGS}; dr as if all were others: {alone:.1%}")
    for estimator, share in found.items():
        assert abs(share - 0.95) <= 0.02 + 2 * math.sqrt(0.05 * 0.95 / N_LOGS), estimator
    assert alone < found["dr"] - 0.01, "as if all were others' decisions, intervals are too narrow"


def test_weights_by_variance_find_what_a_fading_arm_brings() -> None:
    """An arm is shown ever more rarely, and its chances fall: the mean over time is found."""
    rng, n = np.random.default_rng(2), 4_000
    time = np.arange(n) / n
    shown_with, chance = 0.5 * 0.02**time, 0.5 - 0.2 * time
    plain: list[Estimate] = []
    even: list[Estimate] = []
    whole: list[Estimate] = []
    for _ in range(N_FADING):
        shown = rng.random(n) < shown_with
        reward = (shown & (rng.random(n) < chance)).astype(np.float64)
        weight = shown / shown_with
        sample = Sample.plain(n)
        model = np.full(n, 0.35)
        stretches, over_all = (stabilised(sample, 1.0 / shown_with, whole=each) for each in (False, True))
        for kept, weighed in ((plain, sample), (even, stretches), (whole, over_all)):
            kept.append(doubly_robust(reward, weight, model, model, weighed))
    held = {
        name: share_held(iter(kept), 0.4)
        for name, kept in (("plain", plain), ("stabilised", even), ("whole", whole))
    }
    errors = [float(np.mean([each.standard_error for each in kept])) for kept in (plain, even, whole)]
    print(f"{held}, standard errors {errors}")
    assert min(held["plain"], held["stabilised"]) >= 0.93 - 2 * math.sqrt(0.05 * 0.95 / N_FADING)
    assert errors[1] <= errors[0]
    assert errors[2] < 0.75 * errors[0]
    assert held["whole"] < 0.9, "where rewards change, weights over the whole log find another mean"


@pytest.mark.parametrize("world", [WORLDS[2], WORLDS[5]], ids=lambda world: world.name)
def test_intervals_hold_the_truth_on_logs_of_policies_that_learn(world: World) -> None:
    """Intervals of several policies on one log rest on the same decisions, so that logs are what is counted."""
    found = judged(world, N_LEARNED, N_DECISIONS, seed=7)
    for estimator in ("snips, plain", "dr, plain", "dr, stabilised", "switch, stabilised"):
        kept = [one for (_, name), all_ in found.items() if name == estimator for one in all_]
        assert len(kept) >= 2 * N_LEARNED, "two policies can be evaluated at least"
        coverage = float(np.mean([one.holds for one in kept]))
        bias, width = float(np.mean([one.error for one in kept])), float(np.mean([one.width for one in kept]))
        print(f"{world.name}, {estimator}: {coverage:.1%} of {len(kept)}, bias {bias:+.4f}, width {width:.4f}")
        assert coverage >= 0.93 - 2 * math.sqrt(0.05 * 0.95 / N_LEARNED)
        assert abs(bias) <= 3 * width / (2 * Z) / math.sqrt(N_LEARNED)
