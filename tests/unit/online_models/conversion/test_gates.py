"""Gates open for pairs that predict and close for those that do not, and keep what they learned."""

from __future__ import annotations

import numpy as np

from online_models.conversion.gates import ALONE, Gates
from online_models.conversion.hashed_linear import HashedLinear
from online_models.conversion.stack import sigmoid


def in_force(*pairs: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    left, right = np.array(pairs, dtype=np.int64).T
    return left, right


def test_the_pair_that_predicts_opens_and_the_others_close() -> None:
    rng = np.random.default_rng(0)
    linear = HashedLinear()
    z = np.zeros(6)
    for _ in range(6_000):
        row = rng.integers(0, 4, 6).astype(np.float32)
        label = float((row[1] >= 2.0) != (row[4] >= 2.0))
        tokens = linear.tokens(row, z)
        tracking, adagrad, gated = (label - sigmoid(score) for score in linear.score(tokens))
        linear.learn(tokens, (tracking, adagrad, gated), 1.0)
    opened = linear.gates.of(1, 4)
    others = [linear.gates.of(a, b) for a in range(6) for b in range(a + 1, 6) if (a, b) != (1, 4)]
    assert opened > 2.0
    assert max(others) < opened / 2.0
    assert np.median(others) < 0.7


def test_pairs_that_stay_keep_what_they_learned_and_new_ones_begin() -> None:
    gates = Gates()
    gates.fit_to(*in_force((0, ALONE), (0, 1), (0, 2)))
    gates.learn(np.array([0.1, 0.3, -0.2], np.float32))
    alone, first, second = gates.width.tolist()
    assert first > alone > 1.0 > second
    gates.fit_to(*in_force((0, ALONE), (0, 2), (3, 4)))
    assert gates.width.tolist() == [alone, second, 1.0]
    gates.select(np.array([0, 2]))
    assert (gates.of(0), gates.of(0, 1)) == (alone, second)


def test_a_gate_never_turns_a_weight_round_and_has_a_bound() -> None:
    gates = Gates()
    gates.fit_to(*in_force((0, 1), (0, 2)))
    for _ in range(2_000):
        gates.learn(np.array([-1.0, 1.0], np.float32))
    assert gates.width.tolist() == [0.0, 16.0]


def test_they_come_back_from_a_checkpoint_and_serve_without_what_training_needs() -> None:
    gates = Gates()
    gates.fit_to(*in_force((0, 1), (2, 3)))
    gates.learn(np.array([0.3, -0.2], np.float32))
    assert Gates.load(gates.dump(training=False)).width.tolist() == gates.width.tolist()
    loaded = Gates.load(gates.dump())
    for each in (gates, loaded):
        each.learn(np.array([0.1, 0.1], np.float32))
    assert loaded.width.tolist() == gates.width.tolist()
