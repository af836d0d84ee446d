"""Variants in the workers: each learns from its own visitors, and what they brought is told apart."""

from __future__ import annotations

import pytest
from msgspec import structs

from eventlog.dead_letters import decode_dead_letter
from eventlog.partition import partition_of
from eventlog.port import Record
from eventlog.topics import DEAD_LETTERS, OUTCOMES
from online_models.placement_model import PlacementModel
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.catalog.sections.variants import PlacementVariant
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.visitor.choice import Choice
from stream.learning.learner import LearnedMessage
from stream.metrics import FolderMetrics
from tests.integration.workload import catalog
from tests.of_type import of_type
from tests.unit.stream.fakes import N_PARTITIONS
from tests.unit.stream.learning.test_learner import Bench

LOGISTIC = "river.linear_model.LogisticRegression"
KEYS = ("hero", "hero@b")


def bench() -> Bench:
    made, base = Bench(), catalog()
    variants = {
        "b": PlacementVariant(share=0.5, model=LOGISTIC, model_parameters={"l2": 0.1}),
        "c": PlacementVariant(share=0.2, learn="shared"),
    }
    hero = structs.replace(base.placements["hero"], variants=variants)
    made.catalog.current = compile_catalog(structs.replace(base, placements={"hero": hero}, conversions={}), 2)
    return made


def outcome(n: int, variant: str) -> Outcome:
    choice = Choice(f"{variant}{n}", "hero", 0, "red", 2**31, variant=variant, shared=variant == "c")
    return Outcome(choice, float(variant == "b"), ClosingReason.WINDOW, 0, 1, 0)


def message(offset: int, key: str, told: Outcome) -> LearnedMessage:
    return LearnedMessage(partition_of(key, N_PARTITIONS), offset, key.encode(), encode_outcome(told), 1)


async def test_a_variants_model_learns_from_its_own_visitors_and_a_shared_one_from_both() -> None:
    made = bench()
    told = [outcome(n, variant) for n in range(20) for variant in ("", "b", "c")]
    for each in told:
        await made.log.append([Record(OUTCOMES, each.choice.model, encode_outcome(each))])
    learner = made.learner()
    await learner.assigned(list(range(N_PARTITIONS)), 1)
    for key in KEYS:
        records = [r for r in made.log.of(OUTCOMES)[partition_of(key, N_PARTITIONS)] if r.key == key]
        await learner.process(
            [
                LearnedMessage(partition_of(key, N_PARTITIONS), offset, r.key.encode(), r.value, 1)
                for offset, r in enumerate(records)
            ]
        )
    own, shared = (of_type(PlacementModel, learner.book(key)) for key in ("hero@b", "hero"))
    assert (own.n_learned, own.spec.name, own.spec.params) == (20, LOGISTIC, {"l2": 0.1})
    assert (shared.n_learned, shared.spec.name) == (40, "default")
    assert (own.arms["red"].reward_sum, shared.arms["red"].reward_sum) == (20.0, 0.0)
    await learner.save()
    again = made.learner()
    await again.assigned(list(range(N_PARTITIONS)), 2)
    assert {key: of_type(PlacementModel, again.book(key)).n_learned for key in KEYS} == {"hero@b": 20, "hero": 40}


@pytest.mark.parametrize(("key", "variant"), [("hero", "b"), ("hero@b", ""), ("hero@b", "c"), ("cart", "b")])
async def test_an_outcome_under_another_models_key_is_a_dead_letter(key: str, variant: str) -> None:
    made = bench()
    learner = made.learner()
    await learner.assigned(list(range(N_PARTITIONS)), 1)
    await learner.process([message(0, key, outcome(0, variant))])
    (record,) = made.log.all(DEAD_LETTERS)
    letter = decode_dead_letter(record.value)
    assert letter.code == "bad_outcome"
    assert repr(outcome(0, variant).choice.model) in letter.reason


async def test_a_variants_other_model_starts_anew_and_the_placements_goes_on() -> None:
    made = bench()
    learner = made.learner()
    await learner.assigned(list(range(N_PARTITIONS)), 1)
    await learner.process([message(0, "hero@b", outcome(0, "b"))])
    await learner.process([message(0, "hero", outcome(0, ""))])
    hero = made.catalog.current.catalog.placements["hero"]
    other = {**hero.variants, "b": structs.replace(hero.variants["b"], model="default", model_parameters=None)}
    edited = structs.replace(hero, variants=other)
    made.catalog.current = compile_catalog(
        structs.replace(made.catalog.current.catalog, placements={"hero": edited}), 3
    )
    await learner.publish()
    assert of_type(PlacementModel, learner.book("hero@b")).spec.name == "default"
    assert of_type(PlacementModel, learner.book("hero")).n_learned == 1


def test_rewards_are_told_apart_by_variant_and_side() -> None:
    metrics = FolderMetrics()
    for variant, holdout, reward in (("", False, 1.0), ("b", False, 2.0), ("b", False, -1.0), ("", True, 4.0)):
        metrics.closed(_closed(variant, holdout, reward))
    metrics.closed(_closed("b", None, 99.0))
    metrics.closed(structs.replace(_closed("b", False, 99.0), exposed_at_ms=None))
    metrics.closed(structs.replace(_closed("b", False, 99.0), reason=ClosingReason.EVICTED))
    metrics.closed(structs.replace(_closed("b", False, 99.0), shown_by_reward=True))
    found = {
        labels: (sample.labels(*labels)._count.get(), sample.labels(*labels)._sum.get())
        for sample in (metrics.rewards,)
        for labels in (("hero", ""), ("hero", "b"), ("hero", "control"))
    }
    assert found == {("hero", ""): (1.0, 1.0), ("hero", "b"): (2.0, 1.0), ("hero", "control"): (1.0, 4.0)}


def _closed(variant: str, holdout: bool | None, reward: float) -> Outcome:
    choice = Choice("d", "hero", 0, "red", 2**31, variant=variant, holdout=holdout)
    return Outcome(choice, reward, ClosingReason.WINDOW, 0, 1, 0)
