"""Who a key belongs to, and what it allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from api.access.permissions import GRANTED, Permission, Role
from api.limits.buckets import Pace
from personalization.catalog.catalog import Source
from personalization.catalog.source_keys import HeldKey, digest_of, keys_of, shown_digest
from personalization.visitor.purposes import normal

MAX_KEY_CHARS = 256
"""Longer than any key of ours: refused before it is hashed."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a key gives.

    Attributes
    ----------
    source
        Name of the source in the catalog.
    role
        What it is for: what each role allows, ``permissions.GRANTED`` says.
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
    permissions
        What it allows; None: all that its role does.
    key_name
        What people call the key: its name, else how its hash begins.
    expires_ms
        From when on it is refused; 0: never.
    is_revoked
        Whether that is because somebody ended it, rather than because it was made to end then.
    per_address, per_key
        How much one address, and whoever shows the key, may ask for; None: as much as they like.
    """

    source: str
    role: Role
    consent_default: Literal["granted", "denied"]
    after_login: Literal["logged_out", "same_person"] = "logged_out"
    gpc: tuple[str, ...] = ()
    verify_users: bool = False
    origins: frozenset[bytes] = frozenset()
    permissions: frozenset[Permission] | None = None
    key_name: str = ""
    expires_ms: int = 0
    is_revoked: bool = False
    per_address: Pace | None = None
    per_key: Pace | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the key allows it.

        >>> access = Access("shop", "write", "granted")
        >>> access.may(Permission.DECIDE), access.may(Permission.READ)
        (True, False)
        """
        return permission in (GRANTED[self.role] if self.permissions is None else self.permissions)

    @property
    def is_page(self) -> bool:
        """Whether it may stand in a page, so that everybody has it."""
        return self.role == "write"


class KeyRing:
    """The keys of one catalog version; make a new one when the catalog changes.

    Keys are looked up by their SHA-256, so the time a wrong one takes says nothing about the right ones. Those
    that fit are remembered as they came: 0.1 µs each after the first time, and no more of them than keys exist.

    Parameters
    ----------
    ended
        Keys that somebody ended, by their SHA-256 in hex, and when, in milliseconds since 1970.

    >>> ring = KeyRing({"shop": Source(write_keys=("pk_dev",), consent_default="granted")})
    >>> access = ring.identify("pk_dev")
    >>> access.source, access.role, access.consent_default
    ('shop', 'write', 'granted')
    >>> ring.identify("pk_other") is None
    True
    """

    __slots__ = ("_by_digest", "_ended", "_seen")

    def __init__(self, sources: Mapping[str, Source], ended: Mapping[str, int] | None = None) -> None:
        self._by_digest: dict[str, Access] = {}
        self._ended = ended or {}
        self._seen: dict[str, Access] = {}
        for name, source in sources.items():
            for held in keys_of(name, source):
                self._by_digest[held.digest] = _access(name, source, held, self._ended.get(held.digest))

    def identify(self, key: str) -> Access | None:
        """What ``key`` gives, None for a key nobody has."""
        access = self._seen.get(key)
        if access is not None:
            return access
        if not key or len(key) > MAX_KEY_CHARS:
            return None
        access = self._by_digest.get(digest_of(key))
        if access is not None:
            self._seen[key] = access
        return access

    def ended(self, key: str) -> tuple[str, int] | None:
        """How the hash of a key begins that somebody ended, and when it ends, in milliseconds since 1970.

        None for a key that nobody ended. The catalog need not hold it any more.
        """
        if len(key) > MAX_KEY_CHARS:
            return None
        digest = digest_of(key)
        ended_ms = self._ended.get(digest)
        return None if ended_ms is None else (shown_digest(digest), ended_ms)


def _access(name: str, source: Source, held: HeldKey, ended_ms: int | None) -> Access:
    is_revoked = ended_ms is not None and not 0 < held.expires_ms <= ended_ms
    return Access(
        name,
        held.role,
        source.consent_default,
        source.after_login,
        tuple(map(normal, source.gpc)),
        verify_users=source.verify_users and held.role == "write",
        origins=frozenset(origin.encode() for origin in held.origins),
        permissions=held.permissions,
        key_name=held.label,
        expires_ms=ended_ms if is_revoked and ended_ms is not None else held.expires_ms,
        is_revoked=is_revoked,
        per_address=Pace.of(source.limits.per_address) if held.role == "write" else None,
        per_key=Pace.of(source.limits.per_write_key if held.role == "write" else source.limits.per_server_key),
    )
