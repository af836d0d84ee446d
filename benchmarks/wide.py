"""Wide contexts: n features of which the last twenty decide between three arms, beside a plain linear learner.

The plain one is a ridge regression per arm with an upper bound (LinUCB at .3) over z-scores, every feature with a
weight of its own. Each order is a world of its own, the same for both. ``flags`` are yes/no features, a quarter of
them yes; ``dense`` ones are normal. With ``--junk N`` a stranger's first twelve requests carry N names between them
that never come again.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.wide [--widths 60 140 180 240] [--orders 5] [--junk 1000]
"""

from __future__ import annotations

import argparse
import json

import msgspec
import numpy as np

from benchmarks.ending import end_by_sigterm
from online_models.placement_model import PlacementModel
from operations.simulation.play import PlaySettings, play
from operations.simulation.table import Table
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

N_ROWS, N_ARMS, N_USEFUL = 3_000, 3, 20
OPTIMISM = 0.3
JUNK_REQUESTS = 12


def world(kind: str, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Contexts, shape (n, width), and the right arm of each, shape (n,)."""
    rng = np.random.default_rng([width, seed, *kind.encode()])
    flags = kind == "flags"
    x = (rng.random((N_ROWS, width)) < 0.25).astype(float) if flags else rng.normal(size=(N_ROWS, width))
    weights = rng.normal(size=(N_USEFUL, N_ARMS))
    noise = 0.3 * rng.gumbel(size=(N_ROWS, N_ARMS))
    return x, (x[:, -N_USEFUL:] @ weights + noise).argmax(axis=1)


def plain_linear(x: np.ndarray, right: np.ndarray) -> float:
    """Mean reward of LinUCB over z-scores kept online."""
    width = x.shape[1]
    inverse = np.stack([np.eye(width + 1)] * N_ARMS)
    moment, theta = np.zeros((2, N_ARMS, width + 1))
    mean, m2, got = np.zeros(width), np.zeros(width), 0
    for t, row in enumerate(x):
        delta = row - mean
        mean += delta / (t + 1)
        m2 += delta * (row - mean)
        sd = np.sqrt(m2 / (t + 1))
        z = np.divide(row - mean, sd, out=np.zeros(width), where=sd > 1e-9).clip(-5.0, 5.0)
        phi = np.append(z * 2.5 / np.sqrt(width), 1.0)
        spread = inverse @ phi
        arm = int((theta @ phi + OPTIMISM * np.sqrt(spread @ phi)).argmax())
        reward = float(right[t] == arm)
        got += int(reward)
        gain = spread[arm]
        inverse[arm] -= np.outer(gain, gain) / (1.0 + phi @ gain)
        moment[arm] += reward * phi
        theta[arm] = inverse[arm] @ moment[arm]
    return got / len(x)


def table_of(x: np.ndarray, right: np.ndarray, n_junk: int) -> Table:
    """The world as ``simulate`` plays it, a stranger's requests first where there is junk."""
    junk = [
        {f"junk{i}": 1.0 for i in range(at, n_junk, JUNK_REQUESTS)} for at in range(JUNK_REQUESTS if n_junk else 0)
    ]
    contexts = junk + [{f"f{i:03d}": value for i, value in enumerate(row)} for row in x.tolist()]
    rewards = np.concatenate([np.zeros((len(junk), N_ARMS)), np.eye(N_ARMS)[right]])
    return Table(contexts, tuple(f"arm{i}" for i in range(N_ARMS)), rewards)


def sizes(x: np.ndarray, right: np.ndarray, model: ModelSpec) -> dict[str, float]:
    """KiB of a snapshot and of a checkpoint, and MB of P per arm, once all rows were learned."""
    learner = PlacementModel("wide", model)
    table = table_of(x, right, 0)
    for step, context in enumerate(table.contexts):
        arm = step % N_ARMS
        reward = float(table.rewards[step, arm])
        reason = ClosingReason.FINAL
        learner.learn(
            Outcome(Choice(str(step), "wide", 0, table.arms[arm], 2**31), reward, reason, 0, 0, features=context)
        )
    parts = learner.snapshot().encode()
    covariance = learner.model._regressions.covariance  # type: ignore[union-attr]
    return {
        "snapshot_kib": round((len(parts.header) + sum(map(len, parts.arms.values()))) / 1024),
        "checkpoint_kib": round(len(msgspec.msgpack.encode(learner.dump())) / 1024),
        "p_mb_per_arm": round(covariance[0].nbytes / 1e6, 2),
    }


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=("flags", "dense"), default=["flags", "dense"])
    parser.add_argument("--widths", nargs="+", type=int, default=[60, 140, 180, 240])
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--junk", type=int, default=0)
    parser.add_argument("--model", default="default")
    parser.add_argument("--max-dims", type=int, help="the default's own, if not given")
    parser.add_argument("--sizes", action="store_true", help="also print bytes")
    arguments = parser.parse_args()
    params = {} if arguments.max_dims is None else {"max_dims": arguments.max_dims}
    settings = PlaySettings(PolicySpec(), ModelSpec(arguments.model, params))
    for kind in arguments.kinds:
        for width in arguments.widths:
            rows, decide_us, update_us = [], [], []
            for order in range(arguments.orders):
                x, right = world(kind, width, order)
                table = table_of(x, right, arguments.junk)
                n = len(table)
                run = play(table, settings, np.arange(n), order)
                rows.append((float(run.rewards[-N_ROWS:].mean()), plain_linear(x, right)))
                decide_us.append(1e6 * run.decide_s / n)
                update_us.append(1e6 * run.update_s / n)
            ours, plain = np.array(rows).T
            gain = ours - plain
            error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
            report: dict[str, object] = {
                "world": kind,
                "features": width,
                "default": round(float(ours.mean()), 4),
                "plain": round(float(plain.mean()), 4),
                "gain": round(float(gain.mean()), 4),
                "error": round(float(error), 4),
                "decide_us": round(float(np.median(decide_us))),
                "update_us": round(float(np.median(update_us))),
            }
            if arguments.sizes:
                report |= sizes(x, right, settings.model)
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    end_by_sigterm()
    main()
