"""What the decider works out once per catalog version rather than once per request."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from personalization.audience.context import FeatureName, feature_names
from personalization.catalog.catalog import Content
from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledPlacement
from personalization.deciding.eligibility import ConditionalArm, SharedCaps, conditional, shared_caps
from personalization.deciding.experiments import Experiments, variants_layer
from personalization.deciding.holdout import global_layer, placement_layer
from personalization.deciding.render import Renderer
from personalization.features import FeatureValue, flat, pack

MAX_SELECTIONS = 1024
"""Sets of eligible arms remembered per placement."""


@dataclass(frozen=True, slots=True)
class PreparedPlacement:
    """A placement, ready to decide.

    Attributes
    ----------
    conditional
        The arms that may have to be left out, with what decides it: the others are eligible always.
    shared_caps
        The arms whose caps count other contents too.
    by_priority
        Ids of the arms as rules alone would take them: highest priority first, then the catalog's order.
    packed_arm_features
        What the model is told of each arm, as it travels with a decision.
    variants
        What each of its variants makes of it.
    experiments
        Its holdouts and variants, and who is in them.
    """

    compiled: CompiledPlacement
    arms: tuple[str, ...]
    conditional: tuple[ConditionalArm, ...]
    shared_caps: tuple[SharedCaps, ...]
    by_priority: tuple[str, ...]
    features: tuple[FeatureName, ...]
    arm_features: dict[str, dict[str, FeatureValue]] | None
    packed_arm_features: dict[str, msgspec.Raw]
    variants: dict[str, PreparedPlacement]
    experiments: Experiments[PreparedPlacement]
    selections: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def without(self, filtered: dict[str, str]) -> tuple[str, ...]:
        """The arms but the ``filtered`` ones; the same object for the same ones, which hashes and compares fast."""
        key = tuple(filtered)
        arms = self.selections.get(key)
        if arms is None:
            if len(self.selections) >= MAX_SELECTIONS:
                self.selections.clear()
            arms = self.selections[key] = tuple([arm for arm in self.arms if arm not in filtered])
        return arms


@dataclass(frozen=True, slots=True)
class PreparedCatalog:
    """One catalog version, ready to decide."""

    catalog: CompiledCatalog
    placements: dict[str, PreparedPlacement]
    renderers: dict[str, Renderer]


def prepare(catalog: CompiledCatalog) -> PreparedCatalog:
    """Work it out."""
    return PreparedCatalog(
        catalog,
        {name: _prepare(catalog, placement) for name, placement in catalog.placements.items()},
        {name: Renderer(content) for name, content in catalog.catalog.content.items()},
    )


def _prepare(catalog: CompiledCatalog, placement: CompiledPlacement) -> PreparedPlacement:
    arms = tuple(arm.id for arm in placement.arms)
    by_priority = sorted(placement.arms, key=lambda arm: -arm.content.priority)
    arm_features = features_by_arm(catalog.catalog.content, arms)
    variants = {name: _prepare(catalog, each) for name, each in placement.variants.items()}
    return PreparedPlacement(
        placement,
        arms,
        conditional(placement.arms, placement.name),
        shared_caps(placement.arms, placement.name),
        tuple(arm.id for arm in by_priority),
        feature_names(placement.features),
        arm_features,
        {arm: pack(features) for arm, features in (arm_features or {}).items()},
        variants,
        _experiments(catalog.catalog.holdout, placement, variants),
    )


def _experiments(
    everywhere: float, placement: CompiledPlacement, variants: dict[str, PreparedPlacement]
) -> Experiments[PreparedPlacement]:
    name, own = placement.name, placement.spec.holdout
    holdouts = ((everywhere, global_layer(everywhere)), (own, placement_layer(name, own)))
    shares = {variant: spec.share for variant, spec in placement.spec.variants.items()}
    return Experiments(
        name,
        tuple(layer for share, layer in holdouts if share > 0),
        (variants_layer(name, shares, variants),) if variants else (),
    )


def features_by_arm(
    content: dict[str, Content], arms: tuple[str, ...]
) -> dict[str, dict[str, FeatureValue]] | None:
    """What the model is told of the arms; None where the catalog says nothing of any of them."""
    found = {arm: flat(content[arm].features) for arm in arms if content[arm].features}
    return found or None
