"""The figures a backtest prints, against slow definitions and simulation."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
from scipy.stats import rankdata

from online_models.conversion.metrics import auc, calibration, log_loss, midranks


def test_auc_is_the_share_of_pairs_in_order_ties_half() -> None:
    rng = np.random.default_rng(0)
    y, p = (rng.random(200) < 0.3).astype(float), rng.integers(0, 12, 200) / 12.0
    pairs = [(a > b) + 0.5 * (a == b) for a in p[y == 1] for b in p[y == 0]]
    assert math.isclose(auc(y, p).value, float(np.mean(pairs)), rel_tol=1e-12)


def test_the_aucs_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    truth = 0.5 * (1.0 + math.erf(1.0 / 2.0))  # P(N(1, 1) > N(0, 1))
    covered = 0
    for _ in range(300):
        y = (rng.random(400) < 0.2).astype(float)
        found = auc(y, rng.normal(size=400) + y)
        covered += found.low <= truth <= found.high
    assert 0.91 <= covered / 300 <= 0.985


def test_midranks_are_scipys() -> None:
    rng = np.random.default_rng(3)
    for values in (np.zeros(0), np.ones(4), rng.normal(size=500), rng.integers(0, 9, 500) / 9.0):
        assert midranks(values).tolist() == rankdata(values).tolist()


def test_learning_and_serving_import_no_scipy_stats() -> None:
    modules = "online_models.registry, online_models.conversion.checkpoint"
    program = f"import sys, {modules}; print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n", "its import takes a second of every worker's start"


def test_one_outcome_has_no_auc() -> None:
    assert math.isnan(auc(np.ones(5), np.arange(5.0)).value)


def test_calibration_finds_a_bias_and_its_floor_is_what_sampling_shows() -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(1, 6, 30_000)
    y = (rng.random(30_000) < p).astype(float)
    honest = calibration(y, p)
    assert 0.6 < honest.error / honest.floor < 1.5
    assert calibration(y, np.minimum(1.0, p + 0.05)).error > 0.045


def test_log_loss_never_is_infinite() -> None:
    assert log_loss(np.array([1.0]), np.array([0.0])) < 30.0
