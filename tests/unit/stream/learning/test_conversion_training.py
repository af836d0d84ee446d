"""Conversions in the learner: beside placements, with their positions, checkpoints and fences."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from eventlog.partition import partition_of
from eventlog.port import Record
from eventlog.topics import DEAD_LETTERS, OUTCOMES
from online_models.conversion import checkpoint
from online_models.conversion.book import ConversionBook
from online_models.conversion.challenger import retrain
from online_models.conversion.contender import Contender
from online_models.snapshot import unpack_version
from personalization.events.example import Challenge, ConversionRecord, Example, Stage, encode_example, example_key
from state.model_store import Published
from stream.learning.learner import LearnedMessage, Learner
from tests.unit.stream.fakes import N_PARTITIONS
from tests.unit.stream.learning.test_learner import HERO, Bench

BUYS = next(
    name
    for name in (f"buys{n}" for n in itertools.count())
    if partition_of(example_key(name), N_PARTITIONS) == HERO
)
"""On the partition of the placement ``hero``."""


class Shop(Bench):
    """A bench whose log also holds a conversion's records."""

    async def tell(self, *records: ConversionRecord) -> None:
        for record in records:
            await self.log.append([Record(OUTCOMES, example_key(BUYS), encode_example(record))])

    async def sessions(self, first: int, n: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed + first)
        for number in range(first, first + n):
            carts = float(rng.integers(0, 3))
            bought = bool(rng.random() < 0.1 + 0.35 * carts)
            told: dict[str, Any] = {"features": {"carts": carts}, "opened_at_ms": 0, "at_ms": 0}
            await self.tell(Example(f"e{number}", BUYS, stage=Stage.OPENED, **told))
            await self.tell(Example(f"e{number}", BUYS, stage=Stage.CLOSED, label=bought, **told))

    def all_messages(self, first: int, to: int, assignment: int) -> list[LearnedMessage]:
        records = self.log.of(OUTCOMES)[HERO]
        return [
            LearnedMessage(HERO, offset, records[offset].key.encode(), records[offset].value, assignment)
            for offset in range(first, min(to, len(records)))
        ]

    def n_records(self) -> int:
        return len(self.log.of(OUTCOMES)[HERO])

    async def learned(self, learner: Learner, assignment: int = 1) -> Learner:
        await learner.assigned([HERO], assignment)
        await learner.process(self.all_messages(0, self.n_records(), assignment))
        return learner


async def test_a_placement_and_a_conversion_learn_from_one_partition() -> None:
    shop = Shop()
    await shop.outcomes(0, 10)
    await shop.sessions(0, 300)
    await shop.outcomes(10, 10)
    learner = await shop.learned(shop.learner())
    assert learner.reached == {HERO: shop.n_records() - 1}
    hero, buys = learner.book("hero"), learner.book(example_key(BUYS))
    assert hero is not None
    assert isinstance(buys, ConversionBook)
    assert (hero.n_learned, buys.counts["learned"], buys.counts["served"]) == (20, 300, 300)
    assert await learner.publish() == 2
    for key in ("hero", example_key(BUYS)):
        labels = {"placement": key, "kind": "rollbacks"}
        assert shop.metrics.registry.get_sample_value("nextbest_model_adaptations", labels) == 0
    (served,) = shop.conversions.published
    assert served.contender.predict({"carts": 2.0}) > 0.5 > served.contender.predict({"carts": 0.0})


async def test_one_that_is_published_now_and_then_is_published_at_once_where_that_is_asked() -> None:
    shop = Shop()
    shop.publish_conversion_ms = 3_600_000
    await shop.sessions(0, 10)
    learner = shop.learner()
    await learner.assigned([HERO], 1)
    await learner.process(shop.all_messages(0, 10, 1))
    assert await learner.publish() == 1
    await learner.process(shop.all_messages(10, 20, 1))
    assert await learner.publish() == 0
    assert await learner.publish(at_once=True) == 1
    book = learner.book(example_key(BUYS))
    assert isinstance(book, ConversionBook)
    assert unpack_version(shop.conversions.published[-1].version)[1] == book.n_learned


async def test_a_successor_goes_on_at_the_checkpoint_and_arrives_at_the_same_book() -> None:
    shop = Shop()
    await shop.sessions(0, 200)
    first = shop.learner()
    await first.assigned([HERO], 1)
    await first.process(shop.all_messages(0, 150, 1))
    assert await first.save() == 1
    await first.process(shop.all_messages(150, 300, 1))  # never saved: as if killed here
    second = shop.learner()
    assert await second.assigned([HERO], 1) == {HERO: 150}
    await second.process(shop.all_messages(150, shop.n_records(), 1))
    shop.checkpoints.kept_headers.clear()
    straight = await shop.learned(shop.learner())
    left, right = second.book(example_key(BUYS)), straight.book(example_key(BUYS))
    assert isinstance(left, ConversionBook)
    assert isinstance(right, ConversionBook)
    assert left.dump() == right.dump()
    assert left.scorecard().rows == 200


async def test_a_damaged_book_gives_way_to_the_one_before() -> None:
    shop = Shop()
    await shop.sessions(0, 100)
    await shop.tell(a_challenger(shop))
    await shop.sessions(100, 20)
    learner = shop.learner()
    await learner.assigned([HERO], 1)
    for first in (0, 150):
        await learner.process(shop.all_messages(first, first + 150, 1))
        await learner.save()
    header = await shop.checkpoints.header(HERO)
    assert header is not None
    key = example_key(BUYS)
    shop.checkpoints.damage(HERO, (key, header.models[key].copies[0].number))
    successor = shop.learner()
    assert await successor.assigned([HERO], 1) == {HERO: shop.n_records()}
    await successor.catch_up()
    left, right = successor.book(key), learner.book(key)
    assert isinstance(left, ConversionBook)
    assert isinstance(right, ConversionBook)
    assert left.dump() == right.dump()
    assert right.challenger_id == "c1", "one that had entered meanwhile enters again"


async def test_one_that_is_fenced_off_serves_nobody() -> None:
    shop = Shop()
    await shop.sessions(0, 50)
    learner = await shop.learned(shop.learner())
    shop.conversions.result = Published.FENCED
    assert await learner.publish() == 0
    assert learner.reached == {}


async def test_records_emitted_again_and_no_records_at_all_teach_nothing() -> None:
    shop = Shop()
    await shop.sessions(0, 20)
    await shop.sessions(0, 20)  # a folder that died before its write emits again
    await shop.log.append([Record(OUTCOMES, example_key(BUYS), b"\xc1")])
    learner = await shop.learned(shop.learner())
    book = learner.book(example_key(BUYS))
    assert isinstance(book, ConversionBook)
    assert (book.counts["learned"], book.counts["duplicate"]) == (20, 40)
    assert len(shop.log.all(DEAD_LETTERS)) == 1
    assert shop.counted("duplicate", example_key(BUYS)) == 40


def a_challenger(shop: Shop, name: str = "c1", upside_down: bool = False) -> Challenge:
    rng = np.random.default_rng(9)
    rows = [({"carts": float(carts)}, bool(rng.random() < 0.1 + 0.35 * carts)) for carts in rng.integers(0, 3, 800)]
    history = [(x, y ^ upside_down) for x, y in rows]
    data = checkpoint.dump_challenger(retrain(Contender("default"), history), BUYS, b"secret")
    shop.conversions.challengers[name] = data
    return Challenge(name, BUYS, checkpoint.digest(data), 0)


async def test_a_challenger_enters_by_the_log_and_its_contest_survives_a_restart() -> None:
    shop = Shop()
    await shop.sessions(0, 40)
    await shop.tell(a_challenger(shop))
    await shop.sessions(40, 300)
    first = shop.learner()
    await first.assigned([HERO], 1)
    await first.process(shop.all_messages(0, 300, 1))
    await first.save()
    book = first.book(example_key(BUYS))
    assert isinstance(book, ConversionBook)
    assert (book.challenger_id, book.trial.n) == ("c1", (300 - 81) // 2)
    shop.conversions.challengers.clear()  # it is in the checkpoint: nobody asks for it again
    second = shop.learner()
    await second.assigned([HERO], 1)
    await second.process(shop.all_messages(300, shop.n_records(), 1))
    book = second.book(example_key(BUYS))
    assert isinstance(book, ConversionBook)
    assert book.trial.n == 300


async def test_one_that_loses_is_retired_and_counted() -> None:
    shop = Shop()
    await shop.sessions(0, 300)
    await shop.tell(a_challenger(shop, upside_down=True))
    await shop.sessions(300, 600)
    learner = await shop.learned(shop.learner())
    book = learner.book(example_key(BUYS))
    assert isinstance(book, ConversionBook)
    assert dict(book.verdicts) == {"entered": 1, "retire": 1}


async def test_a_challenger_that_is_gone_or_another_is_refused_and_nothing_else_happens() -> None:
    shop = Shop()
    challenge = a_challenger(shop)
    shop.conversions.challengers["c1"] += b"x"
    await shop.tell(challenge, Challenge("c2", BUYS, b"", 0))
    await shop.sessions(0, 10)
    learner = await shop.learned(shop.learner())
    book = learner.book(example_key(BUYS))
    assert isinstance(book, ConversionBook)
    assert (book.challenger, book.counts["learned"]) == (None, 10)
    assert shop.counted("challenger_refused", example_key(BUYS)) == 2
