"""The learner's promises, over a log in memory and stores that can be taken away."""

from __future__ import annotations

from typing import cast

import pytest

from eventlog.partition import partition_of
from eventlog.port import EventLog, Record
from eventlog.topics import DEAD_LETTERS, OUTCOMES
from online_models.conversion.checkpoint import Served, load_served
from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot, unpack_version
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.visitor.choice import Choice
from state.conversion_store import ConversionPublisher
from state.model_store import ModelPublisher, Published
from stream.learning.conversion_training import ConversionTraining
from stream.learning.learner import LearnedMessage, Learner
from stream.learning.partitions import Partitions
from stream.learning.placement_training import PlacementTraining
from stream.learning.set_aside import SettingAside
from stream.learning.training import Trainings
from stream.metrics import LearnerMetrics
from tests.integration.workload import catalog
from tests.unit.stream.fakes import N_PARTITIONS, FixedCatalog, MemoryCheckpoints, MemoryLog

HERO = partition_of("hero", N_PARTITIONS)


class MemoryPublisher:
    def __init__(self) -> None:
        self.published: list[ModelSnapshot] = []
        self.generations: dict[str, int] = {}
        self.result = Published.DONE

    async def publish(self, placement: str, snapshot: ModelSnapshot, at_ms: int) -> tuple[Published, int]:
        generation, _ = unpack_version(snapshot.version)
        if self.result is not Published.DONE or generation < self.generations.get(placement, 0):
            return Published.FENCED, 10
        self.generations[placement] = generation
        self.published.append(snapshot)
        return Published.DONE, 10

    def forget(self, placement: str) -> None:
        pass


class MemoryConversions:
    """A publisher of conversions."""

    def __init__(self) -> None:
        self.published: list[Served] = []
        self.challengers: dict[str, bytes] = {}
        self.result = Published.DONE

    async def publish(self, conversion: str, version: int, model: bytes, at_ms: int) -> Published:
        if self.result is Published.DONE:
            self.published.append(load_served(model, b"secret", conversion=conversion))
        return self.result

    async def challenger(self, challenger_id: str) -> bytes | None:
        return self.challengers.get(challenger_id)


class Bench:
    """A log, stores and a catalog that outlive the learners on them; time goes on when it is told to."""

    def __init__(self) -> None:
        self.log, self.checkpoints, self.publisher = MemoryLog(), MemoryCheckpoints(), MemoryPublisher()
        self.conversions = MemoryConversions()
        self.catalog = FixedCatalog(compile_catalog(catalog(), 1))
        self.commits: list[dict[int, int]] = []
        self.metrics = LearnerMetrics()
        self.now_s = 0.0
        self.secret: bytes = b"secret"
        self.epoch = 1
        self.publish_conversion_ms = 0

    def placements(self) -> PlacementTraining:
        return PlacementTraining(cast(ModelPublisher, self.publisher), self.secret)

    def learner(self) -> Learner:
        async def commit(offsets: dict[int, int]) -> None:
            self.commits.append(offsets)

        trainings = Trainings(
            self.placements(),
            ConversionTraining(
                cast(ConversionPublisher, self.conversions),
                self.secret,
                LearnerMetrics(),
                self.publish_conversion_ms,
            ),
        )
        aside = SettingAside(self.metrics, lambda: self.now_s)
        partitions = Partitions(self.checkpoints, trainings, self.catalog, self.epoch, self.metrics, aside)
        return Learner(cast(EventLog, self.log), partitions, trainings, self.catalog, self.metrics, commit)

    async def outcomes(self, first: int, n: int) -> None:
        for number in range(first, first + n):
            outcome = Outcome(
                Choice(f"d{number}", "hero", 0, "red", 2**31), float(number % 2), ClosingReason.WINDOW, 0, 1
            )
            await self.log.append([Record(OUTCOMES, "hero", encode_outcome(outcome))])

    def messages(self, first: int, to: int, assignment: int) -> list[LearnedMessage]:
        records = self.log.of(OUTCOMES)[HERO]
        return [
            LearnedMessage(HERO, offset, b"hero", records[offset].value, assignment) for offset in range(first, to)
        ]

    def counted(self, result: str, placement: str = "hero") -> float:
        return float(self.metrics.outcomes.labels(placement, result)._value.get())


async def test_a_successor_goes_on_at_the_checkpoint_and_arrives_at_the_same_model() -> None:
    bench = Bench()
    await bench.outcomes(0, 30)
    first = bench.learner()
    assert await first.assigned([HERO], 1) == {HERO: 0}
    await first.process(bench.messages(0, 10, 1))
    assert await first.save() == 1
    assert bench.commits == [{HERO: 10}]
    await first.process(bench.messages(10, 20, 1))  # never saved: as if killed here
    second = bench.learner()
    assert await second.assigned([HERO], 1) == {HERO: 10}
    await second.process(bench.messages(10, 30, 1))
    straight = bench.learner()
    bench.checkpoints.kept_headers.clear()
    await straight.assigned([HERO], 1)
    await straight.process(bench.messages(0, 30, 1))
    left, right = second.book("hero"), straight.book("hero")
    assert isinstance(left, PlacementModel)
    assert isinstance(right, PlacementModel)
    assert left.dump()["model"] == right.dump()["model"]


async def test_redelivered_and_repeated_outcomes_train_once() -> None:
    bench = Bench()
    await bench.outcomes(0, 5)
    await bench.outcomes(0, 5)  # a folder that died before its write emits again
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    await learner.process(bench.messages(0, 10, 1))
    await learner.process(bench.messages(3, 10, 1))
    assert (bench.counted("learned"), bench.counted("duplicate"), bench.counted("redelivered", "")) == (5, 5, 7)


async def test_what_was_fetched_under_an_older_assignment_is_left_to_its_owner() -> None:
    bench = Bench()
    await bench.outcomes(0, 10)
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    await learner.assigned([HERO], 2)
    await learner.process(bench.messages(5, 10, 1))
    assert learner.reached == {HERO: -1}


async def test_a_paused_flow_goes_on_behind_what_is_learned() -> None:
    bench = Bench()
    await bench.outcomes(0, 10)
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    await learner.process(bench.messages(0, 7, 1))
    assert await learner.assigned([HERO], 1) == {HERO: 7}
    assert bench.checkpoints.generation == 1


async def test_one_that_is_fenced_off_drops_everything_and_does_not_take_it_back() -> None:
    bench = Bench()
    await bench.outcomes(0, 10)
    zombie = bench.learner()
    await zombie.assigned([HERO], 1)
    await zombie.process(bench.messages(0, 5, 1))
    await bench.learner().assigned([HERO], 1)
    assert await zombie.save() == 0
    assert zombie.reached == {}
    assert await zombie.assigned([HERO], 1) == {}
    bench.publisher.result = Published.FENCED
    assert await zombie.publish() == 0


async def test_only_what_learned_is_published_and_generations_count() -> None:
    bench = Bench()
    await bench.outcomes(0, 4)
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    await learner.process(bench.messages(0, 4, 1))
    assert [await learner.publish(), await learner.publish()] == [1, 0]
    await learner.save()
    successor = bench.learner()
    await successor.assigned([HERO], 1)
    assert await successor.publish() == 1, "at once under the new generation: the older one is fenced off by it"
    assert bench.publisher.published[1].version > bench.publisher.published[0].version


async def test_no_outcome_at_all_is_a_dead_letter() -> None:
    bench = Bench()
    await bench.log.append([Record(OUTCOMES, "hero", b"\xc1")])
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    await learner.process(bench.messages(0, 1, 1))
    assert len(bench.log.all(DEAD_LETTERS)) == 1
    assert learner.reached == {HERO: 0}


async def test_a_record_that_was_not_handed_over_is_learned_all_the_same() -> None:
    bench = Bench()
    await bench.outcomes(0, 10)
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    await learner.process(bench.messages(0, 3, 1))
    await learner.process(bench.messages(7, 10, 1))  # an agent that crashed was started again behind its batch
    assert (bench.counted("learned"), learner.reached) == (10, {HERO: 9})


async def test_an_unknown_failure_leaves_the_learner_behind_what_it_learned() -> None:
    bench = Bench()
    await bench.outcomes(0, 3)
    await bench.log.append([Record(OUTCOMES, "hero", b"\xc1")])
    await bench.outcomes(3, 2)
    learner = bench.learner()
    await learner.assigned([HERO], 1)
    bench.log.failures.append(TypeError("not about one model"))
    with pytest.raises(TypeError, match="not about one model"):
        await learner.process(bench.messages(0, 6, 1))
    assert learner.reached == {HERO: 2}
    await learner.process(bench.messages(3, 6, 1))
    assert (bench.counted("learned"), len(bench.log.all(DEAD_LETTERS))) == (5, 1)
