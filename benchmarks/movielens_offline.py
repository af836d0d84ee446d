"""The film demo without servers: same data, shelves, scores, model, policy and snapshot code; no log in between.

What the loop's own lag costs is the difference between this and ``nextbest demo``. Rewards are learned when the
film that decides them arrives, as there. Contexts are the demo catalog's, computed here directly: decayed counts of
genres rated and liked, and, with ``--traits``, age, gender and occupation; shelves have their genres as features.

    .venv/bin/python -m benchmarks.movielens_offline [--events 20000] [--rated 0.6] [--liked 0.8] [--long 0.98]
        [--seeds 2] [--policy-parameters '{"alpha": 0.15}'] [--model NAME] [--model-parameters JSON] [--traits]
        [--plain-shelves] [--dataset FILE]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.ending import end_by_sigterm
from cli.demo.baselines import MostPopular, uniform_hit_rate
from cli.demo.movielens import MovieLens, Rating, load
from cli.demo.scores import Scores
from cli.demo.shelves import PLACEMENT, SHELVES, carried_by
from online_models.placement_model import PlacementModel
from personalization.catalog.policy_spec import ModelSpec, PolicySpec
from personalization.deciding.distribution import ticket
from personalization.events.outcome import ClosingReason, Outcome
from personalization.features import FeatureValue, flat
from personalization.visitor.choice import Choice


@dataclass(slots=True)
class Waiting:
    """A decision whose film has not come yet."""

    outcome: Outcome
    most_popular: str


class Tastes:
    """Decayed genre counts of one person, as the demo catalog's affinities keep them."""

    def __init__(self, decays: dict[str, float]) -> None:
        self.decays = decays
        self.weights: dict[str, dict[str, float]] = {name: {} for name in decays}

    def rate(self, genres: tuple[str, ...], liked: bool) -> None:
        """One more film."""
        for name, decay in self.decays.items():
            if name != "rated" and not liked:
                continue
            faded = {genre: weight * decay for genre, weight in self.weights[name].items()}
            self.weights[name] = faded | {genre: faded.get(genre, 0.0) + 1.0 for genre in genres}

    def features(self) -> dict[str, FeatureValue]:
        """As ``personalization.audience.context`` would spell them."""
        return {
            f"affinities.{name}.{genre}": weight
            for name, weights in self.weights.items()
            for genre, weight in weights.items()
        }


def play(
    data: MovieLens,
    ratings: tuple[Rating, ...],
    model: ModelSpec,
    policy: PolicySpec,
    decays: dict[str, float],
    traits: bool,
    plain_shelves: bool,
    seed: int,
) -> Scores:
    """One pass over the ratings."""
    learner = PlacementModel(PLACEMENT, model)
    arms = tuple(SHELVES)
    popular, scores = MostPopular(list(arms)), Scores()
    about = None if plain_shelves else {arm: flat({"genres": tuple(sorted(SHELVES[arm]))}) for arm in arms}
    tastes: dict[int, Tastes] = defaultdict(lambda: Tastes(decays))
    waiting: dict[int, list[Waiting]] = defaultdict(list)
    snapshot = learner.snapshot()
    secret = f"movielens {seed}".encode()
    for index, rating in enumerate(ratings):
        genres = data.films[rating.item].genres
        if rating.liked and waiting[rating.user]:
            clicked = carried_by(genres)
            for one in waiting.pop(rating.user):
                reward = float(clicked[one.outcome.choice.arm])
                learner.learn(msgspec.structs.replace(one.outcome, reward=reward, closed_at_ms=index))
                popular.learn(clicked)
                scores.add(rating.user, bool(reward), clicked[one.most_popular], uniform_hit_rate(clicked))
            snapshot = learner.snapshot()
        tastes[rating.user].rate(genres, rating.liked)
        context = tastes[rating.user].features()
        if traits:
            who = data.people[rating.user]
            context |= {
                "traits.age": float(who.age),
                "traits.gender": who.gender,
                "traits.occupation": who.occupation,
            }
        distribution = snapshot.distribution(arms, context, policy=policy, arm_features=about)
        at = distribution.draw(ticket(secret, str(index)))
        outcome = Outcome(
            Choice(str(index), PLACEMENT, 0, arms[at], distribution.weights[at]),
            0.0,
            ClosingReason.FINAL,
            index,
            index,
            index,
            features=context,
            arm_features=about[arms[at]] if about is not None else {},
        )
        waiting[rating.user].append(Waiting(outcome, popular.choose()))
    return scores


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--dataset", type=Path)
    parser.add_argument("--rated", type=float, default=0.6, help="what remains per film of genres rated")
    parser.add_argument("--liked", type=float, default=0.8, help="the same of genres liked")
    parser.add_argument("--long", type=float, default=0.98, help="genres liked once more, fading slower")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--traits", action="store_true")
    parser.add_argument("--plain-shelves", action="store_true", help="the model is not told what is on a shelf")
    parser.add_argument("--model", default="default")
    parser.add_argument("--model-parameters", type=json.loads, default={})
    parser.add_argument("--policy", default="default")
    parser.add_argument("--policy-parameters", type=json.loads, default={"alpha": 0.15})
    parser.add_argument("--epsilon", type=float, default=0.005)
    options = parser.parse_args()
    data = load(options.dataset)
    model = ModelSpec(options.model, options.model_parameters)
    policy = PolicySpec(name=options.policy, epsilon=options.epsilon, parameters=options.policy_parameters)
    decays = {"rated": options.rated, "liked": options.liked, "long": options.long}
    runs = []
    for seed in range(options.seeds):
        scores = play(
            data, data.ratings[: options.events], model, policy, decays, options.traits, options.plain_shelves, seed
        )
        difference = scores.difference()
        run: dict[str, Any] = {
            "hit_rate": {
                "nextbest": round(scores.nextbest, 4),
                "uniform": round(scores.uniform, 4),
                "most_popular": round(scores.most_popular, 4),
            },
            "difference": {name: round(getattr(difference, name), 4) for name in ("mean", "low", "high")},
            "decisions": scores.n,
            "people": scores.n_people,
        }
        runs.append(run)
    mean = sum(run["hit_rate"]["nextbest"] for run in runs) / len(runs)
    print(json.dumps({"events": options.events, "nextbest": round(mean, 4), "runs": runs}))


if __name__ == "__main__":
    end_by_sigterm()
    main()
