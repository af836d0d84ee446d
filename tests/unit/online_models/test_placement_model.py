from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from msgspec import structs

from online_models import checkpoint
from online_models.placement_model import MAX_ARM_STATISTICS, PlacementModel
from online_models.registry import check_model
from online_models.snapshot import ModelSnapshot
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.errors import InvalidInput
from personalization.evaluation.intervals import wilson
from personalization.events.decision_id import mint
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice


def outcome(name: str, arm: str = "a", reward: float = 1.0, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {"exposed_at_ms": 5, "closed_at_ms": 9, "features": {"age": 3.0}} | changes
    side = {"holdout": fields.pop("holdout")} if "holdout" in fields else {}
    return Outcome(Choice(name, "home.hero", 0, arm, 2**31, **side), reward, ClosingReason.WINDOW, 1, **fields)


def test_an_outcome_trains_once() -> None:
    learner = PlacementModel("home.hero")
    assert [learner.learn(outcome(name)) for name in ("d1", "d1", "d2")] == [True, False, True]
    assert learner.counts == {"learned": 2, "duplicate": 1}


def test_what_does_not_train_is_counted_and_changes_no_weight() -> None:
    learner = PlacementModel("home.hero")
    learner.learn(outcome("d1"))
    before = learner.snapshot().encode()
    assert not learner.learn(outcome("d2", trains=False, holdout=True))
    assert not learner.learn(outcome("d3", reward=math.nan))
    assert learner.counts == {"learned": 1, "untrained": 1, "invalid": 1}
    assert learner.snapshot().encode() == before
    assert learner.arms["a"].control_exposures == 1
    assert learner.report()[0].exposures == 1


def test_rewards_are_clipped_to_the_placements_range_and_told_in_its_units() -> None:
    learner = PlacementModel("home.hero", reward_range=(-10.0, 10.0))
    for i in range(200):
        learner.learn(outcome(f"d{i}", "ab"[i % 2], 1e9 if i % 2 else -4.0))
    d = learner.snapshot(1).distribution(("a", "b"), {"age": 3.0}, policy=PolicySpec())
    assert d.means[0] == pytest.approx(-4.0, abs=1.0)
    assert d.means[1] == pytest.approx(10.0, abs=1.0)
    worst = next(row for row in learner.report() if row.arm == "a")
    assert (worst.exposures, worst.mean) == (100, -4.0)
    assert -10.0 <= worst.low <= -4.0 <= worst.high <= 10.0


def test_the_prior_is_uniform_and_has_version_zero() -> None:
    d = ModelSnapshot.prior("default").distribution(("a", "b", "c", "d"), {"age": 1.0}, policy=PolicySpec())
    assert d.model_version == 0
    assert d.weights == (2**30,) * 4


def test_a_reward_range_must_be_an_interval() -> None:
    for bad in ((1.0, 1.0), (2.0, 1.0), (0.0, math.inf)):
        with pytest.raises(ValueError, match="interval"):
            PlacementModel("home.hero", reward_range=bad)


def test_a_new_arm_beside_proven_ones_gets_its_first_exposures() -> None:
    learner = PlacementModel("home.hero")
    for i in range(2000):
        learner.learn(outcome(f"d{i}", "ab"[i % 2], float(i % 10 < 9)))
    d = learner.snapshot().distribution(("a", "b", "new"), {"age": 3.0}, policy=PolicySpec())
    assert 1 / 6 - 1e-6 <= d.probability(2) <= 0.5 + 1e-6


def test_model_parameters_come_through_a_checkpoint_as_they_were() -> None:
    learner = PlacementModel("home.hero", ModelSpec("default", {"n_random": 64, "optimism": 0.5}))
    learner.learn(outcome("d1"))
    copy = PlacementModel.load(msgspec.msgpack.decode(msgspec.msgpack.encode(learner.dump())))
    assert copy.spec == learner.spec
    assert copy.schema() == learner.schema()
    assert copy.snapshot().encode() == learner.snapshot().encode()


@pytest.mark.parametrize("parameters", [{"n_random": -1}, {"optimism": -1.0}, {"n_samples": 0}, {"unknown": 1}])
def test_model_parameters_that_make_no_sense_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_model(ModelSpec("default", parameters), "placements.home.model")
    assert caught.value.field == "placements.home.model.params"


def test_what_a_model_does_about_itself_is_counted() -> None:
    learner = PlacementModel("home.hero")
    for i in range(100):
        learner.learn(outcome(f"d{i}", "ab"[i % 2], float(i % 2)))
    assert learner.adaptations["rebuilds"] >= 4
    assert {name: learner.adaptations[name] for name in ("drift_resets", "rollbacks")} == {
        "drift_resets": 0,
        "rollbacks": 0,
    }
    adaptations = PlacementModel("p", "river.linear_model.LogisticRegression").adaptations
    assert adaptations == {"forgotten_arms": 0, "rollbacks": 0}


def test_outcomes_count_for_as_many_as_they_stand_for() -> None:
    learner = PlacementModel("home.hero")
    for i in range(40):
        learner.learn(outcome(f"d{i}", reward=float(i < 10)))  # all that came
    for i in range(40, 60):
        learner.learn(outcome(f"d{i}", reward=float(i < 50), sample_weight=4.0))  # a quarter of them
    row = learner.report()[0]
    assert (row.exposures, row.rewards, row.mean) == (120, 50.0, 50.0 / 120.0)
    effective = 120.0**2 / (40.0 + 20.0 * 16.0)
    assert learner.arms["a"].n_effective == pytest.approx(effective)
    assert (row.low, row.high) == pytest.approx(wilson(50.0 / 120.0, effective))
    assert effective < 60.0, "what was not seen tells nothing"
    assert learner.n_learned == 60
    learner.learn(outcome("c1", trains=False, holdout=True, sample_weight=4.0))
    assert (learner.arms["a"].control_exposures, learner.arms["a"].control_reward_sum) == (4.0, 4.0)


def test_intervals_are_as_wide_as_what_was_really_seen_leaves_them() -> None:
    plain, sampled = PlacementModel("home.hero"), PlacementModel("home.hero")
    for i in range(100):
        plain.learn(outcome(f"d{i}", reward=float(i % 4 == 0)))
        sampled.learn(outcome(f"d{i}", reward=float(i % 4 == 0), sample_weight=64.0))
    (one,), (other,) = plain.report(), sampled.report()
    assert (one.low, one.mean, one.high) == pytest.approx((other.low, other.mean, other.high))
    assert (one.exposures, other.exposures) == (100, 6400)
    assert plain.snapshot().encode() == sampled.snapshot().encode(), "a share of outcomes is learned as it is"


@pytest.mark.parametrize("weight", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_a_weight_that_makes_no_sense_is_invalid(weight: float) -> None:
    learner = PlacementModel("home.hero")
    assert not learner.learn(outcome("d1", sample_weight=weight))
    assert learner.counts == {"invalid": 1}
    assert not learner.arms


def test_an_arm_no_checkpoint_could_carry_is_invalid() -> None:
    learner = PlacementModel("home.hero")
    assert not learner.learn(outcome("d1", arm="\ud800"))
    assert learner.counts == {"invalid": 1}
    checkpoint.verify(checkpoint.dump(learner, {}, b"s"), b"s")


def test_arms_that_come_and_go_take_bounded_memory() -> None:
    learner = PlacementModel("home.hero", ModelSpec("default", {"max_arms": 2, "n_random": 0}))
    for i in range(MAX_ARM_STATISTICS + 10):
        learner.learn(outcome(f"d{i}", arm=f"arm{i}", closed_at_ms=i))
    assert len(learner.arms) == MAX_ARM_STATISTICS
    assert learner.adaptations["forgotten_arms"] == 10
    assert "arm9" not in learner.arms
    assert "arm10" in learner.arms
    assert PlacementModel.load(learner.dump()).forgotten_arms == 10


def test_what_stands_for_others_of_its_visit_is_learned_as_many_times() -> None:
    """By the default model; its books count it too, and one trial under two keys is one outcome."""
    one, three = PlacementModel("p"), PlacementModel("p")
    for n in range(60):
        arm, reward = "ab"[n % 2], float(n % 3 == 0)
        chosen = ("p", 0, arm, 2**31)
        terms = (reward, ClosingReason.WINDOW, 0, 1, 1)
        for repeat in range(3 if n == 59 else 1):
            one.learn(Outcome(Choice(f"d{n}.{repeat}", *chosen), *terms, features={"x": float(n % 7)}))
        weight = 3.0 if n == 59 else 1.0
        heavy = Outcome(
            Choice(f"d{n}", *chosen),
            *terms,
            features={"x": float(n % 7)},
            training_weight=weight,
            sample_weight=weight,
        )
        three.learn(heavy)
    assert one.arms["b"].exposures == three.arms["b"].exposures == 32
    left, right = (model.model.score_arms({"x": 3.0}, ["a", "b"]) for model in (one, three))
    assert left.mean == pytest.approx(right.mean, abs=0.02)
    ids = [mint(b"s", key, b"123456789") for key in ("a:1", "u:7")]
    learned = [three.learn(Outcome(Choice(name, *chosen), *terms)) for name in ids]
    assert learned == [True, False]


@pytest.mark.parametrize("model", ["default", "arm_linear", "river.linear_model.LogisticRegression"])
def test_names_of_one_stranger_take_no_place_from_what_several_people_bring(model: str) -> None:
    """Twelve requests with a thousand names between them, and then others come, with names of their own."""
    learner = PlacementModel("home.hero", model)
    n = 0

    def learn(features: dict[str, float], unit: int, reward: float) -> None:
        nonlocal n
        n += 1
        learner.learn(outcome(f"d{n}", "a", reward, features=features, unit=unit.to_bytes(8, "big")))

    for request in range(12):
        learn({f"junk{i}": 1.0 for i in range(request, 1_000, 12)}, 1, 0.0)
    for person in range(300):
        useful = float(person % 2)
        learn({"useful": useful, "other": float(person % 7)}, 100 + person, useful)
    assert {"useful", "other"} <= learner.model.encoder.numeric.keys()
    low, high = (
        learner.snapshot(1).distribution(("a",), {"useful": x, "other": 3.0}, policy=PolicySpec()).means[0]
        for x in (0.0, 1.0)
    )
    assert high - low > 0.5
    restored = PlacementModel.load(learner.dump())
    assert restored.snapshot(1).encode() == learner.snapshot(1).encode()


def test_an_arm_that_was_idle_for_a_month_makes_room_for_the_next_new_one() -> None:
    learner, day = PlacementModel("home.hero"), 24 * 3_600_000
    for n, (arm, at_day) in enumerate([("old", 0), ("evergreen", 0), ("old", 1), ("evergreen", 40)]):
        learner.learn(outcome(f"d{n}", arm, closed_at_ms=at_day * day + 1))
    assert set(learner.arms) == {"old", "evergreen"}, "nothing new came, so nothing goes"
    learner.learn(outcome("d4", "new", closed_at_ms=40 * day + 2))
    assert set(learner.arms) == {"evergreen", "new"}
    assert learner.model._arms.names == ["new", "evergreen"]  # type: ignore[union-attr]  # the default model
    assert learner.adaptations["forgotten_arms"] == 1
    learner.learn(outcome("d5", "newer", closed_at_ms=41 * day))
    assert set(learner.arms) == {"evergreen", "new", "newer"}
    again = PlacementModel.load(learner.dump())
    for model in (learner, again):
        model.learn(outcome("d6", "old", closed_at_ms=80 * day))
    assert again.snapshot(1).encode() == learner.snapshot(1).encode()


def test_articles_that_come_and_go_leave_a_model_of_those_that_are_read() -> None:
    learner, day = PlacementModel("home.hero"), 24 * 3_600_000
    for at_day in range(120):
        for n in range(4):
            article, at_ms = f"day{at_day}-{n}", at_day * day + n
            told = {"closed_at_ms": at_ms, "arm_features": {"kind": f"k{n}"}}
            learner.learn(outcome(article, article, float(n == 0), **told))
    assert len(learner.arms) < 4 * 35
    d = learner.snapshot(1).distribution(
        ("x", "y"), {"age": 3.0}, policy=PolicySpec(), arm_features={"x": {"kind": "k0"}, "y": {"kind": "k1"}}
    )
    assert d.means[0] > d.means[1] + 0.2, "what kinds are read outlives the articles"


def test_how_often_an_apprentices_policy_agrees_survives_a_checkpoint() -> None:
    learner = PlacementModel("home.hero")
    for n, arm in enumerate(("a", "b", "a", "a")):
        made = outcome(f"d{n}")
        learner.learn(structs.replace(made, choice=structs.replace(made.choice, weight=2**32, policy_arm=arm)))
    learner.learn(outcome("free"))
    kept = checkpoint.load(checkpoint.dump(learner, {}, b"secret"), b"secret", placement="home.hero")
    assert kept.model.imitation == learner.imitation
    assert kept.model.imitation.n == 4
    assert kept.model.imitation.rate == pytest.approx(0.75, abs=0.001)
    assert learner.report()[0].exposures == 5, "what the baseline is worth is learned as of any decision"
