"""What persons are assigned by, kept beside the installation's data, so that no rotation of a secret moves anybody.

It is the secret that the installation began with. Who is in which experiment and what a sticky choice draws has
been hashed with that from the first day, and would be another with any other. So it is noted when a process first
comes: sealed (AES-SIV) under a key derived from each secret that the process knows, never in the clear, since
whoever reads Redis must not learn a secret.
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
from state.keys import Keys

PURPOSE = "assignment"

# What is noted first is kept. KEYS: the note; ARGV: field, value, field, value …
_NOTE = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
return redis.call('HGETALL', KEYS[1])
"""


class AssignmentStore:
    """Notes and finds what persons are assigned by.

    Redis holds a hash: a name of a secret (no part of it) → the noted one, sealed under that secret. A process
    that knows one of them adds what is missing for its others: thus the note goes along from secret to secret.
    """

    def __init__(self, redis: Redis, keys: Keys, secrets: Secrets) -> None:
        self._redis = redis
        self._name = keys.assignment
        self._secrets = secrets
        self._found: bytes | None = None

    @property
    def found(self) -> bytes:
        """What ``load`` found; raises ``Unavailable`` before."""
        if self._found is None:
            raise Unavailable("what persons are assigned by was not read yet")
        return self._found

    async def load(self) -> bytes:
        """What persons are assigned by; noted now if nothing is, or not any more.

        Raises
        ------
        Refused
            Where it was noted under secrets that are not known here.
        """
        keys = {_name_of(key): key for key in accepted(self._secrets.key(PURPOSE))}
        noted = await self._noted(_sealed(keys, self._secrets.eldest if self._found is None else self._found))
        opened = [_unsealed(keys[name], value) for name, value in noted.items() if name in keys]
        found = next((each for each in opened if each is not None), None)
        if found is None:
            raise self._foreign()
        for name, value in _sealed({name: key for name, key in keys.items() if name not in noted}, found).items():
            await cast("Any", self._redis.hsetnx(self._name, name, cast("Any", value)))
        self._found = found
        return found

    async def check(self) -> None:
        """See that the secrets given here are the installation's, as far as it has noted any; notes nothing.

        Raises
        ------
        Refused
            Where they are not.
        """
        names: list[bytes] = await cast("Any", self._redis.hkeys(self._name))
        known = {_name_of(key).encode() for key in accepted(self._secrets.key(PURPOSE))}
        if names and known.isdisjoint(names):
            raise self._foreign()

    def _foreign(self) -> Refused:
        return Refused(
            "persons are assigned to experiments under another secret than those given here: set "
            "NEXTBEST_SECRET to the installation's, or NEXTBEST_SECRET_BEFORE to the one it had before; if "
            f"that is lost, delete {self._name} in Redis, and everybody is assigned anew"
        )

    async def _noted(self, first: Mapping[str, bytes]) -> dict[str, bytes]:
        flat = [part for pair in first.items() for part in pair]
        reply: list[bytes] = await cast("Any", self._redis.eval(_NOTE, 1, self._name, *cast("Any", flat)))
        return {name.decode(errors="replace"): value for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _name_of(key: bytes) -> str:
    return hashlib.sha256(b"name\x1f" + key).digest()[:8].hex()


def _sealed(keys: Mapping[str, bytes], salt: bytes) -> dict[str, bytes]:
    return {name: _cipher(key).encrypt(salt, [PURPOSE.encode()]) for name, key in keys.items()}


def _unsealed(key: bytes, value: bytes) -> bytes | None:
    try:
        return _cipher(key).decrypt(value, [PURPOSE.encode()])
    except (InvalidTag, ValueError):
        return None


def _cipher(key: bytes) -> AESSIV:
    return AESSIV(hashlib.sha512(b"AES-SIV\x1f" + key).digest())
