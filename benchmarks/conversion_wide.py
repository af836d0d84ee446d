"""Conversions in wide contexts: n features of which the last twenty matter, beside an online logistic regression.

The plain one has a weight for every z-score, and AdaGrad steps that are the best of four in hindsight. Each order
is a world of its own, the same for both. ``flags`` are yes/no features, a quarter of them yes; ``dense`` ones are
normal. With ``--junk N`` a stranger's first twelve requests carry N names between them that never come again; the
rows after them are what is judged.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.conversion_wide [--widths 40 100 180] [--orders 5] [--junk 1000]
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np

from benchmarks.ending import end_by_sigterm
from online_models.conversion.backtest import progressive
from online_models.conversion.metrics import auc
from online_models.conversion.registry import make_conversion_model

N_ROWS, N_USEFUL = 6_000, 20
STEPS = (0.03, 0.06, 0.1, 0.2)
JUNK_REQUESTS = 12


def world(kind: str, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Contexts, shape (n, width), and labels, shape (n,): some 27 % convert."""
    rng = np.random.default_rng([width, seed, *kind.encode()])
    flags = kind == "flags"
    x = (rng.random((N_ROWS, width)) < 0.25).astype(float) if flags else rng.normal(size=(N_ROWS, width))
    score = x[:, -N_USEFUL:] @ rng.normal(0.0, 1.0 if flags else 0.45, N_USEFUL)
    odds = np.exp(score - score.mean() - 1.3)
    return x, (rng.random(N_ROWS) < odds / (1.0 + odds)).astype(float)


def plain_logistic(x: np.ndarray, labels: np.ndarray, step: float) -> np.ndarray:
    """Log-odds of each row before its label was learned, shape (n,)."""
    width = x.shape[1]
    weights, mean, m2 = np.zeros((3, width))
    squares, bias = np.full(width, 1e-8), 0.0
    scores = np.empty(len(labels))
    for t, row in enumerate(x):
        sd = np.sqrt(m2 / max(1, t))
        z = np.divide(row - mean, sd, out=np.zeros(width), where=sd > 1e-9).clip(-4.0, 4.0)
        scores[t] = bias + weights @ z
        error = labels[t] - 1.0 / (1.0 + math.exp(-min(30.0, max(-30.0, scores[t]))))
        squares += (error * z) ** 2
        weights += step * error * z / np.sqrt(squares)
        bias += 0.05 * error
        delta = row - mean
        mean += delta / (t + 1)
        m2 += delta * (row - mean)
    return scores


def rows_of(x: np.ndarray, n_junk: int) -> list[dict[str, Any]]:
    """Features by name; the stranger's come first."""
    names = np.array_split(np.arange(n_junk), JUNK_REQUESTS) if n_junk else []
    junk: list[dict[str, Any]] = [{f"a{name}": 1.0 for name in some} for some in names]
    return junk + [{f"f{at:03}": value for at, value in enumerate(row)} for row in x.tolist()]


def judged(x: np.ndarray, labels: np.ndarray, model: str, n_junk: int) -> tuple[float, float]:
    """AUC, and µs of CPU an event."""
    rows = rows_of(x, n_junk)
    all_labels = np.append(np.zeros(len(rows) - len(labels)), labels)
    run = progressive(make_conversion_model(model), rows, all_labels, lambda n: None)
    return float(auc(labels, run.probabilities[-len(labels) :]).value), run.cpu_us_per_event


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kinds", nargs="+", choices=("flags", "dense"), default=["flags", "dense"])
    parser.add_argument("--widths", nargs="+", type=int, default=[40, 100, 180])
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--junk", type=int, default=0)
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        for width in arguments.widths:
            ours, spent_us, plain = [], [], []
            for order in range(arguments.orders):
                x, labels = world(kind, width, order)
                quality, us = judged(x, labels, arguments.model, arguments.junk)
                ours.append(quality)
                spent_us.append(us)
                plain.append([auc(labels, plain_logistic(x, labels, step)).value for step in STEPS])
            best = int(np.mean(plain, axis=0).argmax())
            gain = np.array(ours) - np.array(plain)[:, best]
            error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
            report = {
                "world": kind,
                "features": width,
                "default": round(float(np.mean(ours)), 4),
                "plain": round(float(np.mean(plain, axis=0)[best]), 4),
                "gain": round(float(gain.mean()), 4),
                "error": round(float(error), 4),
                "us_per_event": round(float(np.median(spent_us)), 1),
            }
            print(json.dumps(report), flush=True)


if __name__ == "__main__":
    end_by_sigterm()
    main()
