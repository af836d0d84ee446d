"""A secret kept beside the installation's data, sealed under each secret the installation has had.

It is noted when a process first comes: sealed (AES-SIV) under a key derived from each secret that the process
knows, never in the clear, since whoever reads Redis must not learn it. A process that knows one of them adds what
is missing for its others: thus the note goes along from secret to secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from redis.asyncio import Redis

from personalization.errors import Refused, Unavailable
from personalization.key_derivation import Secrets, accepted

# What is noted first is kept. KEYS: the note, what says that there was one; ARGV: its value, field, value, field …
_NOTE = """
if redis.call('EXISTS', KEYS[1]) == 0 then
  local said = redis.call('GET', KEYS[2])
  if said then return said end
  redis.call('HSET', KEYS[1], unpack(ARGV, 2))
  if ARGV[1] ~= '' then redis.call('SET', KEYS[2], ARGV[1]) end
end
return redis.call('HGETALL', KEYS[1])
"""


class NotedSecret:
    """Notes and finds one secret of an installation.

    Redis holds a hash: a name of a secret (no part of it) → the noted one, sealed under that secret.

    Parameters
    ----------
    name
        Of the hash.
    purpose
        Of the keys it is sealed under.
    foreign
        What a person is told who comes with other secrets: what is so, and what to do.
    """

    def __init__(self, redis: Redis, name: str, secrets: Secrets, purpose: str, foreign: str) -> None:
        self._redis = redis
        self._name = name
        self._secrets = secrets
        self._purpose = purpose
        self._foreign_words = foreign
        self._found: bytes | None = None

    @property
    def found(self) -> bytes:
        """What ``find`` or ``note`` found; raises ``Unavailable`` before."""
        if self._found is None:
            raise Unavailable(f"{self._name} was not read yet")
        return self._found

    async def find(self) -> bytes | None:
        """What is noted; None where nothing is.

        Raises
        ------
        Refused
            Where it was noted under secrets that are not known here.
        """
        noted: dict[bytes, bytes] = await cast("Any", self._redis.hgetall(self._name))
        return await self._take({name.decode(errors="replace"): each for name, each in noted.items()})

    async def note(self, first: bytes, said: tuple[str, str] = ("", "")) -> bytes:
        """What is noted; ``first`` if nothing is, or not any more: then it is noted now.

        Parameters
        ----------
        said
            A name in Redis and its value, which says from now on that there is a note.

        Raises
        ------
        Refused
            Where it was noted under secrets that are not known here, or is lost: something says that there was one.
        """
        sealed = _sealed(self._keys(), first if self._found is None else self._found, self._purpose)
        flat = [part for pair in sealed.items() for part in pair]
        name, value = said
        reply: Any = await cast(
            "Any", self._redis.eval(_NOTE, 2, self._name, name or self._name, value, *cast("Any", flat))
        )
        if isinstance(reply, bytes):
            raise self.lost(reply.decode(errors="replace"))
        noted = {name.decode(errors="replace"): each for name, each in zip(reply[::2], reply[1::2], strict=True)}
        found = await self._take(noted)
        assert found is not None
        return found

    async def check(self) -> None:
        """See that the secrets given here are the installation's, as far as it has noted any; notes nothing.

        Raises
        ------
        Refused
            Where they are not.
        """
        names: list[bytes] = await cast("Any", self._redis.hkeys(self._name))
        known = {name.encode() for name in self._keys()}
        if names and known.isdisjoint(names):
            raise Refused(self._foreign_words)

    def lost(self, said: str) -> Refused:
        """What a person is told where there was a note, as ``said`` says, and is none."""
        return Refused(f"{self._name} is not in Redis any more ({said}): restore it from a backup of Redis")

    async def _take(self, noted: Mapping[str, bytes]) -> bytes | None:
        """Open what is noted, and seal it under those secrets for which that is missing."""
        if not noted:
            return None
        keys = self._keys()
        opened = [_unsealed(keys[name], value, self._purpose) for name, value in noted.items() if name in keys]
        found = next((each for each in opened if each is not None), None)
        if found is None:
            raise Refused(self._foreign_words)
        missing = {name: key for name, key in keys.items() if name not in noted}
        for name, value in _sealed(missing, found, self._purpose).items():
            await cast("Any", self._redis.hsetnx(self._name, name, cast("Any", value)))
        self._found = found
        return found

    def _keys(self) -> dict[str, bytes]:
        return {_name_of(key): key for key in accepted(self._secrets.key(self._purpose))}


def _name_of(key: bytes) -> str:
    return hashlib.sha256(b"name\x1f" + key).digest()[:8].hex()


def _sealed(keys: Mapping[str, bytes], secret: bytes, purpose: str) -> dict[str, bytes]:
    return {name: _cipher(key).encrypt(secret, [purpose.encode()]) for name, key in keys.items()}


def _unsealed(key: bytes, value: bytes, purpose: str) -> bytes | None:
    try:
        return _cipher(key).decrypt(value, [purpose.encode()])
    except (InvalidTag, ValueError):
        return None


def _cipher(key: bytes) -> AESSIV:
    return AESSIV(hashlib.sha512(b"AES-SIV\x1f" + key).digest())
