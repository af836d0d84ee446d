"""Holdout: which visitors a placement serves its control, so that what personalising is worth can be seen."""

from __future__ import annotations

from personalization.catalog import Placement
from personalization.distribution import SCALE, ticket
from personalization.visitor_state import VisitorState

SALT = "holdout"


def is_control(secret: bytes, key: str, placement: str, spec: Placement, state: VisitorState | None) -> bool:
    """Whether the visitor is served the placement's control.

    The side of the first exposure stays; before it, the hash of the key decides.
    """
    if spec.holdout <= 0:
        return False
    if state is not None:
        side = state.holdouts.get(placement)
        if side is not None:
            return side.control
    return ticket(secret, f"{SALT}\x1f{placement}\x1f{key}") < spec.holdout * SCALE
