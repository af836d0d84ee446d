"""One ticket, one draw (the rule *Randomness*): what another policy would have earned is estimated without bias.

Worlds of sticky choices, caps, rules that change, holdouts, slots and two versions of a model at once. For each arm
the inverse-propensity estimate of its reward is held against the truth, over all trials where it was eligible; the
standard error is clustered by visitor. The control draws by the ticket of the visitor's session, as a choice that
may not be shown any more once was drawn again: it must fail, or the test shows nothing.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from personalization.catalog.catalog import Cap, Content, Placement
from personalization.deciding import slots
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.events.decision_record import DecisionRecord
from personalization.events.emission import DerivedEntry
from personalization.events.entry import Entry, Position
from personalization.events.event import Rewarded, TimedOut
from personalization.events.outcome import Outcome
from personalization.folding.fold import fold
from personalization.visitor.visitor import Visitor
from personalization.visitor.visitor_state import VisitorState, decode_visitor, encode_visitor
from tests.unit.personalization.scenes import NOW, Likes, ask, catalog, nonces, run

ARMS = ("red", "green", "blue")
TRUTH = {"red": 0.6, "green": 0.3, "blue": 0.1}
N_VISITORS = 1_500
N_VISITS = 4
STEP_MS = 60_000
MODELS = (Likes(1, red=5, green=3, blue=2), Likes(2, red=2, green=3, blue=5))


def contents(cap: Cap | None, rule: bool) -> dict[str, Content]:
    """The three arms; ``rule``: the best one may be shown for the first two visits only."""
    ends_ms = NOW + 2 * STEP_MS if rule else None
    return {
        arm: Content(body=arm, cap=() if cap is None else (cap,), ends_ms=ends_ms if arm == "red" else None)
        for arm in ARMS
    }


WORLDS: dict[str, dict[str, Any]] = {
    "drawn anew each time": {},
    "sticky": {"sticky": True},
    "sticky, capped": {"sticky": True, "cap": Cap(limit=1)},
    "sticky, a rule changes": {"sticky": True, "rule": True},
    "sticky, two models at once": {"sticky": True, "both": True},
    "sticky, capped, two models at once": {"sticky": True, "cap": Cap(limit=2), "both": True},
    "sticky, held out evenly": {"sticky": True, "holdout": 0.3, "control": "uniform", "cap": Cap(limit=1)},
    "two slots, sticky, capped": {"sticky": True, "slots": 2, "cap": Cap(limit=2), "rule": True},
    "two slots": {"slots": 2, "both": True},
}


def play(shop: PreparedCatalog, visitor_id: str, both: bool, draw: random.Random) -> Iterator[tuple[Any, Any]]:
    """One visitor's visits through decision and fold; gives (record, outcome) of each trial that trains."""
    visitor, key = Visitor.new(), f"a:{visitor_id}"
    records: dict[str, DecisionRecord] = {}
    outcomes: list[Outcome] = []
    offset = -1
    nonce = nonces()

    def tell(entry: Entry) -> None:
        nonlocal offset
        offset += 1
        for emission in fold(visitor, key, Position(1, offset), entry, shop.catalog).emissions:
            assert isinstance(emission, Outcome) or not isinstance(emission, DerivedEntry)
            if isinstance(emission, Outcome):
                outcomes.append(emission)

    def happens(at_ms: int, event: Any) -> None:
        tell(Entry(received_at_ms=at_ms, occurred_at_ms=at_ms, catalog_version=3, event=event))

    for visit in range(N_VISITS):
        at_ms = NOW + visit * STEP_MS
        models = draw.sample(MODELS, 2) if both else MODELS[:1]
        # Calls at once know the same state, and their decisions reach the log one after the other.
        answers = [
            run(
                shop,
                ask(anonymous_id=visitor_id),
                [_copy(visitor)],
                {"hero": model},
                now_ms=at_ms,
                nonce=nonce,
            )
            for model in models
        ]
        for answer in answers:
            for entry in answer.entries:
                tell(entry)
            for record in answer.records:
                if record.choice.decision_id not in records:
                    records[record.choice.decision_id] = record
                    reward = float(draw.random() < TRUTH[record.choice.arm])
                    happens(
                        at_ms,
                        Rewarded(message_id=f"r{offset}", decision_id=record.choice.decision_id, value=reward),
                    )
    end_ms = NOW + N_VISITS * STEP_MS + 31 * 60_000
    happens(end_ms, TimedOut(due_ms=end_ms))
    for outcome in outcomes:
        if outcome.trains:
            yield records[outcome.choice.decision_id], outcome


def _copy(visitor: Visitor) -> VisitorState:
    return decode_visitor(encode_visitor(visitor.state))


def z_scores(cap: Cap | None = None, *, rule: bool = False, both: bool = False, **terms: Any) -> dict[str, float]:
    """Of each arm's estimate, by how many clustered standard errors it is off."""
    placement = Placement(content=ARMS, default="red", **terms)
    shop = catalog(contents(cap, rule), hero=placement)
    draw = random.Random(7)
    sums: dict[str, list[float]] = defaultdict(list)
    for n in range(N_VISITORS):
        of_visitor: dict[str, float] = defaultdict(float)
        for record, outcome in play(shop, f"v{n}", both, draw):
            for arm, weight in zip(record.arms, record.weights, strict=True):
                earned = outcome.reward * 2**32 / weight if arm == outcome.choice.arm else 0.0
                of_visitor[arm] += earned - TRUTH[arm]
        for arm, total in of_visitor.items():
            sums[arm].append(total)
    return {arm: sum(totals) / math.sqrt(sum(total**2 for total in totals)) for arm, totals in sums.items()}


@pytest.mark.parametrize("world", WORLDS)
def test_estimates_of_other_policies_are_unbiased(world: str) -> None:
    scores = z_scores(**WORLDS[world])
    assert len(scores) == len(ARMS)
    assert max(map(abs, scores.values())) < 4, scores


@pytest.mark.parametrize("world", ["sticky, capped", "sticky, a rule changes"])
def test_a_ticket_that_is_used_twice_is_no_draw(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_session(*, unit: bytes, placement: str, slot: int, **_: Any) -> str:
        return f"sticky/{unit.hex()}/{placement}/{slot}/1"

    monkeypatch.setattr(slots, "sticky_draw_name", of_the_session)
    scores = z_scores(**WORLDS[world])
    assert max(map(abs, scores.values())) > 5, scores
