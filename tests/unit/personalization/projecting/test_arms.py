"""What the arms of a placement were chosen, shown and worth, added up whatever way their records come."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personalization.catalog.duration import DAY_MS, HOUR_MS, MINUTE_MS
from personalization.events.outcome import ClosingReason
from personalization.projecting.arms import (
    OTHER_ARMS,
    ArmOfSide,
    Arms,
    ArmSums,
    arms_in,
    buckets_over,
    side_of,
)
from personalization.projecting.facts import DecisionFact, OutcomeFact
from personalization.projecting.sums import Sums, add, no_sums
from personalization.visitor.choice import Choice

NOW_MS = 100 * DAY_MS + 12 * HOUR_MS

Fact = DecisionFact | OutcomeFact


def choice(arm: str, holdout: bool | None = False, variant: str = "", placement: str = "hero") -> Choice:
    return Choice("d", placement, 0, arm, 1, holdout=holdout, variant=variant)


def decided(
    arm: str = "red", at_ms: int = NOW_MS, *, exposed: bool = True, holdout: bool | None = False
) -> DecisionFact:
    return DecisionFact(choice=choice(arm, holdout), request_id="r", decided_at_ms=at_ms, exposed=exposed)


def closed(arm: str = "red", reward: float = 1.0, **more: object) -> OutcomeFact:
    fields: dict[str, object] = {"decided_at_ms": NOW_MS, "closed_at_ms": NOW_MS, "exposed_at_ms": NOW_MS, **more}
    return OutcomeFact(choice(arm), reward, fields.pop("reason", ClosingReason.WINDOW), **fields)  # type: ignore[arg-type]


def added(facts: Iterable[Fact], arms: Arms | None = None) -> Sums:
    arms, sums = arms or Arms(), no_sums()
    for fact in facts:
        if isinstance(fact, DecisionFact):
            arms.decided(fact, sums)
        else:
            arms.closed(fact, sums)
    return sums


def over(sums: Sums, over_ms: int = HOUR_MS, now_ms: int = NOW_MS) -> dict[ArmOfSide, ArmSums]:
    by_name = {bucket.name: values for bucket, values in sums.items()}
    return arms_in([by_name[name] for name in buckets_over("hero", over_ms, now_ms) if name in by_name], "hero")


_times = st.integers(NOW_MS - 50 * MINUTE_MS, NOW_MS)
_facts = st.one_of(
    st.builds(
        decided,
        st.sampled_from(["red", "green"]),
        _times,
        exposed=st.booleans(),
        holdout=st.sampled_from([True, False, None]),
    ),
    st.builds(
        closed,
        st.sampled_from(["red", "green"]),
        st.floats(-10, 10),
        closed_at_ms=_times,
        exposed_at_ms=st.one_of(st.none(), _times),
        decided_at_ms=_times,
        reason=st.sampled_from(ClosingReason),
        sample_weight=st.floats(1, 9),
        shown_by_reward=st.booleans(),
        predicted=st.one_of(st.none(), st.floats(-1, 2)),
    ),
)


@given(st.lists(_facts, max_size=30), st.randoms(use_true_random=False), st.integers(1, 7))
def test_the_order_and_the_batches_that_records_come_in_change_nothing(
    facts: list[Fact], random: object, size: int
) -> None:
    shuffled = list(facts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    in_batches, arms = no_sums(), Arms()
    for first in range(0, len(shuffled), size):
        for bucket, sums in added(shuffled[first : first + size], arms).items():
            for name, numbers in sums.items():
                add(in_batches[bucket], name, numbers)
    at_once = added(facts)
    assert in_batches.keys() == at_once.keys()
    for bucket, sums in at_once.items():
        assert in_batches[bucket].keys() == sums.keys()
        for name, numbers in sums.items():
            assert in_batches[bucket][name] == pytest.approx(numbers)


@given(st.lists(_facts, max_size=30))
def test_sums_are_what_a_direct_count_gives(facts: list[Fact]) -> None:
    found = over(added(facts), HOUR_MS)
    outcomes = [fact for fact in facts if isinstance(fact, OutcomeFact)]
    earned = [
        fact
        for fact in outcomes
        if fact.exposed_at_ms is not None
        and fact.reason in (ClosingReason.WINDOW, ClosingReason.FINAL)
        and not fact.shown_by_reward
    ]

    def of(facts: Sequence[Fact], arm: str) -> list[Fact]:
        return [fact for fact in facts if fact.choice.arm == arm]

    for arm in ("red", "green"):
        sums = [each for name, each in found.items() if name.arm == arm]
        made = [fact for fact in of(facts, arm) if isinstance(fact, DecisionFact)]
        assert sum(each.n_decisions for each in sums) == len(made)
        mine = [fact for fact in earned if fact.choice.arm == arm]
        assert sum(each.n_outcomes for each in sums) == pytest.approx(math.fsum(f.sample_weight for f in mine))
        assert sum(each.reward for each in sums) == pytest.approx(
            math.fsum(f.sample_weight * f.reward for f in mine)
        )
        late = [f for f in outcomes if f.choice.arm == arm and (f.exposed_at_ms or 0) > f.decided_at_ms]
        assert sum(each.n_exposures for each in sums) == pytest.approx(
            sum(fact.exposed for fact in made) + math.fsum(f.sample_weight for f in late)
        )
        assert sum(b.n for each in sums for b in each.calibration) == pytest.approx(
            math.fsum(f.sample_weight for f in mine if f.predicted is not None)
        )


def test_sides_of_an_experiment_are_told_apart() -> None:
    assert side_of(choice("red", holdout=True, variant="b")) == "control"
    assert side_of(choice("red", variant="b")) == "b"
    assert side_of(choice("red")) == ""
    assert side_of(choice("red", holdout=None)) == "unknown"


def test_a_decision_that_is_shown_later_counts_as_shown_then_and_once() -> None:
    facts: list[Fact] = [
        decided(at_ms=NOW_MS - 2 * HOUR_MS, exposed=False),
        closed(decided_at_ms=NOW_MS - 2 * HOUR_MS, exposed_at_ms=NOW_MS - MINUTE_MS),
    ]
    lately, today = over(added(facts)), over(added(facts), DAY_MS)
    assert [(each.n_decisions, each.n_exposures) for each in lately.values()] == [(0, 1)]
    assert [(each.n_decisions, each.n_exposures) for each in today.values()] == [(1, 1)]


def test_what_did_not_close_with_all_it_earned_counts_for_no_reward() -> None:
    reasons = [reason for reason in ClosingReason if reason not in (ClosingReason.WINDOW, ClosingReason.FINAL)]
    facts = [
        *(closed(reason=reason) for reason in reasons),
        closed(shown_by_reward=True),
        closed(exposed_at_ms=None),
    ]
    assert over(added(facts)) == {}


def test_predictions_are_added_up_beside_what_came() -> None:
    facts = [closed(reward=1.0, predicted=0.31), closed(reward=0.0, predicted=0.39), closed(predicted=None)]
    (arm,) = over(added(facts)).values()
    bin_ = arm.calibration[3]
    assert (bin_.n, bin_.reward) == (2, 1.0)
    assert bin_.predicted == pytest.approx(0.70)
    assert sum(each.n for each in arm.calibration) == 2


def test_a_placement_of_very_many_arms_tells_some_apart_and_adds_up_the_others() -> None:
    arms = Arms(max_arms=2)
    found = over(added([decided(arm) for arm in ("a", "b", "c", "d", "a")], arms))
    assert {of.arm: sums.n_decisions for of, sums in found.items()} == {"a": 2, "b": 1, OTHER_ARMS: 2}


def test_who_begins_again_tells_the_same_arms_apart() -> None:
    before = added([decided("b"), decided("c")], Arms(max_arms=2))
    by_name = {bucket.name: sums for bucket, sums in before.items()}
    again = Arms(max_arms=2)
    again.remember({name: by_name.get(name, {}) for name in again.begin(NOW_MS)})
    found = over(added([decided("a"), decided("b")], again))
    assert {of.arm for of in found} == {"b", OTHER_ARMS}


def test_on_another_day_others_are_told_apart() -> None:
    arms = Arms(max_arms=1)
    added([decided("a")], arms)
    found = over(added([decided("b", NOW_MS + DAY_MS)], arms), HOUR_MS, NOW_MS + DAY_MS)
    assert {of.arm for of in found} == {"b"}


def test_after_a_restart_the_arms_of_yesterday_take_no_room_of_today() -> None:
    before = added([decided("old", NOW_MS - DAY_MS)], Arms(max_arms=1))
    by_name = {bucket.name: sums for bucket, sums in before.items()}
    again = Arms(max_arms=1)
    again.remember({name: by_name.get(name, {}) for name in again.begin(NOW_MS)})
    assert {of.arm for of in over(added([decided("new")], again))} == {"new"}


def of_placements(n_placements: int, n_arms: int, arms: Arms) -> Sums:
    return added(
        (
            DecisionFact(choice=choice(f"arm-{n}", placement=f"place-{at}"), request_id="r", decided_at_ms=NOW_MS)
            for at in range(n_placements)
            for n in range(n_arms)
        ),
        arms,
    )


def test_arms_of_all_placements_together_are_bounded_and_none_is_lost() -> None:
    sums = of_placements(30, 40, Arms(max_all_arms=100))
    by_name = {bucket.name: values for bucket, values in sums.items()}
    found = {
        of: each
        for at in range(30)
        for of, each in arms_in(
            [by_name.get(name, {}) for name in buckets_over(f"place-{at}", HOUR_MS, NOW_MS)], f"place-{at}"
        ).items()
    }
    assert len([of for of in found if of.arm != OTHER_ARMS]) == 100
    assert sum(each.n_decisions for each in found.values()) == 30 * 40


def test_who_asks_for_a_placement_reads_nothing_of_the_others() -> None:
    by_name = {bucket.name: values for bucket, values in of_placements(30, 20, Arms()).items()}
    read = [by_name[name] for name in buckets_over("place-7", HOUR_MS, NOW_MS) if name in by_name]
    assert sum(map(len, read)) == 20
