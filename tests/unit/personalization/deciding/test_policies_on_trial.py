"""A policy on trial is asked beside the one in force: what it thinks of a choice is noted, nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from personalization.catalog.catalog import Challenger, Placement
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.distribution import SCALE, ArmDistribution, quantise
from personalization.events.decision_record import decode_record, encode_record
from personalization.features import Features
from tests.unit.personalization.scenes import ask, catalog, made, run

ARMS = ("red", "green", "blue")
BY_POLICY = {"default": {"red": 8, "green": 1, "blue": 1}, "thompson": {"red": 1, "green": 1, "blue": 2}}


class ByPolicy:
    """A scorer by hand whose probabilities depend on who asks; one policy may fail."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def distribution(
        self,
        arms: Sequence[str],
        features: Features,
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> ArmDistribution:
        if policy.name == self.fails:
            raise ZeroDivisionError("broken on purpose")
        zeros = (0.0,) * len(arms)
        weights = quantise([BY_POLICY[policy.name][arm] for arm in arms])
        return ArmDistribution(tuple(arms), weights, zeros, zeros, policy.name, 7)

    def distributions(
        self,
        arms: Sequence[str],
        contexts: Sequence[Features],
        *,
        policy: PolicySpec,
        arm_features: Mapping[str, Features] | None = None,
    ) -> list[ArmDistribution]:
        return [self.distribution(arms, one, policy=policy, arm_features=arm_features) for one in contexts]


def shop(**said: Any) -> PreparedCatalog:
    challenger = Challenger(policy=PolicySpec(name="thompson"))
    return catalog(None, hero=Placement(content=ARMS, default="green", **{"challenger": challenger, **said}))


def test_its_probability_of_what_was_chosen_is_noted_everywhere() -> None:
    for n in range(20):
        answer = run(shop(), ask(anonymous_id=f"a{n}"), models={"hero": ByPolicy()})
        (record,), (entry,) = answer.records, made(answer)
        choice = decode_record(encode_record(record)).choice
        assert choice == entry.choice
        assert choice.trial == shop().catalog.placements["hero"].shadow.trial  # type: ignore[union-attr]
        assert choice.trial_weight / SCALE == pytest.approx(BY_POLICY["thompson"][choice.arm] / 4)


def test_nothing_that_is_seen_changes_by_it() -> None:
    for n in range(20):
        shown = [
            run(shop(**more), ask(anonymous_id=f"a{n}"), models={"hero": ByPolicy()}).decisions
            for more in ({}, {"challenger": None})
        ]
        assert shown[0] == shown[1]


def test_one_that_fails_costs_nobody_their_answer_and_is_counted() -> None:
    answer = run(shop(), models={"hero": ByPolicy(fails="thompson")})
    (decision,), (entry,) = answer.decisions, made(answer)
    assert decision.policy == "default"
    assert (entry.choice.trial, entry.choice.trial_weight) == (0, 0)
    assert [model for model, _ in answer.faults] == ["hero"]
