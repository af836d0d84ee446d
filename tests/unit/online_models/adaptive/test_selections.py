"""Rule *Decision*, recomputed bit for bit: what a scorer remembers of arms follows their features."""

from __future__ import annotations

import random

import pytest

from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot
from online_models.wire import SnapshotParts
from personalization.catalog.policy_spec import PolicySpec
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

RATES = {"shoes": 0.6, "hats": 0.05, "bags": 0.1}
ARMS = ("shoes0", "hats0", "new-offer")
KNOWN = {f"{category}{k}": {"category": category} for category in RATES for k in range(4)}
AS_HAT = {**KNOWN, "new-offer": {"category": "hats"}}
AS_SHOE = {**KNOWN, "new-offer": {"category": "shoes"}}


@pytest.fixture(scope="module")
def learned() -> SnapshotParts:
    rng = random.Random(0)
    model = PlacementModel("p")
    for n in range(1200):
        arm = rng.choice(list(KNOWN))
        reward = float(rng.random() < RATES[KNOWN[arm]["category"]])
        model.learn(
            Outcome(
                Choice(f"d{n}", "p", 0, arm, 2**31),
                *(reward, ClosingReason.WINDOW, 0, 1, 1),
                features={"hour": float(n % 24)},
                arm_features={**KNOWN[arm]},
            )
        )
    return model.snapshot(1).encode(b"s")


def snapshot(parts: SnapshotParts) -> ModelSnapshot:
    return ModelSnapshot.decode(parts.header, parts.arms, b"s")


def means(scorer: ModelSnapshot, features: dict[str, dict[str, str]] | None) -> tuple[float, ...]:
    return scorer.distribution(ARMS, {"hour": 3.0}, policy=PolicySpec(), arm_features=features).means


def test_changed_features_count_at_once_and_as_they_would_alone(learned: SnapshotParts) -> None:
    deciding = snapshot(learned)
    hat, shoe = means(snapshot(learned), AS_HAT), means(snapshot(learned), AS_SHOE)
    assert shoe[2] > hat[2] + 0.2
    # Two versions of the catalog may be asked for in turn, while one takes the other's place.
    for features, expected in ((AS_HAT, hat), (AS_SHOE, shoe), (AS_HAT, hat), (dict(AS_SHOE), shoe), (None, None)):
        found = means(deciding, features)
        assert expected is None or found == expected
    assert means(deciding, AS_SHOE) == shoe


def test_equal_features_are_worked_out_once(learned: SnapshotParts, monkeypatch: pytest.MonkeyPatch) -> None:
    deciding = snapshot(learned)
    n_selected = 0
    select = type(deciding.scorer)._select  # type: ignore[union-attr]

    def counting(*arguments: object) -> object:
        nonlocal n_selected
        n_selected += 1
        return select(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(type(deciding.scorer), "_select", counting)
    for features in (AS_HAT, AS_HAT, {name: dict(one) for name, one in AS_HAT.items()}):
        means(deciding, features)
    assert n_selected == 1
    means(deciding, AS_SHOE)
    assert n_selected == 2
