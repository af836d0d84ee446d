"""What opens the personal data of an installation that tests look into."""

from __future__ import annotations

import os

from config.settings import Settings
from installation.encryption import cipher_of, load_data_key
from installation.redis_clients import worker_client
from personalization.data_cipher import DATA_KEY_BYTES, DataCipher
from state.keys import Keys


def new_cipher(key: bytes | None = None) -> DataCipher:
    """A cipher that seals, under ``key`` or one of its own."""
    cipher = DataCipher(True, os.urandom)
    cipher.use(os.urandom(DATA_KEY_BYTES) if key is None else key)
    return cipher


async def cipher_at(settings: Settings) -> DataCipher:
    """The cipher of an installation: it opens what is sealed there, if it has a data key."""
    cipher = cipher_of(settings)
    redis = worker_client(settings.redis)
    try:
        await load_data_key(settings, redis, Keys(settings.namespace), cipher, makes=False)
    finally:
        await redis.aclose()
    return cipher
