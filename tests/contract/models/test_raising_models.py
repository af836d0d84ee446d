"""A model that raises has learned nothing: nor its estimator, nor any book beside it, and later it may learn it."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from river import base

from online_models.adaptive.arm_model import ArmModel
from online_models.conversion.book import ConversionBook
from online_models.conversion.contender import Contender
from online_models.conversion.registry import check_conversion_model
from online_models.conversion.river_classifier import RiverClassifier
from online_models.placement_model import PlacementModel
from online_models.registry import check_model
from online_models.river_model import RiverModel
from personalization.errors import InvalidInput
from personalization.events.example import Example, Stage
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import FeatureValue
from personalization.visitor.choice import Choice

ARMS = ("a", "b", "c")
X: dict[str, FeatureValue] = {"age": 0.5, "device": "t"}


class Sums(base.Regressor):
    """Adds up what it is taught; halfway through one whose third feature is very high it raises."""

    def __init__(self, *, whims: bool = False) -> None:
        self.whims = whims
        self.total, self.n = 0.0, 0

    def learn_one(self, x: dict[str, float], y: float) -> None:
        self.total += y + 0.01 * sum(x.values())
        if x["z0"] > 2.0 or (self.whims and random.SystemRandom().random() < 0.3):
            raise ZeroDivisionError("float division by zero")
        self.n += 1

    def predict_one(self, x: dict[str, float]) -> float:
        return 0.1 + self.total / (1 + self.n) * 0.5 + 0.01 * x["z0"]


class Label(base.Classifier):
    """The same of labels, and without weights."""

    def __init__(self) -> None:
        self.sums = Sums()

    def learn_one(self, x: dict[str, float], y: bool) -> None:
        self.sums.learn_one(x, float(y))

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        return {True: min(1.0, max(0.0, self.sums.predict_one(x)))}


class Mute(base.Regressor):
    """Learns whatever comes, and cannot be asked once anything unusual has come."""

    def __init__(self) -> None:
        self.weights: dict[str, float] = {}

    def learn_one(self, x: dict[str, float], y: float) -> None:
        self.weights = dict.fromkeys(x, y)

    def predict_one(self, x: dict[str, float]) -> float:
        raise ValueError("math domain error")


def context(i: int) -> dict[str, float | str]:
    rng = np.random.default_rng(i)
    return {"age": float(rng.uniform(-1.0, 1.0)), "device": "pt"[rng.integers(2)]}


def outcome(i: int, *, breaking: bool = False) -> Outcome:
    """One; with ``breaking`` of an arm, a level and a number nobody has seen."""
    x: dict[str, Any] = {"age": 1e9, "device": "never", "new": 1.0} if breaking else context(i)
    arm = "new" if breaking else ARMS[i % 3]
    return Outcome(Choice(f"d{i}", "p", 0, arm, 2**31), float(i % 2), ClosingReason.WINDOW, i, i + 1, i, 0, x)


def with_estimator(estimator: Any) -> PlacementModel:
    learner = PlacementModel("p")
    learner.model = RiverModel(estimator)
    return learner


def of_rows(learner: PlacementModel) -> tuple[Any, ...]:
    """All that counts outcomes and arms."""
    return learner.counts, learner.arms, list(learner._recent), learner.report(), learner.adaptations


def same_answers(one: PlacementModel, other: PlacementModel) -> bool:
    left, right = (each.snapshot().estimate((*ARMS, "new"), X) for each in (one, other))
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in ("mean", "sd", "n"))


@pytest.mark.parametrize("n_before", [60, 256, 300, 600])
def test_what_raises_is_undone_whole_and_later_outcomes_are_learned_as_if_it_had_never_come(n_before: int) -> None:
    broken, spared = with_estimator(Sums()), with_estimator(Sums())
    for i in range(n_before):
        assert broken.learn(outcome(i))
        assert spared.learn(outcome(i))
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            broken.learn(outcome(9_999, breaking=True))
        assert of_rows(broken) == of_rows(spared)
        assert same_answers(broken, spared)
        assert isinstance(broken.model, RiverModel)
        assert isinstance(spared.model, RiverModel)
        assert vars(broken.model.estimator) == vars(spared.model.estimator)
        assert broken.model._encoder.dump() == spared.model._encoder.dump()
        assert broken.model.n_learned == spared.model.n_learned
    for i in range(n_before, n_before + 400):
        assert broken.learn(outcome(i))
        assert spared.learn(outcome(i))
    assert of_rows(broken) == of_rows(spared)
    assert same_answers(broken, spared)


def test_what_raised_can_be_learned_again_later() -> None:
    learner = with_estimator(Sums())
    for i in range(100):
        learner.learn(outcome(i))
    late = outcome(9_999, breaking=True)
    with pytest.raises(ZeroDivisionError):
        learner.learn(late)
    learner.model = RiverModel(Mute())  # mended
    assert learner.learn(late)
    assert not learner.learn(late), "and then it is known"
    assert learner.counts == {"learned": 101, "duplicate": 1}


def test_an_estimator_that_does_nothing_twice_goes_back_to_its_last_good_copy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    learner = with_estimator(Sums(whims=True))
    learned = 0
    for i in range(400):
        with suppress(ZeroDivisionError):
            learned += learner.learn(outcome(i))
    assert 100 < learned < 400
    assert learner.n_learned == learned
    assert "estimator_not_repeatable" in caplog.text
    assert np.isfinite(learner.snapshot().estimate(ARMS, X).mean).all()


def test_an_estimator_that_cannot_answer_is_answered_for_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    learner = with_estimator(Mute())
    for i in range(200):
        assert learner.learn(outcome(i))
    snapshot = learner.snapshot()
    for each in (snapshot, type(snapshot).decode(snapshot.encode(b"s").header, {}, b"s")):
        assert each.estimate(ARMS, X).mean.tolist() == pytest.approx([0.5] * 3)
    assert caplog.text.count("estimator_cannot_answer") == 1
    assert isinstance(learner.model, RiverModel)
    assert learner.model.complaint == "ValueError: math domain error"


def test_books_stay_as_they_were_whatever_model_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    learner = PlacementModel("p")
    for i in range(50):
        learner.learn(outcome(i))
    before = learner.dump()

    def fails(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(ArmModel, "learn_one", fails)
        with pytest.raises(MemoryError):
            learner.learn(outcome(77))
    assert learner.dump() == before
    assert learner.learn(outcome(77))


# Conversions


def example(i: int, stage: Stage = Stage.CLOSED, *, early: bool = False, breaking: bool = False) -> Example:
    x: dict[str, Any] = {"age": 1e9, "device": "never", "new": 1.0} if breaking else context(i)
    return Example(
        f"e{i}", "buys", stage, i, i, label=stage is Stage.CONVERTED or i % 3 == 0, early=early, features=x
    )


def with_classifier(estimator: Any) -> Contender:
    return Contender("river.linear_model.LogisticRegression", RiverClassifier(estimator))


BREAKING: list[Callable[[], Example]] = [
    lambda: example(9_999, breaking=True),
    lambda: example(9_999, Stage.OPENED, early=True, breaking=True),
    lambda: example(9_999, Stage.CONVERTED, early=True, breaking=True),
]


@pytest.mark.parametrize("breaking", BREAKING, ids=["closed", "opened", "converted"])
def test_a_conversions_book_is_as_it_was_if_what_serves_raises(breaking: Callable[[], Example]) -> None:
    broken, spared = ConversionBook("buys"), ConversionBook("buys")
    for book in (broken, spared):
        book.champion = with_classifier(Label())
        book.challenge(Contender("default"), "c1")
        for i in range(150):
            book.learn(example(i, Stage.OPENED))
            book.learn(example(i))
    with pytest.raises(ZeroDivisionError):
        broken.learn(breaking())
    assert broken.challenger is not None
    assert spared.challenger is not None
    assert broken.challenger.dump() == spared.challenger.dump()
    for part in ("counts", "verdicts"):
        assert getattr(broken, part) == getattr(spared, part)
    assert broken.trial.dump() == spared.trial.dump()
    assert broken.cohort.dump() == spared.cohort.dump()
    assert list(broken._recent) == list(spared._recent)
    assert broken.champion.correction.dump() == spared.champion.correction.dump()
    assert broken.champion.n_learned == spared.champion.n_learned
    assert broken.champion.predict(X) == spared.champion.predict(X)
    broken.champion = Contender("default")
    assert broken.learn(breaking()) == "learned"


def challenger_of(book: ConversionBook) -> Contender | None:
    return book.challenger


@pytest.mark.parametrize("breaking", BREAKING, ids=["closed", "opened", "converted"])
def test_a_challenger_that_raises_has_lost(
    breaking: Callable[[], Example], caplog: pytest.LogCaptureFixture
) -> None:
    book = ConversionBook("buys")
    book.challenge(with_classifier(Label()), "c1")
    for i in range(60):
        book.learn(example(i))
    assert challenger_of(book) is not None
    assert book.learn(breaking()) == "learned"
    assert challenger_of(book) is None
    assert book.verdicts == {"entered": 1, "failed": 1}
    assert "challenger_failed" in caplog.text
    assert book.learn(example(61)) == "learned"


# Checked before anything rests on it


@pytest.mark.parametrize("name", ["river.tree.SGTRegressor", "river.tree.SGTClassifier"])
def test_a_model_that_cannot_do_it_is_refused_when_the_catalog_is_checked(name: str) -> None:
    for check in (check_model, check_conversion_model)[: 1 + name.endswith("Classifier")]:
        with pytest.raises(
            InvalidInput, match=r"cannot learn sample rows and answer \(ZeroDivisionError"
        ) as caught:
            check(name, "placements.home.model")
        assert caught.value.field == "placements.home.model"


def test_a_model_that_cannot_answer_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("river.linear_model.LinearRegression.predict_one", Mute.predict_one)
    with pytest.raises(InvalidInput, match="math domain error"):
        check_model("river.linear_model.LinearRegression")
