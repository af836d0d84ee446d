"""Where a tier for a share of all visitors begins, in words."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from personalization.catalog.compiled_scores import CompiledScore
from personalization.catalog.tier_thresholds import MIN_VISITORS, TopShare

WAITING = (
    f"nobody reaches another tier before thresholds are computed, which needs {MIN_VISITORS} visitors: until then "
    "each keeps the one they have"
)


def where_tier_begins(score: CompiledScore, tier: str) -> str:
    """What makes somebody with this tier of a score have it, and since when that is so.

    Parameters
    ----------
    score
        One with tiers for shares of visitors.

    >>> from personalization.catalog.catalog import Catalog, PublishedCatalog, Score
    >>> from personalization.catalog.compiled_catalog import compile_catalog
    >>> from personalization.catalog.sections.scores import EventPoints
    >>> from personalization.catalog.tier_thresholds import TierThresholds
    >>> lead = Score(events=(EventPoints(event="page", points=1),), tiers={"hot": TopShare(top=0.1)})
    >>> plain = compile_catalog(Catalog(placements={}, content={}, scores={"lead": lead}), 1).scores.by_name["lead"]
    >>> where_tier_begins(plain, "rest").partition(",")[0]
    'nobody reaches another tier before thresholds are computed'
    >>> known = TierThresholds(plain.measured, 1_700_000_000_000, 512, ((0.1, 40.0),))
    >>> catalog = PublishedCatalog(placements={}, content={}, scores={"lead": lead}, thresholds={"lead": known})
    >>> lead = compile_catalog(catalog, 2).scores.by_name["lead"]
    >>> where_tier_begins(lead, "hot")
    'from 40 points on, the top 10% of 512 visitors at 2023-11-14 22:13 UTC, and kept down to 36'
    >>> where_tier_begins(lead, "rest")
    'fewer than the 40 points from which hot begins, the top 10% of 512 visitors at 2023-11-14 22:13 UTC'
    """
    known = score.thresholds
    if known is None:
        return WAITING
    names = [each.name for each in score.tiers]
    if tier not in names:
        return f"{tier} is not a tier of the catalog in force"
    at = datetime.fromtimestamp(known.at_ms / 1000, UTC)
    of_all = f"of {known.n_visitors:,} visitors at {at:%Y-%m-%d %H:%M} UTC"
    index = names.index(tier)
    if index:
        here = score.tiers[index]
        kept = f", and kept down to {here.lost_below:.4g}" if here.lost_below < here.starts_at else ""
        share = TopShare(top=score.shares[tier]).words
        return f"from {here.starts_at:.4g} points on, the {share} {of_all}{kept}"
    above = score.tiers[1]
    share = TopShare(top=score.shares[above.name]).words
    if math.isinf(above.starts_at):
        return f"too many have as many points as the most to tell the {share} {of_all} apart"
    begins = f"the {above.starts_at:.4g} points from which {above.name} begins"
    return f"fewer than {begins}, the {share} {of_all}"
