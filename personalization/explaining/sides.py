"""On which side of a placement's holdout somebody is, and which holdout takes them."""

from __future__ import annotations

from personalization.deciding.assignment import assign
from personalization.deciding.decider_catalog import PreparedCatalog
from personalization.deciding.holdout import global_layer, placement_layer
from personalization.explaining.explanation import HoldoutSide
from personalization.visitor.visitor_state import VisitorState


def holdout_side(
    control: bool | None,
    unit: bytes,
    placement: str,
    state: VisitorState | None,
    catalog: PreparedCatalog,
    secret: bytes,
) -> HoldoutSide | None:
    """The side; None where the placement holds nobody out.

    Parameters
    ----------
    control
        The side that was decided by; None: it was not known.
    state
        Knows since when; None: it may not be looked at.
    secret
        What persons are assigned by.
    """
    everywhere = catalog.catalog.catalog.holdout
    prepared = catalog.placements.get(placement)
    own = 0.0 if prepared is None else prepared.compiled.spec.holdout
    recorded = None if state is None else state.holdouts.get(placement)
    if not everywhere and not own and not control and recorded is None:
        return None
    side = HoldoutSide(control=control)
    if control and everywhere and assign(secret, unit, (global_layer(everywhere),)).variant:
        side = HoldoutSide(control=control, layer="catalog")
    elif control and own and assign(secret, unit, (placement_layer(placement, own),)).variant:
        side = HoldoutSide(control=control, layer="placement")
    if recorded is None:
        return side
    return HoldoutSide(
        control=side.control, layer=side.layer, since_ms=recorded.first_ms, crossover=recorded.crossover
    )
