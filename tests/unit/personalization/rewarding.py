"""Stories on one visitor: steps are told to a world, and the outcome is what the learner would see."""

from __future__ import annotations

from typing import Any

from personalization.events.event import Activated
from personalization.folding.folded import Folded
from tests.unit.personalization.world import MINUTE, World

KEY = "a:1"
WINDOW = 30 * MINUTE

Step = tuple[Any, ...]


def tell(world: World, step: Step) -> Folded:
    match step:
        case ("decide", decision, arm):
            return world.decide(KEY, decision, arm)
        case ("overtake", steps, (_, decision, arm)):
            made_ms = world.now_ms + 1
            world.now_ms += 200
            for overtaking in steps:
                tell(world, overtaking)
            return world.decide(KEY, decision, arm, received_ms=made_ms)
        case ("defer", decision, arm):
            return world.decide(KEY, decision, arm, exposed=False)
        case ("control", decision, arm):
            return world.decide(KEY, decision, arm, holdout=True)
        case ("click", arm):
            return world.track(KEY, "Clicked", contentId=arm)
        case ("click", arm, decision):
            return world.track(KEY, "Clicked", contentId=arm, decisionId=decision)
        case ("order", arm, revenue):
            return world.track(KEY, "Ordered", banner=arm, revenue=revenue)
        case ("reward", decision, value):
            return world.reward(KEY, decision, value)
        case ("reward", decision, value, name):
            return world.reward(KEY, decision, value, name=name)
        case ("buy", arm, revenue):
            return world.track(KEY, "Bought", contentId=arm, revenue=revenue)
        case ("final", decision, value):
            return world.reward(KEY, decision, value, final=True)
        case ("activate", decision):
            return world.send(KEY, Activated(decision_id=decision))
        case ("impression", decision):
            return world.track(KEY, "Impression", decisionId=decision)
        case ("wait", ms):
            return world.time_out(KEY, after_ms=ms)
    raise AssertionError(step)
