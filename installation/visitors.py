"""Where the visitors of an installation are kept."""

from __future__ import annotations

from redis.asyncio import Redis

from config.settings import Settings
from installation.secrets_of import installed_secrets
from personalization.catalog.duration import DAY_MS
from personalization.data_cipher import DataCipher
from state.keys import Keys
from state.visitor_store import GONE_MS, RedisVisitorStore

FORGOTTEN = "forgotten"
"""The purpose of the key by which those who were forgotten are hashed."""


def visitors_of(
    settings: Settings, redis: Redis, keys: Keys, cipher: DataCipher, compare: bool = True
) -> RedisVisitorStore:
    """The visitors in ``redis``; see ``RedisVisitorStore`` for ``compare``."""
    gone_ms = max(GONE_MS, settings.log_age_ms + DAY_MS)
    return RedisVisitorStore(redis, keys, installed_secrets(settings).key(FORGOTTEN), gone_ms, compare, cipher)
