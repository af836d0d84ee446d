"""The experiments of one placement, and where a visitor is among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic

from personalization.deciding.assignment import Assignment, Experiment, Layer, T, Variant, assign
from personalization.deciding.holdout import ON_CONTROL
from personalization.visitor.visitor_state import VisitorState


class Experiments(Generic[T]):
    """The holdouts of a placement and its variants, as layers: whom a holdout takes is in no variant.

    Parameters
    ----------
    placement
        Its name, under which the side of the first exposure is recorded.
    holdouts
        The catalog's and the placement's own; empty: nobody is held out.
    variants
        Its variants, if it has any.
    """

    __slots__ = ("_all", "_holdouts", "_placement", "_variants")

    def __init__(self, placement: str, holdouts: tuple[Layer[T], ...], variants: tuple[Layer[T], ...] = ()) -> None:
        self._placement = placement
        self._holdouts = holdouts
        self._variants = variants
        self._all = (*holdouts, *variants)

    def assignment(self, secret: bytes, unit: bytes, state: VisitorState | None) -> Assignment[T | None]:
        """Where the visitor is.

        The side of the first exposure stays; before it, the hash of the unit decides. If the state could not be
        read nobody knows the side, and the visitor is answered as anyone is.
        """
        if state is None or not self._holdouts:
            return assign(secret, unit, self._variants)
        side = state.holdouts.get(self._placement)
        if side is None:
            return assign(secret, unit, self._all)
        return ON_CONTROL if side.control else assign(secret, unit, self._variants)


def variants_layer(placement: str, shares: Mapping[str, float], overrides: Mapping[str, T]) -> Layer[T]:
    """The layer of a placement's variants, which claim their shares in the order of their names.

    The order in which a catalog writes them means nothing: published again in another one, it is the same catalog.
    """
    return Layer(
        [
            Experiment(
                placement,
                tuple(
                    Variant(name, share, f"variant\x1f{placement}\x1f{name}", overrides[name])
                    for name, share in sorted(shares.items())
                ),
            )
        ]
    )
