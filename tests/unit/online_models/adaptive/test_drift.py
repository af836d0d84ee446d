from __future__ import annotations

import numpy as np
import pytest

from online_models.adaptive.drift import Drift, DriftDetector


def verdicts(errors: np.ndarray) -> list[tuple[int, Drift]]:
    detector = DriftDetector()
    found: list[tuple[int, Drift]] = []
    for i, error in enumerate(errors):
        verdict, _ = detector.add(float(error))
        if verdict is not Drift.NONE:
            found.append((i, verdict))
        if verdict is Drift.RESET:
            detector.forget()
    return found


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.8])
def test_what_does_not_shift_raises_no_alarm(rate: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        errors = rate - (rng.random(20_000) < rate)
        assert not {Drift.RESET, Drift.TURNED} & {verdict for _, verdict in verdicts(errors)}


def test_a_collapse_resets_once_soon_and_over_the_rows_that_show_it() -> None:
    rng = np.random.default_rng(1)
    errors = np.concatenate([0.8 - (rng.random(3000) < 0.8), 0.8 - (rng.random(100) < 0.1)])
    found = verdicts(errors)
    resets = [i for i, verdict in found if verdict is Drift.RESET]
    assert len(resets) == 1
    assert 3000 < resets[0] < 3100


def test_a_milder_fall_inflates_and_does_not_reset() -> None:
    rng = np.random.default_rng(2)
    errors = np.concatenate([0.8 - (rng.random(3000) < 0.8), 0.8 - (rng.random(300) < 0.55)])
    found = [verdict for i, verdict in verdicts(errors) if i >= 3000]
    assert found[0] is Drift.INFLATE


def test_what_is_always_a_little_less_than_predicted_has_turned_slowly() -> None:
    rng = np.random.default_rng(6)
    errors = np.concatenate([0.5 - (rng.random(3000) < 0.5), 0.56 - (rng.random(5000) < 0.5)])
    found = [(i, verdict) for i, verdict in verdicts(errors) if verdict is not Drift.INFLATE]
    assert found[0][1] is Drift.TURNED
    assert found[0][0] > 3500


def test_bursts_that_even_out_are_no_slow_turn() -> None:
    """Forty outcomes of one visitor after another, each of whom likes more or less: none turns the world."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rates = np.repeat(rng.beta(1.0, 1.0, size=500), 40)
        errors = 0.5 - (rng.random(20_000) < rates)
        assert Drift.TURNED not in [verdict for _, verdict in verdicts(errors)]


def test_it_survives_a_checkpoint() -> None:
    rng = np.random.default_rng(3)
    one = DriftDetector()
    for error in rng.normal(size=40_000):
        one.add(float(error) * 0.01)
    other = DriftDetector.load(one.dump())
    for error in rng.normal(0.6, 0.3, size=200):
        assert one.add(float(error)) == other.add(float(error))


def test_a_reset_keeps_what_came_after_the_shift_and_hardly_more() -> None:
    rng = np.random.default_rng(4)
    detector = DriftDetector()
    for error in 0.85 - (rng.random(3000) < 0.85):
        assert detector.add(float(error))[0] is not Drift.RESET
    found, span, n_since = Drift.NONE, 0, 0
    while found is not Drift.RESET and n_since < 200:
        found, span = detector.add(0.85 - float(rng.random() < 0.1))
        n_since += 1
    assert found is Drift.RESET
    assert n_since <= 48
    assert abs(span - n_since) <= 4


def test_visitors_who_are_hard_to_please_are_no_drift() -> None:
    rng = np.random.default_rng(5)
    detector, resets = DriftDetector(), 0
    for _ in range(150):  # a hundred outcomes in a row are of one visitor
        rate = float(rng.beta(2.0, 2.0))
        for _ in range(100):
            found, _ = detector.add(0.5 - float(rng.random() < rate))
            resets += found is Drift.RESET
    assert resets == 0
