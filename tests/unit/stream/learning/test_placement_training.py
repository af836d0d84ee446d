from __future__ import annotations

import logging
from typing import cast

import pytest

from online_models.placement_model import PlacementModel
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.visitor.choice import Choice
from state.model_store import ModelPublisher
from stream.learning.placement_training import PlacementTraining
from tests.unit.stream.learning.test_learner import MemoryPublisher


async def test_an_arm_that_collapses_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    training, book = PlacementTraining(cast(ModelPublisher, MemoryPublisher()), b"secret"), PlacementModel("hero")
    caplog.set_level(logging.WARNING)
    for number in range(2_400):
        arm = "abc"[number % 3]
        reward = 0.0 if arm == "b" and number >= 2_000 else float(number % 10 != 0)
        outcome = Outcome(Choice(f"d{number}", "hero", 0, arm, 2**31), reward, ClosingReason.WINDOW, 0, 1)
        await training.learn(book, encode_outcome(outcome))
        assert number >= 2_000 or not caplog.records
    lines = [(record.message, vars(record)["placement"], vars(record)["arm"]) for record in caplog.records]
    assert lines == [("drift_reset", "hero", "b")]
    assert book.adaptations["drift_arm_resets"] == 1
