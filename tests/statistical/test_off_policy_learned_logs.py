"""Off-policy intervals on logs of a policy that learns while the world changes: many at once, with known truth.

Epsilon-greedy draws by running means of contents by team, which come late and are published now and then; chances
swap half-way; visitors come back, each with chances of their own. ``benchmarks.coverage`` does the same with the
real model, of which fewer logs can be played.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest

from benchmarks.coverage import CHANCES, INCLINED, LATER
from personalization.evaluation.off_policy import Estimate, FloatArray, doubly_robust, ips, snips
from personalization.evaluation.off_policy_sample import IntArray, Sample, stabilised

pytestmark = pytest.mark.slow

N_LOGS, N_DECISIONS, N_VISITORS = 800, 1_200, 600
DELAY, PUBLISHED_EVERY, LOGGED_EPSILON = 30, 40, 0.4
Z = 1.959964


class Log(NamedTuple):
    """One policy on one log; arrays of shape (n,)."""

    reward: FloatArray
    weight: FloatArray
    of_policy: FloatArray
    of_shown: FloatArray
    variance: FloatArray
    unit: IntArray
    truth: float


def greedy(means: FloatArray, epsilon: float) -> FloatArray:
    """Probabilities, shape (logs, arms, teams)."""
    best = means == means.max(axis=1, keepdims=True)
    found: FloatArray = epsilon / means.shape[1] + (1 - epsilon) * best / best.sum(axis=1, keepdims=True)
    return found


def logs(policy: str) -> Iterator[Log]:
    rng, each = np.random.default_rng(12), np.arange(N_LOGS)
    team_of = rng.integers(2, size=(N_LOGS, N_VISITORS))
    inclined = rng.uniform(-INCLINED, INCLINED, (N_LOGS, N_VISITORS))
    sums, counts = np.full((N_LOGS, 3, 2), 0.5), np.ones((N_LOGS, 3, 2))
    found = np.empty((5, N_DECISIONS, N_LOGS))
    units, truth = np.empty((N_DECISIONS, N_LOGS), np.int64), np.zeros(N_LOGS)
    waiting: deque[tuple[IntArray, IntArray, FloatArray]] = deque()
    means = sums / counts
    for at in range(N_DECISIONS):
        if at % PUBLISHED_EVERY == 0:
            means = sums / counts
            logged = greedy(means, LOGGED_EPSILON)
            theirs = greedy(means, {"greedy": 0.05, "uniform": 1.0}.get(policy, 0.0))
            if policy == "red":
                theirs = np.broadcast_to(np.array([1.0, 0.0, 0.0])[None, :, None], means.shape)
        chances = LATER if at >= N_DECISIONS // 2 else CHANCES
        truth += (theirs * chances).sum(axis=(1, 2)) / 2 / N_DECISIONS
        visitor = rng.integers(N_VISITORS, size=N_LOGS)
        team = team_of[each, visitor]
        e, pi, q = logged[each, :, team], theirs[each, :, team], means[each, :, team]
        shown = (rng.random(N_LOGS)[:, None] > e.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        reward = (rng.random(N_LOGS) < chances[shown, team] + inclined[each, visitor]).astype(np.float64)
        found[:, at] = (
            reward,
            (pi / e)[each, shown],
            (pi * q).sum(axis=1),
            q[each, shown],
            (pi * pi / e).sum(axis=1),
        )
        units[at] = visitor
        waiting.append((shown, team, reward))
        if len(waiting) > DELAY:
            arm, of, came = waiting.popleft()
            sums[each, arm, of] += came
            counts[each, arm, of] += 1
    for one in range(N_LOGS):
        reward, weight, of_policy, of_shown, variance = found[:, :, one]
        yield Log(reward, weight, of_policy, of_shown, variance, units[:, one], float(truth[one]))


def estimates(log: Log) -> Iterator[tuple[str, Estimate]]:
    plain = Sample.of(np.ones(N_DECISIONS), np.unique(log.unit, return_inverse=True)[1])
    even = stabilised(plain, np.maximum(1.0, log.variance))
    models = log.of_policy, log.of_shown
    for name, sample in (("plain", plain), ("stabilised", even)):
        yield f"ips, {name}", ips(log.reward, log.weight, sample)
        yield f"snips, {name}", snips(log.reward, log.weight, sample)
        yield f"dr, {name}", doubly_robust(log.reward, log.weight, *models, sample)


@pytest.mark.parametrize("policy", ["uniform", "red", "greedy"])
def test_intervals_hold_the_truth_on_logs_of_a_policy_that_learns(policy: str) -> None:
    held: dict[str, list[bool]] = {}
    errors: dict[str, list[float]] = {}
    for log in logs(policy):
        for name, (value, error) in estimates(log):
            held.setdefault(name, []).append(abs(value - log.truth) <= Z * error)
            errors.setdefault(name, []).append(value - log.truth)
    for name, all_ in held.items():
        bias, spread = float(np.mean(errors[name])), float(np.std(errors[name]))
        print(f"{policy}, {name}: {np.mean(all_):.1%} of {N_LOGS}, bias {bias:+.4f}, deviation {spread:.4f}")
    for name, all_ in held.items():
        assert abs(float(np.mean(all_)) - 0.95) <= 0.02 + 2 * math.sqrt(0.05 * 0.95 / N_LOGS), name
