from __future__ import annotations

import msgspec
import numpy as np

from online_models.adaptive.arm_model import ArmModel
from online_models.noise import RewardNoise


def test_zeros_and_ones_spread_as_a_coin_does_at_any_rate() -> None:
    for rate in (0.02, 0.5, 0.97):
        noise = RewardNoise()
        for draw in np.random.default_rng(0).random(5000):
            noise.add(float(draw < rate))
        assert abs(noise.share_of_a_coin - 1.0) < 1e-6


def test_graded_rewards_spread_less_and_nothing_breaks_it() -> None:
    noise = RewardNoise()
    assert noise.share_of_a_coin == 1.0
    for draw in np.random.default_rng(0).normal(0.5, 0.1, 5000):
        noise.add(float(draw))
    assert abs(noise.share_of_a_coin - 0.2) < 0.05
    for absurd in (1e6, -1e6, 0.0):
        noise.add(absurd)
        assert 0.0 < noise.share_of_a_coin <= 1.0


def test_it_goes_on_from_a_checkpoint() -> None:
    noise = RewardNoise()
    for i in range(100):
        noise.add(i / 100)
    again = RewardNoise.load(msgspec.msgpack.decode(msgspec.msgpack.encode(noise.dump())))
    for each in (noise, again):
        each.add(0.3)
    assert again.share_of_a_coin == noise.share_of_a_coin


def test_a_model_of_graded_rewards_is_less_optimistic() -> None:
    coins, grades = ArmModel(), ArmModel()
    rng = np.random.default_rng(1)
    for _ in range(400):
        draw = float(rng.random() < 0.5)
        coins.learn_one({"arm": "a"}, draw)
        grades.learn_one({"arm": "a"}, 0.4 + 0.2 * draw)
    sd = [model.score_arms({}, ["new"]).sd[0] for model in (coins, grades)]
    assert sd[1] < 0.6 * sd[0]
