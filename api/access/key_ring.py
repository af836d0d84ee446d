"""Who a key belongs to, and what it allows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from api.access.permissions import GRANTED, Permission, Role
from personalization.catalog.catalog import Source
from personalization.visitor.purposes import normal

MAX_KEY_CHARS = 256
"""Longer than any key of ours: refused before it is hashed."""

_HASHED = "sha256:"


@dataclass(frozen=True, slots=True)
class Access:
    """What a key gives.

    Attributes
    ----------
    source
        Name of the source in the catalog.
    role
        ``write`` or ``server``: what each allows, ``may`` says.
    consent_default
        What counts for visitors who were never asked.
    gpc
        Purposes, in their normal form, that ``Sec-GPC: 1`` refuses.
    after_login
        Whose events are that follow a log-in without naming the user.
    verify_users
        Whether it speaks for a user only with proof.
    origins
        Of the pages that may use it; empty: any.
    """

    source: str
    role: Role
    consent_default: Literal["granted", "denied"]
    after_login: Literal["logged_out", "same_person"] = "logged_out"
    gpc: tuple[str, ...] = ()
    verify_users: bool = False
    origins: frozenset[bytes] = frozenset()

    def may(self, permission: Permission) -> bool:
        """Whether the key allows it.

        >>> access = Access("shop", "write", "granted")
        >>> access.may(Permission.DECIDE), access.may(Permission.READ)
        (True, False)
        """
        return permission in GRANTED[self.role]


class KeyRing:
    """The keys of one catalog version; make a new one when the catalog changes.

    Keys are looked up by their SHA-256, so the time a wrong one takes says nothing about the right ones. Those
    that fit are remembered as they came: 0.1 µs each after the first time, and no more of them than keys exist.

    >>> ring = KeyRing({"shop": Source(write_keys=("pk_dev",), consent_default="granted")})
    >>> access = ring.identify("pk_dev")
    >>> access.source, access.role, access.consent_default
    ('shop', 'write', 'granted')
    >>> ring.identify("pk_other") is None
    True
    """

    __slots__ = ("_by_digest", "_seen")

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._by_digest: dict[bytes, Access] = {}
        self._seen: dict[str, Access] = {}
        for name, source in sources.items():
            for key in source.write_keys:
                self._by_digest[_digest(key)] = _access(name, "write", source)
            for key in source.server_keys:
                self._by_digest[_digest(key)] = _access(name, "server", source)

    def identify(self, key: str) -> Access | None:
        """What ``key`` gives, None for a key nobody has."""
        access = self._seen.get(key)
        if access is not None:
            return access
        if not key or len(key) > MAX_KEY_CHARS:
            return None
        access = self._by_digest.get(_sha256(key))
        if access is not None:
            self._seen[key] = access
        return access


def _access(name: str, role: Role, source: Source) -> Access:
    is_page = role == "write"
    return Access(
        name,
        role,
        source.consent_default,
        source.after_login,
        tuple(map(normal, source.gpc)),
        verify_users=source.verify_users and is_page,
        origins=frozenset(origin.encode() for origin in source.origins) if is_page else frozenset(),
    )


def _digest(written: str) -> bytes:
    if not written.startswith(_HASHED):
        return _sha256(written)
    try:
        return bytes.fromhex(written.removeprefix(_HASHED))
    except ValueError:
        return b""  # no key hashes to nothing; the loader has refused it long before


def _sha256(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
