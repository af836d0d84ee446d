"""A checkpoint is whole and ours, or refused."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any

import msgspec
import pytest
import river

from online_models import checkpoint
from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot, pack_version, unpack_version
from personalization.errors import Refused
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

SECRET = b"server secret"
MODELS = ("default", "river.linear_model.LogisticRegression")


def learner(model: str) -> PlacementModel:
    made = PlacementModel("home.hero", model, (0.0, 5.0))
    for i in range(120):
        made.learn(
            Outcome(
                Choice(f"d{i}", "home.hero", 0, "ab"[i % 2], 2**31),
                5.0 * (i % 2),
                ClosingReason.FINAL,
                i,
                i + 1,
                i,
                features={"age": float(i % 9)},
            )
        )
    return made


@pytest.mark.parametrize("model", MODELS)
def test_round_trip(model: str) -> None:
    made = learner(model)
    data = checkpoint.dump(made, {0: 17, 3: 9}, SECRET, generation=4, epoch="e1")
    loaded = checkpoint.load(data, SECRET, placement="home.hero", model=model, reward_range=(0.0, 5.0))
    assert (loaded.offsets, loaded.epoch, loaded.generation) == ({0: 17, 3: 9}, "e1", 4)
    x = {"age": 4.0}
    assert (
        loaded.model.snapshot().estimate("ab", x).mean.tolist() == made.snapshot().estimate("ab", x).mean.tolist()
    )
    assert loaded.model.report() == made.report()
    assert not loaded.model.learn(
        Outcome(Choice("d7", "home.hero", 0, "a", 2**31), 5.0, ClosingReason.FINAL, 7, 8, 7, features={})
    ), "an outcome learned before the checkpoint is known after it"


@pytest.mark.parametrize("model", MODELS)
def test_anything_that_does_not_fit_is_refused(model: str) -> None:
    data = checkpoint.dump(learner(model), {0: 1}, SECRET)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    for bad in (b"", data[:-1], bytes(damaged), b"x" + data):
        with pytest.raises(Refused):
            checkpoint.load(bad, SECRET)
    with pytest.raises(Refused, match="secret"):
        checkpoint.load(data, b"another")
    with pytest.raises(Refused, match="placement"):
        checkpoint.load(data, SECRET, placement="cart.offer")
    with pytest.raises(Refused, match="reward range"):
        checkpoint.load(data, SECRET, model=model, reward_range=(0.0, 1.0))
    with pytest.raises(Refused, match="another model"):
        checkpoint.load(data, SECRET, model="river.linear_model.LinearRegression", reward_range=(0.0, 5.0))


def resigned(data: bytes, **changes: object) -> bytes:
    body = msgspec.msgpack.decode(data[36:])
    body = msgspec.msgpack.encode({**body, **changes})
    return checkpoint.MAGIC + hmac.digest(SECRET, body, hashlib.sha256) + body


@pytest.mark.parametrize("model", ["default", "arm_linear"])
def test_the_version_of_river_binds_no_model_of_arrays(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = learner(model)
    data = checkpoint.dump(made, {0: 1}, SECRET)
    monkeypatch.setattr(river, "__version__", "99.0.0")
    loaded = checkpoint.load(data, SECRET, placement="home.hero", model=model, reward_range=(0.0, 5.0))
    assert loaded.model.snapshot().encode() == made.snapshot().encode()
    assert loaded.model.schema() == PlacementModel("home.hero", model, (0.0, 5.0)).schema()


def test_the_version_of_river_binds_what_holds_its_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    data = checkpoint.dump(learner(MODELS[1]), {0: 1}, SECRET)
    monkeypatch.setattr(river, "__version__", "99.0.0")
    with pytest.raises(Refused, match="River"):
        checkpoint.load(data, SECRET)


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_is_good_once_it_was_loaded_back(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = learner(model)
    data = checkpoint.dump(made, {0: 17}, SECRET, generation=4, epoch="e1")
    verified = checkpoint.verify(data, SECRET)
    assert (verified.offsets, verified.generation) == ({0: 17}, 4)
    assert verified.model.report() == made.report()
    with pytest.raises(Refused, match="secret"):
        checkpoint.verify(data, b"another")

    def fails(*_: object) -> None:
        raise KeyError("arms")

    monkeypatch.setattr(type(made.model), "load", fails)
    for each in (checkpoint.load, checkpoint.verify):
        with pytest.raises(Refused, match=r"KeyError: 'arms'.*keep the last good one"):
            each(data, SECRET)


def test_what_loads_as_something_else_is_no_good_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that ``load`` forgets is found when the checkpoint is written, not when it is needed."""
    data = checkpoint.dump(learner("default"), {0: 1}, SECRET)
    load = PlacementModel.load

    def forgetful(state: dict[str, Any]) -> PlacementModel:
        loaded = load(state)
        loaded.arms["b"].reward_sum = 0.0
        return loaded

    monkeypatch.setattr(PlacementModel, "load", forgetful)
    with pytest.raises(Refused, match="does not load back"):
        checkpoint.verify(data, SECRET)


def test_another_release_is_refused_even_when_signed() -> None:
    data = checkpoint.dump(learner("default"), {0: 1}, SECRET)
    with pytest.raises(Refused, match="format"):
        checkpoint.load(resigned(data, format=99), SECRET)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (pytest.fail, ("unpickled something nobody signed",))


def test_a_river_snapshot_is_loaded_only_with_the_right_secret() -> None:
    parts = learner(MODELS[1]).snapshot(1).encode(SECRET)
    assert ModelSnapshot.decode(parts.header, {}, SECRET).version == pack_version(1, 120)
    with pytest.raises(Refused, match="secret"):
        ModelSnapshot.decode(parts.header, {}, b"another")
    forged = msgspec.msgpack.decode(parts.header)
    forged["payload"] = pickle.dumps(Bomb())
    with pytest.raises(Refused, match="secret"):
        ModelSnapshot.decode(msgspec.msgpack.encode(forged), {}, SECRET)


def test_versions_are_ordered_by_generation_first() -> None:
    assert unpack_version(pack_version(7, 123)) == (7, 123)
    assert pack_version(2, 0) > pack_version(1, 10**11)
