from __future__ import annotations

import msgspec
import numpy as np
import pytest

from online_models.adaptive import rebuild_schedule
from online_models.adaptive.arm_model import ArmModel
from online_models.adaptive.feature_map import feature_map
from online_models.adaptive.matching import MATCH_SCALE, Matching, Pair, fitted_matching, terms
from online_models.encoder import Encoder
from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import FeatureValue, flat
from personalization.visitor.choice import Choice

GENRES = ["Action", "Comedy", "Drama", "Horror", "War", "Western"]
SHELVES: dict[str, dict[str, FeatureValue]] = {
    "guns": flat({"genres": ("Action", "War", "Western")}),
    "laughs": flat({"genres": ("Comedy",)}),
    "tears": flat({"genres": ("Drama",)}),
    "screams": flat({"genres": ("Horror",)}),
}


def tastes(rng: np.random.Generator) -> dict[str, FeatureValue]:
    some = rng.choice(GENRES, size=3, replace=False)
    return {
        f"affinities.liked.{genre}": float(weight)
        for genre, weight in zip(some, rng.gamma(1.0, 2.0, 3), strict=True)
    }


def liking(context: dict[str, FeatureValue], shelf: str) -> float:
    return sum(
        value
        for name, value in context.items()
        if isinstance(value, float) and f"genres.{name.rpartition('.')[2]}" in SHELVES[shelf]
    )


def learn(model: ArmModel, n: int, shelves: list[str], *, first: int = 0) -> None:
    """Visitors take what they like."""
    for i in range(first, first + n):
        rng = np.random.default_rng(i)
        context = tastes(rng)
        shelf = shelves[int(rng.integers(len(shelves)))]
        reward = float(rng.random() < min(0.9, 0.05 + 0.12 * liking(context, shelf)))
        model.learn_one({**context, "arm": shelf, "arm_features": SHELVES[shelf]}, reward)


def test_a_match_is_the_weight_a_visitor_has_for_what_an_arm_is_about() -> None:
    encoder = Encoder()
    rng = np.random.default_rng(0)
    contexts = [tastes(rng) for _ in range(200)]
    raw = np.array([np.pad(row, (0, 6 - len(row))) for row in map(encoder.learn, contexts)][-100:], np.float32)
    contexts = contexts[-100:]
    arms = list(SHELVES)
    about = [terms(SHELVES[arm]) for arm in arms]
    drawn = rng.integers(len(arms), size=len(contexts))
    frozen = encoder.freeze()
    matching = fitted_matching(frozen, about, raw, drawn)
    (pair,) = matching.pairs
    expected = np.array([liking(context, arms[row]) for context, row in zip(contexts, drawn, strict=True)])
    assert (pair.family, pair.attribute) == ("affinities.liked", "genres")
    assert pair.centre == pytest.approx(expected.mean(), rel=0.02)
    assert pair.scale == pytest.approx(expected.std(), rel=0.05)  # what lies beyond ±5 deviations is cut off
    features = feature_map(frozen, frozen.n_dims + 3, 0.1)
    coefficients = matching.coefficients(features, matching.places(frozen, about))
    typical = np.abs(frozen.scale(raw)).max(axis=1) < 4.9
    found = np.array([coefficients[row, 0] @ u for row, u in zip(drawn, features.from_raw(raw), strict=True)])
    exact = MATCH_SCALE * (expected - pair.centre) / pair.scale
    assert np.allclose(found[typical], exact[typical], atol=1e-4)


def test_families_and_attributes_find_each_other_by_the_names_they_share() -> None:
    encoder = Encoder()
    context = {"affinities.category.shoes": 1.0, "affinities.brand.v1.2": 2.0, "counts.shoes": 3.0, "shoes": 4.0}
    raw = [encoder.learn({name: value * i for name, value in context.items()}) for i in range(9)]
    arms = [terms({"category": "shoes", "maker": "v1.2", "price": 3.0}), terms({"category": "hats"})]
    found = fitted_matching(encoder.freeze(), arms, np.array(raw[1:], np.float32), np.zeros(8, int))
    assert {(pair.family, pair.attribute) for pair in found.pairs} == {
        ("affinities.brand", "maker"),
        ("affinities.category", "category"),
        ("counts", "category"),
    }
    assert (
        fitted_matching(encoder.freeze(), [terms({"category": "hats"})], np.array(raw[1:]), np.zeros(8, int))
        == Matching()
    )


def test_what_is_learned_of_some_arms_tells_of_one_never_shown() -> None:
    model = ArmModel()
    learn(model, 1_500, ["guns", "laughs", "tears"])
    scream_lover = {"affinities.liked.Horror": 6.0}
    scores = model.scorer().estimate(list(SHELVES), scream_lover, SHELVES).mean
    assert int(np.argmax(scores)) == 3
    assert scores[3] > scores[:3].max() + 0.2
    assert (
        scores[3] > model.scorer().estimate(list(SHELVES), {"affinities.liked.Drama": 6.0}, SHELVES).mean[3] + 0.2
    )


def test_the_match_is_learned_faster_than_every_arm_by_itself() -> None:
    told, untold = ArmModel(), ArmModel()
    learn(told, 150, list(SHELVES))
    for i in range(150):
        rng = np.random.default_rng(i)
        context = tastes(rng)
        shelf = list(SHELVES)[int(rng.integers(4))]
        untold.learn_one(
            {**context, "arm": shelf}, float(rng.random() < min(0.9, 0.05 + 0.12 * liking(context, shelf)))
        )
    hits = [0, 0]
    for i in range(1_000):
        context = tastes(np.random.default_rng(10_000 + i))
        best = max(liking(context, shelf) for shelf in SHELVES)
        for at, model in enumerate((told, untold)):
            mean = model.scorer().estimate(list(SHELVES), context, SHELVES if model is told else None).mean
            hits[at] += liking(context, list(SHELVES)[int(np.argmax(mean))]) == best
    assert hits[0] > hits[1] + 50


def test_a_checkpoint_goes_on_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_schedule, "EARLY_STEP_US", 150.0)
    model = ArmModel(n_random=64)
    for i in range(0, 400, 25):
        learn(model, 25, list(SHELVES)[: 2 + i // 150], first=i)
        copy = ArmModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(model.dump())))
        assert msgspec.msgpack.encode(copy.dump()) == msgspec.msgpack.encode(model.dump())
        learn(copy, 10, list(SHELVES), first=5_000 + i)
        learn(model, 10, list(SHELVES), first=5_000 + i)
        assert msgspec.msgpack.encode(copy.dump()) == msgspec.msgpack.encode(model.dump())


def test_an_unknown_arm_is_scored_while_everything_is_fitted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild_schedule, "EARLY_STEP_US", 100.0)
    model = ArmModel(n_random=16)
    rng = np.random.default_rng(0)
    under_way = 0
    for i in range(200):
        kind = {f"kind{i % 7}": 1.0, "theme": f"t{i % 5}"}
        model.learn_one({"arm": f"a{i % 30}", "arm_features": kind, "x": float(rng.normal())}, float(i % 2))
        under_way += model._rebuild is not None
        estimate = model.scorer().estimate(["new"], {"x": 0.0}, {"new": {"theme": "t1", "kind9": 2.0}})
        assert np.isfinite(estimate.mean).all()
    assert under_way > 20


def test_an_arm_that_takes_anothers_place_is_about_its_own_things() -> None:
    model = ArmModel(max_arms=3)
    learn(model, 600, ["guns", "laughs", "tears"])
    shared = model._regressions.shared
    assert shared is not None
    learn(model, 1, ["screams"], first=9_000)
    assert terms(SHELVES["screams"]) in shared.attributes.terms
    assert len(shared.attributes) == 3


def test_deciders_match_as_the_learner_does() -> None:
    learner = PlacementModel("home.hero")
    before = learner.snapshot()
    for i in range(700):
        rng = np.random.default_rng(i)
        context = tastes(rng)
        shelf = list(SHELVES)[int(rng.integers(4))]
        reward = float(rng.random() < min(0.9, 0.05 + 0.12 * liking(context, shelf)))
        outcome = Outcome(Choice(f"d{i}", "home.hero", 0, shelf, 2**30), reward, ClosingReason.WINDOW, 0, i + 1)
        learner.learn(msgspec.structs.replace(outcome, features=context, arm_features=SHELVES[shelf]))
    snapshot = learner.snapshot()
    parts = snapshot.encode()
    whole = ModelSnapshot.decode(parts.header, parts.arms)
    changed = before.apply(
        type(snapshot.changed_since(before)).from_bytes(snapshot.changed_since(before).to_bytes())
    )
    context = tastes(np.random.default_rng(99))
    expected = snapshot.estimate(list(SHELVES), context, SHELVES)
    assert snapshot.scorer.slopes.shape == (1,)  # type: ignore[union-attr]
    for other in (whole, changed):
        found = other.estimate(list(SHELVES), context, SHELVES)
        assert np.array_equal(found.mean, expected.mean)
        assert np.array_equal(found.sd, expected.sd)


def test_a_pair_travels_as_plain_values() -> None:
    matching = Matching((Pair("affinities.liked", "genres", 1.5, 0.5),))
    assert msgspec.convert(msgspec.to_builtins(matching), Matching) == matching
