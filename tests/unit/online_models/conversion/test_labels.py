"""Examples open at a session's start and are labelled when their horizon closes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from online_models.conversion.labels import Correction, LabelWindow
from online_models.conversion.stack import sigmoid
from personalization.errors import InvalidInput


class Notebook:
    """A model that writes down what it is taught."""

    def __init__(self, p: float = 0.2) -> None:
        self.p = p
        self.taught: list[tuple[Any, bool, float]] = []

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0) -> None:
        self.taught.append((x.get("id"), bool(y), w))

    def predict_proba_one(self, x: Mapping[Any, Any]) -> dict[bool, float]:
        return {False: 1.0 - self.p, True: self.p}


def test_both_labels_are_trained_when_the_horizon_closes_and_not_before() -> None:
    model = Notebook()
    window = LabelWindow(model, horizon_ms=100)
    window.start("a", {"id": "a"}, 0)
    window.start("b", {"id": "b"}, 10)
    assert window.convert("b", 20)
    assert not window.convert("b", 21), "an example converts once"
    assert model.taught == []
    window.advance(101)
    assert model.taught == [("a", False, 1.0)]
    window.advance(111)
    assert model.taught[1:] == [("b", True, 1.0)]


def test_the_horizon_includes_its_end_and_nothing_after() -> None:
    model = Notebook()
    window = LabelWindow(model, horizon_ms=100)
    window.start("a", {"id": "a"}, 0)
    window.start("b", {"id": "b"}, 0)
    assert window.convert("a", 100)
    assert not window.convert("b", 101)
    assert window.n_late == 1
    assert sorted(model.taught) == [("a", True, 1.0), ("b", False, 1.0)]


def test_one_example_per_visitor_and_session_with_what_was_known_at_its_start() -> None:
    model = Notebook()
    window = LabelWindow(model, horizon_ms=100)
    x = {"id": "first"}
    assert window.start("v/s", x, 0) is not None
    x["id"] = "known later"
    assert window.start("v/s", x, 5) is None
    window.advance(1_000)
    assert model.taught == [("first", False, 1.0)]


def test_early_labels_carry_the_weights_that_undo_fake_negatives() -> None:
    model = Notebook(p=0.2)
    window = LabelWindow(model, horizon_ms=100, labels="early")
    window.start("a", {"id": "a"}, 0)
    window.convert("a", 50)
    window.advance(1_000)
    (_, first, w_negative), (_, second, w_positive) = model.taught
    assert (first, second) == (False, True)
    assert w_negative == pytest.approx(0.8 * 1.2)
    assert w_positive == pytest.approx(1.2)
    # In expectation over conversions at rate p the gradient vanishes at p: p·w₊·(1 − p) = 1·w₋·p.
    assert 0.2 * w_positive * (1 - 0.2) == pytest.approx(w_negative * 0.2)


def test_open_examples_are_bounded_and_the_evicted_counted() -> None:
    model = Notebook()
    window = LabelWindow(model, horizon_ms=1_000, max_open=10)
    for i in range(25):
        window.start(f"s{i}", {"id": i}, i)
    assert window.n_evicted == 15
    window.advance(10_000)
    assert [taught[0] for taught in model.taught] == list(range(15, 25))


def test_a_horizon_must_last() -> None:
    with pytest.raises(InvalidInput, match="positive"):
        LabelWindow(Notebook(), horizon_ms=0)


def test_calibration_counts_matured_examples_only() -> None:
    window = LabelWindow(Notebook(p=0.2), horizon_ms=100)
    for i in range(50):
        window.start(f"s{i}", {"id": i}, 0)
    assert window.calibration().error != window.calibration().error, "nothing has matured: no figure"
    window.advance(101)
    assert window.calibration().error == pytest.approx(0.2, abs=1e-9)


def test_the_correction_finds_a_wrong_level_and_slope() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    correction = Correction()
    for _ in range(8_000):
        true = rng.normal(-2.0, 1.0)
        correction.learn((true + 0.8) / 0.6, float(rng.random() < sigmoid(true)))
    assert correction.apply((-2.0 + 0.8) / 0.6) == pytest.approx(-2.0, abs=0.15)
    assert correction.apply((0.0 + 0.8) / 0.6) == pytest.approx(0.0, abs=0.3)
