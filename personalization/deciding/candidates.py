"""The arms of a decision and all that is known of them: the catalog's, items, or brought by the caller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from personalization.catalog.catalog import Content
from personalization.catalog.compiled_catalog import Arm
from personalization.catalog.item import Item
from personalization.deciding.eligibility import ConditionalArm, conditional
from personalization.deciding.render import Renderer
from personalization.features import NO_FEATURES, FeatureValue, flat, pack

MAX_CANDIDATES = 1_000
"""What a decision's milliseconds are enough for, and its record."""

MAX_SELECTIONS = 1024
"""Sets of eligible arms remembered for candidates that stay."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Arms, ready to choose from.

    Attributes
    ----------
    arms
        Their ids, in order; the first eligible is the baseline.
    by_id
        The arms, of those that stay.
    bodies
        Of arms that are gone after the call, what is shown of each; else empty.
    conditional
        Those that may have to be left out, with what decides it: the others are eligible always.
    by_priority
        Ids as rules alone would take them: highest priority first, then in order.
    features
        What the model is told of each; None if nothing is said of any of them.
    refused
        Those that are left out whoever asks, with the reason.
    beside_catalog
        Ids of those that no version of the catalog has: a decision's record holds what was known of them.
    """

    arms: tuple[str, ...]
    by_id: Mapping[str, Arm]
    bodies: Mapping[str, Any]
    conditional: tuple[ConditionalArm, ...]
    by_priority: tuple[str, ...]
    features: Mapping[str, Mapping[str, FeatureValue]] | None
    refused: Mapping[str, str]
    beside_catalog: frozenset[str]
    _selections: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    _renderers: dict[str, Renderer] = field(default_factory=dict)
    _packed: dict[str, msgspec.Raw] = field(default_factory=dict)
    _other_types: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """The first that is not refused; where all are, the first."""
        return next((arm for arm in self.arms if arm not in self.refused), self.arms[0])

    def without(self, filtered: Mapping[str, str]) -> tuple[str, ...]:
        """The arms but the ``filtered`` ones; the same object for the same ones, which hashes and compares fast."""
        key = tuple(filtered)
        arms = self._selections.get(key)
        if arms is None:
            if len(self._selections) >= MAX_SELECTIONS:
                self._selections.clear()
            arms = self._selections[key] = tuple([arm for arm in self.arms if arm not in filtered])
        return arms

    def of_other_types(self, type_: str) -> tuple[str, ...]:
        """Those that stay and are of another type, in order; worked out once."""
        others = self._other_types.get(type_)
        if others is None:
            found = [arm.id for arm in self.by_id.values() if arm.content.type != type_]
            others = self._other_types[type_] = tuple(found)
        return others

    def packed_features(self, arm: str) -> msgspec.Raw:
        """What the model is told of an arm, as it travels with a decision."""
        packed = self._packed.get(arm)
        if packed is None:
            features = None if self.features is None else self.features.get(arm)
            packed = self._packed[arm] = NO_FEATURES if features is None else pack(features)
        return packed

    def renderer(self, arm: str) -> Renderer | None:
        """What shows an arm; None if it is not among these."""
        renderer = self._renderers.get(arm)
        if renderer is None:
            if arm not in self.by_id and arm not in self.bodies:
                return None
            renderer = self._renderers[arm] = Renderer(self.arm(arm).content)
        return renderer

    def arm(self, arm: str) -> Arm:
        """An arm by its id; raises ``KeyError`` for one that is not among these."""
        known = self.by_id.get(arm)
        return Arm(arm, Content(body=self.bodies[arm]), None) if known is None else known


def candidates_of(
    placement: str,
    arms: Iterable[Arm],
    *,
    refused: Mapping[str, str] | None = None,
    beside_catalog: Iterable[str] = (),
) -> Candidates:
    """Candidates of a placement made of arms, in their order.

    Parameters
    ----------
    refused
        Ids of those among them that are left out, with the reason.
    beside_catalog
        Ids of those among them that are not the catalog's.
    """
    by_id = {arm.id: arm for arm in arms}
    ordered = sorted(by_id.values(), key=lambda arm: -arm.content.priority)
    return Candidates(
        tuple(by_id),
        by_id,
        {},
        conditional(by_id.values(), placement),
        tuple([arm.id for arm in ordered]),
        features_by_arm(by_id.values()),
        {} if refused is None else refused,
        frozenset(beside_catalog),
    )


def passing_candidates(
    bodies: Mapping[str, Any], features: Mapping[str, Mapping[str, FeatureValue]] | None, refused: Mapping[str, str]
) -> Candidates:
    """Candidates that are gone after the call: their bodies by id, in order, and what models are told of them.

    Nothing is made of an arm before it is chosen: a thousand of them cost a millisecond.
    """
    arms = tuple(bodies)
    return Candidates(arms, {}, bodies, (), arms, features, refused, frozenset(arms))


def with_arms_of(placement: str, arms: Sequence[Arm], items: Mapping[str, Item]) -> Candidates:
    """A placement's own arms, and those of items; an id that the catalog has is the catalog's.

    Of more than ``MAX_CANDIDATES`` those of highest priority stay, of these the ones that started last.
    """
    own = {arm.id for arm in arms}
    beside = [Arm(each, item.content, None, item.in_stock) for each, item in items.items() if each not in own]
    if len(own) + len(beside) > MAX_CANDIDATES:
        beside.sort(key=_worth, reverse=True)
        beside = sorted(beside[: max(0, MAX_CANDIDATES - len(own))], key=lambda arm: arm.id)
    return candidates_of(placement, [*arms, *beside], beside_catalog=[arm.id for arm in beside])


def _worth(arm: Arm) -> tuple[bool, int, int, str]:
    """By what items beyond the bound are chosen."""
    return arm.in_stock, arm.content.priority, arm.content.starts_ms or 0, arm.id


def features_by_arm(arms: Iterable[Arm]) -> dict[str, dict[str, FeatureValue]] | None:
    """What the model is told of the arms; None if nothing is said of any of them."""
    found = {arm.id: flat(arm.content.features) for arm in arms if arm.content.features}
    return found or None


def told_of(candidates: Candidates, arms: Sequence[str]) -> dict[str, Mapping[str, FeatureValue]]:
    """What the model was told of those of ``arms`` that no version of the catalog has."""
    if not candidates.beside_catalog or candidates.features is None:
        return {}
    features, beside = candidates.features, candidates.beside_catalog
    return {arm: features[arm] for arm in arms if arm in beside and arm in features}
