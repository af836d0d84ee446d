"""Every key of a source, in whichever form it is written: what it is told by, and what it allows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from personalization.catalog.permissions import GRANTED, Permission, Role

if TYPE_CHECKING:
    from personalization.catalog.sections.sources import Source

HASHED = "sha256:"
"""What a key in one of the lists begins with if its hash stands there."""

_SHOWN_CHARS = 12


@dataclass(frozen=True, slots=True)
class HeldKey:
    """One key of a source.

    Attributes
    ----------
    path
        Where it stands in the catalog.
    name
        Given to it; empty: none was.
    digest
        SHA-256 of the key in hex, lower case.
    expires_ms
        From when on it is refused; 0: never.
    is_plain
        Whether the key itself stands there, instead of its hash.
    is_before
        Whether a rotation has put another in its place, and it lives on for a while.
    """

    path: str
    name: str
    digest: str
    role: Role
    permissions: frozenset[Permission]
    origins: tuple[str, ...]
    expires_ms: int = 0
    is_plain: bool = False
    is_before: bool = False

    @property
    def label(self) -> str:
        """What people call it: its name, else how its hash begins."""
        return self.name or shown_digest(self.digest)


def shown_digest(digest: str) -> str:
    """How a hash begins: enough to tell keys from each other.

    >>> shown_digest("dc843d587f15c9b3" + 48 * "0")
    'sha256:dc843d587f15…'
    """
    return f"{HASHED}{digest[:_SHOWN_CHARS]}…"


def digest_of(key: str) -> str:
    """SHA-256 of a key in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def keys_of(name: str, source: Source) -> Iterator[HeldKey]:
    """The keys of the source called ``name``."""
    where = f"sources.{name}"
    listed: tuple[tuple[str, Role, tuple[str, ...]], ...] = (
        ("write_keys", "write", source.write_keys),
        ("server_keys", "server", source.server_keys),
    )
    for field, role, written in listed:
        origins = source.origins if role == "write" else ()
        for index, key in enumerate(written):
            is_plain = not key.startswith(HASHED)
            digest = digest_of(key) if is_plain else key.removeprefix(HASHED).lower()
            here = f"{where}.{field}[{index}]"
            yield HeldKey(here, "", digest, role, GRANTED[role], origins, is_plain=is_plain)
    for called, spec in source.keys.items():
        here = f"{where}.keys.{called}"
        allowed = frozenset(map(Permission, spec.permissions)) or GRANTED[spec.role]
        origins = (spec.origins or source.origins) if spec.role == "write" else ()
        expires_ms = spec.expires or 0
        yield HeldKey(here, called, spec.sha256.lower(), spec.role, allowed, origins, expires_ms)
        if spec.before is not None:
            ends_ms = min(spec.before.expires, expires_ms) if expires_ms else spec.before.expires
            before = f"{here}.before"
            yield HeldKey(
                before, called, spec.before.sha256.lower(), spec.role, allowed, origins, ends_ms, is_before=True
            )


def outdated_keys(sources: Mapping[str, Source], ended: Mapping[str, int]) -> list[str]:
    """What is to be mended in a catalog that gives keys on which have been revoked or rotated since.

    Parameters
    ----------
    ended
        From when on keys are refused, in milliseconds since 1970, by their SHA-256 in hex.
    """
    found = []
    for name, source in sources.items():
        for held in keys_of(name, source):
            ends_ms = ended.get(held.digest)
            if ends_ms is None or 0 < held.expires_ms <= ends_ms:
                continue
            when = datetime.fromtimestamp(ends_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
            found.append(
                f"{held.path}: this key was revoked or rotated, and ends on {when} whatever is written: take it "
                "out, or write what `nextbest keys rotate` printed (`nextbest keys show` prints what is in force)"
            )
    return found
