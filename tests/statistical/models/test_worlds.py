"""Made worlds: from the first tenth of a run to the last, the default must not unlearn what it knew."""

from __future__ import annotations

import pytest

from benchmarks.worlds import shares

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_the_right_arm_always_pays_it_stays_right(seed: int) -> None:
    """Everything that is learned says "this arm brings 1"; a linear profile says so a little better."""
    assert shares("clusters", seed)[2:].min() > 0.98


def test_what_is_curved_is_learned_and_kept() -> None:
    closed = shares("exclusive_or", 0)
    assert closed[3:].min() > 0.5
    assert closed[-1] > 0.68


def test_where_all_nearly_always_pay_the_best_is_found() -> None:
    assert shares("high_rates", 0)[-5:].min() > 0.95


def test_where_hardly_anybody_clicks_the_best_is_found() -> None:
    assert shares("tiny_rates", 1)[-5:].min() > 0.85


def test_an_offer_that_sells_out_is_dropped_at_once() -> None:
    closed = shares("collapse", 0)
    assert closed[4] > 0.85
    assert closed[5:].min() > 0.6  # the tenth in which it sells out
    assert closed[6:].min() > 0.9


def test_a_world_that_turns_slowly_is_followed() -> None:
    """Without letting go of old rows the last three tenths bring less than chance."""
    assert shares("turning", 1)[-3:].mean() > 0.4
