from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from online_models.encoder import MAX_LEVELS, Encoder
from online_models.frozen_encoder import CLIP, N_HASHED, FrozenEncoder


def learned(rows: Iterable[Mapping[str, object]], max_dims: int = 160) -> Encoder:
    encoder = Encoder(max_dims)
    for row in rows:
        encoder.learn(row)
    return encoder


def test_numbers_become_z_scores_clipped() -> None:
    encoder = learned([{"age": float(v)} for v in range(1000)]).freeze()
    z = [float(encoder.encode({"age": v})[0]) for v in (499.5, 499.5 + 288.7, 1e9, -1e9)]
    assert z == pytest.approx([0.0, 1.0, CLIP, -CLIP], abs=0.02)


def test_a_constant_feature_is_zero() -> None:
    encoder = learned([{"age": 7.0}] * 50).freeze()
    assert encoder.encode({"age": 7.0}).tolist() == [0.0]
    assert encoder.encode({"age": 8.0}).tolist() == [0.0]


def test_missing_has_a_dimension_of_its_own_and_the_value_is_the_mean() -> None:
    rows: list[dict[str, object]] = [{"age": float(i)} if i % 2 else {} for i in range(400)]
    frozen = learned(rows).freeze()
    at, flag = frozen.numeric["age"], frozen.missing["age"]
    absent, present = frozen.encode({}), frozen.encode({"age": 200.0})
    assert absent[at] == 0.0
    assert absent[flag] == pytest.approx(1.0, abs=0.05)
    assert present[flag] == pytest.approx(-1.0, abs=0.05)


@pytest.mark.parametrize("late", [0, 10, 500])
def test_statistics_of_a_late_feature_are_those_of_having_known_it(late: int) -> None:
    """Whenever a level or a missing flag gets its dimension, its past counts as absent."""
    n = 1000
    rows: list[dict[str, object]] = [
        {"x": float(i % 5), **({"age": 1.0 * i} if i >= late else {})} for i in range(n)
    ]
    rows = [{**row, "device": "tablet" if i >= late and i % 3 == 0 else "phone"} for i, row in enumerate(rows)]
    frozen = learned(rows).freeze()
    share = np.mean([row["device"] == "tablet" for row in rows])
    assert frozen.mean[frozen.levels["device"]["tablet"]] == pytest.approx(share)
    if late:
        assert frozen.mean[frozen.missing["age"]] == pytest.approx(late / n)


def test_the_order_of_a_dict_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    rows = [{f"f{i}": float(rng.normal()) for i in range(9)} | {"c": "ab"[rng.integers(2)]} for _ in range(50)]
    shuffled = [{k: row[k] for k in rng.permutation(list(row))} for row in rows]
    one, other = learned(rows).freeze(), learned(shuffled).freeze()
    assert one.encode(rows[0]).tolist() == other.encode(shuffled[0]).tolist()


def test_the_width_is_bounded_and_what_is_beyond_still_counts() -> None:
    encoder = learned([{f"name{i}": float(i % 7), "kind": f"level{i}"} for i in range(2000)], max_dims=64)
    assert encoder.n_dims <= 64
    assert len(encoder.levels["kind"]) <= MAX_LEVELS
    frozen = encoder.freeze()
    assert frozen.hashed_from == encoder.n_dims - N_HASHED
    assert frozen.encode({"name1999": 3.0}).tolist() != frozen.encode({}).tolist()


def test_names_that_never_come_again_take_no_memory() -> None:
    encoder = learned([{f"map{i}.key": 1.0, f"other{i % 40}.key{i}": 1.0} for i in range(2000)], max_dims=64)
    assert sum(map(len, encoder._families.values())) < 64 * 64
    assert len(encoder._families) <= 64


def test_wire_and_checkpoint_keep_every_bit() -> None:
    rng = np.random.default_rng(1)
    rows: list[dict[str, object]] = [
        {"a": float(rng.normal()), "b": "xyz"[rng.integers(3)], **({"c": 1.0} if i % 2 else {})} for i in range(99)
    ]
    encoder = learned(rows)
    copy = Encoder.load(encoder.dump())
    for each in (encoder, copy):
        each.learn({"a": 2.0, "new": 1.0})
    frozen = encoder.freeze()
    received = FrozenEncoder.from_state(copy.freeze().state())
    for row in rows:
        assert received.encode(row).tolist() == frozen.encode(row).tolist()


@pytest.mark.parametrize("early", [0, 1, 40])
def test_a_missing_key_of_a_map_is_a_zero(early: int) -> None:
    """Whether a key appeared before or after its family was known, its past counts as zeros."""
    rng = np.random.default_rng(2)
    rows: list[dict[str, object]] = [{"affinities.a": 3.0} for _ in range(early)]
    rows += [
        {f"affinities.{key}": float(rng.integers(1, 9)) for key in "abcd" if rng.random() < 0.5} for _ in range(300)
    ]
    frozen = learned(rows).freeze()
    for key in "abcd":
        assert frozen.mean[frozen.numeric[f"affinities.{key}"]] == pytest.approx(
            np.mean([row.get(f"affinities.{key}", 0.0) for row in rows])
        )
    assert "affinities.d" not in frozen.missing
    assert frozen.encode({}).tolist() == frozen.encode({"affinities.d": 0.0}).tolist()


def test_a_context_of_known_names_is_learned_as_if_each_were_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way, without laying out anew, is taken for every one of them but teaches the same bits."""
    rng = np.random.default_rng(3)
    rows: list[dict[str, object]] = []
    for _ in range(400):
        row: dict[str, object] = {"hour": float(rng.integers(24)), "device": "ab"[rng.integers(2)]}
        row |= {f"affinities.{key}": float(rng.integers(1, 9)) for key in "abcd" if rng.random() < 0.5}
        rows.append(row)
    rows[300].pop("hour")  # missing for the first time: it gets a flag
    laid_out: list[int] = []
    slowly = Encoder._lay_out

    def counted(self: Encoder, features: Mapping[object, object], unit: bytes) -> None:
        laid_out.append(self.n_seen)
        slowly(self, features, unit)

    monkeypatch.setattr(Encoder, "_lay_out", counted)
    short = learned(rows)
    assert [at for at in laid_out if at > 30] == [300]
    monkeypatch.setattr(Encoder, "_familiar", lambda self, features: None)
    assert learned(rows).dump() == short.dump()
    assert "hour" in short.missing
