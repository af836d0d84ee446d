"""The keys of an installation: one per purpose, each derived from its secret, so that none tells another.

HKDF-SHA256 (RFC 5869) with the purpose as its ``info``. While a secret is rotated an installation has two: under
the one in force everything is made, and what was made under the one before still holds.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_INFO = b"nextbest\x1f"


class PurposeKey(bytes):
    """The key of one purpose under the secret in force. It is plain bytes to who makes something.

    Who checks something asks ``accepted`` for the keys that it may have been made under.

    Attributes
    ----------
    before
        The purpose's keys under the secrets before, the latest first.
    whole
        The secrets themselves, the one in force first. Releases that knew one key for everything used them as they
        are; nothing is made by them any more.

    >>> PurposeKey(b"key")
    PurposeKey(…)
    """

    before: tuple[bytes, ...]
    whole: tuple[bytes, ...]

    def __new__(cls, key: bytes, before: tuple[bytes, ...] = (), whole: tuple[bytes, ...] = ()) -> PurposeKey:
        """A key, with what it follows."""
        made = super().__new__(cls, key)
        made.before = before
        made.whole = whole
        return made

    def __repr__(self) -> str:
        return "PurposeKey(…)"


def accepted(key: bytes) -> tuple[bytes, ...]:
    """``key``, and those of the same purpose under the secrets before."""
    return (key, *key.before) if isinstance(key, PurposeKey) else (key,)


def whole_secrets(key: bytes) -> tuple[bytes, ...]:
    """The secrets behind ``key``, in the order of ``accepted``; none behind what is no ``PurposeKey``."""
    return key.whole if isinstance(key, PurposeKey) else ()


def signing_keys(key: bytes) -> tuple[bytes, ...]:
    """Every key that a signature for this purpose may have been made by."""
    return accepted(key) + whole_secrets(key)


class Secrets:
    """The secret of an installation, and the one before while that is still accepted.

    Parameters
    ----------
    current
        In force: what is made is made under it.
    before
        Empty: none.

    >>> secrets = Secrets(b"new", b"old")
    >>> secrets.key("draws") == Secrets(b"new").key("draws") != secrets.key("origins")
    True
    >>> accepted(secrets.key("draws"))[1] == Secrets(b"old").key("draws")
    True
    """

    def __init__(self, current: bytes, before: bytes = b"") -> None:
        self._secrets = (current, before) if before else (current,)
        self._keys: dict[str, PurposeKey] = {}

    def key(self, purpose: str) -> PurposeKey:
        """The key of ``purpose``; derived once."""
        key = self._keys.get(purpose)
        if key is None:
            current, *before = (_derived(secret, purpose) for secret in self._secrets)
            key = self._keys[purpose] = PurposeKey(current, tuple(before), self._secrets)
        return key

    @property
    def current(self) -> bytes:
        """The secret in force."""
        return self._secrets[0]

    @property
    def eldest(self) -> bytes:
        """The eldest secret known here: what an installation began with, unless it has noted another."""
        return self._secrets[-1]

    def __repr__(self) -> str:
        return f"Secrets({'…, …' if len(self._secrets) > 1 else '…'})"


def _derived(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=_INFO + purpose.encode()).derive(secret)
