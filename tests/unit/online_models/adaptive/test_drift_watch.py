from __future__ import annotations

import numpy as np
import pytest

from online_models.adaptive.drift import Drift, DriftDetector
from online_models.adaptive.drift_watch import DriftWatch, Shift


def played(
    rng: np.random.Generator,
    watch: DriftWatch,
    n: int,
    rates: list[float],
    believed: list[float],
    share: list[float],
) -> list[tuple[int, Shift]]:
    """Outcomes of arms drawn by ``share``, with ``rates``, predicted to have ``believed``."""
    found = []
    for i in range(n):
        row = int(rng.choice(len(rates), p=share))
        shift = watch.add(row, believed[row] - float(rng.random() < rates[row]))
        if shift is not None:
            found.append((i, shift))
    return found


def first_reset(found: list[tuple[int, Shift]]) -> tuple[int, Shift]:
    return next((at, shift) for at, shift in found if shift.drift is Drift.RESET)


def test_one_arm_that_collapses_is_reset_alone_and_soon() -> None:
    for seed in range(5):
        rng, watch = np.random.default_rng(seed), DriftWatch()
        believed, share = [0.8, 0.8, 0.7, 0.6], [0.5, 0.2, 0.2, 0.1]
        assert len(played(rng, watch, 3000, believed, believed, share)) <= 1
        at, shift = first_reset(played(rng, watch, 200, [0.0, *believed[1:]], believed, share))
        assert shift.arm == 0
        assert at < 100
        assert abs(shift.span - at / 2) <= 8  # half of the outcomes are its own


def test_an_arm_rarely_shown_is_missed_by_nobody() -> None:
    rng, watch = np.random.default_rng(1), DriftWatch()
    believed, share = [0.8, 0.8], [0.92, 0.08]
    played(rng, watch, 4000, believed, believed, share)
    found = [shift for _, shift in played(rng, watch, 600, [0.8, 0.0], believed, share)]
    assert [(shift.drift, shift.arm) for shift in found if shift.drift is Drift.RESET][:1] == [(Drift.RESET, 1)]
    assert all(shift.arm != 0 for shift in found)


def test_a_world_that_changes_resets_all_at_once() -> None:
    for seed in range(5):
        rng, watch = np.random.default_rng(seed), DriftWatch()
        believed, share = [0.8, 0.8, 0.7, 0.6], [0.4, 0.2, 0.2, 0.2]
        played(rng, watch, 3000, believed, believed, share)
        at, shift = first_reset(played(rng, watch, 100, [0.1] * 4, believed, share))
        assert shift.arm is None
        assert at < 80


def test_what_was_answered_is_not_held_against_the_others() -> None:
    rng, watch = np.random.default_rng(3), DriftWatch()
    believed, share = [0.8, 0.8, 0.7], [0.6, 0.2, 0.2]
    played(rng, watch, 3000, believed, believed, share)
    collapsed, resets, corrected = [0.0, 0.8, 0.7], [], believed
    for _ in range(400):
        for _, shift in played(rng, watch, 1, collapsed, corrected, share):
            resets.append(shift)
            corrected = collapsed
    assert [shift.arm for shift in resets if shift.drift is Drift.RESET] == [0]


def test_arms_that_stay_as_they_are_raise_no_alarm() -> None:
    for seed in range(3):
        rng, watch = np.random.default_rng(seed), DriftWatch()
        rates = list(rng.random(8))
        found = played(rng, watch, 15_000, rates, rates, [0.125] * 8)
        assert [shift for _, shift in found if shift.drift is Drift.RESET] == []
        assert len(found) <= 2


def test_a_world_that_turns_slowly_lets_go_of_all_arms() -> None:
    rng, watch = np.random.default_rng(6), DriftWatch()
    played(rng, watch, 4000, [0.5, 0.4], [0.5, 0.4], [0.6, 0.4])
    _, shift = first_reset(played(rng, watch, 6000, [0.44, 0.34], [0.5, 0.4], [0.6, 0.4]))
    assert shift.arm is None
    assert shift.span >= 512


def test_it_survives_a_checkpoint() -> None:
    rng = np.random.default_rng(4)
    believed, share = [0.8, 0.5, 0.3], [0.5, 0.3, 0.2]
    one = DriftWatch()
    played(rng, one, 2500, believed, believed, share)
    other = DriftWatch.load(one.dump())
    for _ in range(300):
        row = int(rng.choice(3, p=share))
        error = float(rng.normal(0.5, 0.3))
        assert one.add(row, error) == other.add(row, error)
    assert one.dump() == other.dump()


def test_an_arm_that_takes_anothers_place_begins_anew() -> None:
    rng, watch = np.random.default_rng(5), DriftWatch()
    played(rng, watch, 2000, [0.9, 0.9], [0.9, 0.9], [0.5, 0.5])
    watch.forget(1)
    found = played(rng, watch, 30, [0.9, 0.1], [0.9, 0.5], [0.5, 0.5])
    assert all(shift.arm is None for _, shift in found)


@pytest.mark.parametrize("half", [0, 32], ids=["one network", "one visitor"])
def test_a_collapse_that_one_alone_tells_of_is_none(half: int) -> None:
    """Whoever is not believed counts once in a span, be it for the network or for the visitor."""
    found = []
    for witnesses in ([0] * 60, [number + 9_000 << half for number in range(60)], [7 << half] * 60):
        watch = DriftWatch()
        for number in range(3_000):
            assert watch.add(0, 0.8 - float(number % 5 != 0), number + 1) is None
        told = [watch.add(0, 0.8, witness) for witness in witnesses]
        found.append(next((at for at, shift in enumerate(told) if shift and shift.drift is Drift.RESET), None))
    believed, many, one = found
    assert believed == many, "as many others tell as soon as who is believed"
    assert believed is not None
    assert one is None


def test_a_checkpoint_knows_whose_outcomes_were_seen() -> None:
    watch = DriftWatch()
    for number in range(2_000):
        watch.add(number % 2, 0.8 - float(number % 5 != 0), number + 1)
    loaded = DriftWatch.load(watch.dump())
    assert loaded.dump() == watch.dump()
    assert [loaded.add(0, 0.8, 7) for _ in range(60)] == [watch.add(0, 0.8, 7) for _ in range(60)]
    assert loaded.dump() == watch.dump()
    before = {name: value for name, value in watch.dump().items() if name != "witnesses"}
    assert DriftWatch.load(before).dump()["all"] == watch.dump()["all"], "one of before knows nobody"


def test_what_is_told_by_nobody_in_particular_takes_no_room_in_a_checkpoint() -> None:
    watch = DriftWatch()
    for _ in range(100):
        watch.add(0, 0.1)
    assert watch.dump()["witnesses"] == [b"", b""]


def test_memory_stays_bounded_with_whose_outcomes_they_are() -> None:
    detector = DriftDetector(most=64)
    for number in range(1_000):
        detector.add(0.0, number + 1)
    assert len(detector.dump_witnesses()) <= 8 * 2 * 64
    assert len(detector.dump()) == len(detector.dump_witnesses()) + 8
