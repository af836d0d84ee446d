"""Who may talk to us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from personalization.catalog.check import Check
from personalization.catalog.permissions import GRANTED, Permission, Role
from personalization.catalog.rate import RateLimits, check_limits
from personalization.catalog.section import Section
from personalization.catalog.spec import Moment, Spec
from personalization.visitor.purposes import GPC

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog


class KeyBefore(Spec, frozen=True, kw_only=True):
    """The key that a rotation replaced, which lives on until everybody has the new one.

    Attributes
    ----------
    sha256
        The SHA-256 of it in hex.
    expires
        When it ends, a date or a time (UTC where no zone is given).
    """

    sha256: str
    expires: Moment


class Key(Spec, frozen=True, kw_only=True):
    """A key of its own name, role and end. `nextbest keys create` prints what to write.

    Attributes
    ----------
    sha256
        The SHA-256 of the key in hex: nobody gets the key out of it.
    role
        What it allows: a page's ``write``, a site's ``server``, or for people and their tools ``viewer``,
        ``editor``, ``publisher``, ``admin``.
    permissions
        Only these of what its role allows; empty: all of it.
    expires
        From when on it is refused, a date or a time (UTC where no zone is given); never unless written.
    origins
        Of a write key: origins of the pages that may use it, instead of the source's.
    before
        The key it replaced, while that still holds.
    """

    sha256: str
    role: Role
    permissions: tuple[Permission, ...] = ()
    expires: Moment | None = None
    origins: tuple[str, ...] = ()
    before: KeyBefore | None = None


class Source(Spec, frozen=True, kw_only=True):
    """Where events and requests come from, and the keys they show. The sources of a catalog share their visitors.

    In the lists a key is given in the clear (development) or as ``sha256:`` and the SHA-256 of it in hex.

    Attributes
    ----------
    write_keys
        May send events and ask for decisions; may stand in a web page.
    server_keys
        May also read visitors and placements, and reward with money; to be kept secret.
    keys
        Keys with a name, and with a role, an end and origins of their own.
    consent_default
        What counts for visitors who were never asked.
    gpc
        Purposes that a browser's ``Sec-GPC: 1`` (Global Privacy Control) refuses.
    after_login
        Whose events are that follow a log-in on the same anonymous id without naming the user: somebody else's, who
        uses the device after a log-out (``logged_out``; the usual libraries name the user in every event while
        somebody is logged in), or the ``same_person``'s, for sites that only have the cookie.
    origins
        Origins of the pages that may use its write keys (``https://shop.example``); empty: any.
    verify_users
        Whether a write key that names a user has to prove that it speaks for them (``userHash`` or ``userToken``):
        without proof nothing of the user is read or written, and the visitor is who their anonymous id says.
    limits
        How much its keys may ask for.
    """

    write_keys: tuple[str, ...] = ()
    server_keys: tuple[str, ...] = ()
    keys: dict[str, Key] = {}
    consent_default: Literal["granted", "denied"] = "denied"
    gpc: tuple[str, ...] = GPC
    after_login: Literal["logged_out", "same_person"] = "logged_out"
    origins: tuple[str, ...] = ()
    verify_users: bool = False
    limits: RateLimits = RateLimits()


_ORIGIN = re.compile(r"https?://([a-z0-9-]+\.)*[a-z0-9-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
"""As browsers write them: lower case, without a path, and without the port that goes without saying."""


_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


class SourceSection(Section[Source]):
    """``sources``."""

    name = "sources"
    noun = "source"

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: Source) -> None:
        """Its origins, limits and keys are checked; there is nothing to compile."""
        where = f"sources.{name}"
        check_limits(spec.limits, f"{where}.limits", check)
        _check_origins(check, where, spec.origins)
        for called, key in spec.keys.items():
            _check_key(check, f"{where}.keys.{called}", called, key)


def _check_origins(check: Check, where: str, origins: tuple[str, ...]) -> None:
    for index, origin in enumerate(origins):
        check.demand(
            _ORIGIN.fullmatch(origin) is not None,
            f"{where}.origins[{index}]",
            "is no origin as browsers write it: scheme and host in lower case and nothing behind, as in "
            "https://shop.example or http://localhost:3000",
        )


def _check_key(check: Check, where: str, called: str, key: Key) -> None:
    check.demand(
        _KEY_NAME.fullmatch(called) is not None,
        where,
        "commands name it: use at most 64 letters, digits, _, - and ., beginning with a letter or digit",
    )
    hashes = [(f"{where}.sha256", key.sha256)]
    if key.before is not None:
        hashes.append((f"{where}.before.sha256", key.before.sha256))
    for path, digest in hashes:
        message = "must be 64 hex digits, as `nextbest keys create` and sha256sum print them"
        check.demand(_SHA256.fullmatch(digest) is not None, path, message)
    allowed = GRANTED[key.role]
    for index, permission in enumerate(key.permissions):
        check.demand(
            permission in allowed,
            f"{where}.permissions[{index}]",
            f"{str(permission)!r} is nothing that a key of role {key.role} may do; it has "
            f"{', '.join(sorted(allowed))}. Leave it out, or write another role",
        )
    check.demand(
        key.role == "write" or not key.origins,
        f"{where}.origins",
        f"no page may hold a key of role {key.role}; leave them out, or write role: write",
    )
    _check_origins(check, where, key.origins)
