"""What the decider works out once per catalog version rather than once per request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from personalization.audience.context import FeatureName, feature_names
from personalization.catalog.caps import counts_with_others
from personalization.catalog.compiled_catalog import CompiledCatalog, CompiledPlacement
from personalization.catalog.item import Item
from personalization.deciding.candidates import Candidates, candidates_of, with_arms_of
from personalization.deciding.eligibility import SharedCaps, shared_caps
from personalization.deciding.experiments import Experiments, variants_layer
from personalization.deciding.holdout import global_layer, placement_layer
from personalization.deciding.render import Renderer

NO_ITEMS: Mapping[str, Item] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PreparedPlacement:
    """A placement, ready to decide.

    Attributes
    ----------
    candidates
        Its arms: the catalog's, and the items that its tags take.
    shared_caps
        Those whose caps count other contents too.
    variants
        What each of its variants makes of it.
    experiments
        Its holdouts and variants, and who is in them.
    """

    compiled: CompiledPlacement
    candidates: Candidates
    shared_caps: tuple[SharedCaps, ...]
    features: tuple[FeatureName, ...]
    variants: dict[str, PreparedPlacement]
    experiments: Experiments[PreparedPlacement]


@dataclass(frozen=True, slots=True)
class PreparedCatalog:
    """One catalog version, ready to decide.

    Attributes
    ----------
    counted_together
        Ids of the contents whose showings count together with those of other contents, in some placement.
    """

    catalog: CompiledCatalog
    placements: dict[str, PreparedPlacement]
    renderers: dict[str, Renderer]
    counted_together: frozenset[str]


def prepare(catalog: CompiledCatalog) -> PreparedCatalog:
    """Work it out."""
    return PreparedCatalog(
        catalog,
        {name: _prepare(catalog, placement) for name, placement in catalog.placements.items()},
        {name: Renderer(content) for name, content in catalog.catalog.content.items()},
        frozenset(name for name, content in catalog.catalog.content.items() if counts_with_others(content)),
    )


def with_items(prepared: PreparedCatalog, items: Mapping[str, Mapping[str, Item]]) -> PreparedCatalog:
    """The same version, with other items.

    Parameters
    ----------
    items
        By placement that takes any, those it takes by id.
    """
    catalog = prepared.catalog
    taking = {name: _prepare(catalog, catalog.placements[name], taken) for name, taken in items.items()}
    return replace(prepared, placements={**prepared.placements, **taking})


def _prepare(
    catalog: CompiledCatalog, placement: CompiledPlacement, items: Mapping[str, Item] = NO_ITEMS
) -> PreparedPlacement:
    name = placement.name
    variants = {variant: _prepare(catalog, each, items) for variant, each in placement.variants.items()}
    return PreparedPlacement(
        placement,
        with_arms_of(name, placement.arms, items) if items else candidates_of(name, placement.arms),
        shared_caps(placement.arms, name),
        feature_names(placement.features),
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
