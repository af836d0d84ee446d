"""How often the 95 % interval of an off-policy estimate holds the truth, by estimator, log and policy.

Logs are played whose truth is known: visitors of two teams come back now and then, each a little more or less
inclined than their team; three contents, whose chances swap half-way where the world drifts. Decisions are drawn by
fixed probabilities, or by a policy of ours that learns as the live system does (same model, snapshots, delay). Then
other policies are evaluated on the records, by the code of ``nextbest evaluate``. Beside coverage stand the mean
error (bias) and mean width of the interval, in rewards a decision. Logs that ``nextbest evaluate`` refuses, since
they say too little of a policy, are left out.

    .venv/bin/python -m benchmarks.coverage [--logs 200] [--decisions 2000] [--log NAME] [--seed 0]
"""

from __future__ import annotations

import argparse
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.ending import end_by_sigterm
from online_models.placement_model import PlacementModel
from online_models.reward_model import FloatArray
from operations.evaluating.evaluation import linear_estimates, why_not
from operations.evaluating.known import Known, Lesson
from operations.evaluating.logged import LoggedDecision
from operations.evaluating.scored import probabilities, scored
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import SCALE, ArmDistribution, quantise
from personalization.evaluation.off_policy_sample import stabilised
from personalization.events.decision_record import DecisionRecord, pack_f32
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import FeatureValue
from personalization.visitor.choice import Choice

PLACEMENT = "hero"
ARMS = ("red", "green", "blue")
TEAMS = ("north", "south")
CHANCES = np.array([[0.30, 0.10], [0.15, 0.35], [0.20, 0.20]])
"""Of a reward, by arm and team."""

LATER = np.array([[0.10, 0.20], [0.30, 0.15], [0.25, 0.30]])
INCLINED = 0.08
"""By so much at most a visitor's chances are above or below their team's."""

DELAY, UPDATE_EVERY = 30, 40


class World(NamedTuple):
    """What decides, and whether chances change.

    Attributes
    ----------
    policy
        A policy that learns; None: fixed probabilities.
    """

    name: str
    policy: PolicySpec | None
    drifts: bool


WORLDS = (
    World("fixed probabilities", None, False),
    World("fixed, drift", None, True),
    World("default, more floor, drift", PolicySpec(min_probability=0.05), True),
    World("default, drift", PolicySpec(), True),
    World("thompson, drift", PolicySpec(name="thompson"), True),
    World("epsilon_greedy, drift", PolicySpec(name="epsilon_greedy", parameters={"epsilon": 0.1}), True),
)
OTHERS = {
    "uniform": PolicySpec(name="uniform"),
    "fixed:red": PolicySpec(name="fixed", parameters={"arm": "red"}),
    "epsilon_greedy": PolicySpec(name="epsilon_greedy", parameters={"epsilon": 0.1}),
    "thompson": PolicySpec(name="thompson"),
}
LOGGED_BY = np.array([[0.7, 0.2, 0.1], [0.15, 0.25, 0.6]])
"""Fixed probabilities, by team and arm."""


@dataclass(slots=True)
class Played:
    """One log.

    Attributes
    ----------
    rows
        Its decisions.
    twins
        By team, one decision for a visitor of it by each version of the model: for the truth alone.
    chances
        Summed over the decisions that each version made, shape (versions, arms, teams).
    """

    rows: list[LoggedDecision] = field(default_factory=list)
    twins: dict[str, list[LoggedDecision]] = field(default_factory=lambda: {team: [] for team in TEAMS})
    chances: list[FloatArray] = field(default_factory=list)
    lessons: list[Lesson] = field(default_factory=list)

    def known(self) -> dict[str, Known]:
        """What the model had learned, from the beginning."""
        return {PLACEMENT: Known(self.lessons)}

    def truth(self, policy: PolicySpec) -> float:
        """What the policy brings in the mean of all who might have come, at the times of the log."""
        total = 0.0
        for at, team in enumerate(TEAMS):
            theirs = np.array(probabilities(self.twins[team], policy, self.known()))
            total += float((theirs * np.array(self.chances)[:, :, at]).sum())
        return total / len(TEAMS) / len(self.rows)


def play(world: World, n: int, rng: np.random.Generator) -> Played:
    """One log of n decisions."""
    played = Played()
    model = PlacementModel(PLACEMENT)
    by_team: list[ArmDistribution] = []
    n_published = 0
    waiting: deque[Outcome] = deque()
    n_visitors = max(1, n // 2)
    team_of = rng.integers(len(TEAMS), size=n_visitors)
    inclined = rng.uniform(-INCLINED, INCLINED, n_visitors)
    contexts: list[dict[str, FeatureValue]] = [{"team": each} for each in TEAMS]
    for at in range(n):
        if not by_team or len(played.lessons) - n_published >= UPDATE_EVERY:
            n_published = len(played.lessons)
            by_team = _answers(model, world.policy, contexts)
            for each, name in zip(by_team, TEAMS, strict=True):
                played.twins[name].append(_row(each, at, 0, 0.0, b""))
            played.chances.append(np.zeros(CHANCES.shape))
        visitor = int(rng.integers(n_visitors))
        team = int(team_of[visitor])
        chances = LATER if world.drifts and at >= n // 2 else CHANCES
        played.chances[-1] += chances
        drawn = by_team[team].draw(int(rng.integers(SCALE)))
        reward = float(rng.random() < chances[drawn, team] + inclined[visitor])
        played.rows.append(_row(by_team[team], at, drawn, reward, visitor.to_bytes(8, "big")))
        waiting.append(
            Outcome(
                played.rows[-1].record.choice,
                reward,
                ClosingReason.WINDOW,
                at,
                at + DELAY,
                at,
                features=contexts[team],
                unit=played.rows[-1].unit,
                free=True,
            )
        )
        if len(waiting) > DELAY:
            outcome = waiting.popleft()
            model.learn(outcome)
            played.lessons.append(Lesson(outcome.choice.arm, outcome.reward, outcome.closed_at_ms))
    return played


def _answers(
    model: PlacementModel, policy: PolicySpec | None, contexts: list[dict[str, FeatureValue]]
) -> list[ArmDistribution]:
    found = model.snapshot().distributions(ARMS, contexts, policy=policy or PolicySpec())
    return (
        [_fixed(each, shares) for each, shares in zip(found, LOGGED_BY, strict=True)] if policy is None else found
    )


def _fixed(asked: ArmDistribution, shares: FloatArray) -> ArmDistribution:
    return ArmDistribution(ARMS, quantise(shares), asked.means, asked.sds, "fixed", asked.model_version)


def _row(asked: ArmDistribution, at: int, drawn: int, reward: float, unit: bytes) -> LoggedDecision:
    choice = Choice(f"{at:024}", PLACEMENT, 0, ARMS[drawn], asked.weights[drawn], asked.policy, asked.model_version)
    record = DecisionRecord(
        choice=choice,
        message_id="",
        request_id="",
        key="",
        tier="personalised",
        reason="",
        decided_at_ms=at,
        arms=ARMS,
        weights=asked.weights,
        means_f32=pack_f32(asked.means),
        sds_f32=pack_f32(asked.sds),
        ticket=0,
    )
    return LoggedDecision(record, reward, (0.0, 1.0), 1.0, unit)


class Judged(NamedTuple):
    """One interval."""

    error: float
    width: float
    holds: bool


def judge(played: Played, policy: PolicySpec) -> Iterator[tuple[str, Judged]]:
    """Each estimator's interval against the truth; none where the command would refuse."""
    found = scored(played.rows, policy, played.known())
    if why_not("it", found):
        return
    truth = played.truth(policy)
    for how, sample in (("plain", found.sample), ("stabilised", stabilised(found.sample, found.variance))):
        for name, linear in linear_estimates(found, sample).items():
            interval = linear.interval(sample)
            holds = interval.low <= truth <= interval.high
            yield f"{name}, {how}", Judged(linear.value - truth, interval.high - interval.low, holds)


def judged(world: World, n_logs: int, n: int, seed: int) -> dict[tuple[str, str], list[Judged]]:
    """By policy and estimator, each log's interval."""
    found: dict[tuple[str, str], list[Judged]] = defaultdict(list)
    for index in range(n_logs):
        # Each world has draws of its own: else what one log's chance brought would stand in the row of every world.
        played = play(world, n, np.random.default_rng([seed, WORLDS.index(world), index]))
        for name, policy in OTHERS.items():
            for estimator, one in judge(played, policy):
                found[name, estimator].append(one)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--logs", type=int, default=200)
    parser.add_argument("--decisions", type=int, default=2_000)
    parser.add_argument("--log", choices=[world.name for world in WORLDS], help="this one alone")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    console = Console(width=120)
    everywhere: dict[str, list[Judged]] = defaultdict(list)
    for world in WORLDS:
        if given.log not in (None, world.name):
            continue
        table = _table()
        for (policy, estimator), all_ in judged(world, given.logs, given.decisions, given.seed).items():
            table.add_row(world.name, policy, estimator, *_cells(all_))
            everywhere[estimator] += all_
        console.print(table)
    table = _table()
    for estimator, all_ in everywhere.items():
        table.add_row("all", "all", estimator, *_cells(all_))
    console.print(table)


def _table() -> Table:
    return Table("log", "policy", "estimator", "logs", "coverage", "bias", "width", box=None)


def _cells(all_: list[Judged]) -> tuple[str, ...]:
    coverage = np.mean([one.holds for one in all_])
    bias, width = np.mean([one.error for one in all_]), np.mean([one.width for one in all_])
    return f"{len(all_):,}", f"{coverage:.1%}", f"{bias:+.4f}", f"{width:.4f}"


if __name__ == "__main__":
    end_by_sigterm()
    main()
