"""A conversion model's checkpoint is whole and ours, or refused."""

from __future__ import annotations

import hashlib
import hmac

import msgspec
import pytest

from online_models.conversion import checkpoint
from online_models.conversion.registry import make_conversion_model
from personalization.errors import InvalidInput, Refused
from tests.unit.online_models.conversion.test_model import visitors

SECRET = b"server secret"
MODELS = ("default", "river.linear_model.LogisticRegression", "river.tree.HoeffdingTreeClassifier")


@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str) -> None:
    model = make_conversion_model(name)
    for x, y in visitors(300):
        model.learn_one(x, y)
    loaded = checkpoint.load(checkpoint.dump(model, "buyer", {0: 7}, SECRET), SECRET, score="buyer")
    assert loaded.offsets == {0: 7}
    for x, y in visitors(100, seed=1):
        assert loaded.model.predict_proba_one(x) == model.predict_proba_one(x)
        model.learn_one(x, y)
        loaded.model.learn_one(x, y)


def test_anything_that_does_not_fit_is_refused() -> None:
    data = checkpoint.dump(make_conversion_model("river.naive_bayes.BernoulliNB"), "buyer", {}, SECRET)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    for bad in (b"", data[:-1], bytes(damaged), b"x" + data):
        with pytest.raises(Refused):
            checkpoint.load(bad, SECRET)
    with pytest.raises(Refused, match="secret"):
        checkpoint.load(data, b"another")
    with pytest.raises(Refused, match="score"):
        checkpoint.load(data, SECRET, score="churner")
    body = msgspec.msgpack.encode({**msgspec.msgpack.decode(data[36:]), "river_version": "0.1.0"})
    with pytest.raises(Refused, match="River"):
        checkpoint.load(checkpoint.MAGIC + hmac.digest(SECRET, body, hashlib.sha256) + body, SECRET)


@pytest.mark.parametrize(
    "name",
    [
        "river.forest.ARFClassifier",
        "river.ensemble.ADWINBoostingClassifier",
        "river.ensemble.AdaBoostClassifier",
        "river.ensemble.BaggingClassifier",
        "river.naive_bayes.GaussianNB",
    ],
)
def test_any_river_classifier_takes_the_default_models_place(name: str) -> None:
    model = make_conversion_model(name)
    for x, y in visitors(300):
        model.learn_one(x, y, 1.5)
        assert 0.0 <= model.predict_proba_one(x)[True] <= 1.0


@pytest.mark.parametrize("name", ["", "os.system", "river.drift.ADWIN", "river.linear_model.LinearRegression"])
def test_what_is_no_classifier_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_conversion_model(name)
    assert caught.value.field == "model"
