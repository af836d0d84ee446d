"""What a model says of itself is what it was taught."""

from __future__ import annotations

import random

import pytest

from online_models.insight import MIN_SEEN, insight_of
from online_models.placement_model import PlacementModel
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import FeatureValue
from personalization.visitor.choice import Choice

DAY_MS = 86_400_000


def taught(model: str, n: int = 600) -> PlacementModel:
    """Phones like ``a``, and more the older; ``b`` is the same for all. One visitor has a device of their own."""
    rng = random.Random(3)
    learner = PlacementModel("home", model, (0.0, 10.0))
    for at in range(n):
        arm = rng.choice("ab")
        age = rng.gauss(40.0, 10.0)
        device = "prototype-of-anna" if at == n // 2 else rng.choice(("phone", "desktop"))
        x: dict[str, FeatureValue] = {"age": age, "device": device, "noise": rng.random()}
        reward = 2.0 + 4.0 * (device == "phone") + 0.1 * (age - 40.0) if arm == "a" else 5.0
        chosen = Choice(f"d{at}", "home", 0, arm, 2**31)
        learner.learn(Outcome(chosen, reward, ClosingReason.WINDOW, 0, DAY_MS + at, features=x))
    return learner


@pytest.mark.parametrize("model", ["default", "arm_linear", "river.linear_model.LinearRegression"])
def test_a_model_says_what_its_arms_go_by(model: str) -> None:
    insight = insight_of(taught(model))
    arms = {arm.arm: arm for arm in insight.arms}
    effects = {effect.what: effect.change for effect in arms["a"].effects}
    assert effects["device=phone"] == pytest.approx(2.0, abs=0.6)
    assert effects["device=desktop"] == pytest.approx(-2.0, abs=0.6)
    assert effects["age"] == pytest.approx(1.0, abs=0.4)
    assert abs(effects.get("noise", 0.0)) < 0.3
    assert arms["b"].mean_estimate == pytest.approx(5.0, abs=0.5)
    assert [matter.feature for matter in insight.matters][:2] == ["device", "age"]
    assert insight.matters_over == ("mean ± deviation" if model.startswith("river") else "recent contexts")


def test_a_level_that_next_to_nobody_had_is_not_named() -> None:
    insight = insight_of(taught("default"))
    named = {effect.what for arm in insight.arms for effect in arm.effects}
    assert {"device=phone", "device=desktop"} <= named
    assert not any("anna" in what for what in named), f"fewer than {MIN_SEEN} contexts had it"


@pytest.mark.parametrize("model", ["default", "river.linear_model.LinearRegression"])
def test_what_few_persons_have_is_not_named_however_often_they_come(model: str) -> None:
    rng = random.Random(5)
    learner = PlacementModel("home", model)
    for at in range(600):
        anna = at % 3 == 0
        x: dict[str, FeatureValue] = {"device": rng.choice(("phone", "desktop"))}
        x["mail"] = "anna@example.com" if anna else "none"
        if anna:
            x["height of anna"] = rng.gauss(170.0, 5.0)
        unit = (at % 3 if anna else at + 10).to_bytes(8, "big")
        chosen = Choice(f"d{at}", "home", 0, rng.choice("ab"), 2**31)
        learner.learn(
            Outcome(chosen, float(anna), ClosingReason.WINDOW, 0, DAY_MS + at, features=x, unit=unit, free=True)
        )
    insight = insight_of(PlacementModel.load(learner.dump()))
    named = {effect.what for arm in insight.arms for effect in arm.effects}
    assert {"device=phone", "mail=none"} <= named
    assert not any("anna" in each for each in {*named, *(matter.feature for matter in insight.matters)})


def test_an_arms_life_is_told_from_its_first_outcome_to_its_last() -> None:
    learner = taught("default", 200)
    loaded = PlacementModel.load(learner.dump())
    chosen = Choice("new", "home", 0, "c", 2**31)
    loaded.learn(Outcome(chosen, 1.0, ClosingReason.WINDOW, 0, 9 * DAY_MS, features={"age": 40.0}))
    insight = insight_of(loaded)
    arms = {arm.arm: arm for arm in insight.arms}
    assert arms["c"].first_ms == arms["c"].last_ms == 9 * DAY_MS
    assert DAY_MS <= (arms["a"].first_ms or 0) < (arms["a"].last_ms or 0) < 2 * DAY_MS
    assert arms["a"].held + arms["b"].held == 200
    assert sum(arm.share_of_late or 0.0 for arm in insight.arms) == pytest.approx(1.0)
    assert insight.adaptations["rebuilds"] > 0


def test_a_model_that_has_learned_nothing_says_so() -> None:
    insight = insight_of(PlacementModel("home"))
    assert (insight.n_learned, insight.arms, insight.matters) == (0, [], [])
