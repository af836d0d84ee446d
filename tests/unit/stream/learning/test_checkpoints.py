"""The rule *Checkpoints*: per model, loaded back before they count; what an edit replaced is kept for a while."""

from __future__ import annotations

import msgspec
import pytest

from eventlog.partition import partition_of
from eventlog.port import Record
from eventlog.topics import OUTCOMES
from online_models.placement_model import PlacementModel
from personalization.catalog.catalog import Catalog
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.key_derivation import Secrets
from personalization.visitor.choice import Choice
from state.checkpoint_store import ModelCopy, ReplacedModel, SavedModel
from stream.learning.learner import LearnedMessage, Learner
from stream.learning.placement_training import PlacementTraining
from stream.learning.replaced_models import KEEP_MS, MAX_BYTES, MAX_KEPT, find, within_bounds
from tests.integration.workload import catalog
from tests.unit.stream.fakes import N_PARTITIONS, MemoryLog
from tests.unit.stream.learning.test_learner import HERO, Bench

OTHER = next(name for name in (f"other{n}" for n in range(100)) if partition_of(name, N_PARTITIONS) == HERO)
"""A placement on the partition of ``hero``."""


def outcome(placement: str, number: int) -> Outcome:
    reward = float(number % 3 == 0)
    return Outcome(Choice(f"{placement}{number}", placement, 0, "red", 2**31), reward, ClosingReason.WINDOW, 0, 1)


class Shop(Bench):
    """A bench with two placements on one partition, and a catalog that is edited."""

    def __init__(self) -> None:
        super().__init__()
        self.first_id = 0
        self.edit()

    def edit(self, *, hero: bool = True, reward_range: tuple[float, float] = (0.0, 2.0)) -> None:
        """Publish a catalog with or without the placement ``hero``."""
        base = catalog()
        spec = msgspec.structs.replace(base.placements["hero"], reward_range=reward_range)
        placements = {OTHER: base.placements["hero"], **({"hero": spec} if hero else {})}
        edited: Catalog = msgspec.structs.replace(base, placements=placements, conversions={})
        self.catalog.current = compile_catalog(edited, self.catalog.current.version + 1)

    async def tell(self, placement: str, n: int) -> None:
        n_before = self.first_id + len(self.log.of(OUTCOMES)[HERO])
        for number in range(n_before, n_before + n):
            await self.log.append([Record(OUTCOMES, placement, encode_outcome(outcome(placement, number)))])

    async def taken_over(self, assignment: int = 1) -> Learner:
        learner = self.learner()
        await learner.assigned([HERO], assignment)
        return learner

    async def learn(self, learner: Learner, placement: str, n: int, assignment: int = 1) -> None:
        """``n`` more outcomes of a placement, learned."""
        first = learner.reached[HERO] + 1
        await self.tell(placement, n)
        records = self.log.of(OUTCOMES)[HERO]
        await learner.process(
            [
                LearnedMessage(HERO, offset, record.key.encode(), record.value, assignment)
                for offset, record in enumerate(records)
                if offset >= first
            ]
        )

    async def saved(self, key: str) -> SavedModel:
        header = await self.checkpoints.header(HERO)
        assert header is not None
        return header.models[key]

    async def damage(self, key: str, *which: int) -> None:
        saved = await self.saved(key)
        for index in which:
            self.checkpoints.damage(HERO, (key, saved.copies[index].number))


def n_learned(learner: Learner, key: str = "hero") -> int:
    book = learner.book(key)
    assert book is not None
    return book.n_learned


async def test_one_flipped_bit_costs_no_model_anything() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 30)
    await learner.save()
    for _ in range(3):
        await shop.learn(learner, OTHER, 20)
        await learner.save()
    shop.log.trim()
    for key, which in (("hero", 0), (OTHER, 0), ("hero", 1), (OTHER, 1)):
        await shop.damage(key, which)
        learner = await shop.taken_over()
        assert learner.reached == {HERO: 89}
        await learner.catch_up()
        assert (n_learned(learner), n_learned(learner, OTHER)) == (30, 60)
        assert await learner.publish() == 2
        await shop.learn(learner, OTHER, 0)
        await learner.save()
        await learner.save()
    assert shop.metrics.outcomes_lost.labels(OTHER)._value.get() == 0


async def test_a_refused_copy_starts_that_model_alone_from_the_one_before() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    for _ in range(2):
        await shop.learn(learner, "hero", 10)
        await shop.learn(learner, OTHER, 10)
        await learner.save()
    await shop.damage("hero", 0)
    successor = await shop.taken_over()
    assert n_learned(successor) == 10
    assert n_learned(successor, OTHER) == 20
    assert await successor.publish() == 1, "what serves of a model that is behind stays as it is"
    await shop.learn(successor, "hero", 5)
    assert shop.counted("behind") == 5
    await successor.catch_up()
    assert n_learned(successor) == 25
    assert await successor.publish() == 1
    left, right = successor.book("hero"), PlacementModel("hero", reward_range=(0.0, 2.0))
    for record in shop.log.of(OUTCOMES)[HERO]:
        if record.key == "hero":
            right.learn(msgspec.msgpack.decode(record.value, type=Outcome))
    assert isinstance(left, PlacementModel)
    assert left.dump()["model"] == right.dump()["model"]


async def test_without_any_good_copy_a_model_learns_what_the_log_holds_and_says_what_it_lost() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    for _ in range(3):
        await shop.learn(learner, "hero", 10)
        await shop.learn(learner, OTHER, 10)
        await learner.save()
    shop.log.trim()
    assert shop.log.earliest[HERO] == 40, "from the older copies on"
    await shop.damage("hero", 0, 1)
    successor = await shop.taken_over()
    await successor.catch_up()
    assert (n_learned(successor), n_learned(successor, OTHER)) == (10, 30)
    assert shop.metrics.outcomes_lost.labels("hero")._value.get() == 20
    await successor.save()
    header = await shop.checkpoints.header(HERO)
    assert header is not None
    assert [replaced.key for replaced in header.replaced] == ["hero"], "it may be good for another secret or River"


async def test_a_damaged_header_is_read_from_its_other_place() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 10)
    await learner.save()
    first, second = shop.checkpoints.kept_headers[HERO]
    for damaged in ([first[:-1] + b"?", second], [first, second[:9] + b"?" + second[10:]]):
        shop.checkpoints.kept_headers[HERO] = damaged
        assert (await shop.taken_over()).reached == {HERO: 9}
    shop.checkpoints.kept_headers[HERO] = [first[:-1] + b"?"] * 2
    assert (await shop.taken_over()).reached == {HERO: -1}


async def test_a_quiet_model_has_two_copies_that_need_no_log_and_is_not_written_again() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 10)
    await learner.save()
    await shop.learn(learner, "hero", 10)
    await learner.save()
    assert [(copy.position, copy.n_records) for copy in (await shop.saved("hero")).copies] == [(19, 20), (9, 10)]
    assert shop.log.floors == {HERO: 10}
    await shop.learn(learner, OTHER, 10)
    await learner.save()
    twins = (await shop.saved("hero")).copies
    assert [(copy.position, copy.n_records) for copy in twins] == [(29, 20)] * 2
    blobs = dict(shop.checkpoints.stored)
    await shop.learn(learner, OTHER, 10)
    await learner.save()
    copies = (await shop.saved("hero")).copies
    assert [(copy.number, copy.position) for copy in copies] == [(copy.number, 39) for copy in twins]
    assert (
        blobs.items() >= {name: blob for name, blob in shop.checkpoints.stored.items() if name[1] == "hero"}.items()
    )
    assert shop.log.floors == {HERO: 30}, "the other one moved twice"
    assert await learner.save() == 1
    assert shop.log.floors == {HERO: 40}
    assert await learner.save() == 0, "all is said"
    assert len(shop.checkpoints.stored) == 4


async def test_a_placement_that_is_not_in_the_catalog_keeps_its_model() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 30)
    await learner.save()
    await learner.save()
    shop.log.trim()
    shop.edit(hero=False)
    await learner.publish()
    await shop.learn(learner, "hero", 5)  # its last decisions were open
    await learner.save()
    assert n_learned(learner) == 35
    learner = await shop.taken_over()
    await learner.publish()
    assert n_learned(learner) == 35
    shop.edit()
    await learner.publish()
    assert n_learned(learner) == 35


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_edit_and_its_undo_find_the_model_again(restarted: bool) -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 100)
    await learner.save()
    await shop.learn(learner, "hero", 50)
    await learner.publish()
    shop.log.floors[HERO] = 120
    shop.log.trim()
    shop.edit(reward_range=(0.0, 3.0))
    await learner.publish()
    await learner.catch_up()
    assert n_learned(learner) == 30, "another model: it learns what the log holds"
    assert shop.metrics.outcomes_lost.labels("hero")._value.get() == 0
    await shop.learn(learner, "hero", 20)
    await learner.save()
    if restarted:
        learner = await shop.taken_over()
    shop.edit()
    await learner.publish()
    await learner.catch_up()
    assert n_learned(learner) == 170
    assert await learner.publish() == 1
    snapshots = [snapshot.version for snapshot in shop.publisher.published]
    assert snapshots == sorted(set(snapshots)), "each is newer than all before it"


async def test_an_edit_while_no_learner_runs_is_found_at_the_take_over() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 40)
    await learner.save()
    shop.edit(reward_range=(0.0, 3.0))
    learner = await shop.taken_over()
    await learner.save()
    shop.edit()
    learner = await shop.taken_over()
    assert n_learned(learner) == 40


@pytest.mark.parametrize(
    "made_by", [Secrets(b"old").key("models"), b"old"], ids=["the secret before", "a release before"]
)
async def test_a_model_that_learns_nothing_more_outlives_the_secret_it_was_saved_under(made_by: bytes) -> None:
    shop = Shop()
    shop.secret = made_by
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 30)
    await learner.save()
    shop.log.trim()
    shop.secret = Secrets(b"new", b"old").key("models")
    learner = await shop.taken_over()
    assert n_learned(learner) == 30
    assert await learner.save() == 1, "it is saved anew, though it learned nothing"
    await learner.save()
    assert await learner.save() == 0
    shop.secret = Secrets(b"new").key("models")
    learner = await shop.taken_over()
    assert n_learned(learner) == 30
    assert await learner.save() == 0, "and then no more"


async def test_a_start_with_the_wrong_secret_loses_nothing() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 40)
    await learner.save()
    shop.log.trim()
    shop.secret = b"another"
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 10)
    await learner.catch_up()
    assert n_learned(learner) == 10
    await learner.save()
    shop.secret = b"secret"
    learner = await shop.taken_over()
    await learner.catch_up()
    assert n_learned(learner) == 50


async def test_models_go_on_in_the_next_epoch_and_what_only_the_old_log_held_is_counted() -> None:
    shop = Shop()
    learner = await shop.taken_over()
    for key in ("hero", OTHER, "hero", OTHER):
        await shop.learn(learner, key, 10)
        await learner.save()
    shop.log, shop.epoch, shop.first_id = MemoryLog(), 2, 1_000
    learner = await shop.taken_over()
    assert learner.reached == {HERO: -1}
    await shop.learn(learner, "hero", 5)
    assert (n_learned(learner), n_learned(learner, OTHER)) == (25, 20)

    await shop.damage(OTHER, 0)  # of the old epoch still: this one has no checkpoint yet
    learner = await shop.taken_over()
    assert n_learned(learner, OTHER) == 10
    assert shop.metrics.outcomes_lost.labels(OTHER)._value.get() == 10
    await learner.save()
    header = await shop.checkpoints.header(HERO)
    assert header is not None
    assert (header.epoch, header.position) == (2, -1)
    assert {saved.position for saved in header.models.values()} == {-1}


async def test_one_that_was_fenced_off_renews_nothing() -> None:
    shop = Shop()
    zombie = await shop.taken_over()
    await shop.learn(zombie, "hero", 10)
    successor = await shop.taken_over()
    shop.edit(reward_range=(0.0, 3.0))
    await zombie.publish()
    assert zombie.reached == {}
    await successor.publish()
    assert successor.reached == {HERO: -1}


def a_replaced(number: int, n_bytes: int = 1, at_ms: int = 0) -> ReplacedModel:
    return ReplacedModel("hero", b"%d" % number, (ModelCopy(number, 0, 0, n_bytes),), at_ms)


def test_replaced_models_are_bounded_in_number_bytes_and_age() -> None:
    many = tuple(a_replaced(number) for number in range(MAX_KEPT + 3))
    assert within_bounds(many, 0) == many[3:]
    large = tuple(a_replaced(number, MAX_BYTES // 2) for number in range(3))
    assert within_bounds(large, 0) == large[1:]
    old = (a_replaced(0, at_ms=0), a_replaced(1, at_ms=10))
    assert within_bounds(old, KEEP_MS + 5) == old[1:]
    assert within_bounds(old, KEEP_MS + 11) == ()
    assert find(many, "hero", b"4") == many[4]
    assert find(many, "cart", b"4") is None


async def test_what_does_not_load_takes_no_good_copys_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    learner = await shop.taken_over()
    await shop.learn(learner, "hero", 10)
    await shop.learn(learner, OTHER, 10)
    await learner.save()
    before = (await shop.saved("hero")).copies
    load = PlacementTraining.load

    def broken(self: PlacementTraining, key: str, blob: bytes) -> PlacementModel:
        if key == "hero":
            raise ValueError("rows are missing")
        return load(self, key, blob)

    await shop.learn(learner, "hero", 10)
    await shop.learn(learner, OTHER, 10)
    with monkeypatch.context() as patch:
        patch.setattr(PlacementTraining, "load", broken)
        assert await learner.save() == 1
        assert (await shop.saved("hero")).copies == before
        assert (await shop.saved(OTHER)).copies[0].position == 39
        assert learner.book("hero") is None
        assert shop.log.floors == {HERO: 20}, "what it has to learn again is kept"
    shop.now_s += 1.0
    await learner.catch_up()
    assert n_learned(learner) == 20
    await learner.save()
    assert learner.warnings() == []
