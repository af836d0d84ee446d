"""Predictions and what came are compared of one side of a placement, all its arms together."""

from __future__ import annotations

from personalization.projecting.arms import ArmOfSide, ArmSums, CalibrationBin
from personalization.projecting.calibration import Calibrated, calibration


def sums(at: int, n: float, predicted: float, reward: float) -> ArmSums:
    arm = ArmSums()
    arm.calibration[at] = CalibrationBin(n, predicted, reward)
    return arm


def test_arms_of_one_side_are_added_up_by_tenths_of_the_reward() -> None:
    arms = {
        ArmOfSide("hero", "", "a"): sums(2, 10.0, 50.0, 40.0),
        ArmOfSide("hero", "", "b"): sums(2, 30.0, 150.0, 160.0),
        ArmOfSide("hero", "", "c"): sums(9, 1.0, 19.0, 20.0),
        ArmOfSide("hero", "control", "a"): sums(2, 99.0, 9.0, 9.0),
    }
    assert calibration(arms, "", (0.0, 20.0)) == [
        Calibrated(4.0, 6.0, 40.0, 5.0, 5.0),
        Calibrated(18.0, 20.0, 1.0, 19.0, 20.0),
    ]
    assert calibration(arms, "other", (0.0, 20.0)) == []
