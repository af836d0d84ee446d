"""Off-policy estimators: obp's values to 1e-9, errors by person, and weights that never touch what is estimated."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from personalization.evaluation.intervals import clustered
from personalization.evaluation.off_policy import (
    Estimate,
    doubly_robust,
    ips,
    linear_doubly_robust,
    linear_ips,
    linear_snips,
    mean_of,
    snips,
    switch,
)
from personalization.evaluation.off_policy_sample import Sample, effective_size, stabilised

GOLDEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("obp_values.json").read_text())["cases"]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{len(case['means'][0])} arms")
def test_values_are_those_of_obp(case: dict[str, Any]) -> None:
    reward, propensity, policy, means = (
        np.array(case[name]) for name in ("reward", "propensity", "policy", "means")
    )
    shown = np.arange(len(reward)), np.array(case["arm"])
    weight = policy[shown] / propensity
    models = (policy * means).sum(axis=1), means[shown]
    ours = {
        "ips": ips(reward, weight),
        "snips": snips(reward, weight),
        "dr": doubly_robust(reward, weight, *models),
        **{f"switch-{at}": switch(reward, weight, *models, threshold=at) for at in (1, 2, 10)},
    }
    assert ours.keys() == case["values"].keys()
    for name, estimate in ours.items():
        assert estimate.value == pytest.approx(case["values"][name], rel=1e-9, abs=1e-9), name


def test_errors_are_clustered_by_person() -> None:
    values, unit = np.array([1.0, 1.0, 0.0, 0.0, 1.0]), np.array([0, 0, 1, 1, 2])
    sample = Sample.of(np.ones(5), unit)
    pairs = [(int((unit == one).sum()), float(values[unit == one].sum())) for one in range(3)]
    expected = clustered(0.6, pairs)
    found = ips(values, np.ones(5), sample)
    assert found.value == pytest.approx(0.6)
    assert 1.959964 * found.standard_error == pytest.approx(expected.high - 0.6)


def test_an_interval_is_longer_upwards_where_few_large_weights_make_the_value() -> None:
    weight = np.where(np.arange(100) % 20 == 0, 20.0, 0.0)
    reward = (np.arange(100) % 40 == 0).astype(float)
    sample = Sample.plain(100)
    linear = linear_ips(reward, weight, sample)
    interval, error = linear.interval(sample), linear.estimate(sample).standard_error
    assert interval.low > linear.value - 1.96 * error
    assert interval.high > linear.value + 1.96 * error


def test_of_one_person_nothing_is_known() -> None:
    one = Sample.of(np.ones(3), np.zeros(3, np.int64))
    assert ips(np.ones(3), np.ones(3), one).standard_error == math.inf


def test_a_decision_that_stands_for_two_counts_as_two() -> None:
    reward, weight, unit = np.array([1.0, 0.0, 1.0]), np.array([0.5, 2.0, 1.5]), np.array([0, 1, 2])
    twice, by_hand = Sample.of(np.array([2.0, 1.0, 1.0]), unit), [0, 0, 1, 2]
    listed = Sample.of(np.ones(4), unit[by_hand])
    for estimator in (ips, snips):
        ours, theirs = estimator(reward, weight, twice), estimator(reward[by_hand], weight[by_hand], listed)
        assert ours == pytest.approx(theirs)


def test_a_perfect_model_leaves_nothing_to_correct() -> None:
    mean = np.array([0.2, 0.8, 0.5])
    assert doubly_robust(mean, np.array([9.0, 0.1, 1.0]), mean, mean).value == pytest.approx(0.5)


def test_the_policy_in_force_brought_what_was_logged() -> None:
    rng = np.random.default_rng(3)
    reward, sample = rng.random(500), Sample.of(rng.uniform(1, 3, 500), rng.integers(0, 90, 500))
    plain = mean_of(reward, sample)
    for found in (linear_ips(reward, np.ones(500), sample), linear_snips(reward, np.ones(500), sample)):
        assert found.value == pytest.approx(plain.value)
        assert found.less(plain).estimate(sample) == pytest.approx(Estimate(0.0, 0.0), abs=1e-12)


def test_stabilising_weights_are_known_before_the_decision_and_keep_each_stretch_of_the_log() -> None:
    rng = np.random.default_rng(4)
    variance, sample = rng.uniform(1, 500, 4_000), Sample.of(rng.uniform(1, 2, 4_000), np.arange(4_000))
    found = stabilised(sample, variance)
    for block in range(found.block.max() + 1):
        inside = found.block == block
        assert found.counts[inside].sum() == pytest.approx(sample.counts[inside].sum())
    later = variance.copy()
    later[2_020:] = 1.0
    changed = stabilised(sample, later)
    # Within a stretch only their ratios count, and these come from what was before.
    inside = slice(2_000, 2_021)
    ratio = found.counts[inside] / changed.counts[inside]
    assert np.allclose(ratio, ratio[0])
    assert not np.allclose(found.counts[2_021:2_200] / changed.counts[2_021:2_200], ratio[0])


def test_what_says_little_counts_little() -> None:
    variance = np.where(np.arange(400) % 400 < 200, 1.0, 100.0)
    found = stabilised(Sample.plain(400), np.concatenate([variance[:200], variance[200:]]))
    assert found.block.max() == 1
    one_stretch = stabilised(Sample.plain(399), variance[:399])
    assert one_stretch.block.max() == 0
    assert one_stretch.counts[50] > 3 * one_stretch.counts[398]


def test_a_world_that_changes_is_averaged_over_time() -> None:
    """Rewards rise as the log says ever less: weights over the whole log would find the beginning alone."""
    time = np.arange(4_000) / 4_000
    sample = stabilised(Sample.plain(4_000), 1.0 + 400.0 * time)
    zeros = np.zeros(4_000)
    found = linear_doubly_robust(time, np.ones(4_000), zeros, zeros, sample).value
    weights = 1.0 / np.sqrt(1.0 + 400.0 * time)
    assert found == pytest.approx(0.5, abs=0.003)
    assert float((weights * time).sum() / weights.sum()) < 0.35


def test_effective_size_is_between_one_and_all() -> None:
    weights = np.random.default_rng(5).exponential(size=200)
    assert 1.0 < effective_size(weights) < 200.0
    assert effective_size(np.zeros(3)) == 0.0
