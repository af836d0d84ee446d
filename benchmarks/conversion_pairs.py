"""Conversions that hang on pairs of categories: the default model beside a logistic regression over hashed pairs.

Made surveys of 12,684 rows: 25 categories of 2 to 25 levels, a yes/no answer from main effects and from pairs of
columns. In ``few`` 12 of the 300 pairs matter, in ``many`` 80, in both 652 people answer some twenty times each
(13 columns are the person's, 12 the situation's), and differ besides. In ``strangers`` (40 pairs) each row is
somebody else; in ``none`` no pair matters. Every order is a world of its own, the same for both. With ``--data``
the rows of ``convert-shoppers`` and ``convert-bank`` come beside it, in shuffled orders.

The plain one has a weight for every value and every pair of values, hashed into 2^18, and one for every z-score.
Its steps (AdaGrad's or constant) are the best of eight in hindsight, for each set anew. Both predict each row, then
learn it.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.conversion_pairs [--orders 5] [--data FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.ending import end_by_sigterm
from online_models.conversion.backtest import progressive, shuffles
from online_models.conversion.metrics import auc
from online_models.conversion.registry import make_conversion_model
from operations.history import read_history

N_ROWS, N_PEOPLE = 12_684, 652
PERSON = (2, 8, 5, 2, 6, 25, 9, 6, 6, 6, 6, 6, 6)
SITUATION = (3, 4, 3, 3, 5, 5, 2, 2, 2, 2, 2, 2)
LEVELS = PERSON + SITUATION
N_BITS = 18
STEPS: tuple[tuple[float, float | None], ...] = (
    (0.005, 1.0),
    (0.01, 1.0),
    (0.01, 3.0),
    (0.02, 1.0),
    (0.02, 3.0),
    (0.05, 1.0),
    (0.001, None),
    (0.003, None),
)
"""Step, and the squared gradient a weight is born with; None: the step is constant."""

BIAS_STEP, Z_STEP = 0.01, 0.1
FILES = ("convert-shoppers.csv.gz", "convert-bank.csv.gz")


class World(NamedTuple):
    """How a survey is made: standard deviations of the log-odds' parts, and how many pairs of columns matter."""

    main: float
    pair: float
    n_pairs: int
    person: float


WORLDS = {
    "few": World(0.2, 0.6, 12, 0.5),
    "many": World(0.1, 0.3, 80, 0.5),
    "strangers": World(0.25, 0.3, 40, 0.0),
    "none": World(0.3, 0.0, 0, 0.0),
}

Rows = list[dict[str, Any]]


def survey(name: str, seed: int) -> tuple[Rows, np.ndarray]:
    """Rows, and their labels, shape (n,)."""
    world = WORLDS[name]
    rng = np.random.default_rng([seed, *name.encode()])
    who = rng.integers(0, N_PEOPLE, N_ROWS) if world.person else np.arange(N_ROWS)
    shares = [rng.dirichlet(np.full(n, 2.0)) for n in LEVELS]
    of_people = [rng.choice(n, len(who), p=p)[who] for n, p in zip(PERSON, shares, strict=False)]
    of_rows = [rng.choice(n, N_ROWS, p=p) for n, p in zip(SITUATION, shares[len(PERSON) :], strict=True)]
    x = np.stack([*of_people, *of_rows], axis=1)
    score = rng.normal(0.0, world.person, len(who))[who]
    for column, n in enumerate(LEVELS):
        score += rng.normal(0.0, world.main, n)[x[:, column]]
    left, right = np.triu_indices(len(LEVELS), 1)
    for pair in rng.choice(len(left), world.n_pairs, replace=False):
        a, b = left[pair], right[pair]
        score += rng.normal(0.0, world.pair, (LEVELS[a], LEVELS[b]))[x[:, a], x[:, b]]
    labels = rng.random(N_ROWS) < 1.0 / (1.0 + np.exp(np.median(score) - score))
    rows = [{f"q{column:02}": f"a{level}" for column, level in enumerate(row)} for row in x.tolist()]
    return rows, labels.astype(float)


class Hashed(NamedTuple):
    """Rows as the plain model sees them.

    Attributes
    ----------
    slots
        Of all values and all pairs of values, shape (n, m).
    numbers
        Raw numeric columns, 0 where missing, shape (n, c).
    """

    slots: np.ndarray
    numbers: np.ndarray


def hashed(rows: Rows) -> Hashed:
    """Hash every value (numbers to three digits) and every pair of them."""
    names = sorted({name for row in rows for name in row})
    known: dict[tuple[str, Any], int] = {}

    def code(name: str, value: Any) -> int:
        if (name, value) not in known:
            text = f"{value:.3g}" if isinstance(value, float) else str(value)
            known[name, value] = zlib.crc32(f"{name}={text}".encode())
        return known[name, value]

    single = np.array([[code(name, row.get(name)) for name in names] for row in rows], np.uint64)
    single *= np.uint64(0x9E3779B97F4A7C15)
    single ^= single >> np.uint64(32)
    left, right = np.triu_indices(len(names), 1)
    both = np.concatenate([single, single[:, left] * np.uint64(3) ^ single[:, right]], axis=1)
    both *= np.uint64(0xD6E8FEB86659FD93)
    slots = (both >> np.uint64(64 - N_BITS)).astype(np.int32)
    numeric = [name for name in names if any(isinstance(row.get(name), float) for row in rows)]
    numbers = [[v if isinstance(v := row.get(name), float) else 0.0 for name in numeric] for row in rows]
    return Hashed(slots, np.array(numbers).reshape(len(rows), len(numeric)))


def plain_pairs(data: Hashed, labels: np.ndarray, step: float, start: float | None) -> np.ndarray:
    """Log-odds of each row before its label was learned, shape (n,)."""
    weights = np.zeros(1 << N_BITS)
    squares = np.full(1 << N_BITS, start or 1.0)
    n_numbers = data.numbers.shape[1]
    mean, m2 = np.zeros((2, n_numbers))
    of_z, squares_z, bias = np.zeros(n_numbers), np.full(n_numbers, 1e-8), 0.0
    scores = np.empty(len(labels))
    for i, (at, x) in enumerate(zip(data.slots, data.numbers, strict=True)):
        sd = np.sqrt(m2 / max(1, i))
        z = np.divide(x - mean, sd, out=np.zeros(n_numbers), where=sd > 1e-9).clip(-4.0, 4.0)
        scores[i] = bias + weights[at].sum() + of_z @ z
        error = labels[i] - 1.0 / (1.0 + math.exp(-min(30.0, max(-30.0, scores[i]))))
        if start is None:
            weights[at] += step * error
        else:
            squares[at] += error * error
            weights[at] += step * error / np.sqrt(squares[at])
        squares_z += (error * z) ** 2
        of_z += Z_STEP * error * z / np.sqrt(squares_z)
        bias += BIAS_STEP * error
        delta = x - mean
        mean += delta / (i + 1)
        m2 += delta * (x - mean)
    return scores


def sets(
    worlds: list[str], data: Path | None, n_orders: int
) -> Iterator[tuple[str, list[tuple[Rows, np.ndarray]]]]:
    """Name, and rows and labels of each order."""
    for name in worlds:
        yield name, [survey(name, seed) for seed in range(n_orders)]
    for file in FILES if data is not None else ():
        assert data is not None
        history = read_history(data / file, "converted")
        orders = shuffles(len(history.rows), n_orders)
        yield file, [([history.rows[i] for i in order], history.labels[order]) for order in orders]


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--worlds", nargs="*", choices=tuple(WORLDS), default=list(WORLDS))
    parser.add_argument("--orders", type=int, default=5)
    parser.add_argument("--data", type=Path, help="folder of " + " and ".join(FILES))
    parser.add_argument("--model", default="default")
    arguments = parser.parse_args()
    for name, orders in sets(arguments.worlds, arguments.data, arguments.orders):
        ours, errors, spent_us, plain = [], [], [], []
        for rows, labels in orders:
            run = progressive(make_conversion_model(arguments.model), rows, labels, lambda n: None)
            ours.append(run.scores.auc.value)
            errors.append(run.scores.calibration.error)
            spent_us.append(run.cpu_us_per_event)
            data = hashed(rows)
            plain.append([auc(labels, plain_pairs(data, labels, *steps)).value for steps in STEPS])
        best = int(np.mean(plain, axis=0).argmax())
        gain = np.array(ours) - np.array(plain)[:, best]
        error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
        report = {
            "set": name,
            "default": round(float(np.mean(ours)), 4),
            "pairs": round(float(np.mean(plain, axis=0)[best]), 4),
            "gain": round(float(gain.mean()), 4),
            "error": round(float(error), 4),
            "pairs_step": STEPS[best],
            "calibration_error": round(float(np.mean(errors)), 4),
            "us_per_event": round(float(np.median(spent_us)), 1),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    end_by_sigterm()
    main()
