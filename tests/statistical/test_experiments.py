"""Whole reports that are watched all the time: false alarms are as rare as promised, and what is there is found."""

from __future__ import annotations

import pytest

from benchmarks.experiments import BASE, EVEN, THIN, Played, Terms, bound, shop, watched
from personalization.evaluation.comparing import ALPHA
from personalization.evaluation.judging import ALARMING
from personalization.evaluation.power import detectable_share

pytestmark = pytest.mark.slow

N_EXPERIMENTS = 200


@pytest.mark.parametrize("terms", [EVEN, THIN], ids=lambda terms: terms.name)
def test_of_reports_of_nothing_few_ever_find_something(terms: Terms) -> None:
    """Looked at after every hundred participants, with horizons that close late and a share that drifts."""
    catalog = shop(terms)
    found = [watched(seed, terms, catalog) for seed in range(N_EXPERIMENTS)]
    share, amount = (sum(getattr(each, name) for each in found) for name in ("share", "amount"))
    print(f"{terms.name}: of {N_EXPERIMENTS}, {share} ever found a difference of shares, {amount} of amounts")
    assert max(share, amount) / N_EXPERIMENTS <= bound(N_EXPERIMENTS)
    assert sum(each.split for each in found) / N_EXPERIMENTS <= bound(N_EXPERIMENTS, ALARMING)


def test_a_tenth_more_of_five_percent_is_found_by_150_000_in_four_of_five() -> None:
    terms = Terms("even", 150_000, lift=0.10, look_every=1_500)
    catalog, n = shop(terms), 30
    found = sum(watched(seed, terms, catalog).share for seed in range(n))
    print(f"{found} of {n} found")
    assert found / n >= 0.8


@pytest.mark.parametrize("treated", [0.5, 0.95])
def test_what_is_said_to_be_detectable_is_found_in_four_of_five(treated: float) -> None:
    detectable = detectable_share({treated: 30_000}, BASE)
    assert detectable is not None
    terms, n = Terms("", 30_000, (treated,), detectable, look_every=1_000), 60
    found = sum(bool((Played(seed, terms).p_values_of_share() < ALPHA).any()) for seed in range(n))
    print(f"{treated:.0%} treated: +{detectable:.1%} found in {found} of {n}")
    assert 0.7 <= found / n <= 0.95


def test_a_side_that_loses_a_twentieth_of_its_visitors_is_noticed() -> None:
    terms, n = Terms("even, lost", 50_000, lost=0.05, look_every=1_000), 20
    found = sum(bool((Played(seed, terms).p_values_of_split() < ALARMING).any()) for seed in range(n))
    print(f"{found} of {n} noticed")
    assert found / n >= 0.95
