"""Late labels under growth: traffic doubles every month, half of the conversions come after half the horizon.

Judged on matured cohorts only: the probability served at a session's start against the label known at its end.
"""

from __future__ import annotations

import heapq
import math
from typing import Any, Literal

import numpy as np
import pytest

from online_models.conversion.labels import LabelWindow
from online_models.conversion.metrics import auc, calibration
from online_models.conversion.model import ConversionModel

DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
FIRST_MONTH = 700
N_MONTHS = 5


def simulate(labels: Literal["mature", "early"], seed: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Served probabilities and final labels of every example that started after the first month and matured."""
    rng = np.random.default_rng(seed)
    window = LabelWindow(ConversionModel(buffer_rows=2048), horizon_ms=MONTH_MS, labels=labels)
    starts = np.concatenate([
        np.sort(rng.integers(month * MONTH_MS, (month + 1) * MONTH_MS, FIRST_MONTH << month))
        for month in range(N_MONTHS)
    ])  # fmt: skip
    purchases: list[tuple[int, str]] = []
    served, truth, began = {}, {}, {}
    for i, now_ms in enumerate(starts.tolist()):
        while purchases and purchases[0][0] <= now_ms:
            at_ms, session = heapq.heappop(purchases)
            assert window.convert(session, at_ms)
        pages, source = float(rng.integers(0, 20)), ("ads", "mail", "search")[int(rng.integers(3))]
        score = -3.2 + 0.12 * pages + (1.2 if source == "mail" and pages > 8 else 0.0)
        session = f"s{i}"
        probability = window.start(session, {"pages": pages, "source": source}, now_ms)
        assert probability is not None
        truth[session] = rng.random() < 1.0 / (1.0 + math.exp(-score))
        served[session], began[session] = probability, now_ms
        if truth[session]:
            # Median at half the horizon, all within it.
            heapq.heappush(purchases, (now_ms + int(rng.random() * MONTH_MS), session))
    end_ms = N_MONTHS * MONTH_MS
    judged = [s for s in served if began[s] >= MONTH_MS * 5 // 4 and began[s] + MONTH_MS <= end_ms]
    return np.array([served[s] for s in judged]), np.array([float(truth[s]) for s in judged])


@pytest.mark.parametrize("labels", ["mature", "early"])
@pytest.mark.timeout(240)
def test_calibration_error_on_matured_cohorts_under_growth(labels: Literal["mature", "early"]) -> None:
    served, truth = simulate(labels, seed=7)
    assert len(truth) > 8_000
    found = calibration(truth, served)
    assert found.error <= 0.02, f"floor {found.floor:.4f}"
    assert auc(truth, served).value > 0.7
