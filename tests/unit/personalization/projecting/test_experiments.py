"""Sums of participants by split, segment and side."""

from __future__ import annotations

from typing import Any

import pytest

from personalization.catalog.duration import DAY_MS, MINUTE_MS
from personalization.evaluation.strata import EVERYBODY
from personalization.events.participant import Participant
from personalization.projecting.experiments import Experiments, bucket_name, strata_in
from personalization.projecting.sums import no_sums

SPLIT = {"control": 0.1, "": 0.9}


def participant(side: str = "", **said: Any) -> Participant:
    fields = {"split": SPLIT, "first_ms": 0, "closed_at_ms": 5 * DAY_MS + 7, "horizon_ms": DAY_MS, **said}
    return Participant("p", "hero", side, **fields)


def added(*participants: Participant) -> dict[str, Any]:
    sums = no_sums()
    for each in participants:
        Experiments().participated(each, sums)
    return {bucket.name: dict(of_bucket) for bucket, of_bucket in sums.items()}


def test_sides_are_added_up_by_split_and_by_segment() -> None:
    buckets = added(
        participant(values={"revenue": 3.0}, before={"revenue": 2.0}, segments=["loyal"], cost=0.5),
        participant(values={"revenue": 1.0}, crossover=True),
        participant("control", values={"ordered": 1.0}, after_ms={"ordered": MINUTE_MS}),
        participant("control", split={"control": 0.5, "": 0.5}),
    )
    assert list(buckets) == [bucket_name("hero", 5)]
    first, second = strata_in(buckets.values())
    assert (first.split, second.split) == (SPLIT, {"control": 0.5, "": 0.5})
    everybody = first.segments[EVERYBODY]
    treated, control = everybody[""], everybody["control"]
    assert (treated.n, treated.n_crossover, treated.cost) == (2.0, 1.0, 0.5)
    revenue = treated.metrics["revenue"]
    assert (revenue.total, revenue.squares) == (4.0, 10.0)
    assert (revenue.before, revenue.before_squares, revenue.products) == (2.0, 4.0, 6.0)
    assert control.metrics["ordered"].times[0] == 1.0
    assert first.segments["loyal"][""].n == 1.0
    assert second.segments[EVERYBODY]["control"].n == 1.0


def test_what_came_later_than_all_times_is_counted_without_one() -> None:
    buckets = added(participant(values={"ordered": 1.0}, after_ms={"ordered": 400 * DAY_MS}))
    [stratum] = strata_in(buckets.values())
    ordered = stratum.segments[EVERYBODY][""].metrics["ordered"]
    assert (ordered.total, sum(ordered.times)) == (1.0, 0.0)


def test_who_was_watched_longer_is_kept_apart() -> None:
    first, second = strata_in(added(participant(), participant(horizon_ms=2 * DAY_MS)).values())
    assert (first.horizon_ms, second.horizon_ms) == (DAY_MS, 2 * DAY_MS)
    assert first.split == second.split


def test_days_are_kept_apart_and_add_up() -> None:
    buckets = added(participant(), participant(closed_at_ms=6 * DAY_MS))
    assert sorted(buckets) == [bucket_name("hero", 5), bucket_name("hero", 6)]
    [stratum] = strata_in(buckets.values())
    assert stratum.segments[EVERYBODY][""].n == pytest.approx(2.0)
