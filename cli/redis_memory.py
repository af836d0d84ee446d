"""What the embedded Redis may keep in memory."""

from __future__ import annotations

from background.memory import memory_bytes
from config.settings import Settings


def embedded_redis_bytes(settings: Settings) -> int:
    """The setting's bytes, else half of what there is: rewriting its file needs room beside the data."""
    return settings.redis_memory_bytes or memory_bytes() // 2
