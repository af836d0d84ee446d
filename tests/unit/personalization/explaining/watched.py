"""Decisions that are watched while they are made, for tests of their explanations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.decision import Answer
from personalization.deciding.request import DecideRequest
from personalization.deciding.watching import FilledSlot
from personalization.explaining.explanation import Explanation
from personalization.explaining.of_slot import explain_slot
from personalization.visitor.visitor_state import VisitorState
from tests.unit.personalization.scenes import run


def watched(
    shop: PreparedCatalog,
    request: DecideRequest | None = None,
    states: Sequence[VisitorState] | None = (),
    models: Mapping[str, Any] | None = None,
    **terms: Any,
) -> tuple[Answer, list[Explanation]]:
    """What was decided, and why."""
    slots: list[FilledSlot] = []
    answer = run(shop, request, states, models, watch=slots.append, **terms)
    return answer, [explain_slot(slot) for slot in slots]


def why(shop: PreparedCatalog, *terms: Any, **more: Any) -> Explanation:
    """Why the only slot shows what it shows."""
    _, (explained,) = watched(shop, *terms, **more)
    return explained
