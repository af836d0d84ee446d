"""Holdouts: the experiments that show what personalising is worth.

Each placement may have one, whose control sees what the placement's ``control`` says. The catalog's own holds
persons out of all placements at once, in the layer that comes before every other.
"""

from __future__ import annotations

from typing import Any

from personalization.catalog.split import CONTROL
from personalization.deciding.assignment import Assignment, Experiment, Layer, Variant

HOLDOUT = "holdout"
ON_CONTROL: Assignment[Any] = Assignment(HOLDOUT, CONTROL, None)


def global_layer(share: float) -> Layer[Any]:
    """The layer before all others: ``share`` of all persons are control wherever they go."""
    return _layer(share, "global holdout")


def placement_layer(placement: str, share: float) -> Layer[Any]:
    """The layer of a placement's own holdout."""
    return _layer(share, f"holdout\x1f{placement}")


def _layer(share: float, salt: str) -> Layer[Any]:
    return Layer([Experiment(HOLDOUT, (Variant(CONTROL, share, salt, None),))])
