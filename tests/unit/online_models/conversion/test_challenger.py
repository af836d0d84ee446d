"""A challenger is promoted only by winning on rows neither model has learned."""

from __future__ import annotations

import numpy as np

from online_models.conversion.book import ConversionBook
from online_models.conversion.challenger import Trial, Verdict, retrain
from online_models.conversion.contender import Contender
from personalization.events.example import Example, Stage
from personalization.features import FeatureValue


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


def rows(n: int, seed: int) -> list[tuple[dict[str, FeatureValue], bool]]:
    rng = np.random.default_rng(seed)
    return [({"z": float(z)}, bool(rng.random() < (0.6 if z > 0 else 0.1))) for z in rng.normal(size=n)]


def closed(n: int, seed: int) -> list[Example]:
    return [
        Example(f"e{seed}-{i}", "buys", Stage.CLOSED, 0, i, label=y, features=x)
        for i, (x, y) in enumerate(rows(n, seed))
    ]


def test_a_retrained_model_takes_over_after_it_won_and_not_before() -> None:
    book = ConversionBook("buys", "river.dummy.PriorClassifier")  # knows the rate and nothing else
    for example in closed(400, 1):
        book.learn(example)
    challenger = retrain(Contender("default"), rows(1_500, 2))
    assert book.challenge(challenger, "c1")
    assert book.champion is not challenger
    before = book.champion
    n_judged = 0
    for example in closed(4_000, 3):
        if book.champion is not before:
            break
        book.learn(example)
        n_judged += 1
    assert n_judged >= 200, "not on a handful"
    assert book.champion is challenger
    assert (book.challenger, dict(book.verdicts)) == (None, {"entered": 1, "promote": 1})
    assert book.champion.predict({"z": -1.0}) < 0.3 < book.champion.predict({"z": 1.0})
    assert not book.challenge(challenger, "c1"), "told twice by the log, it enters once"


def test_one_that_is_worse_is_retired_and_the_champion_stays() -> None:
    book = ConversionBook("buys")
    for example in closed(1_000, 1):
        book.learn(example)
    champion = book.champion
    upside_down = retrain(Contender("default"), [(x, not y) for x, y in rows(800, 2)])
    book.challenge(upside_down, "c1")
    for example in closed(2_000, 3):
        book.learn(example)
    assert (book.champion is champion, book.challenger) == (True, None)
    assert dict(book.verdicts) == {"entered": 1, "retire": 1}


def test_a_newer_challenger_takes_the_place_of_one_under_trial() -> None:
    book = ConversionBook("buys")
    book.challenge(Contender("default"), "c1")
    book.challenge(Contender("default"), "c2")
    assert (book.challenger_id, dict(book.verdicts)) == ("c2", {"entered": 2, "replaced": 1})
