"""Rank and Reward, the retired Azure Personalizer's API, as ``docs/dialects/rank_reward.md`` has it."""

from api.dialects.rank_reward.routes import RANK_REWARD

__all__ = ["RANK_REWARD"]
