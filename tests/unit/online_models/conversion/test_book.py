"""The book of a conversion: what its records teach, what is judged, and what never reaches a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from river import base

from online_models.conversion.book import ConversionBook
from online_models.conversion.cohort import MAX_WAITING, Cohort
from online_models.conversion.contender import GOOD_COPY_EVERY, Contender
from online_models.conversion.correction import Correction
from online_models.conversion.model import ConversionModel
from online_models.conversion.river_classifier import RiverClassifier
from online_models.conversion.stack import sigmoid
from personalization.catalog.duration import DAY_MS
from personalization.events.example import Example, Stage
from tests.unit.online_models.conversion.test_model import visitors


class Notebook(ConversionModel):
    """A model that writes down what it is taught."""

    def __init__(self, p: float = 0.2) -> None:
        super().__init__(buffer_rows=8)
        self.p = p
        self.taught: list[tuple[Any, bool, float]] = []
        self.units: list[bytes] = []

    def learn_one(self, x: Mapping[Any, Any], y: Any, w: float = 1.0, unit: bytes = b"") -> None:
        self.taught.append((x.get("id"), bool(y), w))
        self.units.append(unit)

    def log_odds_one(self, x: Mapping[Any, Any]) -> float:
        return math.log(self.p / (1.0 - self.p))


class Speechless(Notebook):
    """A model without a finite answer."""

    def log_odds_one(self, x: Mapping[Any, Any]) -> float:
        return math.nan


def book_of(model: Notebook) -> ConversionBook:
    book = ConversionBook("buys")
    book.champion.model = model
    return book


def told(name: str, stage: Stage, label: bool = False, early: bool = False) -> Example:
    return Example(name, "buys", stage, 0, 0, label=label, early=early, features={"id": name})


def test_mature_examples_teach_when_they_close_and_not_before() -> None:
    model = Notebook()
    book = book_of(model)
    assert [book.learn(told(name, Stage.OPENED)) for name in "ab"] == ["served", "served"]
    assert model.taught == []
    assert book.learn(told("a", Stage.CLOSED)) == "learned"
    assert book.learn(told("b", Stage.CLOSED, label=True)) == "learned"
    assert model.taught == [("a", False, 1.0), ("b", True, 1.0)]


def test_early_examples_carry_the_weights_that_undo_fake_negatives() -> None:
    model = Notebook(p=0.2)
    book = book_of(model)
    stages = [(Stage.OPENED, False), (Stage.CONVERTED, True), (Stage.CLOSED, True)]
    results = [book.learn(told("a", stage, label, early=True)) for stage, label in stages]
    assert results == ["learned", "learned", "judged"]
    (_, first, w_negative), (_, second, w_positive) = model.taught
    assert (first, second) == (False, True)
    assert w_negative == pytest.approx(0.8 * 1.2)
    assert w_positive == pytest.approx(1.2)
    # In expectation over conversions at rate p the gradient vanishes at p: p·w₊·(1 − p) = 1·w₋·p.
    assert 0.2 * w_positive * (1 - 0.2) == pytest.approx(w_negative * 0.2)


def test_a_record_told_twice_counts_once_and_anothers_not_at_all() -> None:
    model = Notebook()
    book = book_of(model)
    closed = told("a", Stage.CLOSED)
    other = Example("a", "leaves", Stage.CLOSED, 0, 0, features={"id": "a"})
    assert [book.learn(record) for record in (closed, closed, other)] == ["learned", "duplicate", "duplicate"]
    assert book.learn(Example("z", "leaves", Stage.CLOSED, 0, 0)) == "invalid"
    assert len(model.taught) == 1


def test_only_what_was_served_and_has_matured_is_judged() -> None:
    book = book_of(Notebook(p=0.2))
    for i in range(50):
        book.learn(told(f"s{i}", Stage.OPENED))
    assert math.isnan(book.scorecard().calibration.error), "nothing has matured: no figure"
    for i in range(50):
        book.learn(told(f"s{i}", Stage.CLOSED))
    book.learn(told("never served", Stage.CLOSED, label=True))
    card = book.scorecard()
    assert card.rows == 50
    assert card.calibration.error == pytest.approx(0.2, abs=1e-9)


def test_what_is_no_finite_number_or_short_text_never_reaches_the_model() -> None:
    book = ConversionBook("buys")
    bad: dict[str, Any] = {"nan": math.nan, "inf": math.inf, "huge": 1e300, "text": "x" * 10_000, "": 1.0}
    for i, (x, y) in enumerate(visitors(300)):
        features = {**x, **bad} if i % 3 == 0 else x
        book.learn(Example(f"e{i}", "buys", Stage.CLOSED, 0, 0, label=bool(y), features=features))
    for x, _ in visitors(50, seed=1):
        assert 0.0 < book.champion.predict({**x, **bad}) < 1.0
        why = book.champion.explain(x)
        assert why is not None
        assert all(math.isfinite(part) for part in why.contributions.values())


def test_a_model_that_breaks_goes_back_to_its_last_good_copy() -> None:
    contender = Contender()
    rows = visitors(GOOD_COPY_EVERY + 40)
    for x, y in rows:
        contender.mature(x, bool(y))
    assert isinstance(contender.model, ConversionModel)
    contender.model._linear._table[7] = np.nan  # as damaged memory would
    contender.model._last = None
    left = Contender.load(contender.dump())
    assert contender.n_rollbacks == 1
    assert isinstance(left.model, ConversionModel)
    assert left.model.is_sound(), "nothing broken leaves"
    assert left.model.n_learned == contender.model.n_learned == GOOD_COPY_EVERY
    contender.mature(*rows[1])
    assert math.isfinite(contender.raw(rows[0][0]))


def test_a_model_without_a_finite_answer_goes_back_at_once() -> None:
    contender = Contender()
    contender.model = Speechless()
    assert contender.predict({"id": "a"}) == 0.5
    assert contender.n_rollbacks == 1


class Breaking(base.Classifier):
    """Says nothing finite once it was taught three labels."""

    def __init__(self) -> None:
        self.n = 0

    def learn_one(self, x: dict[Any, Any], y: bool) -> None:
        self.n += 1

    def predict_proba_one(self, x: dict[Any, Any]) -> dict[bool, float]:
        return {True: math.nan if self.n >= 3 else 0.5}


def test_rollbacks_within_a_river_classifier_count_too() -> None:
    book = ConversionBook("buys")
    book.champion.model = RiverClassifier(Breaking())
    for i in range(7):
        book.champion.mature({"id": f"e{i}"}, True)
    assert book.adaptations == {"rollbacks": 2}
    book.champion._roll_back()  # the classifier is another one, and has forgotten its own
    assert book.adaptations == {"rollbacks": 3}
    assert ConversionBook.load(book.dump()).adaptations == {"rollbacks": 3}


def test_contributions_add_up_to_the_corrected_log_odds() -> None:
    contender = Contender()
    for x, y in visitors(800):
        contender.mature(x, bool(y))
    assert contender.correction.shift != 0.0
    for x, _ in visitors(30, seed=2):
        why = contender.explain(x)
        assert why is not None
        assert why.probability == pytest.approx(contender.predict(x))
        assert why.bias + sum(why.contributions.values()) == pytest.approx(why.log_odds, abs=1e-4)


def test_waiting_predictions_are_bounded_and_stay_an_even_sample() -> None:
    cohort = Cohort()
    rng = np.random.default_rng(3)
    ids = [rng.bytes(8) for _ in range(3 * MAX_WAITING)]
    for at, key in enumerate(ids):
        cohort.serve(key, at / len(ids), at)
    assert MAX_WAITING / 3 < cohort.n_waiting <= MAX_WAITING
    kept = np.array([served for served, _ in cohort._waiting.values()])
    assert abs(kept.mean() - 0.5) < 0.02, "of all times alike"
    assert Cohort.load(cohort.dump()).dump() == cohort.dump()
    for at, key in enumerate(ids):
        cohort.close(key, False, at)
    cohort.serve(ids[0], 0.5, 0)
    cohort.serve(ids[1], 0.5, 0)
    assert cohort.n_waiting == 2, "traffic went down: everybody is sampled again"


def test_a_prediction_whose_example_was_dropped_does_not_wait_for_ever() -> None:
    cohort = Cohort()
    cohort.serve(b"dropped-", 0.5, opened_ms=0)
    for day in range(1, 5):
        name = f"example{day}".encode()
        cohort.serve(name, 0.5, day * DAY_MS)
        cohort.close(name, False, day * DAY_MS)
    assert (cohort.n_waiting, cohort.scorecard().rows) == (0, 4)


def test_the_correction_finds_a_wrong_level_and_slope() -> None:
    rng = np.random.default_rng(0)
    correction = Correction()
    for _ in range(8_000):
        true = rng.normal(-2.0, 1.0)
        correction.learn((true + 0.8) / 0.6, float(rng.random() < sigmoid(true)))
    assert correction.apply((-2.0 + 0.8) / 0.6) == pytest.approx(-2.0, abs=0.15)
    assert correction.apply((0.0 + 0.8) / 0.6) == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize("early", [False, True])
def test_models_are_told_whose_example_it_is(early: bool) -> None:
    model, rival = Notebook(), Notebook()
    book = book_of(model)
    book.challenge(Contender(model=rival), "c1")
    for stage in (Stage.OPENED, *([Stage.CONVERTED] if early else []), Stage.CLOSED):
        book.learn(Example("a", "buys", stage, 0, 0, label=True, early=early, features={"id": "a"}, unit=b"ann"))
    assert set(model.units) == set(rival.units) == {b"ann"}
    assert len(model.units) == len(rival.units) == (2 if early else 1)
