"""Which experiment a person takes part in, and on which side: by keyed hashes of their unit alone.

A *layer* holds experiments that exclude each other: nobody takes part in two of them. Layers know nothing of each
other: who is where in one says nothing of the other. Nothing is stored, so all processes agree, and whoever logs in
stays where they were, as their unit does (``VisitorState.unit``).

Within a layer the variants claim persons one after the other, each with a ticket of its own, out of those that no
variant before it claimed: b is a fifth of all, and comes behind a, which is half of them, so b claims two fifths of
what a left. Growing a share therefore moves nobody out of the growing variant, nor out of those before it.
Stretches of one ticket's line would not do: all that lies behind a growing one is shifted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from personalization.deciding.distribution import SCALE, ticket

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Variant(Generic[T_co]):
    """One side of an experiment.

    Attributes
    ----------
    share
        Of all persons, [0, 1].
    salt
        What its ticket is named by, beside the unit. Never changed: that would move everybody.
    overrides
        What is different for those who are in it.
    """

    name: str
    share: float
    salt: str
    overrides: T_co


@dataclass(frozen=True, slots=True)
class Experiment(Generic[T_co]):
    """A name, and the variants that are compared; who is in none of them sees what everybody sees."""

    name: str
    variants: tuple[Variant[T_co], ...]


@dataclass(frozen=True, slots=True)
class Assignment(Generic[T_co]):
    """Where a person is; the names are empty if they take part in nothing."""

    experiment: str
    variant: str
    overrides: T_co


class Layer(Generic[T_co]):
    """Experiments that exclude each other.

    Raises
    ------
    ValueError
        If a share is no share, or they are more than everybody.
    """

    __slots__ = ("claims",)

    def __init__(self, experiments: Iterable[Experiment[T_co]]) -> None:
        claims: list[tuple[str, int, Assignment[T_co]]] = []
        left, total = SCALE, 0.0
        for experiment in experiments:
            for variant in experiment.variants:
                total += variant.share
                if not 0.0 <= variant.share <= 1.0 or total > 1.0 + 1e-9:
                    raise ValueError(f"{experiment.name}, {variant.name}: {variant.share}, with all before {total}")
                n_units = min(math.ceil(variant.share * SCALE), left)
                if n_units:
                    assignment = Assignment(experiment.name, variant.name, variant.overrides)
                    claims.append((variant.salt, n_units * SCALE // left, assignment))
                left -= n_units
        self.claims = tuple(claims)
        """Salt, and out of 2³² of those who are left how many are claimed for what."""


NOT_ASSIGNED: Assignment[Any] = Assignment("", "", None)


def assign(secret: bytes, unit: bytes, layers: Sequence[Layer[T]]) -> Assignment[T | None]:
    """Where the person of ``unit`` is, by the first layer that has a place for them.

    >>> own = Layer([Experiment("hero", (Variant("b", 1.0, "hero/b", {"policy": "thompson"}),))])
    >>> assign(b"secret", b"person", [Layer([]), own])
    Assignment(experiment='hero', variant='b', overrides={'policy': 'thompson'})
    >>> assign(b"secret", b"person", [Layer([])]).variant
    ''
    """
    for layer in layers:
        for salt, share, assignment in layer.claims:
            if share >= SCALE or ticket(secret, f"{salt}\x1f{unit.hex()}") < share:
                return assignment
    return NOT_ASSIGNED
