"""A model that raises is put aside alone, and catches up; the others never notice (the rule *Checkpoints*)."""

from __future__ import annotations

from typing import cast

import pytest

from eventlog.dead_letters import decode_dead_letter
from eventlog.topics import DEAD_LETTERS, OUTCOMES
from state.model_store import ModelPublisher
from stream.learning.learner import Learner
from stream.learning.placement_training import PlacementTraining
from stream.learning.set_aside import LONGEST_PAUSE_S
from tests.unit.stream.learning.test_checkpoints import OTHER, Shop, n_learned
from tests.unit.stream.learning.test_learner import HERO
from tests.unit.stream.troubled import Trouble, TroubledTraining, never


class Ward(Shop):
    """A shop whose models raise when they are told to."""

    trouble: Trouble = staticmethod(never)

    def placements(self) -> PlacementTraining:
        training = TroubledTraining(cast(ModelPublisher, self.publisher), b"secret")
        training.trouble = lambda *what: self.trouble(*what)
        return training

    def is_aside(self, key: str = "hero") -> float:
        return float(self.metrics.set_aside.labels(key)._value.get())

    async def retried(self, learner: Learner, n: int, pause_s: float = LONGEST_PAUSE_S) -> None:
        for _ in range(n):
            self.now_s += pause_s
            await learner.catch_up()


async def a_ward() -> tuple[Ward, Learner]:
    """Two models that learned ten each, were saved and learned ten more."""
    ward = Ward()
    learner = await ward.taken_over()
    for _ in range(2):
        if learner.reached[HERO] > 0:
            await learner.save()
        await ward.learn(learner, "hero", 10)
        await ward.learn(learner, OTHER, 10)
    await learner.publish()
    return ward, learner


@pytest.mark.parametrize("stage", ["learn", "publish", "dump"])
async def test_the_others_learn_publish_and_are_saved_while_one_is_put_aside(stage: str) -> None:
    ward, learner = await a_ward()
    ward.trouble = lambda what, key, _: key == "hero" and what == stage
    n_published = len(ward.publisher.published)
    await ward.learn(learner, "hero", 5)
    await ward.learn(learner, OTHER, 5)
    await learner.publish()
    await learner.save()
    assert ward.is_aside() == 1
    assert learner.reached == {HERO: 49}
    assert learner.not_ready() is None, "served degraded, not out of work"
    (warning,) = learner.warnings()
    assert "the model of hero is put aside" in warning
    assert f"Broken: {stage} of hero" in warning
    assert (await ward.saved(OTHER)).position == 49
    assert (await ward.saved("hero")).position == 19, "what it has not learned, the log keeps for it"
    assert ward.log.floors == {HERO: 20}
    published = len(ward.publisher.published) - n_published
    assert published == (2 if stage == "dump" else 1), "it was well until it was saved"

    ward.trouble = never
    await ward.retried(learner, 1)
    assert ward.is_aside() == 0
    assert (n_learned(learner), n_learned(learner, OTHER)) == (25, 25)
    await learner.publish()
    await learner.save()
    await learner.save()
    assert learner.warnings() == []
    assert ward.log.floors == {HERO: 50}
    assert ward.metrics.outcomes_lost.labels("hero")._value.get() == 0


async def test_it_goes_on_after_a_restart_where_it_was_put_aside() -> None:
    ward, learner = await a_ward()
    ward.trouble = lambda what, key, _: key == "hero" and what == "learn"
    await ward.learn(learner, "hero", 5)
    await ward.learn(learner, OTHER, 5)
    await learner.save()
    ward.log.trim()
    successor = await ward.taken_over()
    await successor.catch_up()
    assert ward.is_aside() == 1
    ward.trouble = never
    successor = await ward.taken_over()
    await successor.catch_up()
    assert (n_learned(successor), n_learned(successor, OTHER)) == (25, 25)


async def test_it_is_tried_again_after_growing_pauses_and_at_every_catalog_change() -> None:
    ward, learner = await a_ward()
    tries: list[float] = []

    def trouble(what: str, key: str, decision_id: str) -> bool:
        if key != "hero" or what != "learn" or int(decision_id.removeprefix("hero")) < 40:
            return False
        tries.append(ward.now_s)
        return True

    ward.trouble = trouble
    await ward.learn(learner, "hero", 1)
    for _ in range(80):
        await ward.retried(learner, 1, pause_s=0.1)
    assert [round(at_s) for at_s in tries] == [0, 1, 3, 7], "and then it is given up on"
    ward.edit()
    await ward.learn(learner, "hero", 1)
    await learner.publish()
    await learner.catch_up()
    assert len(tries) > 4


async def test_an_outcome_that_raises_on_three_retries_is_a_dead_letter_and_the_model_goes_on_behind_it() -> None:
    ward, learner = await a_ward()
    ward.trouble = lambda what, key, decision_id: decision_id == "hero42"
    await ward.learn(learner, "hero", 5)
    await ward.retried(learner, 2)
    assert ward.log.all(DEAD_LETTERS) == []
    await ward.retried(learner, 2)
    (record,) = ward.log.all(DEAD_LETTERS)
    letter = decode_dead_letter(record.value)
    assert (letter.offset, letter.code) == (42, "not_learnable")
    assert letter.value == ward.log.of(OUTCOMES)[HERO][42].value
    assert n_learned(learner) == 24
    await learner.save()
    assert learner.warnings() == []
    await ward.damage("hero", 0)
    successor = await ward.taken_over()
    assert n_learned(successor) == 10, "from before it"
    await successor.catch_up()
    assert n_learned(successor) == 24
    assert successor.warnings() == []
    assert len(ward.log.all(DEAD_LETTERS)) == 1


async def test_a_model_that_can_learn_nothing_is_tried_less_and_less_often() -> None:
    ward = Ward()
    ward.trouble = lambda what, key, _: key == "hero" and what == "learn"
    learner = await ward.taken_over()
    await ward.learn(learner, "hero", 50)
    await ward.learn(learner, OTHER, 50)
    for _ in range(3_600):
        await ward.retried(learner, 1, pause_s=1.0)
        if ward.now_s % 60 == 0:
            await learner.save()
    assert len(ward.log.all(DEAD_LETTERS)) < 8, "an hour"
    assert n_learned(learner, OTHER) == 50
    assert ward.log.floors.get(HERO, 0) < 10


async def test_a_model_that_cannot_be_loaded_keeps_its_copies_and_is_tried_again() -> None:
    ward, learner = await a_ward()
    await learner.save()
    ward.trouble = lambda what, key, _: key == "hero" and what == "load"
    successor = await ward.taken_over()
    assert successor.book("hero") is None
    assert n_learned(successor, OTHER) == 20
    await ward.learn(successor, OTHER, 5)
    await successor.save()
    ward.trouble = never
    await ward.retried(successor, 1)
    assert n_learned(successor) == 20


async def test_another_model_in_the_catalog_takes_over_from_one_that_was_put_aside() -> None:
    ward, learner = await a_ward()
    ward.trouble = lambda what, key, _: key == "hero" and what == "learn"
    await ward.learn(learner, "hero", 5)
    ward.trouble = never
    ward.edit(reward_range=(0.0, 3.0))
    await learner.publish()
    await learner.catch_up()
    assert n_learned(learner) == 25
    assert ward.is_aside() == 0


# -- the log at its bound -----------------------------------------------------------------------------------


async def test_a_full_log_is_let_go_of_after_the_first_checkpoint_though_nothing_moved() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 20)
    await learner.save()
    await shop.learn(learner, "hero", 20)
    shop.log.floors.clear()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 0)
    shop.log.fill = 0.5
    await learner.make_room()
    assert shop.log.floors == {}
    shop.log.fill = 1.0
    await learner.make_room()
    assert shop.log.floors == {HERO: 40}, "both copies are new"
    assert learner.not_ready() is None
    header = shop.checkpoints.kept_headers[HERO]
    shop.log.trim()
    await learner.make_room()
    assert shop.checkpoints.kept_headers[HERO] == header, (
        "what room there is may be used: nothing is written for more"
    )


async def test_a_full_log_that_trims_itself_costs_no_checkpoint() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 20)
    await learner.save()
    header = shop.checkpoints.kept_headers[HERO]
    shop.log.fill = 1.0
    await shop.learn(learner, "hero", 5)
    await learner.make_room()
    assert shop.checkpoints.kept_headers[HERO] == header


async def test_only_a_full_log_goes_on_without_a_model_that_was_put_aside_and_its_loss_is_counted() -> None:
    ward, learner = await a_ward()
    ward.trouble = lambda what, key, _: key == "hero" and what == "learn"
    await ward.learn(learner, "hero", 5)
    for _ in range(3):
        await ward.learn(learner, OTHER, 20)
        await learner.save()
    ward.log.trim()
    assert ward.log.earliest[HERO] == 20
    ward.log.fill = 1.0
    await learner.make_room()
    assert ward.log.floors == {HERO: 105}
    ward.log.trim()
    await ward.learn(learner, "hero", 5)
    ward.trouble = never
    await ward.retried(learner, 1)
    assert n_learned(learner) == 15, "ten that were saved, five that the log held"
    assert ward.metrics.outcomes_lost.labels("hero")._value.get() == 15
    assert n_learned(learner, OTHER) == 80
    await learner.save()
    assert ward.metrics.outcomes_lost.labels("hero")._value.get() == 15
