"""What personal data of an installation are encrypted with, as its settings say."""

from __future__ import annotations

import os

from redis.asyncio import Redis

from config.setting_values import DEVELOPMENT_SECRET
from config.settings import Settings
from installation.secrets_of import installed_secrets
from personalization.data_cipher import DataCipher
from state.data_key_store import DataKeyStore
from state.keys import Keys


def cipher_of(settings: Settings) -> DataCipher:
    """The cipher of a process; it can do nothing before ``load_data_key``."""
    seals = settings.encrypt == "on" or (settings.encrypt == "auto" and _has_secret(settings))
    cipher = DataCipher(seals, os.urandom)
    os.register_at_fork(after_in_child=cipher.renew)  # else parent and child would use the same nonces
    return cipher


async def load_data_key(
    settings: Settings, redis: Redis, keys: Keys, cipher: DataCipher, *, makes: bool = True
) -> None:
    """Read the data key; where there is none, make one.

    It is made where nothing is to be encrypted too, so that every process reads what another one encrypts. Only
    where the secret is the one that everybody knows there is none, unless the settings ask for it.

    Parameters
    ----------
    makes
        False for commands: they may run without the installation's secret.

    Raises
    ------
    Refused
        Where the secret is another, or the key is lost.
    """
    store = DataKeyStore(redis, keys, installed_secrets(settings), cipher, os.urandom)
    await store.load(makes=makes and (cipher.seals or _has_secret(settings)))


def _has_secret(settings: Settings) -> bool:
    return installed_secrets(settings).current != DEVELOPMENT_SECRET.encode()
