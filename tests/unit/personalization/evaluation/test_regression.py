"""Pseudo-outcomes from sums are those that are worked out visitor by visitor."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from personalization.evaluation.regression import Products, products, pseudo_outcomes


def people(seed: int, n: int, share: float) -> NDArray[np.float64]:
    """Whether they are on the first side, what came before, and what came; skewed, mostly nothing. Shape (3, n)."""
    rng = np.random.default_rng(seed)
    before = np.where(rng.random(n) < 0.3, rng.lognormal(3, 1, n), 0.0)
    after = np.where(rng.random(n) < 0.1, rng.lognormal(3, 1, n), 0.0) + 0.4 * before
    side = rng.random(n) < share
    return np.stack([side, before, after + 0.5 * side])


def summed(share: float, people: NDArray[np.float64]) -> Products:
    parts = []
    for wanted in (1.0, 0.0):
        x, y = people[1:, people[0] == wanted]
        parts.append(products(len(x), x.sum(), (x * x).sum(), y.sum(), (y * y).sum(), (x * y).sum()))
    return Products(share, parts[0], parts[1])


def by_person(strata: list[tuple[float, NDArray[np.float64]]], *, use_before: bool) -> NDArray[np.float64]:
    """Each one's two pseudo-outcomes, and weight: shape (3, n)."""
    lines = []
    for wanted in (1.0, 0.0):
        x = np.concatenate([each[1, each[0] == wanted] for _, each in strata])
        y = np.concatenate([each[2, each[0] == wanted] for _, each in strata])
        weights = np.concatenate(
            [np.full((each[0] == wanted).sum(), 1 - share if wanted else share) for share, each in strata]
        )
        root = np.sqrt(weights)
        design = np.stack([np.ones_like(x), x if use_before else 0 * x], axis=1)
        lines.append(np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0])
    rows = []
    for share, (side, x, y) in strata:
        said = [line[0] + line[1] * x for line in lines]
        first = said[0] + side * (y - said[0]) / share
        second = said[1] + (1 - side) * (y - said[1]) / (1 - share)
        rows.append(np.stack([first, second, np.full_like(x, share * (1 - share))]))
    return np.concatenate(rows, axis=1)


@pytest.mark.parametrize("shares", [[0.5], [0.95], [0.5, 0.9, 0.05]])
@pytest.mark.parametrize("use_before", [True, False])
def test_means_and_spreads_from_sums_are_those_of_each_visitor(shares: list[float], use_before: bool) -> None:
    strata = [(share, people(seed, 3_000, share)) for seed, share in enumerate(shares)]
    first, second, weights = by_person(strata, use_before=use_before)
    found = pseudo_outcomes([summed(*each) for each in strata], use_before=use_before)
    means = [np.average(each, weights=weights) for each in (first, second)]
    assert (found.side, found.against) == pytest.approx(means, rel=1e-9)
    assert found.n == pytest.approx(4 * weights.sum(), rel=1e-12)
    for ratio in (0.0, 1.0, 1.7):
        errors = first - means[0] - ratio * (second - means[1])
        variance_of_mean = (weights**2 * errors**2).sum() / weights.sum() ** 2
        assert found.variance(ratio) / found.n == pytest.approx(variance_of_mean, rel=1e-9)


def test_of_an_even_split_the_spread_is_that_of_the_pseudo_outcomes() -> None:
    strata = [(0.5, people(3, 4_000, 0.5))]
    first, second, _ = by_person(strata, use_before=True)
    found = pseudo_outcomes([summed(*strata[0])])
    assert found.n == pytest.approx(4_000)
    assert found.variance() == pytest.approx(np.var(first - second), rel=1e-9)


def test_what_came_before_takes_away_what_it_explains() -> None:
    sums = [summed(0.5, people(4, 20_000, 0.5))]
    assert pseudo_outcomes(sums).variance() < 0.75 * pseudo_outcomes(sums, use_before=False).variance()


def test_where_nothing_came_before_there_is_nothing_to_take_away() -> None:
    people_ = people(5, 5_000, 0.5)
    people_[1] = 0.0
    with_it, without = (pseudo_outcomes([summed(0.5, people_)], use_before=each) for each in (True, False))
    assert [float(each) for each in with_it] == pytest.approx([float(each) for each in without])


def test_many_looks_are_judged_at_once_as_one_by_one() -> None:
    looks = [summed(0.9, people(6, n, 0.9)) for n in (2_000, 3_000)]
    together = Products(0.9, np.stack([each.side for each in looks]), np.stack([each.against for each in looks]))
    found = pseudo_outcomes([together])
    for at, look in enumerate(looks):
        one = pseudo_outcomes([look])
        assert [float(each[at]) for each in found] == pytest.approx([float(each) for each in one], rel=1e-12)
