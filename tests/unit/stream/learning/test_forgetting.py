"""Whoever sees a record of who was erased committed knows: no snapshot and no copy of a checkpoint knows them."""

from __future__ import annotations

import asyncio
from collections import defaultdict

import msgspec
import pytest

from eventlog.port import Record
from eventlog.topics import DEAD_LETTERS, OUTCOMES
from online_models.placement_model import PlacementModel
from personalization.events.example import Example, Stage, encode_example
from personalization.events.forgotten import Forgotten, encode_forgotten
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.visitor.choice import Choice
from state.model_store import Published
from stream.learning.held_model import HeldModel
from stream.learning.learner import LearnedMessage, Learner
from tests.unit.stream.learning.test_checkpoints import Shop
from tests.unit.stream.learning.test_learner import HERO

JANE = b"jane-jan"
MAIL = b"jane@shop.example"


class Commits(list[dict[int, int]]):
    """What was committed, and word of it to whoever waits for an offset."""

    def __init__(self) -> None:
        super().__init__()
        self.of: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def append(self, offsets: dict[int, int]) -> None:
        super().append(offsets)
        self.of[offsets[HERO]].set()


class Erasing(Shop):
    """A shop where Jane alone has a mail address."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = self.told = Commits()

    async def tell_of(self, number: int, unit: bytes, **features: float | str) -> None:
        choice = Choice(f"d{number}", "hero", 0, "red", 2**31)
        outcome = Outcome(choice, 1.0, ClosingReason.WINDOW, 0, 1, features=dict(features), unit=unit, free=True)
        await self.log.append([Record(OUTCOMES, "hero", encode_outcome(outcome))])

    async def tell_of_her(self) -> None:
        for number in range(40):
            await self.tell_of(number, number.to_bytes(8, "big"), age=float(number))
        await self.tell_of(40, JANE, age=33.0, mail=MAIL.decode())

    async def erase_her(self) -> None:
        await self.log.append([Record(OUTCOMES, "hero", encode_forgotten(Forgotten((JANE,), 7)))])

    async def read_on(self, learner: Learner, assignment: int = 1) -> None:
        first = learner.reached[HERO] + 1
        records = list(enumerate(self.log.of(OUTCOMES)[HERO]))[first:]
        await learner.process(
            [LearnedMessage(HERO, offset, each.key.encode(), each.value, assignment) for offset, each in records]
        )

    @property
    def copies(self) -> list[bytes]:
        return list(self.checkpoints.stored.values())

    @property
    def served(self) -> bytes:
        return self.publisher.published[-1].encode().header


async def test_behind_the_record_neither_copy_nor_snapshot_knows_her() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.tell_of_her()
    await shop.read_on(learner)
    await learner.publish()
    await learner.save()
    await shop.tell_of(41, b"somebody", age=3.0)
    await shop.read_on(learner)
    await learner.save()
    assert len(shop.copies) == 2
    assert all(MAIL in copy for copy in [*shop.copies, shop.served])
    await shop.erase_her()
    await shop.read_on(learner)
    assert await learner.save() == 1
    assert shop.commits[-1] == {HERO: 43}
    assert len(shop.copies) == 2
    assert not any(MAIL in copy or JANE in copy for copy in shop.copies)
    assert MAIL not in shop.served
    assert shop.counted("forgotten") == 1
    assert not shop.log.all(DEAD_LETTERS)


async def test_nothing_is_committed_behind_it_while_the_snapshot_cannot_be_published() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.tell_of_her()
    await shop.erase_her()
    await shop.read_on(learner)
    shop.publisher.result = Published.FENCED
    assert await learner.save() == 0
    assert shop.commits == []
    assert learner.reached == {}


async def test_it_is_saved_at_once_though_no_save_is_due() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.tell_of_her()
    await shop.read_on(learner)
    await learner.save()
    saving = asyncio.create_task(learner.run_saving(3_600_000, 1_000_000))
    await shop.erase_her()
    await shop.read_on(learner)
    await asyncio.wait_for(shop.told.of[42].wait(), 30.0)
    saving.cancel()
    assert not any(MAIL in copy for copy in shop.copies)


async def test_a_successor_that_comes_to_it_again_does_the_same() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.tell_of_her()
    await shop.read_on(learner)
    await learner.save()
    await shop.erase_her()
    await shop.read_on(learner)  # never saved: as if killed here
    successor = await shop.taken_over(2)
    await shop.read_on(successor, 2)
    await successor.save()
    assert not any(MAIL in copy for copy in shop.copies)
    left, right = learner.book("hero"), successor.book("hero")
    assert isinstance(left, PlacementModel)
    assert isinstance(right, PlacementModel)
    assert left.dump() == right.dump()


async def test_a_model_that_catches_up_comes_to_it_too() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.tell_of_her()
    await shop.read_on(learner)
    await learner.save()
    await shop.damage("hero", 0, 1)
    await shop.erase_her()
    successor = await shop.taken_over(2)
    await shop.read_on(successor, 2)
    await successor.catch_up()
    await successor.save()
    book = successor.book("hero")
    assert book is not None
    assert book.n_learned == 42
    assert not any(MAIL in copy for copy in shop.copies)


async def test_a_model_that_replaced_another_learns_the_past_without_her() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.tell_of_her()
    await shop.erase_her()
    await shop.read_on(learner)
    await learner.save()
    shop.edit(reward_range=(0.0, 3.0))
    await learner.publish()
    await learner.catch_up()
    await learner.save()
    book = learner.book("hero")
    assert isinstance(book, PlacementModel)
    assert book.n_learned == 42
    assert not any(MAIL in copy for copy in shop.copies)


async def test_a_model_that_another_replaced_forgets_her_and_can_still_come_back() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.tell_of_her()
    await shop.read_on(learner)
    await learner.save()
    shop.edit(reward_range=(0.0, 3.0))
    await learner.publish()
    await learner.catch_up()
    await learner.save()
    assert sum(MAIL in copy for copy in shop.copies) > 2
    await shop.erase_her()
    await shop.read_on(learner)
    await learner.save()
    assert not any(MAIL in copy or JANE in copy for copy in shop.copies)
    shop.edit()
    await learner.publish()
    await learner.catch_up()
    book = learner.book("hero")
    assert isinstance(book, PlacementModel)
    assert (book.reward_range, book.counts["learned"]) == ((0.0, 2.0), 41)


async def test_who_has_learned_nothing_forgets_nothing_and_serves_nothing_new() -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.erase_her()
    await shop.read_on(learner)
    await learner.publish()
    assert shop.publisher.published == []
    assert shop.counted("forgotten") == 1


def test_a_model_that_went_back_to_its_copies_is_not_saved_for_what_it_forgot_before() -> None:
    model = HeldModel("hero", forgot=[b"record"], moved=True)
    model.go_back()
    assert (model.forgot, model.moved) == ([], False)


@pytest.mark.parametrize("value", [encode_forgotten(Forgotten((JANE,), 7))[:-3], b"\x83\xa4type\xa9forgotten"])
async def test_a_broken_record_is_a_dead_letter(value: bytes) -> None:
    shop = Erasing()
    learner = await shop.taken_over()
    await shop.log.append([Record(OUTCOMES, "hero", value)])
    await shop.read_on(learner)
    assert len(shop.log.all(DEAD_LETTERS)) == 1


async def test_conversions_forget_by_the_same_record() -> None:
    shop = Erasing()
    training = shop.learner()._trainings.of("conversion:buys")
    book = training.new("conversion:buys", shop.catalog.current)
    for number in range(30):
        unit = JANE if number == 3 else number.to_bytes(8, "big")
        x: dict[str, float | str] = {"mail": MAIL.decode()} if number == 3 else {"age": 3.0}
        example = Example(f"e{number}", "buys", Stage.CLOSED, 0, 9, number % 2 == 0, features=x, unit=unit)
        await training.learn(book, encode_example(example))
    assert MAIL in msgspec.msgpack.encode(book.dump())
    learned = await training.learn(book, encode_forgotten(Forgotten((JANE,), 7)))
    assert (learned.result, learned.changed) == ("forgotten", True)
    assert MAIL not in msgspec.msgpack.encode(book.dump())
