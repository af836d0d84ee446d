"""Whatever examples do, a conversion's book goes on, and so does what a checkpoint of it holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from online_models.conversion import checkpoint, contender, model
from online_models.conversion.book import ConversionBook
from online_models.conversion.contender import Contender
from personalization.catalog.policy_spec import ModelSpec
from personalization.events.example import Example, Stage

SECRET = b"server secret"
KINDS = ("none", "constant", "growing", "types", "huge", "levels")
STAGES = tuple(Stage)


def features(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    if kind == "none":
        return {}
    if kind == "constant":
        return {"a": 5.0, "c": "same"}
    if kind == "growing":
        return {f"n{rng.integers(300)}": float(rng.random()), f"c{rng.integers(90)}": f"v{rng.integers(10**5)}"}
    if kind == "types":
        return {"a": (1.0, "one")[rng.integers(2)], "b": (2.0, "x")[rng.integers(2)]}
    if kind == "huge":
        return {key: (1e9, -1e9, 0.0, 1e-9, math.nan)[rng.integers(5)] for key in "abc" if rng.random() < 0.5}
    return {"level": f"l{rng.integers(200)}", "z": float(rng.normal())}


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    n=st.integers(20, 240),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    rate=st.sampled_from([0.0, 1.0, 0.1, 0.5]),
    buffer_rows=st.sampled_from([12, 30, 64]),
    seed=st.integers(0, 9),
)
def test_no_stream_ends_it_and_a_checkpoint_at_any_moment_goes_on_bit_for_bit(
    n: int, kinds: list[str], rate: float, buffer_rows: int, seed: int
) -> None:
    rng, spec = np.random.default_rng(seed), ModelSpec("default", {"buffer_rows": buffer_rows})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "FIRST_GROWTH", 12)
        patch.setattr(contender, "GOOD_COPY_EVERY", 40)
        books = [ConversionBook("buys", spec)]
        for i in range(n):
            if rng.random() < 0.02:
                for book in books:
                    book.challenge(Contender(spec), f"c{i}")
            record = Example(
                f"e{rng.integers(i + 1)}",
                "buys",
                STAGES[rng.integers(len(STAGES))],
                i,
                i,
                label=bool(rng.random() < rate),
                early=bool(rng.random() < 0.4),
                features=features(kinds[rng.integers(len(kinds))], rng),
            )
            results = {book.learn(record) for book in books}
            assert len(results) == 1
            x = features(kinds[rng.integers(len(kinds))], rng)
            assert all(0.0 <= book.champion.predict(x) <= 1.0 for book in books)
            if rng.random() < 0.05:
                copy = checkpoint.verify(checkpoint.dump(books[-1], {0: i}, SECRET), SECRET).model
                books = [books[0], copy]
        assert books[-1].dump() == books[0].dump()
