"""An evaluation as somebody asks for it: of an installation's placement, by a policy's name."""

from __future__ import annotations

from installation.opened import Installation
from operations.evaluating.evaluation import Evaluation, Weights, evaluate
from operations.evaluating.logged import read_logged
from operations.evaluating.policy_text import read_policy
from personalization.audience.context import DEFAULT_FEATURES
from personalization.catalog.catalog import Catalog, Placement
from personalization.catalog.compiled_catalog import compile_catalog
from personalization.errors import InvalidInput, Refused


async def evaluated(
    opened: Installation,
    placement: str,
    policy: str,
    *,
    since_ms: int = 0,
    segment: str = "",
    weights: Weights = "stretches",
) -> Evaluation:
    """Read the log, and evaluate the policy on it.

    Raises
    ------
    Refused
        Where no catalog is published, or it has no such placement.
    InvalidInput
        Where policy or segment cannot be.
    """
    latest = await opened.catalogs.latest()
    if latest is None:
        raise Refused("no catalog is published here: `nextbest publish` puts one in force")
    version, catalog = latest
    spec = catalog.placements.get(placement)
    if spec is None:
        known = ", ".join(sorted(catalog.placements)) or "none"
        raise Refused(f"the catalog has no placement {placement!r}: it has {known}")
    compiled = compile_catalog(catalog, version).placements[placement]
    arms = None if spec.arms == "caller" or spec.tags else compiled.all_arms()
    wanted = read_policy(policy, spec, arms)
    if segment:
        _check_segment(segment, spec, catalog)
    log = await read_logged(opened.log, placement, spec.reward_range, since_ms, segment)
    return evaluate(placement, policy, wanted, log, weights=weights, segment=segment)


def _check_segment(segment: str, placement: Placement, catalog: Catalog) -> None:
    """Who was in a segment is known of decisions whose model was told of it."""
    if segment not in catalog.segments:
        known = ", ".join(sorted(catalog.segments)) or "none"
        raise InvalidInput("--segment", f"the catalog has no segment {segment!r}: it has {known}", "unknown_name")
    features = placement.features or catalog.features or DEFAULT_FEATURES
    if not {"segments", f"segments.{segment}"} & set(features):
        raise InvalidInput(
            "--segment",
            f"who was in {segment} was not recorded: add segments to the features of the placement, then wait for "
            "decisions that are made by them",
        )
