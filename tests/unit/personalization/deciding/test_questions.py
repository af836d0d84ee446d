"""Questions to models, answered together: the same answers, and one model's failure stays its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from online_models.snapshot import ModelSnapshot
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import ArmDistribution
from personalization.deciding.questions import Question, answers
from personalization.features import Features
from tests.unit.personalization.scenes import Broken, Likes

ARMS = ("red", "green")


class Counting(Likes):
    """Knows how often several were asked at once; fails for a context that is poisoned."""

    def __init__(self) -> None:
        super().__init__(red=2.0)
        self.together: list[int] = []

    def distribution(self, arms: Sequence[str], features: Features, **options: Any) -> ArmDistribution:
        if "poison" in features:
            raise ZeroDivisionError("poisoned")
        return super().distribution(arms, features, **options)

    def distributions(
        self,
        arms: Sequence[str],
        contexts: Sequence[Features],
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> list[ArmDistribution]:
        self.together.append(len(contexts))
        return [self.distribution(arms, one, policy=policy, arm_features=arm_features) for one in contexts]


POLICY = PolicySpec()


def question(scorer: Any, arms: tuple[str, ...] = ARMS, policy: PolicySpec = POLICY, **features: float) -> Question:
    return Question(scorer, arms, features, policy, None)


def test_one_question_is_asked_alone() -> None:
    model = Counting()
    asked = question(model, age=3.0)
    assert answers([asked]) == [asked.answer()]
    assert model.together == []


def test_alike_questions_are_asked_together_and_answered_in_order() -> None:
    first, second = Counting(), Counting()
    asked = [
        question(first, age=1.0),
        question(second, age=2.0),
        question(first, ("red",), age=3.0),
        question(first, age=4.0),
    ]
    assert answers(asked) == [one.answer() for one in asked]
    assert first.together == [2]
    assert second.together == []


def test_placements_that_share_the_prior_keep_their_policies() -> None:
    prior = ModelSnapshot.prior()
    fixed = PolicySpec(name="fixed", parameters={"arm": "green"})
    asked = [question(prior), question(prior, policy=fixed), question(prior), question(prior, policy=fixed)]
    found = answers(asked)
    assert [one.policy for one in found if isinstance(one, ArmDistribution)] == ["default", "fixed"] * 2
    assert found == [one.answer() for one in asked]


def test_a_failure_is_of_the_question_that_caused_it() -> None:
    model = Counting()
    asked = [question(model, age=1.0), question(model, poison=1.0), question(model, age=2.0)]
    found = answers(asked)
    assert found[0] == asked[0].answer()
    assert isinstance(found[1], ZeroDivisionError)
    assert found[2] == asked[2].answer()


def test_a_broken_model_spoils_nothing_of_anothers() -> None:
    model = Counting()
    found = answers([question(Broken()), question(model)])
    assert isinstance(found[0], ZeroDivisionError)
    assert isinstance(found[1], ArmDistribution)
