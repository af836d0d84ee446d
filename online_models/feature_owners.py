"""Which feature of the context each encoded dimension belongs to."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

from online_models.frozen_encoder import N_HASHED, FrozenEncoder, fill
from online_models.reward_model import FloatArray

OTHERS = "(other names)"
"""Whose a shared dimension is that nothing in this context stands in."""


class FeatureOwners:
    """Adds up dimensions by the feature they encode, in one context.

    All levels of a category are its dimensions, and so is the flag that says whether a number was missing. A shared
    dimension is divided among the names that stand in it in this context, by how much each put in.

    Parameters
    ----------
    encoder
        Whose dimensions they are.
    context
        Raw features.
    """

    def __init__(self, encoder: FrozenEncoder, context: Mapping[Any, Any]) -> None:
        owners: dict[int, dict[str, float]] = {}
        for dims in (encoder.numeric, encoder.missing):
            owners.update({dim: {str(name): 1.0} for name, dim in dims.items()})
        for name, levels in encoder.levels.items():
            owners.update({dim: {str(name): 1.0} for dim in levels.values()})
        if encoder.hashed_from >= 0:
            owners.update(_shared(encoder, context))
        self._owners = owners

    def added_up(self, by_dimension: FloatArray) -> dict[str, float]:
        """The sum of each feature, the largest first; what is 0 is left out.

        Parameters
        ----------
        by_dimension
            Shape (d,).
        """
        sums: dict[str, float] = {}
        for dim, amount in enumerate(by_dimension.tolist()):
            if amount:
                for name, share in self._owners.get(dim, {OTHERS: 1.0}).items():
                    sums[name] = sums.get(name, 0.0) + share * amount
        return dict(sorted(sums.items(), key=lambda each: (-abs(each[1]), each[0])))

    def groups(self) -> dict[str, list[int]]:
        """The dimensions of each feature; those that several share are the others'."""
        groups: dict[str, list[int]] = {}
        for dim, names in sorted(self._owners.items()):
            name = next(iter(names)) if len(names) == 1 else OTHERS
            groups.setdefault(name, []).append(dim)
        return groups


def _shared(encoder: FrozenEncoder, context: Mapping[Any, Any]) -> dict[int, dict[str, float]]:
    """Of each shared dimension whose it is, and to which part."""
    first = encoder.hashed_from
    amounts: dict[int, dict[str, float]] = {dim: {} for dim in range(first, first + N_HASHED)}
    for name, value in context.items():
        row = array("d", bytes(8 * encoder.n_dims))
        fill(row, {name: value}, encoder.numeric, encoder.missing, encoder.levels, first)
        for dim, by_name in amounts.items():
            if row[dim]:
                by_name[str(name)] = abs(row[dim])
    return {
        dim: {name: amount / sum(by_name.values()) for name, amount in by_name.items()} or {OTHERS: 1.0}
        for dim, by_name in amounts.items()
    }
