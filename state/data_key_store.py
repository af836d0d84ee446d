"""The data key: what personal data of an installation are encrypted with, made once by lot and kept beside them.

A rotation of the secret seals the key anew, and nothing of the data: what was written under any number of secrets
before stays readable. A key that is lost is never followed by another in silence: its id stands beside it, and in
every value that was sealed under it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from redis.asyncio import Redis

from personalization.data_cipher import DATA_KEY_BYTES, DataCipher, key_id, sealed_under
from personalization.errors import Refused
from personalization.key_derivation import Secrets
from state.keys import Keys
from state.noted_secret import NotedSecret
from state.visitor_store import FENCE

PURPOSE = "data-key"

LOOKED_AT = 1_000
"""Visitors looked at before a first key is made: none may be sealed under another."""


class DataKeyStore(NotedSecret):
    """Makes the data key once, and gives it to a cipher.

    Parameters
    ----------
    random
        Gives so many random bytes (``os.urandom``).
    """

    def __init__(
        self, redis: Redis, keys: Keys, secrets: Secrets, cipher: DataCipher, random: Callable[[int], bytes]
    ) -> None:
        super().__init__(
            redis,
            keys.data_key,
            secrets,
            PURPOSE,
            "personal data are encrypted under another secret than those given here: set NEXTBEST_SECRET to the "
            "installation's, or NEXTBEST_SECRET_BEFORE to the one it had before; that of `nextbest up` is in its "
            "data folder (NEXTBEST_DATA_DIR)",
        )
        self._installation = keys
        self._cipher = cipher
        self._random = random

    async def load(self, *, makes: bool) -> None:
        """Give the data key to the cipher.

        Parameters
        ----------
        makes
            Whether one is made where none is. Else nothing is encrypted and nothing encrypted can be read.

        Raises
        ------
        Refused
            Where the key was noted under secrets that are not known here, or is lost.
        """
        key = await self.find()
        if key is None and makes:
            await self._check_nothing_is_sealed()
            first = self._random(DATA_KEY_BYTES)
            key = await self.note(first, (self._installation.data_key_id, key_id(first).hex()))
        if key is not None:
            self._cipher.use(key)

    def lost(self, said: str) -> Refused:
        """What a person is told where data are sealed, and the key is not there."""
        return Refused(
            f"the data key {said}, under which personal data are encrypted, is not in Redis any more: restore "
            f"{self._name} from a backup of Redis. Without it nobody can read them again; to begin without them, "
            "take another NEXTBEST_NAMESPACE"
        )

    async def _check_nothing_is_sealed(self) -> None:
        """Look at some of the visitors: a note that was deleted together with its id leaves them."""
        n = 0
        async for name in self._redis.scan_iter(match=f"{self._installation.namespace}:visitor:*", count=LOOKED_AT):
            head = cast("bytes", await self._redis.getrange(name, FENCE.size, FENCE.size + 32))
            known_as = sealed_under(head)
            if known_as is not None and not await self._redis.exists(self._name):
                raise self.lost(known_as)
            n += 1
            if n >= LOOKED_AT:
                return
