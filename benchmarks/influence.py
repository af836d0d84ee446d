"""How far forged rewards move what is shown: by one visitor's id, by fresh ids, and by whoever only pushes one arm.

    python -m benchmarks.influence [--seeds 8] [--free]
    python -m benchmarks.influence --honest [--seeds 8] [--outcomes 10000]

A shop's page with five offers that 2 to 6 % of visitors click. After 3,000 honest outcomes from 1,500 networks,
10,000 forged ones come from one network: whatever is decided is rewarded if it is the arm to be pushed. Shown is by
how much that arm's share of 200 contexts moves, mean and largest over the seeds; beside it what 100 more honest
outcomes do. With ``--free`` nobody's influence is bounded.

With ``--honest`` nobody forges anything. Shown is what a page earns over what it earns with nobody bounded, on the
same seeds: mean, its standard error, and which share of the outcomes was left. What is earned are the true rates of
what is shown, so that it does not matter who clicks by chance. The busiest network holds two visitors in a hundred;
three visits in five are by somebody who came lately.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from dataclasses import dataclass, field
from itertools import accumulate

from benchmarks.ending import end_by_sigterm
from online_models.placement_model import PlacementModel
from online_models.snapshot import ModelSnapshot
from personalization.bounded import short_hash
from personalization.catalog.policy_spec import PolicySpec
from personalization.deciding.distribution import SCALE
from personalization.events.outcome import ClosingReason, Outcome
from personalization.visitor.choice import Choice

ARMS = tuple(f"offer-{n}" for n in range(5))
RATES = (0.02, 0.03, 0.04, 0.05, 0.06)
N_HONEST, N_FORGED, N_NETWORKS, N_CONTEXTS = 3_000, 10_000, 1_500, 200
PUBLISHED_EVERY = 50
NOON_MS = 1_700_000_000_000

WAYS = ("proxy", "server", "one network")
"""A named proxy tells from which network each comes; a server decides and rewards; nobody tells one network from
another, as behind a proxy that is not named: there the bound does starve the model, and ``/readyz`` says so."""

N_LATELY = 1_000
CROWDED = 8
"""The n-th busiest of 1,500 networks has a share of 1/(n + 8): the first 2 %, the last .01 %."""

KINDS = ("honest", "one id", "fresh ids", "one arm")
"""100 more honest outcomes; all by one visitor's id; each by its own; each by its own, and none but the arm's."""


@dataclass
class Page:
    """A page's placement and its model, as a decider sees it."""

    seed: int
    free: bool
    model: PlacementModel = field(default_factory=lambda: PlacementModel("hero"))
    n_outcomes: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.snapshot: ModelSnapshot = self.model.snapshot(1)

    def context(self) -> dict[str, float | str]:
        """Whoever comes next."""
        rng = self.rng
        return {
            "device": rng.choice(["mobile", "desktop"]),
            "hour": float(rng.randrange(24)),
            "session.n_views": float(rng.randrange(5)),
        }

    def choose(self, context: dict[str, float | str]) -> str:
        """What is shown to them."""
        distribution = self.snapshot.distribution(ARMS, context, policy=PolicySpec())
        return ARMS[distribution.draw(self.rng.randrange(SCALE))]

    def learn(
        self,
        context: dict[str, float | str],
        arm: str,
        reward: float,
        unit: str,
        network: str,
        by: str = "write",
    ) -> bool:
        """Whether it counted."""
        self.n_outcomes += 1
        outcome = Outcome(
            Choice(f"d{self.n_outcomes}", "hero", 0, arm, SCALE // len(ARMS)),
            reward,
            ClosingReason.WINDOW,
            NOON_MS,
            NOON_MS + self.n_outcomes,
            NOON_MS,
            features=context,
            unit=short_hash(unit),
            by=by,
            origin=short_hash(network),
            free=self.free,
        )
        counted = self.model.learn(outcome)
        if self.n_outcomes % PUBLISHED_EVERY == 0:
            self.snapshot = self.model.snapshot(1)
        return counted

    def honest(self, n: int) -> None:
        """So many visitors come, from many networks."""
        for number in range(n):
            context = self.context()
            arm = self.choose(context)
            reward = float(self.rng.random() < RATES[ARMS.index(arm)])
            self.learn(context, arm, reward, f"visitor-{number}-{n}", f"network-{self.rng.randrange(N_NETWORKS)}")

    def earned(self, n: int, way: str) -> float:
        """What so many honest visits earn on average, by the true rates of what is shown."""
        rng = self.rng
        networks = [str(number) for number in range(N_NETWORKS)]
        crowds = list(accumulate(1.0 / (rank + CROWDED) for rank in range(1, N_NETWORKS + 1)))
        lately: list[tuple[str, str]] = []
        total = 0.0
        for number in range(n):
            if lately and rng.random() < 0.6:
                unit, network = rng.choice(lately)
            else:
                unit, (network,) = f"visitor-{number}", rng.choices(networks, cum_weights=crowds)
                lately = [*lately[1 - N_LATELY :], (unit, network)]
            context = self.context()
            arm = self.choose(context)
            rate = RATES[ARMS.index(arm)]
            total += rate
            click = float(rng.random() < rate)
            seen_from = "one network" if way == "one network" else network
            self.learn(context, arm, click, unit, seen_from, by="server" if way == "server" else "write")
        return total / n

    def forged(self, kind: str, target: str, n: int) -> int:
        """How many of so many forged outcomes counted."""
        counted = 0
        for number in range(n):
            context = self.context()
            arm = self.choose(context)
            if kind == "one arm" and arm != target:
                continue  # a decision that is not said to be shown trains nothing
            unit = "forger" if kind == "one id" else f"forger-{number}"
            counted += self.learn(context, arm, float(arm == target), unit, "forger's network")
        return counted

    def share(self, target: str) -> float:
        """The arm's share of what would be shown now."""
        self.snapshot = self.model.snapshot(1)
        rng, self.rng = self.rng, random.Random(5)
        shares = []
        for _ in range(N_CONTEXTS):
            distribution = self.snapshot.distribution(ARMS, self.context(), policy=PolicySpec())
            shares.append(distribution.weights[ARMS.index(target)] / SCALE)
        self.rng = rng
        return statistics.mean(shares)


def moved(kind: str, seed: int, *, free: bool, n_forged: int = N_FORGED) -> float:
    """By how much the share of one arm moves."""
    page, target = Page(seed, free), ARMS[seed % len(ARMS)]
    page.honest(N_HONEST)
    before = page.share(target)
    if kind == "honest":
        page.honest(100)
    else:
        page.forged(kind, target, n_forged)
    return page.share(target) - before


def compared(way: str, seed: int, n: int) -> tuple[float, float]:
    """What a page earns over what it earns with nobody bounded; the share of the outcomes that was left."""
    bounded, free = Page(seed, free=False), Page(seed, free=True)
    ratio = bounded.earned(n, way) / free.earned(n, way)
    return ratio, bounded.model.counts["bounded"] / n


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--free", action="store_true")
    parser.add_argument("--honest", action="store_true")
    parser.add_argument("--outcomes", type=int, default=N_FORGED)
    arguments = parser.parse_args()
    if arguments.honest:
        for way in WAYS:
            pairs = [compared(way, seed, arguments.outcomes) for seed in range(arguments.seeds)]
            earned, left = [ratio for ratio, _ in pairs], statistics.mean(share for _, share in pairs)
            error = statistics.stdev(earned) / len(earned) ** 0.5
            row = {"earned": statistics.mean(earned), "error": error, "left": left}
            print(json.dumps({"way": way, **{name: round(value, 4) for name, value in row.items()}}), flush=True)
        return
    for kind in KINDS:
        moves = [moved(kind, seed, free=arguments.free) for seed in range(arguments.seeds)]
        sizes = [abs(each) for each in moves]
        row = {"mean": statistics.mean(sizes), "largest": max(sizes)}
        print(json.dumps({"kind": kind, **{name: round(value, 3) for name, value in row.items()}}), flush=True)


if __name__ == "__main__":
    end_by_sigterm()
    main()
