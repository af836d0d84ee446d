"""GrowthBook: placements as features of its SDKs, as ``docs/dialects/growthbook.md`` has it."""

from api.dialects.growthbook.routes import GROWTHBOOK

__all__ = ["GROWTHBOOK"]
