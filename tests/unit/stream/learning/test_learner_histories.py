"""Random histories of a learner: whatever happens, each model is what a plain loop over its outcomes gives.

The log, the catalog and the checkpoints outlive the learners. Models raise now and then, copies are damaged one at
a time, learners die, and some go on after they were succeeded.
"""

from __future__ import annotations

import random
from typing import cast

import msgspec
import pytest

from eventlog.dead_letters import decode_dead_letter
from eventlog.partition import partition_of
from eventlog.port import Record
from eventlog.topics import DEAD_LETTERS, OUTCOMES
from online_models.placement_model import PlacementModel
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.outcome import decode_outcome, encode_outcome
from state.model_store import ModelPublisher
from stream.learning.learner import LearnedMessage, Learner
from stream.learning.placement_training import PlacementTraining
from tests.integration.workload import catalog
from tests.unit.stream.fakes import N_PARTITIONS
from tests.unit.stream.learning.test_checkpoints import outcome
from tests.unit.stream.learning.test_learner import HERO, Bench
from tests.unit.stream.troubled import TroubledTraining

KEYS = [name for name in (f"p{n}" for n in range(100)) if partition_of(name, N_PARTITIONS) == HERO][:4]
WELL = KEYS[3]
"""Nothing ever happens to this one."""

MAX_RAISES_AT_ONE = 3
"""One less than it takes to be given up on."""


class History(Bench):
    """One seeded history.

    Parameters
    ----------
    trimmed
        Whether the log lets go of what it may; else the catalog is edited.
    """

    def __init__(self, seed: int, *, trimmed: bool) -> None:
        super().__init__()
        self.draw = random.Random(seed)
        self.trimmed = trimmed
        self.edited: set[str] = set()
        self.gone: set[str] = set()
        self.troubled: set[str] = set()
        self.raised: dict[tuple[str, str], int] = {}
        self.damaged: dict[str, tuple[str, int]] = {}
        self.assignment = 0
        self.acted: list[str] = []
        self.publish_catalog()
        self.current: Learner
        self.former: Learner | None = None

    # What models do

    def placements(self) -> PlacementTraining:
        training = TroubledTraining(cast(ModelPublisher, self.publisher), b"secret")
        training.trouble = self.raises
        return training

    def raises(self, stage: str, key: str, decision_id: str) -> bool:
        if decision_id.endswith("77") and key != WELL:
            return True  # for good
        if key not in self.troubled or self.draw.random() > 0.15:
            return False
        n = self.raised[key, decision_id] = self.raised.get((key, decision_id), 0) + 1
        return not decision_id or n <= MAX_RAISES_AT_ONE

    def publish_catalog(self) -> None:
        base = catalog()
        placements = {
            key: msgspec.structs.replace(
                base.placements["hero"], reward_range=(0.0, 3.0 if key in self.edited else 2.0)
            )
            for key in KEYS
            if key not in self.gone
        }
        edited = msgspec.structs.replace(base, placements=placements, conversions={})
        self.catalog.current = compile_catalog(edited, self.catalog.current.version + 1)

    # What happens

    async def take_over(self) -> None:
        self.assignment += 1
        self.former = self.current if self.assignment > 1 else None
        self.current = self.learner()
        await self.current.assigned([HERO], self.assignment)

    async def learn(self, learner: Learner | None = None) -> None:
        learner = learner or self.current
        for _ in range(self.draw.randint(1, 15)):
            number = len(self.log.of(OUTCOMES)[HERO])
            key = self.draw.choice(KEYS[:1] + KEYS)
            await self.log.append([Record(OUTCOMES, key, encode_outcome(outcome(key, number)))])
        reached = learner.reached.get(HERO)
        if reached is not None:
            first = max(0, reached + 1 - self.draw.choice([0, 0, 0, 5]), self.log.earliest.get(HERO, 0))
            await learner.process(self.messages_from(first))

    def messages_from(self, first: int) -> list[LearnedMessage]:
        records = self.log.of(OUTCOMES)[HERO]
        return [
            LearnedMessage(HERO, offset, records[offset].key.encode(), records[offset].value, self.assignment)
            for offset in range(first, len(records))
        ]

    async def save(self) -> None:
        await self.current.save()

    async def publish(self) -> None:
        await self.current.publish()

    async def catch_up(self) -> None:
        self.now_s += self.draw.choice([0.1, 2.0, 300.0])
        await self.current.catch_up()

    async def damage(self) -> None:
        """Flip a bit in one copy of a model, unless another of its copies has one flipped already."""
        header = await self.checkpoints.header(HERO)
        key = self.draw.choice(KEYS[:3])
        saved = header.models.get(key) if header else None
        if saved is None or len(saved.copies) < 2 or self.edited or self.troubled:
            return
        if any((key, copy.number) == self.damaged.get(key) for copy in saved.copies):
            return
        name = (key, self.draw.choice(saved.copies).number)
        self.checkpoints.damage(HERO, name)
        self.damaged[key] = name

    async def trouble(self) -> None:
        self.troubled ^= {self.draw.choice(KEYS[:3])}

    async def edit_or_trim(self) -> None:
        if self.trimmed:
            self.log.trim()
        else:
            changed = self.draw.choice([self.edited, self.edited, self.gone])
            changed ^= {self.draw.choice(KEYS[:3])}
            self.publish_catalog()

    async def zombie(self) -> None:
        """Its successor has taken over, and it does not know."""
        if self.former is not None:
            await self.former.process(self.messages_from(self.log.earliest.get(HERO, 0)))
            await self.draw.choice([self.former.save, self.former.publish])()

    async def run(self, n_steps: int) -> None:
        await self.take_over()
        acts = [self.learn] * 6 + [self.save, self.publish, self.catch_up] * 2
        acts += [self.take_over, self.damage, self.trouble, self.edit_or_trim, self.zombie]
        for _ in range(n_steps):
            act = self.draw.choice(acts)
            self.acted.append(act.__name__)
            await act()
            self.assert_well()
        await self.settle()

    async def settle(self) -> None:
        """Nothing more happens, and what is behind catches up."""
        self.troubled.clear()
        if self.edited or self.gone:
            self.edited.clear()
            self.gone.clear()
            self.publish_catalog()
        await self.current.process(self.messages_from(max(0, self.current.reached[HERO] + 1)))
        for _ in range(40):
            await self.current.publish()
            self.now_s += 300.0
            await self.current.catch_up()
            await self.current.save()
        assert self.current.warnings() == []

    # What must hold

    def oracle(self, key: str, to: int) -> PlacementModel:
        model = PlacementModel(key, reward_range=(0.0, 2.0))
        for record in self.log.of(OUTCOMES)[HERO][:to]:
            told = decode_outcome(record.value)
            if record.key == key and (key == WELL or not told.choice.decision_id.endswith("77")):
                model.learn(told)
        return model

    def assert_well(self) -> None:
        """Nobody else's trouble costs a model anything, at any moment."""
        book = self.current.book(WELL)
        to = self.current.reached[HERO] + 1
        told = sum(record.key == WELL for record in self.log.of(OUTCOMES)[HERO][:to])
        assert (0 if book is None else book.n_learned) == told, self.acted

    async def assert_exact(self) -> None:
        to = len(self.log.of(OUTCOMES)[HERO])
        assert self.current.reached == {HERO: to - 1}
        for key in KEYS:
            book = self.current.book(key)
            assert isinstance(book, PlacementModel)
            found, expected = book.dump(), self.oracle(key, to).dump()
            del found["spec"], expected["spec"]  # the same, however it is spelt
            assert found == expected, f"{key}: {self.acted}"
            assert self.metrics.outcomes_lost.labels(key)._value.get() == 0
        given_up = {decode_dead_letter(record.value).offset for record in self.log.all(DEAD_LETTERS)}
        assert all(self.log.of(OUTCOMES)[HERO][offset].value.find(b"77") > 0 for offset in given_up)
        header = await self.checkpoints.header(HERO)
        assert header is not None
        assert {(HERO, *name) for name in header.blob_names()} == set(self.checkpoints.stored), "and nothing else"


@pytest.mark.parametrize("trimmed", [True, False], ids=["trimmed-log", "edited-catalog"])
@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_each_model_is_what_its_outcomes_give(seed: int, trimmed: bool) -> None:
    history = History(seed, trimmed=trimmed)
    await history.run(150)
    await history.assert_exact()
