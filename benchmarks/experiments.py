"""Experiments that are played and watched all the time: how often a report finds what is not there, and what is.

    python -m benchmarks.experiments --nulls 2000

Visitors come over time. The share of them that orders moves by half of itself, a horizon closes some while after it
ended, and what is ordered is mostly nothing, sometimes much, and like what was ordered before. Each experiment is
looked at after every hundred participants. The p-values of all looks are worked out at once, by the functions that
reports are made of. ``report_of`` itself is asked at the look that says most, wherever anything is nearly found
and of every tenth experiment besides, and has to say the same.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.ending import end_by_sigterm
from personalization.catalog.catalog import Catalog, Content, Metric, Placement
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from personalization.catalog.duration import DAY_MS
from personalization.evaluation.asymptotic import p_value_of
from personalization.evaluation.betting import Bets
from personalization.evaluation.comparing import (
    ALPHA,
    LEAST_OF_A_SHARE,
    LEAST_OF_AN_AMOUNT,
    LEAST_THAT_COUNT,
    NARROWEST_AT,
)
from personalization.evaluation.experiment_report import Difference, ExperimentReport
from personalization.evaluation.judging import ALARMING, report_of
from personalization.evaluation.power import detectable_share
from personalization.evaluation.regression import Products, pseudo_outcomes
from personalization.evaluation.sample_ratio import Split, p_value
from personalization.evaluation.strata import EVERYBODY, MetricSums, SideSums, Stratum

FloatArray: TypeAlias = NDArray[np.float64]

BASE = 0.05
CAP = 150.0
SHARE, AMOUNT = "ordered", "revenue"
LOOK_EVERY = 100
TREATED_SIDE, CONTROL_SIDE = "", "control"

_N, _K, _X, _XX, _Y, _YY, _XY = range(7)


HORIZON_MS = 7 * DAY_MS


@dataclass(frozen=True)
class Terms:
    """An experiment to be played.

    Attributes
    ----------
    n
        Participants.
    treated
        How probable it is to be treated, of each of the equally long times that follow each other.
    lift
        By how much of itself treatment raises the share that orders.
    lost
        The share of the treated who are never told of: above 0 the split does not hold.
    """

    name: str
    n: int
    treated: tuple[float, ...] = (0.5,)
    lift: float = 0.0
    lost: float = 0.0
    look_every: int = LOOK_EVERY


EVEN = Terms("even", 10_000)
THIN = Terms("control of 5 %", 30_000, (0.95,))
MOVING = Terms("split that moves", 20_000, (0.5, 0.9, 0.3))


def shop(terms: Terms) -> CompiledCatalog:
    """A catalog with the placement, and the two metrics."""
    held_out = round(1.0 - terms.treated[0], 9)
    placement = Placement(content=("red",), default="red", holdout=held_out, horizon_ms=HORIZON_MS)
    metrics = {
        SHARE: Metric(event="Ordered"),
        AMOUNT: Metric(event="Ordered", value="properties.revenue", cap=CAP, unit="EUR"),
    }
    return compile_catalog(
        Catalog(placements={"hero": placement}, content={"red": Content(body="red")}, metrics=metrics), 1
    )


class Played:
    """An experiment that was played: the sums at each look.

    Attributes
    ----------
    sums
        n, the number who ordered, Σx, Σx², Σy, Σy² and Σxy, shape (splits, 2, 7, looks): the treated first.
    """

    def __init__(self, seed: int, terms: Terms) -> None:
        rng = np.random.default_rng(seed)
        n, n_splits = terms.n, len(terms.treated)
        at = np.linspace(0.0, 1.0, n, endpoint=False)
        split = (at * n_splits).astype(int)
        treated = rng.random(n) < np.array(terms.treated)[split]
        is_buyer = rng.random(n) < 0.3
        before = np.where(is_buyer, np.minimum(CAP, rng.lognormal(3.0, 1.0, n)), 0.0)
        probability = BASE * (1.0 + 0.5 * np.sin(6.0 * at)) * np.where(is_buyer, 2.0, 4.0 / 7.0)
        ordered = rng.random(n) < probability * np.where(treated, 1.0 + terms.lift, 1.0)
        spent = np.minimum(CAP, rng.lognormal(3.0, 1.0, n) + 0.5 * before)
        revenue = np.where(ordered, spent, 0.0)
        told = rng.random(n) >= np.where(treated, terms.lost, 0.0)
        closes = np.argsort(at + rng.exponential(0.02, n), kind="stable")
        closes = closes[told[closes]]
        looks = np.arange(terms.look_every - 1, len(closes), terms.look_every)
        self.terms = terms
        each = np.stack([np.ones(n), ordered, before, before**2, revenue, revenue**2, before * revenue]).astype(
            np.float64
        )[:, closes]
        self.sums = np.empty((n_splits, 2, 7, len(looks)))
        for which in range(n_splits):
            for side in (0, 1):
                is_here = (split[closes] == which) & (treated[closes] == (side == 0))
                self.sums[which, side] = np.cumsum(each * is_here, axis=1)[:, looks]

    @property
    def n_looks(self) -> int:
        """How often it is looked at."""
        return int(self.sums.shape[-1])

    def strata(self, look: int) -> list[Stratum]:
        """What the projector would have counted until a look."""
        found = []
        for treated, sums in zip(self.terms.treated, self.sums[..., look], strict=True):
            sides = {}
            for side, of in zip((TREATED_SIDE, CONTROL_SIDE), sums, strict=True):
                share = MetricSums(of[_K], of[_K])
                amount = MetricSums(of[_Y], of[_YY], of[_X], of[_XX], of[_XY])
                sides[side] = SideSums(of[_N], metrics={SHARE: share, AMOUNT: amount})
            if any(of.n for of in sides.values()):
                split = {CONTROL_SIDE: 1.0 - treated, TREATED_SIDE: treated}
                found.append(Stratum(split, HORIZON_MS, {EVERYBODY: sides}))
        return found

    def p_values_of_share(self) -> FloatArray:
        """At each look; 1 where nothing is said."""
        values, counts, widths = [], [], []
        for treated, of in zip(self.terms.treated, self.sums, strict=True):
            values += [1.0 / treated, -1.0 / (1.0 - treated)]
            counts += [of[0, _K], of[1, _K]]
            widths += [1.0 / treated + 1.0 / (1.0 - treated)] * 2
        bets = Bets(np.array(values), np.stack(counts), np.array(widths))
        best = np.maximum(bets.log_capitals(0.0, 1), bets.log_capitals(0.0, -1))
        return np.where(self._least() >= LEAST_OF_A_SHARE, np.minimum(1.0, 2.0 * np.exp(-best)), 1.0)

    def p_values_of_amount(self) -> FloatArray:
        """At each look; 1 where nothing is said."""
        seen = []
        for treated, of in zip(self.terms.treated, self.sums, strict=True):
            rows = [[_N, _X, _Y], [_X, _XX, _XY], [_Y, _XY, _YY]]
            side, against = (np.moveaxis(np.array([[one[at] for at in row] for row in rows]), -1, 0) for one in of)
            seen.append(Products(treated, side, against))
        is_said = self._least() >= LEAST_OF_AN_AMOUNT
        total, squares = self.sums[:, :, _Y].sum(axis=0), self.sums[:, :, _YY].sum(axis=0)
        is_said &= (total**2 >= LEAST_THAT_COUNT * squares).all(axis=0) & (squares > 0.0).all(axis=0)
        pseudo = pseudo_outcomes(seen)
        found = np.ones(self.n_looks)
        for look in np.flatnonzero(is_said):
            difference = float(pseudo.side[look] - pseudo.against[look])
            sd = math.sqrt(float(pseudo.variance()[look]))
            found[look] = p_value_of(difference, float(pseudo.n[look]), sd, ALPHA, NARROWEST_AT)
        return found

    def p_values_of_split(self) -> FloatArray:
        """At each look; 1 where nothing is said."""
        found = np.ones(self.n_looks)
        for look in range(self.n_looks):
            splits = [
                Split((1.0 - treated, treated), (round(n[1, look]), round(n[0, look])))
                for treated, n in zip(self.terms.treated, self.sums[:, :, _N], strict=True)
                if n[:, look].any()
            ]
            said = p_value(splits)
            found[look] = 1.0 if said is None else said
        return found

    def _least(self) -> FloatArray:
        least: FloatArray = self.sums[:, :, _N].sum(axis=0).min(axis=0)
        return least


@dataclass(frozen=True)
class Watched:
    """What watching an experiment to its end gave.

    Attributes
    ----------
    share, amount, split
        Whether a difference of the share, of the amount, and a split that does not hold, were ever found.
    """

    share: bool
    amount: bool
    split: bool


def watched(seed: int, terms: Terms, catalog: CompiledCatalog) -> Watched:
    """Play an experiment, and ask ``report_of`` at the look that says most, if that is much, or it is a tenth one.

    Raises
    ------
    AssertionError
        If it says something else than was worked out.
    """
    played = Played(seed, terms)
    split = played.p_values_of_split()
    by_metric = {SHARE: played.p_values_of_share(), AMOUNT: played.p_values_of_amount()}
    found = []
    for metric, p_values in by_metric.items():
        look = int(p_values.argmin())
        if p_values[look] > 2 * ALPHA and seed % 10:
            found.append(False)
            continue
        report = report_of(catalog.placements["hero"], catalog.metrics, played.strata(look))
        said = difference_in(report, metric)
        if split[look] < ALARMING:
            assert report.alarm
            assert said is None
            found.append(False)
            continue
        assert said is not None
        if p_values[look] == 1.0:  # the first of those that say least
            assert said.p_value is None or said.p_value > ALPHA
            found.append(False)
            continue
        assert said.p_value is not None, said
        assert said.low is not None, said
        assert said.high is not None, said
        assert math.isclose(said.p_value, p_values[look], rel_tol=1e-6), (said.p_value, p_values[look])
        found.append(not said.low <= 0.0 <= said.high)
        assert found[-1] == (said.p_value < ALPHA)
    return Watched(found[0], found[1], bool((split < ALARMING).any()))


def difference_in(report: ExperimentReport, metric: str) -> Difference | None:
    """What a report says of a metric, and everybody."""
    return next((each for each in report.differences if each.metric == metric and not each.segment), None)


def bound(n: int, rate: float = ALPHA) -> float:
    """The share of n experiments that may alarm: the promised rate and two standard errors."""
    return rate + 2.0 * math.sqrt(rate * (1.0 - rate) / n)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.experiments", description=__doc__)
    parser.add_argument("--nulls", type=int, default=2_000, help="experiments without a difference, of each kind")
    parser.add_argument("--lifts", type=int, default=200, help="experiments with one, of each kind")
    given = parser.parse_args(arguments)
    is_kept = True
    for terms in (EVEN, THIN, MOVING):
        is_kept &= _nulls(terms, given.nulls)
    for lost in (0.02, 0.05):
        terms = Terms(f"even, {lost:.0%} of the treated lost", 50_000, lost=lost)
        found = sum(watched(seed, terms, shop(terms)).split for seed in range(given.lifts))
        print(f"split   {terms.name}: {found} of {given.lifts} noticed by {terms.n:,}", flush=True)
    is_kept &= _lifts(given.lifts)
    return 0 if is_kept else 1


def _nulls(terms: Terms, n: int) -> bool:
    catalog = shop(terms)
    found = [watched(seed, terms, catalog) for seed in range(n)]
    share, amount, split = (sum(getattr(each, name) for each in found) for name in ("share", "amount", "split"))
    print(
        f"null    {terms.name}, {terms.n:,} participants: share {share / n:.2%}, amount {amount / n:.2%} found "
        f"(at most {bound(n):.2%}), split {split / n:.2%} (at most {bound(n, ALARMING):.2%})",
        flush=True,
    )
    return bool(max(share, amount) / n <= bound(n) and split / n <= bound(n, ALARMING))


def _lifts(n: int) -> bool:
    terms = Terms("even, +10 % of 5 %", 150_000, lift=0.10, look_every=1_500)
    catalog = shop(terms)
    found = sum(watched(10_000 + seed, terms, catalog).share for seed in range(n))
    print(f"power   {terms.name}: {found} of {n} found by {terms.n:,}", flush=True)
    for treated in (0.5, 0.95):
        detectable = detectable_share({treated: 150_000}, BASE) or math.nan
        terms = Terms("", 150_000, (treated,), detectable, look_every=1_500)
        catalog = shop(terms)
        ever = last = 0
        for seed in range(n):
            p_values = Played(20_000 + seed, terms).p_values_of_share()
            ever += bool((p_values < ALPHA).any())
            last += bool(p_values[-1] < ALPHA)
        print(
            f"power   {treated:.0%} treated, 150,000: +{detectable:.1%} is said to be detectable, and was found in "
            f"{ever / n:.0%} ever, in {last / n:.0%} at the last look",
            flush=True,
        )
    return found / n >= 0.8


if __name__ == "__main__":
    end_by_sigterm()
    sys.exit(main())
