"""What a decision in the making asks of a model, and the answers to many such questions at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import ArmDistribution
from personalization.deciding.reward_scorer import RewardScorer
from personalization.features import Features


class Question(msgspec.Struct, frozen=True, gc=False):
    """How probable each of ``arms`` shall be in this context."""

    scorer: RewardScorer
    arms: tuple[str, ...]
    features: Features
    policy: PolicySpec
    arm_features: Mapping[str, Features] | None

    def by(self, policy: PolicySpec) -> Question:
        """The same question, asked of another policy."""
        return Question(self.scorer, self.arms, self.features, policy, self.arm_features)

    def answer(self) -> ArmDistribution:
        """Ask the model; raises whatever it raises."""
        return self.scorer.distribution(
            self.arms, self.features, policy=self.policy, arm_features=self.arm_features
        )


Outcome: TypeAlias = ArmDistribution | Exception


def answers(questions: Sequence[Question]) -> list[Outcome]:
    """The answer to each of ``questions``, or what its model raised.

    Those to one model by one policy over the same arms are asked together: the same bits as one by one.
    """
    if len(questions) == 1:
        return [_answer(questions[0])]
    alike: dict[tuple[int, int, int, tuple[str, ...]], list[int]] = {}
    for place, asked in enumerate(questions):
        # By identity: policy and arm features are a placement's own, and placements may share a scorer (the prior).
        what = id(asked.scorer), id(asked.policy), id(asked.arm_features), asked.arms
        alike.setdefault(what, []).append(place)
    found: dict[int, Outcome] = {}
    for places in alike.values():
        found.update(zip(places, _answer_alike([questions[place] for place in places]), strict=True))
    return [found[place] for place in range(len(questions))]


def _answer_alike(questions: list[Question]) -> Sequence[Outcome]:
    first = questions[0]
    if len(questions) > 1:
        try:
            return first.scorer.distributions(
                first.arms,
                [question.features for question in questions],
                policy=first.policy,
                arm_features=first.arm_features,
            )
        except Exception:  # one context may have spoilt it for all: whose it is shows when each is asked alone
            pass
    return [_answer(question) for question in questions]


def _answer(question: Question) -> Outcome:
    try:
        return question.answer()
    except Exception as error:  # whatever a model may raise, the visitor gets an answer; the caller counts it
        return error
