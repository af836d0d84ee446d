"""What a treatment changed in a share: valid at every look, whatever the share itself does."""

from __future__ import annotations

import numpy as np
import pytest

from personalization.evaluation.betting import (
    Bets,
    Counts,
    difference_of_shares,
    p_value_of_no_difference,
    ratio_of_shares,
)


def test_the_interval_holds_the_differences_that_no_side_bets_away() -> None:
    strata = {0.5: Counts(4_000, 260, 4_000, 200)}
    found = difference_of_shares(strata)
    assert found.mean == pytest.approx(2 * (260 - 200) / 8_000)
    assert found.low < found.mean < found.high
    values = np.array([2.0, -2.0, 0.0])
    bets = Bets(values, np.array([260.0, 200.0, 7_540.0]), np.full(3, 4.0))
    for edge, sign in ((found.low, 1), (found.high, -1)):
        assert bets.log_capital(edge, sign) == pytest.approx(np.log(2 / 0.05), abs=1e-6)


def test_whoever_bets_a_fixed_share_has_the_product_of_what_each_visitor_brought() -> None:
    values = np.array([2.0, -2.0, 0.0])
    outcomes = [2.0, 0.0, 0.0, -2.0, 2.0, 0.0]
    bets = Bets(values, np.array([2.0, 1.0, 3.0]), np.full(3, 4.0), np.array([0.1, 0.3]))
    for mean, sign in ((0.0, 1), (0.4, 1), (-0.2, -1)):
        capital = [np.prod([1 + sign * stake / 4 * (x - mean) for x in outcomes]) for stake in (0.1, 0.3)]
        assert bets.log_capital(mean, sign) == pytest.approx(np.log(np.mean(capital)), abs=1e-12)


def test_splits_that_were_in_force_one_after_the_other_are_judged_together() -> None:
    one, other = Counts(3_000, 180, 3_000, 150), Counts(5_700, 342, 300, 15)
    together = difference_of_shares({0.5: one, 0.95: other})
    weighs, weighs_other = 0.5 * 0.5, 0.95 * 0.05  # as much as a visitor tells
    weighed = weighs * 2 * (180 - 150) + weighs_other * (342 / 0.95 - 15 / 0.05)
    weighed /= 6_000 * (weighs + weighs_other)
    assert together.mean == pytest.approx(weighed)
    assert together.low < weighed < together.high


def test_a_thin_control_needs_more_visitors_for_the_same_word() -> None:
    even = difference_of_shares({0.5: Counts(50_000, 2_500, 50_000, 2_500)})
    thin = difference_of_shares({0.95: Counts(95_000, 4_750, 5_000, 250)})
    assert thin.high - thin.low > 2 * (even.high - even.low)


def test_a_good_guess_of_the_share_narrows_the_interval() -> None:
    strata = {0.5: Counts(20_000, 8_000, 20_000, 8_000)}
    plain, guessed = difference_of_shares(strata), difference_of_shares(strata, expected=0.4)
    assert guessed.high - guessed.low < 0.8 * (plain.high - plain.low)


@pytest.mark.parametrize(
    "strata", [{}, {0.5: Counts(0, 0, 0, 0)}, {1.0: Counts(5, 1, 0, 0)}, {0.0: Counts(0, 0, 5, 1)}]
)
def test_where_there_is_no_split_or_nobody_there_is_no_number(strata: dict[float, Counts]) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1|nobody"):
        difference_of_shares(strata)


def test_the_p_value_is_below_alpha_where_the_interval_leaves_out_zero() -> None:
    for treated in range(2_500, 2_900, 40):
        strata = {0.5: Counts(50_000, treated, 50_000, 2_500)}
        found = difference_of_shares(strata)
        assert (p_value_of_no_difference(strata) < 0.05) == (not found.low <= 0.0 <= found.high)


CONFSEQ_CAPITAL = [
    (0.05, 0.5, 2.6516990771651052, 0.35871889221996023),
    (0.05, 0.49, 5.025704199947948, 0.18902010797989696),
    (0.05, 0.53, 0.3887523121841269, 2.4471370202619767),
    (0.3, 0.5, 169.92173565678, 0.000952998791546017),
    (0.3, 0.49, 7759.9457576903105, 1.9882131956388382e-05),
    (0.3, 0.53, 0.0016651139657965076, 97.87190316014166),
    (0.5, 0.5, 2069.312343409626, 2.76615214496901e-06),
    (0.5, 0.49, 1193539.2057444006, 4.173114380420454e-09),
    (0.5, 0.53, 8.896943540299739e-06, 661.8313245738258),
]
"""Stake, mean, and what 1 became that was staked on more, and on less: by confseq 0.0.11, of numbers in [0, 1].

    x = np.array(([1.0] * 9 + [0.5] * 160 + [0.0] * 4 + [0.5] * 80 + [1.0] * 3) * 5)
    stakes = lambda x, m: np.full(len(x), stake)
    betting_mart(x, m, lambdas_fn_positive=stakes, lambdas_fn_negative=stakes, theta=1, convex_comb=True)[-1]
    betting_mart(x, m, lambdas_fn_positive=stakes, lambdas_fn_negative=stakes, theta=0, convex_comb=True)[-1]
"""


@pytest.mark.parametrize(("stake", "mean", "above", "below"), CONFSEQ_CAPITAL)
def test_a_bettor_has_what_confseq_says(stake: float, mean: float, above: float, below: float) -> None:
    """Of pseudo-outcomes of an even split, from −2 to 2, which are those numbers stretched."""
    bets = Bets(np.array([2.0, 0.0, -2.0]), np.array([60.0, 1_200.0, 20.0]), np.full(3, 4.0), np.array([stake]))
    for sign, wanted in ((1, above), (-1, below)):
        assert np.exp(bets.log_capital(4.0 * mean - 2.0, sign)) == pytest.approx(wanted, rel=1e-9)


def test_the_ratio_leaves_out_one_where_the_difference_leaves_out_zero() -> None:
    for treated in range(2_500, 2_900, 40):
        strata = {0.5: Counts(50_000, treated, 50_000, 2_500), 0.9: Counts(9_000, 450, 1_000, 50)}
        found, (low, high) = difference_of_shares(strata), ratio_of_shares(strata)
        assert (low <= 1.0 <= high) == (found.low <= 0.0 <= found.high)


def test_the_ratio_has_no_end_while_the_others_might_have_none() -> None:
    assert ratio_of_shares({0.5: Counts(500, 40, 500, 2)})[1] == np.inf
    low, high = ratio_of_shares({0.5: Counts(50_000, 4_000, 50_000, 4_000)})
    assert 0.8 < low < 1.0 < high < 1.25


def test_a_later_split_changes_no_earlier_stakes() -> None:
    """Nobody has come under it yet, however uneven it is."""
    strata = {0.5: Counts(4_000, 260, 4_000, 200)}
    later = {**strata, 0.999: Counts(0, 0, 0, 0)}
    assert difference_of_shares(later) == difference_of_shares(strata)
    assert p_value_of_no_difference(later) == p_value_of_no_difference(strata)
