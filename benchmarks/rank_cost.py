"""What ranking costs: CPU milliseconds of one call with 50 items and with 1,000, from its bytes to its answer's.

    python -m benchmarks.rank_cost [--rounds 7]

In one process: the body is read and checked, the items become candidates, the default model (which learned 2,000
outcomes of other items with the same features) gives every one its probability, one is drawn, and answer and record
are encoded. Each call brings items that nobody saw before. Medians over the rounds, process CPU alone.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time

import orjson

from api.dialects.own.rank_request import brought, read_rank
from benchmarks.ending import end_by_sigterm
from online_models.placement_model import PlacementModel
from personalization.catalog.catalog import Catalog, Content, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.deciding.decide import decide
from personalization.deciding.decider_catalog import prepare
from personalization.deciding.decision_keys import DecisionKeys
from personalization.deciding.request import DecideRequest, PlacementRequest
from personalization.events.decision_record import encode_record
from personalization.events.outcome import ClosingReason, Outcome
from personalization.key_derivation import Secrets
from personalization.visitor.choice import Choice
from personalization.visitor.visitor_state import VisitorState

NOW_MS = 1_767_225_600_000
SECTIONS = ("sport", "politics", "culture", "economy", "travel", "science")
CATALOG = Catalog(
    placements={"teasers": Placement(arms="caller", features=("device", "hour", "affinities"))},
    content={"none": Content()},
)


def item(draw: random.Random, item_id: str) -> dict[str, object]:
    """One article."""
    section = draw.choice(SECTIONS)
    return {"id": item_id, "features": {"section": section, "age_hours": draw.random() * 48, "words": 300.0}}


def learned(n_outcomes: int = 2_000) -> PlacementModel:
    """A model that knows sport is read most."""
    draw, model = random.Random(1), PlacementModel("teasers", "default")
    for n in range(n_outcomes):
        features = dict(item(draw, "")["features"])  # type: ignore[call-overload]
        choice = Choice(f"d{n}", "teasers", 0, f"old-{n % 200}", 2**31, "default")
        reward = float(draw.random() < (0.5 if features["section"] == "sport" else 0.1))
        context = {"device": draw.choice(("mobile", "desktop")), "hour": float(n % 24)}
        model.learn(
            Outcome(
                choice,
                reward=reward,
                reason=ClosingReason.WINDOW,
                decided_at_ms=n,
                closed_at_ms=n + 1,
                exposed_at_ms=n,
                features=context,
                arm_features=features,
            )
        )
    return model


def cost_ms(n_items: int, n_calls: int, model: PlacementModel, draw: random.Random) -> float:
    """CPU milliseconds a call."""
    keys = DecisionKeys.of(Secrets(b"secret"))
    prepared, snapshot = prepare(compile_catalog(CATALOG, 1)), model.snapshot(1)
    bodies = [
        orjson.dumps(
            {
                "visitor": {"anonymousId": f"v{call}"},
                "placement": "teasers",
                "items": [item(draw, f"{call}-{n}") for n in range(n_items)],
                "context": {"userAgent": "Mozilla/5.0 (iPhone)"},
            }
        )
        for call in range(n_calls)
    ]
    began_s = time.process_time()
    for number, body in enumerate(bodies):
        wire = read_rank(body)
        request = DecideRequest(
            request_id=str(number),
            placements=(PlacementRequest("teasers", 1, brought(wire)),),
            anonymous_id=str(wire.visitor.anonymous_id),
            context=wire.context or {},
            consent_default=True,
        )
        answer = decide(
            request,
            [VisitorState()],
            prepared,
            {"teasers": snapshot},
            NOW_MS,
            keys=keys,
            nonce=lambda number=number: number.to_bytes(9, "big"),  # type: ignore[misc]
        )
        for record in answer.records:
            encode_record(record)
        weights = answer.distributions[0]
        orjson.dumps([{"id": arm, "probability": p} for arm, p in zip(weights.arms, weights.weights, strict=True)])
    return (time.process_time() - began_s) / n_calls * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    model, draw = learned(), random.Random(2)
    cost_ms(50, 20, model, draw)
    found = {
        n_items: [cost_ms(n_items, 4_000 // n_items, model, draw) for _ in range(rounds)] for n_items in (50, 1_000)
    }
    print(json.dumps({f"{n_items}_items_ms": round(statistics.median(ms), 2) for n_items, ms in found.items()}))


if __name__ == "__main__":
    end_by_sigterm()
    main()
