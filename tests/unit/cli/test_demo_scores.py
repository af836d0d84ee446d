"""Hit rates and the clustered interval."""

from __future__ import annotations

import math
import random

import pytest

from cli.demo.scores import Scores


def test_interval_by_hand() -> None:
    scores = Scores()
    # Person 1: differences 1, 1, 0; person 2: −1; person 3: 0, 1. n = 6, mean = 2/6.
    for person, nextbest, popular in ((1, 1, 0), (1, 1, 0), (1, 0, 0), (2, 0, 1), (3, 1, 1), (3, 1, 0)):
        scores.add(person, bool(nextbest), bool(popular), 0.5)
    mean = 1 / 3
    squares = (2 - 3 * mean) ** 2 + (-1 - mean) ** 2 + (1 - 2 * mean) ** 2
    half = 1.959964 * math.sqrt(squares * 3 / 2) / 6
    difference = scores.difference()
    assert difference.mean == pytest.approx(mean)
    assert (difference.low, difference.high) == pytest.approx((mean - half, mean + half))
    assert (scores.n, scores.n_people, scores.uniform) == (6, 3, 0.5)
    assert scores.nextbest == pytest.approx(4 / 6)
    assert scores.most_popular == pytest.approx(2 / 6)


def test_interval_covers_when_people_differ() -> None:
    """Where people differ, 95 % of the intervals hold the truth; one that ignored persons would hold far fewer."""
    rng = random.Random(5)
    held = 0
    for _ in range(400):
        scores = Scores()
        for person in range(60):
            lean = rng.uniform(-0.3, 0.3)
            for _ in range(20):
                scores.add(person, rng.random() < 0.5 + lean, rng.random() < 0.5, 0.0)
        difference = scores.difference()
        held += difference.low <= 0 <= difference.high
    assert 0.91 <= held / 400 <= 0.98


def test_nothing_scored_yet() -> None:
    scores = Scores()
    assert math.isnan(scores.nextbest)
    assert math.isnan(scores.difference().mean)
    scores.add(1, True, False, 0.2)
    assert scores.difference().high == math.inf
