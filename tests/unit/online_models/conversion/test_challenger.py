"""A challenger is promoted only by winning on rows neither model has learned."""

from __future__ import annotations

import numpy as np

from online_models.conversion.challenger import Contest, Trial, Verdict, retrain
from online_models.conversion.model import ConversionModel
from tests.unit.online_models.conversion.test_labels import Notebook


def run(champion: float, challenger: float, n: int, seed: int, rate: float = 0.2) -> Trial:
    rng, trial = np.random.default_rng(seed), Trial()
    for _ in range(n):
        noise = float(rng.normal(0.0, 0.02))
        trial.observe(champion, min(0.99, max(0.01, challenger + noise)), bool(rng.random() < rate))
    return trial


def test_a_better_one_is_promoted_a_worse_one_retired() -> None:
    assert run(0.4, 0.2, 5_000, 0).verdict is Verdict.PROMOTE
    assert run(0.2, 0.4, 5_000, 0).verdict is Verdict.RETIRE


def test_an_equal_one_is_not_promoted_however_often_one_looks() -> None:
    wrong = sum(run(0.2, 0.2, 3_000, seed).verdict is Verdict.PROMOTE for seed in range(60))
    assert wrong <= 4


def test_no_verdict_on_a_handful_and_an_end_to_every_trial() -> None:
    assert run(0.9, 0.2, 199, 0).verdict is Verdict.UNDECIDED
    trial = Trial(max_rows=300)
    for i in range(300):
        trial.observe(0.2, 0.2, i % 5 == 0)
    assert trial.verdict is Verdict.RETIRE


def test_a_verdict_stays() -> None:
    trial = run(0.4, 0.2, 5_000, 0)
    for _ in range(5_000):
        trial.observe(0.01, 0.99, False)
    assert trial.verdict is Verdict.PROMOTE


def test_retraining_publishes_a_challenger_that_takes_over_after_it_won() -> None:
    rng = np.random.default_rng(4)
    rows = [({"z": float(z)}, bool(rng.random() < (0.6 if z > 0 else 0.1))) for z in rng.normal(size=3_000)]
    stale = Notebook(p=0.5)
    challenger = retrain(ConversionModel(buffer_rows=512), rows[:1_000])
    contest = Contest(stale, challenger)
    assert contest.predict_proba_one({"z": 1.0})[True] == 0.5, "not before it won"
    for x, y in rows[1_000:]:
        contest.learn_one(x, y)
    assert contest.trial.verdict is Verdict.PROMOTE
    assert contest.champion is challenger
    assert contest.predict_proba_one({"z": -1.0})[True] < 0.3
