"""Decisions in flight ask together, and each gets its own answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api.services.scoring import CoalescedScoring
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.decide import Deciding
from personalization.deciding.decision import Answer
from personalization.deciding.distribution import SCALE, ArmDistribution
from personalization.deciding.questions import Question

POLICY = PolicySpec()


class Model:
    """Says who asked; refuses whoever is called nobody."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def distribution(self, arms: Any, features: Any, **_: Any) -> ArmDistribution:
        if features["who"] == "nobody":
            raise ValueError("nobody")
        return ArmDistribution((features["who"],), (SCALE,), (0.0,), (0.0,), "fixed", 1)

    def distributions(self, arms: Any, contexts: Any, **options: Any) -> list[ArmDistribution]:
        self.calls.append(len(contexts))
        return [self.distribution(arms, one, **options) for one in contexts]


def deciding(model: Model, who: str, n_questions: int = 1) -> Deciding:
    """A decision that asks so many questions and answers with what it heard."""
    heard = []
    for _ in range(n_questions):
        try:
            distribution = yield Question(model, ("a",), {"who": who}, POLICY, None)
            heard.append(distribution.arms[0])
        except ValueError as error:
            heard.append(f"raised {error}")
    return Answer(",".join(heard), [], [], [])


async def keys_of(scoring: CoalescedScoring, *decisions: Deciding) -> list[str]:
    return [answer.key for answer in await asyncio.gather(*map(scoring.run, decisions))]


async def test_requests_of_one_turn_are_scored_in_one_call() -> None:
    model = Model()
    found = await keys_of(CoalescedScoring(), *(deciding(model, f"v{n}") for n in range(5)))
    assert found == [f"v{n}" for n in range(5)]
    assert model.calls == [5]


async def test_several_slots_take_several_turns() -> None:
    model = Model()
    found = await keys_of(
        CoalescedScoring(), deciding(model, "v", 3), deciding(model, "w", 2), deciding(model, "x", 0)
    )
    assert found == ["v,v,v", "w,w", ""]
    assert model.calls == [2, 2]


async def test_what_a_model_raises_reaches_the_decision_that_asked() -> None:
    model = Model()
    found = await keys_of(CoalescedScoring(), deciding(model, "nobody", 2), deciding(model, "v", 2))
    assert found == ["raised nobody,raised nobody", "v,v"]


async def test_a_cancelled_request_leaves_the_others_their_answers() -> None:
    model, scoring = Model(), CoalescedScoring()
    gone = asyncio.create_task(scoring.run(deciding(model, "v")))
    stays = asyncio.create_task(scoring.run(deciding(model, "w")))
    asyncio.get_running_loop().call_soon(gone.cancel)
    assert (await stays).key == "w"
    assert (await asyncio.gather(gone, return_exceptions=True))[0] is not None


async def test_a_decision_that_is_alone_is_answered_without_a_turn_of_the_loop() -> None:
    running = CoalescedScoring().run(deciding(Model(), "v", 3), alone=True)
    with pytest.raises(StopIteration) as finished:
        running.send(None)
    assert finished.value.value.key == "v,v,v"


async def test_what_a_model_raises_reaches_a_decision_that_is_alone() -> None:
    assert (await CoalescedScoring().run(deciding(Model(), "nobody"), alone=True)).key == "raised nobody"
