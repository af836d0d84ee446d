"""A conversion model's checkpoint is whole and ours, or refused."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
import pytest
import river

from online_models.conversion import checkpoint
from online_models.conversion.book import ConversionBook
from online_models.conversion.challenger import retrain
from online_models.conversion.contender import Contender
from online_models.conversion.registry import make_conversion_model
from personalization.errors import InvalidInput, Refused
from personalization.events.example import Example, Stage
from tests.unit.online_models.conversion.test_model import visitors

SECRET = b"server secret"
MODELS = ("default", "river.linear_model.LogisticRegression", "river.tree.HoeffdingTreeClassifier")


def moments(n: int, seed: int = 0, early: bool = False) -> list[Example]:
    """Examples that open, some that convert, and all that close, in that order."""
    told: list[Example] = []
    for number, (x, y) in enumerate(visitors(n, seed)):
        name = f"e{seed}-{number}"
        terms: dict[str, Any] = {"features": x, "early": early}
        told.append(Example(name, "buys", Stage.OPENED, number, number, **terms))
        if early and y:
            told.append(Example(name, "buys", Stage.CONVERTED, number, number, label=True, **terms))
        told.append(Example(name, "buys", Stage.CLOSED, number, number, label=bool(y), **terms))
    return told


def taught(name: str = "default", n: int = 300, early: bool = False) -> ConversionBook:
    book = ConversionBook("buys", name)
    for record in moments(n, early=early):
        book.learn(record)
    return book


@pytest.mark.parametrize("early", [False, True], ids=["mature", "early"])
@pytest.mark.parametrize("name", MODELS)
def test_round_trip(name: str, early: bool) -> None:
    book = taught(name, early=early)
    book.challenge(retrain(Contender("default"), visitors(150, seed=5)), "c1")
    for record in moments(50, seed=3, early=early):
        book.learn(record)
    loaded = checkpoint.load(checkpoint.dump(book, {0: 7}, SECRET), SECRET, conversion="buys")
    assert loaded.offsets == {0: 7}
    assert loaded.model.schema() == book.schema()
    for record in moments(100, seed=1, early=early):
        assert loaded.model.champion.predict(record.features) == book.champion.predict(record.features)
        assert loaded.model.learn(record) == book.learn(record)
    left, right = loaded.model, book
    assert (left.counts, left.verdicts, left.trial.dump()) == (right.counts, right.verdicts, right.trial.dump())
    assert left.scorecard() == right.scorecard()
    if name == "default":
        assert left.dump() == right.dump()


def test_the_version_of_river_binds_what_serves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, rivers = taught(), taught("river.linear_model.LogisticRegression", 50)
    rival = retrain(Contender("river.linear_model.LogisticRegression"), visitors(50, seed=5))
    ours.challenge(rival, "c1")
    good, bound = checkpoint.dump(ours, {0: 7}, SECRET), checkpoint.dump(rivers, {0: 7}, SECRET)
    served = checkpoint.dump_served(ours.champion, "buys", 7, SECRET)
    entered = checkpoint.dump_challenger(rival, "buys", SECRET)
    assert checkpoint.load(good, SECRET).model.challenger is not None
    monkeypatch.setattr(river, "__version__", "99.0.0")
    loaded = checkpoint.load(good, SECRET).model
    assert loaded.champion.dump() == ours.champion.dump()
    assert loaded.schema() == ConversionBook("buys").schema()
    assert loaded.challenger is None, "it may be entered again"
    assert loaded.verdicts == {"entered": 1, "failed": 1}
    assert checkpoint.load_served(served, SECRET).version == 7
    for refused in (lambda: checkpoint.load(bound, SECRET), lambda: checkpoint.load_challenger(entered, SECRET)):
        with pytest.raises(Refused, match="River"):
            refused()


@pytest.mark.parametrize("rival", [None, *MODELS[:2]])
@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_is_good_once_it_was_loaded_back(name: str, rival: str | None) -> None:
    book = taught(name, 200)
    if rival is not None:
        book.challenge(retrain(Contender(rival), visitors(50, seed=5)), "c1")
    verified = checkpoint.verify(checkpoint.dump(book, {0: 7}, SECRET), SECRET)
    assert verified.offsets == {0: 7}
    assert verified.model.counts == book.counts


def test_what_does_not_load_back_as_it_was_is_no_good_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    data = checkpoint.dump(taught(n=20), {}, SECRET)
    load = ConversionBook.load

    def forgetful(state: dict[str, Any]) -> ConversionBook:
        loaded = load(state)
        loaded.counts.clear()
        return loaded

    with monkeypatch.context() as patch:
        patch.setattr(ConversionBook, "load", forgetful)
        with pytest.raises(Refused, match="does not load back"):
            checkpoint.verify(data, SECRET)
        patch.setattr(ConversionBook, "load", lambda state: state["nothing"])
        with pytest.raises(Refused, match="KeyError: 'nothing'"):
            checkpoint.verify(data, SECRET)
    assert checkpoint.verify(data, SECRET).model.n_learned == 20


@pytest.mark.parametrize("name", MODELS)
def test_what_is_served_says_the_same_in_fewer_bytes(name: str) -> None:
    book = taught(name, 600)
    data = checkpoint.dump_served(book.champion, "buys", 77, SECRET)
    served = checkpoint.load_served(data, SECRET, conversion="buys")
    assert (served.conversion, served.version) == ("buys", 77)
    for x, _ in visitors(100, seed=1):
        assert served.contender.predict(x) == book.champion.predict(x)
        assert served.contender.explain(x) == book.champion.explain(x)
    assert len(data) < len(checkpoint.dump(book, {}, SECRET)) * 0.7 or name != "default"


def test_anything_that_does_not_fit_is_refused() -> None:
    data = checkpoint.dump(taught("river.naive_bayes.BernoulliNB", 20), {}, SECRET)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    for bad in (b"", data[:-1], bytes(damaged), b"x" + data):
        with pytest.raises(Refused):
            checkpoint.load(bad, SECRET)
    with pytest.raises(Refused, match="secret"):
        checkpoint.load(data, b"another")
    with pytest.raises(Refused, match="conversion"):
        checkpoint.load(data, SECRET, conversion="leaves")
    with pytest.raises(Refused, match="not a served"):
        checkpoint.load_served(data, SECRET)
    for field, value, words in (
        ("river_version", "0.1.0", "River"),
        ("format", 1, "format"),
        ("kind", 3, "release"),
    ):
        body = msgspec.msgpack.encode({**msgspec.msgpack.decode(data[36:]), field: value})
        with pytest.raises(Refused, match=words):
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
