"""What another policy would have brought: asked by the code that decides, refused where the log cannot tell."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from eventlog.port import EventLog, Record
from eventlog.topics import DECISIONS, OUTCOMES
from online_models.noise import RewardNoise
from online_models.placement_model import PlacementModel
from online_models.registry import POLICIES
from operations.evaluating.evaluation import Evaluation, evaluate
from operations.evaluating.known import Known, Lesson
from operations.evaluating.logged import LoggedDecision, LoggedDecisions, read_logged
from operations.evaluating.policy_text import read_policy
from operations.evaluating.scored import probabilities, scored
from personalization.catalog.catalog import Content, Placement
from personalization.catalog.policy_spec import PolicySpec
from personalization.catalog.sections.variants import PlacementVariant
from personalization.deciding.distribution import SCALE, quantise
from personalization.errors import InvalidInput, NextbestError, Refused
from personalization.events.decision_record import DecisionRecord, encode_record, pack_f32
from personalization.events.outcome import ClosingReason, Outcome, encode_outcome
from personalization.visitor.choice import Choice
from tests.unit.personalization.scenes import Likes, ask, catalog, run
from tests.unit.stream.fakes import MemoryLog

ARMS = ("red", "green", "blue")
UNIFORM = PolicySpec(name="uniform")
RED = PolicySpec(name="fixed", parameters={"arm": "red"})


def row(n: int, arm: str, reward: float, weights: Any = (0.5, 0.25, 0.25), **more: Any) -> LoggedDecision:
    """The n-th decision, by visitor n or ``unit``."""
    shares = quantise(weights)
    at = ARMS.index(arm)
    choice = Choice(f"{n:024}", "hero", 0, arm, shares[at], "thompson")
    record = DecisionRecord(
        choice=choice,
        message_id="",
        request_id="",
        key=f"a:{n}",
        tier="personalised",
        reason="",
        decided_at_ms=n,
        arms=ARMS,
        weights=shares,
        means_f32=pack_f32((0.5, 0.25, 0.125)),
        sds_f32=pack_f32((0.1, 0.1, 0.1)),
        ticket=7,
    )
    unit = more.pop("unit", n)
    stands_for = more.pop("stands_for", 1.0)
    return LoggedDecision(
        msgspec.structs.replace(record, **more), reward, (0.0, 1.0), stands_for, unit.to_bytes(8, "big")
    )


def rows(n: int, weights: Any = (0.5, 0.25, 0.25), **more: Any) -> list[LoggedDecision]:
    """Red brings most: drawn by the weights, seeded."""
    rng = np.random.default_rng(11)
    chances = {"red": 0.6, "green": 0.3, "blue": 0.1}
    drawn = rng.choice(ARMS, n, p=weights)
    return [row(at, arm, float(rng.random() < chances[arm]), weights, **more) for at, arm in enumerate(drawn)]


def told(
    decisions: list[LoggedDecision], policy: PolicySpec | None = UNIFORM, left_out: dict[str, int] | None = None
) -> Evaluation:
    return evaluate("hero", "it", policy, LoggedDecisions(decisions, Counter(left_out or {})))


def test_what_was_in_force_brought_the_mean_of_what_was_logged() -> None:
    decisions = rows(300)
    decisions += [msgspec.structs.replace(each, stands_for=3.0) for each in rows(50)]
    total = sum(each.stands_for for each in decisions)
    mean = sum(each.stands_for * each.reward for each in decisions) / total
    found = told(decisions, None)
    assert found.value is not None
    assert found.value.value == pytest.approx(mean, rel=1e-12)
    assert {name: each.value for name, each in found.estimates.items()} == {
        "ips": pytest.approx(mean, rel=1e-12),
        "snips": pytest.approx(mean, rel=1e-12),
    }
    assert found.overlap == pytest.approx(1.0)
    assert "in force brought" in found.words


@pytest.mark.parametrize(("policy", "truth"), [(UNIFORM, 1 / 3), (RED, 0.6)])
def test_every_estimator_finds_the_truth(policy: PolicySpec, truth: float) -> None:
    found = told(rows(6_000), policy)
    assert found.missing == ""
    assert found.estimates.keys() == {"ips", "snips", "dr", "switch"}
    for each in found.estimates.values():
        assert abs(each.value - truth) < 4 * each.standard_error
        assert each.low < each.value < each.high < each.low + 0.1
    assert "That is more, by" in found.words if truth > 0.5 else "That is less, by" in found.words


THIN = {
    "nothing has closed": ([], UNIFORM, {}, "No window of hero has closed"),
    "all were held out": ([], UNIFORM, {"held out": 7}, r"7 held out"),
    "no records": ([], UNIFORM, {"no record": 7}, "no records of the 7 decisions"),
    "few visitors": (rows(99), UNIFORM, {}, "Only 99 visitors"),
    "many decisions for few visitors": (
        [msgspec.structs.replace(each, unit=bytes([at % 20])) for at, each in enumerate(rows(900))],
        UNIFORM,
        {},
        "Only 20 visitors",
    ),
    "no support": (rows(900, (0.0, 0.5, 0.5)), RED, {}, "Where 100% of decisions were made, it wants what could"),
    "shown too rarely": (rows(900, (0.01, 0.495, 0.495)), RED, {}, "tell as much of it as"),
    "no propensity": (
        [*rows(200), row(201, "red", 1.0, (0.0, 0.5, 0.5))],
        UNIFORM,
        {},
        "1 of 201 decisions of hero were recorded without a probability",
    ),
    "an apprentice": (
        [
            row(n, "red", 1.0, choice=Choice(f"{n:024}", "hero", 0, "red", SCALE, "apprentice", policy_arm="blue"))
            for n in range(500)
        ],
        PolicySpec(name="fixed", parameters={"arm": "blue"}),
        {},
        "wants what could not be shown",
    ),
}


@pytest.mark.parametrize("case", THIN)
def test_thin_or_bad_data_get_a_sentence_and_no_number(case: str) -> None:
    decisions, policy, left_out, words = THIN[case]
    found = told(decisions, policy, left_out)
    assert words in found.missing
    assert found.missing.endswith(".")
    assert (found.value, found.logged, found.difference, found.estimates, found.words) == (None, None, None, {}, "")


def test_an_apprentice_tells_of_its_baseline() -> None:
    shown = Choice("0" * 24, "hero", 0, "red", SCALE, "apprentice", policy_arm="blue")
    found = told([row(n, "red", float(n % 2), choice=shown) for n in range(500)], RED)
    assert found.value is not None
    assert found.value.value == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", sorted(POLICIES))
@pytest.mark.parametrize("reward_range", [(0.0, 1.0), (-10.0, 10.0)])
def test_the_policy_in_force_is_made_again_from_its_records(name: str, reward_range: tuple[float, float]) -> None:
    """Probabilities from what was recorded, and counted from the log, are those that were drawn from."""
    rng, model = np.random.default_rng(5), PlacementModel("hero", reward_range=reward_range)
    parameters = {"arm": "green"} if name == "fixed" else {}
    spec = PolicySpec(name=name, parameters=parameters, new_arm_exposures=3)
    snapshot, waiting, lessons = model.snapshot(), deque[Outcome](), list[Lesson]()
    low, high = reward_range
    decisions = []
    for n in range(150):
        context: dict[str, float | str] = {"team": "north" if n % 2 else "south"}
        asked = snapshot.distribution(ARMS, context, policy=spec)
        at = asked.draw(int(rng.integers(SCALE)))
        reward = low + (high - low) * float(rng.random() < (0.5, 0.2, 0.4)[at])
        choice = Choice(f"{n:024}", "hero", 0, ARMS[at], asked.weights[at], name, asked.model_version)
        made = row(n, ARMS[at], reward, choice=choice, weights=asked.weights)
        record = msgspec.structs.replace(made.record, means_f32=pack_f32(asked.means), sds_f32=pack_f32(asked.sds))
        decisions.append(msgspec.structs.replace(made, record=record, reward_range=reward_range))
        waiting.append(Outcome(choice, reward, ClosingReason.WINDOW, n, n, n, features=context, free=True))
        if len(waiting) > 5:
            outcome = waiting.popleft()
            model.learn(outcome)
            lessons.append(Lesson(outcome.choice.arm, (outcome.reward - low) / (high - low), n))
            if n % 4 == 0:
                snapshot = model.snapshot()
    again = probabilities(decisions, spec, {"hero": Known(lessons)})
    for found, each in zip(again, decisions, strict=True):
        assert found == pytest.approx(np.array(each.record.weights) / SCALE, abs=2e-4)


def test_what_was_learned_later_is_not_known() -> None:
    lessons = [Lesson("red", 1.0, 10), Lesson("green", 0.0, 20), Lesson("red", 0.0, 30)]
    known = Known(lessons)
    n, noise = known.at(1, 15, ARMS, {})
    assert n.tolist() == [1.0, 0.0, 0.0]
    by_hand = RewardNoise()
    by_hand.add(1.0)
    assert noise == by_hand.sd
    assert known.at(3, 25, ARMS, {})[0].tolist() == [1.0, 1.0, 0.0]
    assert known.at(2, 40, ARMS, {})[0].tolist() == [1.0, 1.0, 0.0]
    assert known.at(3, 40, ARMS, {})[0].tolist() == [2.0, 1.0, 0.0]


def test_what_the_log_has_lost_is_as_the_first_record_expects_it() -> None:
    known = Known([Lesson("red", 1.0, 10), Lesson("red", 1.0, 20)])
    expected = {"red": (0.75, 0.1), "green": (0.25, 0.2)}
    n, noise = known.at(1_001, 15, ("red", "green"), expected)
    assert n.tolist() == [751.0, 250.0]
    assert noise == pytest.approx(0.4, abs=0.02), "a coin's of about .2: half of 256, and an eighth of a thousand"


def test_slots_are_weighted_by_conditional_probabilities() -> None:
    """Each slot is given those above it: weights are never products over slots."""
    contents = {name: Content(body=name) for name in ARMS}
    shop = catalog(contents, hero=Placement(content=ARMS, default="red", slots=2))
    first, second = run(shop, ask("hero", user_id="u"), models={"hero": Likes(red=6, green=3, blue=1)}).records
    assert second.above == (first.choice.arm,)
    assert len(second.arms) == 2
    found = scored([LoggedDecision(each, 0.0, (0.0, 1.0), 1.0, b"u") for each in (first, second)], UNIFORM, {})
    logged = [each.choice.weight / SCALE for each in (first, second)]
    assert found.weight == pytest.approx([1 / 3 / logged[0], 1 / 2 / logged[1]])


VARIED = Placement(
    content=ARMS,
    default="red",
    variants={
        "bold": PlacementVariant(share=0.2, policy=PolicySpec(name="linucb", parameters={"alpha": 2.0})),
        "same": PlacementVariant(share=0.2),
        "other": PlacementVariant(share=0.2, model="arm_linear"),
    },
)
POLICY_TEXTS = {
    "logged": None,
    "thompson": PolicySpec(name="thompson"),
    'thompson:{"scale": 0.5}': PolicySpec(name="thompson", parameters={"scale": 0.5}),
    'thompson:{"scale": 0.5, "min_probability": 0.1}': PolicySpec(
        name="thompson", parameters={"scale": 0.5}, min_probability=0.1
    ),
    'epsilon_greedy:{"epsilon": 0.2}': PolicySpec(name="epsilon_greedy", parameters={"epsilon": 0.2}),
    "fixed:red": RED,
    "bold": PolicySpec(name="linucb", parameters={"alpha": 2.0}),
    "same": PolicySpec(),
}


@pytest.mark.parametrize("text", POLICY_TEXTS)
def test_a_policy_is_named_as_in_the_catalog_or_by_its_variant(text: str) -> None:
    assert read_policy(text, VARIED, ARMS) == POLICY_TEXTS[text]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("best", InvalidInput, "no policy 'best'.*bold, other, same"),
        ("fixed", InvalidInput, "either 'arm' or 'weights'"),
        ("fixed:purple", InvalidInput, "purple"),
        ("thompson:{", InvalidInput, "no JSON object"),
        ("thompson:0.5", InvalidInput, "parameters in JSON"),
        ('thompson:{"alpha": 1}', InvalidInput, "no parameter 'alpha'"),
        ('thompson:{"min_probability": "x"}', InvalidInput, "min_probability"),
        ("other", Refused, "a model, features or contents of its own"),
    ],
)
def test_what_is_no_policy_is_named(text: str, error: type[NextbestError], words: str) -> None:
    with pytest.raises(error, match=words):
        read_policy(text, VARIED, ARMS)


def outcome(made: LoggedDecision, **more: Any) -> Outcome:
    at = made.record.decided_at_ms
    given: dict[str, Any] = {"reason": ClosingReason.WINDOW, "exposed_at_ms": at, "unit": made.unit} | more
    choice = given.pop("choice", made.record.choice)
    return Outcome(choice, made.reward, given.pop("reason"), at, at + 5, **given)


async def test_what_counts_was_drawn_and_shown_and_has_earned_all_it_will() -> None:
    log = MemoryLog()
    kinds: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("", {"sample_weight": 3.0}, {}),
        ("", {"trains": False}, {"tier": "contextual", "trains": False}),
        ("", {"reason": ClosingReason.FINAL}, {}),
        ("held out", {"holdout": True}, {}),
        ("not shown", {"reason": ClosingReason.UNEXPOSED, "exposed_at_ms": None, "trains": False}, {}),
        ("not shown", {"shown_by_reward": True, "trains": False}, {}),
        ("not complete", {"reason": ClosingReason.EVICTED, "trains": False}, {}),
        ("not complete", {"trains": False}, {}),
        ("not drawn", {"trains": False}, {"ticket": None, "tier": "rules", "trains": False}),
        ("crawler", {"trains": False}, {"crawler": True, "trains": False}),
        ("other time", {"early": True}, {}),
        ("other segment", {}, {"features": {"segments.new": 1.0}}),
    ]
    expected: Counter[str] = Counter(why for why, _, _ in kinds if why)
    for n, (_, of_outcome, of_record) in enumerate(kinds):
        at = n + (0 if of_outcome.pop("early", False) else 100)
        made = row(at, "red", 1.0, **{"features": {"segments.vip": 1.0}, "trains": True, **of_record})
        choice = msgspec.structs.replace(made.record.choice, holdout=of_outcome.pop("holdout", False))
        closed = encode_outcome(outcome(made, choice=choice, **of_outcome))
        await log.append([Record(OUTCOMES, "hero", closed), Record(OUTCOMES, "hero", closed)])
        await log.append([Record(DECISIONS, f"a:{n}", encode_record(made.record))])
    lost = row(500, "red", 1.0)
    of_another = msgspec.structs.replace(lost.record.choice, placement="side", decision_id="x" * 24)
    await log.append([Record(OUTCOMES, "hero", encode_outcome(outcome(lost)))])
    await log.append([Record(OUTCOMES, "side", encode_outcome(outcome(lost, choice=of_another)))])
    await log.append([Record(OUTCOMES, "hero", b"\xc1"), Record(DECISIONS, "a:1", b"\xc1")])
    found = await read_logged(cast(EventLog, log), "hero", (0.0, 1.0), since_ms=50, segment="vip")
    assert [each.stands_for for each in found.rows] == [3.0, 1.0, 1.0]
    assert found.left_out == expected + Counter({"no record": 1})
    assert len(found.known["hero"].lessons) == 6


async def test_a_variants_outcomes_stand_under_its_models_key() -> None:
    log = MemoryLog()
    made = row(1, "red", 1.0)
    choice = msgspec.structs.replace(made.record.choice, variant="bold")
    record = msgspec.structs.replace(made.record, choice=choice)
    await log.append([Record(OUTCOMES, "hero@bold", encode_outcome(outcome(made, choice=choice)))])
    await log.append([Record(DECISIONS, "a:1", encode_record(record))])
    found = await read_logged(cast(EventLog, log), "hero", (0.0, 1.0))
    assert len(found.rows) == 1
    assert found.known.keys() == {"hero@bold"}
