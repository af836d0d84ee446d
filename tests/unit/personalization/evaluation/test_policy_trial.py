"""What a policy on trial would have brought, from sums alone."""

from __future__ import annotations

import numpy as np
import pytest

from personalization.evaluation.asymptotic import half_width
from personalization.evaluation.policy_trial import compare
from personalization.evaluation.trial_sums import TrialSums
from personalization.events.outcome import ClosingReason
from personalization.projecting.facts import DecisionFact, OutcomeFact
from personalization.projecting.sums import no_sums
from personalization.projecting.trials import MAX_RATIO, Trials, trials_in
from personalization.visitor.choice import Choice

SCALE = 1 << 32


def choice(p: float = 0.5, q: float = 0.5, trial: int = 7) -> Choice:
    return Choice("d", "hero", 0, "red", int(p * SCALE), trial=trial, trial_weight=int(q * SCALE))


def outcome(reward: float, made: Choice, **said: object) -> OutcomeFact:
    fields = {"decided_at_ms": 0, "closed_at_ms": 1, "exposed_at_ms": 0, "reason": ClosingReason.WINDOW, **said}
    return OutcomeFact(made, reward, **fields)  # type: ignore[arg-type]


def sums_of(decisions: list[DecisionFact], outcomes: list[OutcomeFact]) -> dict[int, TrialSums]:
    model, sums = Trials(), no_sums()
    for decision in decisions:
        model.decided(decision, sums)
    for each in outcomes:
        model.closed(each, sums)
    return trials_in(sums.values())


def simulated(n: int, seed: int, *, better: float) -> TrialSums:
    """Two arms; the policy in force takes each half of the time, the other one takes the better in four of five."""
    random = np.random.default_rng(seed)
    arms = random.integers(0, 2, n)
    rewards = random.random(n) < np.where(arms == 1, 0.3 + better, 0.3)
    facts = [outcome(float(r), choice(0.5, 0.8 if arm else 0.2)) for r, arm in zip(rewards, arms, strict=True)]
    made = [DecisionFact(choice=fact.choice, request_id="", decided_at_ms=0) for fact in facts]
    return sums_of(made, facts)[7]


def test_sums_say_what_each_decision_says() -> None:
    n = 4_000
    random = np.random.default_rng(3)
    q = random.choice([0.2, 0.8], n)
    rewards = random.random(n) * q
    weights = random.choice([1.0, 2.0], n)
    facts = [
        outcome(float(r), choice(0.5, float(each)), sample_weight=float(k))
        for r, each, k in zip(rewards, q, weights, strict=True)
    ]
    made = [DecisionFact(choice=fact.choice, request_id="", decided_at_ms=0) for fact in facts]
    found = compare(sums_of(made, facts)[7])
    w = q / 0.5
    value = (weights * w * rewards).sum() / (weights * w).sum()
    earned = (weights * rewards).sum() / weights.sum()
    mean_ratio = (weights * w).sum() / weights.sum()
    influence = w * (rewards - value) / mean_ratio - (rewards - earned)
    variance = (weights * influence**2).sum() / weights.sum()
    half = half_width(weights.sum(), variance**0.5)
    assert found.on_trial == pytest.approx(value, abs=1e-6)
    assert found.in_force == pytest.approx(earned, abs=1e-9)
    assert found.low == pytest.approx(value - earned - half, abs=1e-6)
    assert found.high == pytest.approx(value - earned + half, abs=1e-6)
    assert found.match_rate == pytest.approx(np.minimum(1.0, w).mean(), abs=1e-6)


def test_a_better_policy_is_found_and_an_equal_one_is_not_mistaken_for_better() -> None:
    better = compare(simulated(20_000, 1, better=0.2))
    assert better.low is not None
    assert better.low > 0.0
    assert better.difference == pytest.approx(0.06, abs=0.02)
    looks = [compare(simulated(n, seed, better=0.0)) for seed in range(20) for n in (2_000, 8_000)]
    wrong = sum(each.low is None or each.low > 0 or (each.high is not None and each.high < 0) for each in looks)
    assert wrong <= 2


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (TrialSums(), "nothing was decided yet"),
        (TrialSums(n_decisions=5, match=1), "no decision has closed yet"),
        (TrialSums(n_decisions=5, n=5, ratios=5, ratio_squares=5), "too few to compare"),
        (TrialSums(n_decisions=5e3, n=5e3, ratios=100, ratio_squares=1e4), "tell as much as 1"),
    ],
)
def test_thin_data_get_a_sentence_and_no_number(sums: TrialSums, words: str) -> None:
    found = compare(sums)
    assert words in found.missing
    assert found.difference is None


def test_only_what_a_policy_was_asked_beside_and_earned_to_the_end_counts() -> None:
    found = sums_of(
        [DecisionFact(choice=choice(trial=0), request_id="", decided_at_ms=0)],
        [
            outcome(1.0, choice(trial=0)),
            outcome(1.0, choice(), trains=False),
            outcome(1.0, choice(), reason=ClosingReason.EVICTED),
            outcome(1.0, choice(), exposed_at_ms=None),
        ],
    )
    assert found == {}


def test_a_ratio_counts_as_the_largest_at_most_and_that_it_did_is_counted() -> None:
    found = sums_of([], [outcome(1.0, choice(0.001, 1.0))])[7]
    assert (found.ratios, found.n_clipped) == (MAX_RATIO, 1.0)
