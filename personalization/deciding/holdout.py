"""Holdout: which visitors a placement serves its control, so that what personalising is worth can be seen."""

from __future__ import annotations

from personalization.catalog.catalog import Placement
from personalization.deciding.distribution import SCALE, ticket
from personalization.visitor.visitor_state import VisitorState

SALT = "holdout"


def is_control(secret: bytes, unit: bytes, placement: str, spec: Placement, state: VisitorState | None) -> bool:
    """Whether the visitor is served the placement's control.

    The side of the first exposure stays; before it, the hash of the unit decides. Where the state could not be read
    nobody knows the side, and the visitor is answered as anyone is.
    """
    if spec.holdout <= 0 or state is None:
        return False
    side = state.holdouts.get(placement)
    if side is not None:
        return side.control
    return ticket(secret, f"{SALT}\x1f{placement}\x1f{unit.hex()}") < spec.holdout * SCALE
