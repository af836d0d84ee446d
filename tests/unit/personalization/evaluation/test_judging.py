"""What a report says of an experiment, and what it does not say."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.evaluation.asymptotic import half_width
from personalization.evaluation.betting import Counts, difference_of_shares
from personalization.evaluation.comparing import NARROWEST_AT
from personalization.evaluation.experiment_report import ExperimentReport
from personalization.evaluation.intervals import wilson
from personalization.evaluation.strata import MetricSums, SideSums, Stratum
from tests.unit.personalization.evaluation.experiment import amount, report, said, share, shop, stratum

EVEN = {"control": 0.5, "": 0.5}


def side(n: float, ordered: float, *, cost: float = 0.0, mean: float = 2.0) -> SideSums:
    metrics = {"ordered": share(ordered), "revenue": amount(n, mean, 10.0), "profit": amount(n, 0.4 * mean, 4.0)}
    return SideSums(n, 0.0, cost, metrics)


def found(treated: float = 2_900, control: float = 2_500, n: float = 50_000, *more: Stratum) -> ExperimentReport:
    return report(shop(), stratum(EVEN, control=side(n, control), written=side(n, treated)), *more)


def test_a_share_is_judged_by_bets_and_says_so_in_a_sentence() -> None:
    one = said(found(), "ordered")
    bets = difference_of_shares({0.5: Counts(50_000, 2_900, 50_000, 2_500)})
    assert (one.difference, one.low, one.high) == pytest.approx((bets.mean, bets.low, bets.high))
    assert one.relative == pytest.approx(0.16)
    assert one.relative_low is not None
    assert one.relative_high is not None
    assert 0.0 < one.relative_low < 0.16 < one.relative_high
    assert one.words == (
        "“ordered” came of 5.8 % of those shown the personalised block, and of 5.0 % of those held out: that is "
        "0.8 points more (between 0.3 and 1.3), 16 % more."
    )


def test_what_cannot_be_told_apart_says_so_and_what_could_be_found() -> None:
    one = said(found(2_510, 2_500), "ordered")
    assert one.words.startswith(
        "No difference in “ordered” can be told apart yet between those shown the personalised block and those "
        "held out: it lies between −0."
    )
    assert one.words.endswith("would be seen in four of five experiments.")
    assert one.p_value is not None
    assert one.p_value >= 0.05
    assert one.detectable is not None
    assert 0.08 < one.detectable < 0.15


def test_an_amount_is_judged_by_its_pseudo_outcomes() -> None:
    n = 50_000.0
    treated, control = side(n, 2_500, mean=2.5), side(n, 2_500, mean=2.0)
    one = said(report(shop(), stratum(EVEN, control=control, written=treated)), "revenue")
    half = half_width(2 * n, 2 * 10.0, narrowest_at=NARROWEST_AT)
    assert one.difference == pytest.approx(0.5)
    assert (one.low, one.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert one.unit == "EUR"
    assert one.relative == pytest.approx(0.25)


def test_variance_that_what_came_before_explains_is_taken_away() -> None:
    rng = np.random.default_rng(1)
    sides = []
    for _ in range(2):
        x = rng.gamma(2.0, 5.0, 5_000)
        y = 0.8 * x + rng.gamma(2.0, 1.0, 5_000)
        total, squares, before, before_squares, both = (float(each.sum()) for each in (y, y * y, x, x * x, x * y))
        sums = MetricSums(total, squares, before, before_squares, both)
        sides.append(SideSums(5_000, metrics={"revenue": sums}))
    one = said(report(shop(), stratum(EVEN, control=sides[0], written=sides[1])), "revenue")
    assert one.variance_reduction > 0.9
    assert one.low is not None
    assert one.high is not None
    assert one.low < 0.0 < one.high


def test_a_stratum_that_nobody_is_in_changes_nothing() -> None:
    nobody = stratum({"control": 0.001, "": 0.999}, control=SideSums(), written=SideSums())
    assert found(2_900, 2_500, 50_000, nobody) == found()
    assert found(2_900, 2_500, 50_000, stratum({"control": 0.01, "": 0.99})) == found()


@pytest.mark.parametrize(("one", "other"), [(2_900, 2_500), (2_500, 2_600), (30, 0), (0, 30), (2_000, 2_000)])
def test_swapping_what_came_of_the_sides_flips_the_signs(one: float, other: float) -> None:
    here, there = said(found(one, other), "ordered"), said(found(other, one), "ordered")
    assert here.difference is not None
    assert there.difference == pytest.approx(-here.difference)
    assert there.low == pytest.approx(-(here.high or 0.0))
    assert there.high == pytest.approx(-(here.low or 0.0))
    assert there.p_value == pytest.approx(here.p_value)


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_holds_the_point_and_leaves_out_zero_where_the_p_value_is_small(seed: int) -> None:
    rng = np.random.default_rng(seed)
    strata = []
    for control in rng.choice([0.02, 0.1, 0.5, 0.8], size=3, replace=False):
        n = rng.multinomial(rng.integers(5_000, 60_000), [control, 1 - control])
        k = rng.binomial(n, rng.uniform(0.01, 0.7, 2))
        sides = [side(float(n[at]), float(k[at]), mean=rng.uniform(1, 4)) for at in (0, 1)]
        strata.append(stratum({"control": control, "": 1 - control}, control=sides[0], written=sides[1]))
    for each in report(shop(), *strata).differences:
        if each.missing:
            assert each.difference is each.low is each.p_value is None
            continue
        assert each.low is not None
        assert each.high is not None
        assert each.difference is not None
        assert each.mean_side is not None
        assert each.mean_against is not None
        assert each.p_value is not None
        assert each.low <= each.difference <= each.high
        assert each.difference == pytest.approx(each.mean_side - each.mean_against)
        assert (each.p_value < 0.05) == (not each.low <= 0.0 <= each.high)
        if each.relative is not None:
            assert each.relative_low is not None
            assert each.relative_high is not None
            assert each.relative_low <= each.relative <= each.relative_high


def test_a_share_that_moved_with_the_split_is_no_difference() -> None:
    """Simpson's paradox: the treated came when fewer ordered."""
    before = stratum(EVEN, control=side(10_000, 1_000), written=side(10_000, 1_000))
    after = stratum({"control": 0.05, "": 0.95}, control=side(1_000, 20), written=side(19_000, 380))
    one = said(report(shop(), before, after), "ordered")
    assert one.difference == pytest.approx(0.0, abs=1e-12)


# ---------------------------------------------------------------- nothing is said


def test_where_nothing_is_compared_the_remedy_is_named() -> None:
    assert report(shop(0.0)).missing == (
        "Placement “hero” compares nothing: give it a `holdout`, such as 0.05, or `variants`."
    )


def test_where_nothing_is_measured_the_remedy_is_named() -> None:
    assert "give the catalog `metrics`" in report(shop(is_measured=False)).missing


def test_while_no_horizon_has_closed_it_is_said_how_long_it_is() -> None:
    told = report(shop())
    assert "Nobody has been watched to the end yet" in told.missing
    assert "7 days" in told.missing
    assert not told.says_something


def test_one_side_under_a_hundred_has_a_sentence_and_no_number() -> None:
    few = report(shop(), stratum(EVEN, control=side(99, 5), written=side(120, 6)))
    assert few.missing == (
        "Only 99 of those held out have been watched for 7 days yet, and comparing a share takes 100 on each "
        "side: wait, or give that side a larger share."
    )
    one = said(few, "ordered")
    assert "takes 100 on each side" in one.missing
    assert [one.mean_side, one.difference, one.low, one.relative, one.detectable, one.p_value] == [None] * 6


def test_what_has_not_come_of_anybody_is_no_difference_of_nothing() -> None:
    assert said(found(), "reward.click").missing == (
        "“reward.click” has not come of anybody yet: check that its event is sent, or wait."
    )


def test_profit_has_no_event_that_could_be_checked() -> None:
    nothing = SideSums(5_000, metrics={"ordered": share(250.0)})
    told = report(shop(), stratum(EVEN, control=nothing, written=nothing))
    assert said(told, "profit").missing.startswith("Nothing has been earned or spent yet")


def test_an_amount_of_fewer_than_a_thousand_is_not_judged_while_a_share_is() -> None:
    told = report(shop(), stratum(EVEN, control=side(999, 50), written=side(1_001, 50)))
    assert "takes 1,000 on each side" in said(told, "revenue").missing
    assert said(told, "ordered").missing == ""
    assert told.missing == ""


def test_an_amount_that_a_few_make_up_is_not_judged() -> None:
    rare = SideSums(5_000, metrics={"revenue": MetricSums(1_000.0, 250_000.0)})
    told = report(shop(), stratum(EVEN, control=rare, written=side(5_000, 50)))
    assert said(told, "revenue").missing.startswith("Too few of those held out count for anything in “revenue”")


def test_an_amount_that_is_the_same_for_everybody_has_no_interval_of_no_width() -> None:
    same = SideSums(5_000, metrics={"revenue": MetricSums(5_000 * 0.7, 5_000 * 0.7**2)})
    one = said(report(shop(), stratum(EVEN, control=same, written=same)), "revenue")
    assert "the same for everybody" in one.missing
    assert one.low is None


def test_a_segment_that_nobody_is_in_has_a_sentence() -> None:
    one = stratum(EVEN, control=side(50_000, 2_500), written=side(50_000, 2_900))
    told = said(report(shop(), one, segments=["lost"]), "ordered", segment="lost")
    assert told.missing.startswith("None of those held out in the segment “lost” have been watched for 7 days yet")


def test_a_split_that_does_not_hold_is_all_that_is_said() -> None:
    told = report(shop(), stratum(EVEN, control=side(48_500, 2_500), written=side(51_500, 3_500)))
    assert told.split_p_value is not None
    assert told.split_p_value < 0.001
    assert "48.5 % of 100,000 are those held out, where 50.0 % should be" in told.alarm
    assert (told.differences, told.money, told.courses) == ([], [], [])
    assert not told.says_something


def test_another_set_of_sides_is_another_experiment() -> None:
    other = stratum({"control": 0.2, "": 0.4, "bold": 0.4}, control=side(20_000, 9_000))
    told = report(shop(), stratum(EVEN, control=side(50_000, 2_500), written=side(50_000, 2_900)), other)
    assert told.earlier == [["", "bold", "control"]]
    assert msgspec.structs.replace(told, earlier=[]) == found()


# ---------------------------------------------------------------- several are looked at


def test_variants_are_compared_with_what_is_written_each_at_a_level_for_all() -> None:
    catalog = shop(0.2, {"bold": 0.25, "calm": 0.25})
    split = catalog.placements["hero"].split
    strata = stratum(
        split,
        control=side(20_000, 1_000),
        written=side(40_000, 2_000),
        bold=side(20_000, 1_000),
        calm=side(20_000, 1_400),
    )
    told = report(catalog, strata)
    pairs = [(each.side, each.against, each.level) for each in told.differences if each.metric == "ordered"]
    assert pairs == [("treated", "control", 0.95), ("bold", "", 0.975), ("calm", "", 0.975)]
    assert said(told, "ordered").n_side == 80_000
    assert said(told, "ordered", "calm").difference == pytest.approx(0.02)
    bets = difference_of_shares({1 / 3: Counts(20_000, 1_400, 40_000, 2_000)}, 0.025)
    assert said(told, "ordered", "calm").low == pytest.approx(bets.low)


def test_each_segment_is_judged_at_a_level_for_all_that_are_looked_at() -> None:
    one = stratum(EVEN, control=side(50_000, 2_500), written=side(50_000, 2_900))
    for name in ("loyal", "new"):
        one.segments[name] = {"control": side(10_000, 500), "": side(10_000, 620)}
    levels = {each.segment: each.level for each in report(shop(), one).differences}
    assert levels == {"": 0.95, "loyal": 0.975, "new": 0.975}
    alone = report(shop(), one, segments=["loyal"])
    assert said(alone, "ordered", segment="loyal").level == 0.95
    assert {each.segment for each in report(shop(), one, segments=[]).differences} == {""}
    assert "in the segment “loyal”" in said(alone, "ordered", segment="loyal").words


# ---------------------------------------------------------------- money and time


def test_money_is_the_difference_of_everybody_who_was_treated() -> None:
    treated, control = side(50_000, 2_900, cost=5_000.0, mean=3.0), side(50_000, 2_500, mean=2.0)
    told = report(shop(), stratum(EVEN, control=control, written=treated))
    money = {(each.name, each.metric): each for each in told.money}
    revenue, one = money["incremental revenue", "revenue"], said(told, "revenue")
    assert revenue.value == pytest.approx(50_000.0)
    assert one.low is not None
    assert revenue.low == pytest.approx(50_000 * one.low)
    assert money["incremental profit", "profit"].value == pytest.approx(20_000.0)
    assert money["cost", ""].value == 5_000.0
    per_order, orders = money["cost per conversion", "ordered"], said(told, "ordered")
    assert per_order.value == pytest.approx(5_000 / 400)
    assert orders.high is not None
    assert per_order.low == pytest.approx(5_000 / (50_000 * orders.high))
    spent = money["return on spend", "profit"]
    assert spent.value == pytest.approx((20_000 + 5_000) / 5_000)
    assert ("incremental revenue", "read") not in money, "it has no margin: it is no money"
    assert all(each.words for each in told.money)


def test_a_conversion_has_no_price_before_there_are_more() -> None:
    treated, control = side(50_000, 2_510, cost=5_000.0), side(50_000, 2_500)
    told = report(shop(), stratum(EVEN, control=control, written=treated))
    [price] = [each for each in told.money if each.name == "cost per conversion"]
    assert price.value is price.low is price.high is None
    assert "cannot be told yet" in price.missing


def test_without_a_cost_there_is_no_price() -> None:
    assert {each.name for each in found().money} == {"incremental revenue", "incremental profit"}


def test_the_course_is_the_curve_of_kaplan_and_meier() -> None:
    """Against the product over times of the share that it had not come of yet, with nobody lost."""
    times = {0: 100.0, 3: 300.0, 12: 200.0}
    ordered = SideSums(10_000, metrics={"ordered": share(700.0, times)})
    told = report(shop(), stratum(EVEN, control=ordered, written=ordered))
    [course, _] = told.courses
    assert (course.metric, course.side) == ("ordered", "treated")
    assert course.until_ms[0] == MINUTE_MS
    assert course.until_ms[-1] == 7 * DAY_MS, "it ends where the horizon does"
    surviving, at_risk, variance = 1.0, 10_000.0, 0.0
    for at, until_ms in enumerate(course.until_ms[:-1]):
        came = times.get(at, 0.0)
        surviving *= 1.0 - came / at_risk
        variance += came / (at_risk * (at_risk - came))
        at_risk -= came
        assert course.shares[at] == pytest.approx(1.0 - surviving, rel=1e-9), until_ms
        half = 1.959964 * surviving * variance**0.5  # Greenwood
        assert course.high[at] - course.low[at] == pytest.approx(2 * half, abs=4e-4)
    assert course.shares[-1] == pytest.approx(0.07), "what came when no time is counted came all the same"
    assert (course.low[-1], course.high[-1]) == wilson(course.shares[-1], 10_000)
