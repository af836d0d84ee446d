"""What a guarded estimator asks of its kinds."""

from __future__ import annotations

import pytest

from online_models.guarded_estimator import GuardedEstimator


class Untaught(GuardedEstimator[int]):
    """It does not say how a lesson is taught."""

    good_copy_every = 1

    def _features_of(self, lesson: int) -> dict[str, float]:
        return {"n": float(lesson)}

    def _is_sound(self, features: dict[str, float]) -> bool:
        return bool(features)


def test_one_that_lacks_a_part_cannot_be_made() -> None:
    with pytest.raises(TypeError, match=r"abstract class Untaught .*_teach"):
        Untaught(None, 8, 8)  # type: ignore[abstract]  # which is what is refused
