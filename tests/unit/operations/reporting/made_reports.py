"""Reports made by hand, as an experiment of a shop might give them."""

from __future__ import annotations

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS
from personalization.evaluation.experiment_report import TREATED, Course, Difference, ExperimentReport, Money

ORDERED = Difference(
    metric="ordered",
    kind="share",
    side=TREATED,
    against="control",
    n_side=52_000,
    n_against=48_000,
    mean_side=0.056,
    mean_against=0.05,
    difference=0.006,
    low=0.001,
    high=0.011,
    relative=0.12,
    relative_low=0.02,
    relative_high=0.23,
    p_value=0.004,
    detectable=0.11,
    words=(
        "Of those shown the personalised block 5.6 % ordered, of those held out 5.0 %: 0.6 points more (between "
        "0.1 and 1.1), 12 % more."
    ),
)
REVENUE = Difference(
    metric="revenue",
    kind="amount",
    unit="EUR",
    side=TREATED,
    against="control",
    n_side=52_000,
    n_against=48_000,
    mean_side=3.31,
    mean_against=3.1,
    difference=0.21,
    low=-0.11,
    high=0.53,
    relative=0.068,
    p_value=0.21,
    variance_reduction=0.12,
    detectable=0.14,
    words="No difference in revenue can be told apart yet: it lies between −€0.11 and +€0.53 a visitor.",
)
THIN = "Only 40 visitors took part on bold; 100 on each side are needed: give it a larger share, or wait."
BOLD = Difference(metric="ordered", kind="share", side="bold", against="", missing=THIN)


def segment(name: str, low: float | None, high: float | None) -> Difference:
    middle = ((low if low is not None else -0.01) + (high if high is not None else 0.01)) / 2
    return Difference(
        metric="ordered",
        kind="share",
        segment=name,
        side=TREATED,
        against="control",
        n_side=9_000,
        n_against=8_500,
        mean_side=0.05 + middle,
        mean_against=0.05,
        difference=middle,
        low=low,
        high=high,
        level=0.9833,
        words=f"Of {name}, so many more.",
    )


def course(side: str, end: float, n: int = 12) -> Course:
    times = [*(each * MINUTE_MS for each in (1, 5, 20)), HOUR_MS, 4 * HOUR_MS, 16 * HOUR_MS]
    times += [each * DAY_MS for each in (1, 2, 3, 4, 5, 7)]
    shares = [end * (at + 1) / n for at in range(n)]
    wide = 0.002
    return Course(
        metric="ordered",
        side=side,
        until_ms=times[:n],
        shares=shares,
        low=[max(0.0, each - wide) for each in shares],
        high=[each + wide for each in shares],
    )


def full(placement: str = "home.hero") -> ExperimentReport:
    """One with everything."""
    return ExperimentReport(
        placement=placement,
        split={"control": 0.5, "": 0.4, "bold": 0.1},
        horizon_ms=7 * DAY_MS,
        counts={"control": 48_000, "": 42_000, "bold": 10_000},
        crossovers={"control": 12, "": 9},
        split_p_value=0.43,
        differences=[
            ORDERED,
            BOLD,
            REVENUE,
            segment("loyal", 0.004, 0.021),
            segment("new_visitor", -0.006, 0.009),
            segment("comparing", -0.02, None),
        ],
        money=[
            Money(
                name="incremental revenue",
                metric="revenue",
                unit="EUR",
                value=12_340.4,
                low=-5_720.0,
                high=27_560.0,
            ),
            Money(
                name="cost per conversion",
                metric="ordered",
                unit="",
                value=None,
                low=None,
                high=None,
                missing="Whether any orders were won is not certain, so there is no cost of one.",
            ),
            Money(name="return on spend", metric="", unit="", value=2.41, low=1.2, high=None),
        ],
        courses=[course("control", 0.05), course(TREATED, 0.056)],
        earlier=[["control", ""]],
    )


def missing(placement: str = "cart.offer") -> ExperimentReport:
    """One that says nothing."""
    words = (
        "Nobody is held out of cart.offer and it has no variants, so nothing can be compared: write holdout: 5%."
    )
    return ExperimentReport(placement=placement, split={}, horizon_ms=7 * DAY_MS, missing=words)


def alarm(placement: str = "home.hero") -> ExperimentReport:
    """One whose split does not hold."""
    words = "Visitors did not fall to the sides as the split says: look for what keeps one side from being counted."
    return ExperimentReport(
        placement=placement,
        split={"control": 0.5, "": 0.5},
        horizon_ms=7 * DAY_MS,
        counts={"control": 5_000, "": 5_600},
        split_p_value=0.00001,
        alarm=words,
    )
