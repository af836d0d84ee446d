"""Whoever is erased is forgotten by models: rows, hashes, and what nobody else has brought; others lose nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from river import linear_model

from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.row_buffer import FORGOTTEN
from online_models.arm_linear import ArmLinear
from online_models.bringers import Bringers
from online_models.conversion.book import ConversionBook
from online_models.conversion.contender import GOOD_COPY_EVERY, Contender
from online_models.conversion.model import ConversionModel
from online_models.conversion.river_classifier import RiverClassifier
from online_models.encoder import Encoder
from online_models.placement_model import PlacementModel
from online_models.river_model import RiverModel
from personalization.bounded import short_hash
from personalization.events.example import Example, Stage
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

JANE, JOHN = b"jane-jan", b"john-joh"
HERS = frozenset([JANE])
MAIL, WISH = "jane@shop.example", "affinities.wish.planted-91c2"


def person(number: int) -> bytes:
    return short_hash(str(number))


def contexts(n: int, seed: int = 0) -> Iterator[tuple[dict[str, Any], float, bytes]]:
    """What others bring: an age that counts, a device, a shelf of wishes, sometimes no age."""
    rng = np.random.default_rng(seed)
    for number in range(n):
        age = float(rng.integers(18, 80))
        x: dict[str, Any] = {"device": ("phone", "desktop")[number % 2], "affinities.wish.shoes": float(number % 3)}
        if number % 7:
            x["age"] = age
        yield x, float(age > 50), person(1 + number % 200)


def hers() -> dict[str, Any]:
    return {"age": 33.0, "device": "phone", "mail": MAIL, WISH: 1.0}


MODELS: dict[str, Callable[[], Any]] = {
    "default": ArmModel,
    "arm_linear": ArmLinear,
    "river": lambda: RiverModel(linear_model.LogisticRegression()),
    "conversion": ConversionModel,
    "river conversion": lambda: RiverClassifier(linear_model.LogisticRegression()),
}


def teach(model: Any, x: dict[str, Any], y: float, unit: bytes, arm: str = "a") -> None:
    if isinstance(model, ConversionModel | RiverClassifier):
        model.learn_one(x, y, 1.0, unit)
    else:
        model.learn_one({"arm": arm, **x}, y, unit=unit)


def answer(model: Any, x: dict[str, Any]) -> float:
    if isinstance(model, ConversionModel | RiverClassifier):
        return float(model.predict_proba_one(x)[True])
    return float(model.predict_one({"arm": "a", **x}))


def dumped(model: Any) -> bytes:
    state = model.dump()
    return state if isinstance(state, bytes) else msgspec.msgpack.encode(state)


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> Any:
    return MODELS[request.param]()


@pytest.mark.parametrize("at", [0, 30, 590])
def test_no_text_that_she_alone_brought_is_left(model: Any, at: int) -> None:
    for number, (x, y, unit) in enumerate(contexts(600)):
        if number == at:
            for _ in range(3):
                teach(model, hers(), 1.0, JANE)
        teach(model, x, y, unit)
    before = dumped(model)
    assert MAIL.encode() in before
    assert WISH.encode() in before
    model.forget(HERS)
    after = dumped(model)
    assert MAIL.encode() not in after
    assert WISH.encode() not in after
    assert JANE not in after
    assert all(text in after for text in (b"desktop", b"age", b"affinities.wish.shoes"))


def test_what_others_brought_too_stays(model: Any) -> None:
    for x, y, unit in contexts(100):
        teach(model, x, y, unit)
    for unit in (JANE, JOHN):
        teach(model, hers(), 1.0, unit)
    model.forget(HERS)
    assert MAIL.encode() in dumped(model)
    assert WISH.encode() in dumped(model)
    model.forget(frozenset([JOHN]))
    assert MAIL.encode() not in dumped(model)
    assert WISH.encode() not in dumped(model)


def test_who_was_never_there_changes_nothing(model: Any) -> None:
    for x, y, unit in contexts(300):
        teach(model, x, y, unit)
    before = [answer(model, x) for x, _, _ in contexts(20, seed=1)]
    model.forget(HERS)
    assert [answer(model, x) for x, _, _ in contexts(20, seed=1)] == before


def test_told_twice_it_does_what_it_did(model: Any) -> None:
    for number, (x, y, unit) in enumerate(contexts(200)):
        teach(model, hers() if number % 20 == 5 else x, y, JANE if number % 20 == 5 else unit)
    model.forget(HERS)
    once = dumped(model)
    model.forget(HERS)
    if isinstance(model, RiverModel | RiverClassifier):
        assert pickle.loads(dumped(model))._encoder.dump() == pickle.loads(once)._encoder.dump()
    else:
        assert dumped(model) == once


def test_it_learns_on_as_well_as_one_that_never_met_her(model: Any) -> None:
    other = type(model)() if not hasattr(model, "estimator") else type(model)(model.estimator.clone())
    for number, (x, y, unit) in enumerate(contexts(400)):
        teach(model, x, y, unit)
        teach(other, x, y, unit)
        if number % 4 == 0:
            teach(model, hers(), 1.0, JANE)
    model.forget(HERS)
    errors = np.zeros(2)
    for x, y, unit in contexts(400, seed=2):
        errors += [(answer(each, x) - y) ** 2 for each in (model, other)]
        for each in (model, other):
            teach(each, x, y, unit)
    assert np.isfinite(errors).all()
    assert errors[0] < errors[1] + 20.0


def test_it_goes_on_the_same_from_a_checkpoint(model: Any) -> None:
    for number, (x, y, unit) in enumerate(contexts(300)):
        teach(model, hers() if number % 9 == 0 else x, y, JANE if number % 9 == 0 else unit)
    model.forget(HERS)
    copy = type(model).load(model.dump())
    for number, (x, y, unit) in enumerate(contexts(300, seed=3)):
        for each in (model, copy):
            teach(each, hers() if number == 50 else x, y, JOHN if number == 50 else unit)
        assert answer(model, x) == answer(copy, x)
    for each in (model, copy):
        each.forget(frozenset([JOHN]))
    assert MAIL.encode() not in dumped(copy)
    assert answer(model, hers()) == answer(copy, hers())


def test_checkpoints_of_before_load_and_what_stands_in_them_is_everybodys() -> None:
    model = ArmModel()
    for x, y, unit in contexts(100):
        teach(model, x, y, unit)
    teach(model, hers(), 1.0, JANE)
    state = model.dump()
    del state["buffer"]["unit"], state["encoder"]["bringers"]
    loaded = ArmModel.load(state)
    loaded.forget(HERS)
    assert answer(loaded, hers()) == answer(model, hers())
    teach(loaded, {"mail": "second@shop.example"}, 1.0, JANE)
    loaded.forget(HERS)
    assert b"second@" not in dumped(loaded)


@pytest.mark.parametrize("n", [1, 20, 60, 700])
def test_a_model_that_only_she_has_taught_goes_on(n: int) -> None:
    rng = np.random.default_rng(4)
    for model in (ArmModel(), ConversionModel()):
        for number in range(n):
            teach(model, {"age": float(rng.integers(18, 80)), "mail": MAIL}, number % 2, JANE, "ab"[number % 2])
        model.forget(HERS)
        assert MAIL.encode() not in dumped(model)
        for x, y, unit in contexts(60):
            teach(model, x, y, unit)
            assert np.isfinite(answer(model, x))
        assert getattr(model, "failed_rebuilds", 0) == 0


def test_her_rows_are_gone_from_what_is_fitted_anew() -> None:
    model = ArmModel()
    for number, (x, y, unit) in enumerate(contexts(500)):
        teach(model, x, y, JANE if number % 5 == 0 else unit)
    model.forget(HERS)
    buffer = model._buffer
    raw, arm, reward = buffer.rows(0, buffer.n)
    assert (arm == FORGOTTEN).tolist() == [number % 5 == 0 for number in range(500)]
    assert np.isnan(raw[::5]).all()
    assert not reward[::5].any()
    loaded = ArmModel.load(model.dump())
    assert (loaded._buffer.rows(0, 500)[1] == arm).all()


def test_her_rows_are_gone_from_a_conversions_buffer() -> None:
    model = ConversionModel()
    for number, (x, y, unit) in enumerate(contexts(500)):
        teach(model, x, y, JANE if number % 5 == 0 else unit)
    model.forget(HERS)
    loaded = ConversionModel.load(model.dump())
    for each in (model, loaded):
        assert (each._weights[:500] == 0.0).tolist() == [number % 5 == 0 for number in range(500)]
        assert np.isnan(each._rows[:500:5]).all()


def test_a_rebuild_under_way_does_not_bring_her_back() -> None:
    model = ArmModel()
    for number, (x, y, unit) in enumerate(contexts(611)):
        teach(model, hers() if number == 500 else x, y, JANE if number == 500 else unit)
    assert model._rebuild is not None
    assert MAIL.encode() in model._rebuild.plan.encoder.dump()
    model.forget(HERS)
    for x, y, unit in contexts(200, seed=5):
        teach(model, x, y, unit)
        assert MAIL.encode() not in dumped(model)


def test_wide_contexts_lose_what_waits_and_what_was_earned() -> None:
    model = ArmModel()
    for number in range(40):
        x: dict[str, Any] = {f"n{each}": float((number + each) % 3) for each in range(150)}
        unit = person(1 + number)
        if number % 4 == 0:
            x, unit = {**x, "waits-jane": 1.0, "late": 1.0, "mail": MAIL}, JANE
        elif number % 4 == 1:
            x["late"] = 1.0
        teach(model, x, 1.0, unit, "ab"[number % 2])
    assert b"waits-jane" in dumped(model)
    model.forget(HERS)
    after = dumped(model)
    assert b"waits-jane" not in after
    assert MAIL.encode() not in after
    assert b"late" in after


def test_a_level_takes_the_number_of_one_that_went_whoever_loads_the_model() -> None:
    model = ConversionModel()
    for number in range(60):
        teach(model, {"city": ("York", "Hull", "Leeds")[number % 3]}, number % 2, person(1 + number))
        if number == 1:
            teach(model, {"city": MAIL}, 1.0, JANE)
    model.forget(HERS)
    copy = ConversionModel.load(model.dump())
    for each in (model, copy):
        teach(each, {"city": "Ripon"}, 1.0, JOHN)
        teach(each, {"city": "Wells"}, 1.0, JOHN)
    assert model._columns._levels["city"] == copy._columns._levels["city"]
    assert sorted(model._columns._levels["city"].values()) == [0, 1, 2, 3, 4]


def outcome(number: int, unit: bytes, **features: Any) -> Outcome:
    choice = Choice(f"d{number}", "hero", 0, "ab"[number % 2], 2**31)
    whose: dict[str, Any] = {"unit": unit, "by": "write", "origin": person(number)}
    return Outcome(choice, number % 2, ClosingReason.WINDOW, 0, 1, features=features, **whose)


def test_a_placement_forgets_what_she_taught_and_its_version_says_so() -> None:
    book = PlacementModel("hero")
    assert not book.forget(HERS)
    for number in range(40):
        book.learn(outcome(number, person(1 + number % 9), age=float(number)))
    book.learn(outcome(40, JANE, mail=MAIL))
    version, arms = book.snapshot(1).version, book.report()
    short = JANE[:4]
    assert all(name in dumped(book) for name in (JANE, short[::-1]))
    assert book.forget(HERS)
    assert not any(name in dumped(book) for name in (short, short[::-1])), "nor in pairs with arms and networks"
    assert person(3) in dumped(book)
    assert book.snapshot(1).version > version
    assert book.report() == arms
    parts = book.snapshot(1).encode()
    assert MAIL.encode() not in parts.header + b"".join(parts.arms.values())
    assert PlacementModel.load(book.dump()).snapshot(1).version == book.snapshot(1).version


def test_a_challenger_and_the_copy_to_fall_back_on_forget_her_too() -> None:
    book = ConversionBook("buys")
    challenger = Contender()
    for number in range(GOOD_COPY_EVERY + 1):
        her = number == GOOD_COPY_EVERY - 100
        unit = JANE if her else person(1 + number)
        x: dict[str, float | str] = {"mail": MAIL} if her else {"age": float(number % 50)}
        challenger.mature(x, number % 3 == 0, unit)
        book.learn(Example(f"e{number}", "buys", Stage.CLOSED, 0, 9, number % 3 == 0, features=x, unit=unit))
    book.challenge(challenger, "c")
    for contender in (book.champion, challenger):
        assert MAIL.encode() in msgspec.msgpack.encode(contender._last_good)
    assert book.forget(HERS)
    for contender in (book.champion, challenger):
        assert MAIL.encode() not in dumped(contender)
        assert contender._last_good is not None
        assert MAIL.encode() not in msgspec.msgpack.encode(contender._last_good)
    assert MAIL.encode() not in dumped(book)


def test_what_is_served_names_nobody_that_brought_something() -> None:
    contender = Contender()
    for number in range(200):
        contender.mature({f"n{number % 80}": 1.0}, number % 3 == 0, JANE)
    assert JANE not in msgspec.msgpack.encode(contender.dump(training=False))
    assert JANE in dumped(contender)


def test_what_came_without_a_unit_is_everybodys() -> None:
    encoder = Encoder()
    encoder.learn({"mail": MAIL}, b"")
    encoder.learn({"city": "York"}, JANE)
    encoder.learn({"city": "York"}, b"")
    assert not encoder.bringers
    assert len(encoder.forget(HERS)) == 0


def test_one_person_may_have_three_units_and_what_a_fourth_brings_is_nobodys_alone() -> None:
    known = Bringers().begun([("mail", MAIL)], (JANE,))
    for unit in (b"browser1", b"browser2"):
        known = known.after({"mail": MAIL}, unit)
    assert known.without({JANE, b"browser1", b"browser2"})[1] == [("mail", MAIL)]
    assert not known.after({"mail": MAIL}, JOHN)


def test_a_text_longer_than_a_level_may_be_is_known_by_its_beginning() -> None:
    encoder = Encoder()
    encoder.learn({"mail": "x" * 100}, JANE)
    encoder.learn({"mail": "x" * 90}, JOHN)
    assert len(encoder.forget(frozenset([JOHN]))) == 0
    assert len(encoder.forget(HERS)) == 1


def test_what_made_way_meanwhile_is_nobodys() -> None:
    encoder = Encoder()
    encoder.learn({"mail": MAIL, "city": "York"}, JANE)
    encoder.select(np.array([encoder.levels["city"]["York"]]))
    assert encoder.forget(HERS).tolist() == [0]
    assert not encoder.bringers


def test_profiles_are_not_judged_by_the_few_rows_that_are_left() -> None:
    model = ArmModel()
    for number, (x, y, _) in enumerate(contexts(300)):
        teach(model, x, y, JANE, "ab"[number % 2])
    model.forget(HERS)
    plan = model._begin().plan
    assert len(plan.profiles) == 1
