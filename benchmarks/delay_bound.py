"""What waiting for rewards must cost at least, and what it costs.

A learner whose rewards arrive D decisions late knows nothing during the first D, and from then on no more than one
without delay knew D decisions before. So it cannot beat the undelayed curve shifted by D, begun at the rate of
choosing blindly: it loses at least D · (rate at the end − blind rate) / rows. A snapshot every U updates adds
(U − 1)/2 decisions to D on average. The bound is drawn from this model's own undelayed curve.

    .venv/bin/python -m benchmarks.delay_bound FILE … [--delay 200] [--update-every 50] [--orders 2]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.ending import end_by_sigterm
from operations.simulation.play import PlaySettings, order_of, play
from operations.simulation.table import Table, by_label
from personalization.catalog.policy_spec import PolicySpec


def least_loss(rewards: np.ndarray, blind: float, n_late: int) -> float:
    """Mean reward lost at least where everything is known ``n_late`` decisions later.

    Parameters
    ----------
    rewards
        Of one order without delay, shape (n,).
    blind
        Mean reward of an arm drawn uniformly.

    >>> least_loss(np.array([0.5, 1.0, 1.0, 1.0]), 0.5, 2)
    0.25
    """
    n_late = min(n_late, len(rewards))
    return float((rewards[len(rewards) - n_late :] - blind).sum() / len(rewards))


def measured(table: Table, orders: int, delay: int, update_every: int) -> tuple[float, float, float]:
    """Mean reward without and with the delay, and the least loss, over so many orders."""
    figures = []
    blind = float(table.rewards.mean())
    for index in range(orders):
        order = order_of(len(table), index, orders, keep_halves=False)
        prompt = play(table, PlaySettings(PolicySpec()), order, index).rewards
        late = play(table, PlaySettings(PolicySpec(), delay=delay, update_every=update_every), order, index).rewards
        least = least_loss(prompt, blind, delay + (update_every - 1) // 2)
        figures.append((prompt.mean(), late.mean(), least))
    prompt_mean, late_mean, least_mean = np.mean(figures, axis=0).tolist()
    return prompt_mean, late_mean, least_mean


def main() -> None:
    """Print one line per file and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--label", default="label")
    parser.add_argument("--delay", type=int, default=200)
    parser.add_argument("--update-every", type=int, default=50)
    parser.add_argument("--orders", type=int, default=2)
    options = parser.parse_args()
    print(f"{'file':32} {'prompt':>7} {'late':>7} {'lost':>7} {'at least':>9}")
    rows = []
    for file in options.files:
        table = by_label(file, options.label)
        rows.append(measured(table, options.orders, options.delay, options.update_every))
        print(_line(file.name, *rows[-1]), flush=True)
    print(_line("mean", *np.mean(rows, axis=0).tolist()))


def _line(name: str, prompt: float, late: float, least: float) -> str:
    return f"{name:32} {prompt:7.3f} {late:7.3f} {prompt - late:7.3f} {least:9.3f}"


if __name__ == "__main__":
    end_by_sigterm()
    main()
