from __future__ import annotations

import numpy as np
import pytest

from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.row_copies import N_KEPT, RowCopies


def test_what_somebody_holds_never_changes() -> None:
    """Any order of changes, copies taken, held (whole or as a view), and let go."""
    rng = np.random.default_rng(0)
    array = rng.normal(size=(5, 3, 2)).astype(np.float32)
    copies = RowCopies()
    held: list[tuple[np.ndarray, list[object]]] = []
    for step in range(400):
        row = int(rng.integers(5))
        if step % 50 == 49:
            array *= np.float32(0.5)
            copies.changed_all()
        else:
            array[row] += 1.0
            copies.changed(row)
        n = int(rng.integers(1, 6))
        taken = copies.of(array, n)
        assert taken.tolist() == array[:n].tolist()
        if rng.random() < 0.5:
            kept = taken.reshape(-1, 2)[1:] if rng.random() < 0.5 else taken
            held.append((kept, kept.tolist()))
        del taken
        if held and rng.random() < 0.5:
            held.pop(int(rng.integers(len(held))))
        assert all(now.tolist() == then for now, then in held)


def test_a_copy_let_go_is_taken_up_again() -> None:
    array, copies = np.zeros((4, 2), np.float32), RowCopies()
    places = set()
    held = copies.of(array, 4)
    for row in range(20):
        array[row % 4] += 1.0
        copies.changed(row % 4)
        held = copies.of(array, 4)
        places.add(held.__array_interface__["data"][0])
    assert len(places) <= N_KEPT


def test_nobody_writes_into_what_was_handed_out() -> None:
    with pytest.raises(ValueError, match="read-only"):
        RowCopies().of(np.zeros((2, 2), np.float32), 2)[0] = 1.0


def test_an_array_of_another_shape_is_copied_whole() -> None:
    copies = RowCopies()
    copies.of(np.zeros((2, 2), np.float32), 2)
    assert copies.of(np.ones((3, 2), np.float32), 3).tolist() == [[1.0, 1.0]] * 3


def test_snapshots_of_a_model_are_those_of_copying_everything() -> None:
    """Through new arms, rebuilds, wider contexts and widened deviations, with snapshots held and let go."""
    model, rng = ArmModel(n_random=16), np.random.default_rng(1)
    held = []
    for step in range(700):
        arm = int(rng.integers(2 + step // 100))
        x = {f"f{i}": float(rng.normal()) for i in range(3 + step // 40)}
        model.learn_one({"arm": f"a{arm}", **x}, float(rng.random() < 0.3))
        if step % 150 == 149:
            model._regressions.inflate(1.4)
        scorer = model.scorer()
        assert (scorer.weights == model._regressions.weights[: len(scorer.arms)]).all()
        if step % 20 == 0:
            held.append((scorer, scorer.weights.copy()))
    assert model.rebuilds > 3
    assert all((scorer.weights == weights).all() for scorer, weights in held)
