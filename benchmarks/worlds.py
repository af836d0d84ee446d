"""Made worlds that are no data set's: what the default model gets of what could be had, from start to end.

Each world knows every arm's true rate, so that one number tells: the share of the way from choosing blindly to
always choosing the best, over the whole run, in its last tenth, and in the worst tenth after the first three (a
model that unlearns what it knew shows there).

    python -m benchmarks.worlds [--only NAME] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np

from benchmarks.ending import end_by_sigterm
from operations.simulation.play import PlaySettings, play
from operations.simulation.table import Table
from personalization.catalog.policy_spec import PolicySpec

Rates = np.ndarray
"""True mean reward of every arm, shape (n, K)."""


def clusters(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """One arm is right in each of thirty clusters, and always pays."""
    centres, right = rng.normal(size=(30, 20)), rng.integers(10, size=30)
    at = rng.integers(30, size=6_000)
    return centres[at] + 0.35 * rng.normal(size=(6_000, 20)), np.eye(10)[right[at]]


def exclusive_or(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """The signs of two products decide; no linear model sees anything."""
    z = rng.normal(size=(12_000, 6))
    right = np.minimum(2, (z[:, 0] * z[:, 1] > 0) + 2 * (z[:, 2] * z[:, 3] > 0))
    return z, np.where(np.arange(3) == right[:, None], 0.6, 0.1)


def logistic(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """Fifty arms, each a logistic function of the context, at 12 % on average."""
    z, weights = rng.normal(size=(20_000, 10)), rng.normal(size=(10, 50))
    return z, 1.0 / (1.0 + np.exp(3.0 - 0.6 * z @ weights))


def segments(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """Sixty segments, each with an arm of its own; two numbers that say nothing."""
    segment, right = rng.integers(60, size=12_000), rng.integers(6, size=60)
    return np.column_stack([rng.normal(size=(12_000, 2)), segment]), np.where(
        np.arange(6) == right[segment][:, None], 0.4, 0.1
    )


def heavy_tails(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """Amounts over four orders of magnitude; two of them decide by which is the larger."""
    z = 2.0 * rng.normal(size=(12_000, 8))
    right = (z[:, 0] > z[:, 1]).astype(int)
    return np.exp(z), np.where(np.arange(3) == right[:, None], 0.5, 0.15)


def high_rates(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """Eight arms that nearly always pay, whatever the context."""
    return rng.normal(size=(12_000, 3)), np.tile([0.95, 0.97, 0.9, 0.99, 0.8, 0.85, 0.93, 0.96], (12_000, 1))


def tiny_rates(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """Five arms at half a per cent, whatever the context."""
    return rng.normal(size=(40_000, 4)), np.tile([0.002, 0.004, 0.006, 0.003, 0.012], (40_000, 1))


def collapse(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """The best of six offers sells out half-way."""
    rates = np.tile([0.5, 0.4, 0.3, 0.2, 0.2, 0.1], (12_000, 1))
    rates[6_000:, 0] = 0.0
    return rng.normal(size=(12_000, 4)), rates


def turning(rng: np.random.Generator) -> tuple[np.ndarray, Rates]:
    """What decides turns slowly, once round in all."""
    z, angle = rng.normal(size=(12_000, 6)), np.linspace(0.0, 2.0 * np.pi, 12_000)
    right = (z[:, 0] * np.cos(angle) + z[:, 1] * np.sin(angle) > 0).astype(int)
    return z, np.where(np.arange(2) == right[:, None], 0.5, 0.2)


WORLDS: dict[str, Callable[[np.random.Generator], tuple[np.ndarray, Rates]]] = {
    world.__name__: world
    for world in (
        clusters,
        exclusive_or,
        logistic,
        segments,
        heavy_tails,
        high_rates,
        tiny_rates,
        collapse,
        turning,
    )
}


def shares(name: str, seed: int, policy: PolicySpec | None = None) -> np.ndarray:
    """Share of the gap between blind and best closed, in each tenth of a run, shape (10,)."""
    rng = np.random.default_rng([seed, *name.encode()])
    x, rates = WORLDS[name](rng)
    n, n_arms = rates.shape
    contexts = [{f"f{i}": value for i, value in enumerate(row)} for row in x.tolist()]
    if name == "segments":
        contexts = [row | {"f2": f"s{int(row['f2'])}"} for row in contexts]
    rewards = (rng.random((n, n_arms)) < rates).astype(float)
    table = Table(contexts, tuple(f"arm{i}" for i in range(n_arms)), rewards)
    run = play(table, PlaySettings(policy or PolicySpec()), np.arange(n), seed)
    got = rates[np.arange(n), run.chosen]
    tenths = [part.reshape(10, -1).mean(axis=1) for part in (got, rates.mean(axis=1), rates.max(axis=1))]
    closed: np.ndarray = (tenths[0] - tenths[1]) / (tenths[2] - tenths[1])
    return closed


def main() -> None:
    """Play the worlds and print what was got."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=WORLDS, action="append", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--policy", default="default")
    arguments = parser.parse_args()
    for name in arguments.only or WORLDS:
        runs = np.array([shares(name, seed, PolicySpec(name=arguments.policy)) for seed in range(arguments.seeds)])
        report = {
            "world": name,
            "share": round(float(runs.mean()), 3),
            "last_tenth": round(float(runs[:, -1].mean()), 3),
            "worst_tenth": round(float(runs[:, 3:].min()), 3),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    end_by_sigterm()
    main()
