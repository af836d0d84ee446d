"""Who may talk to us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from personalization.catalog.check import Check
from personalization.catalog.section import Section
from personalization.catalog.spec import Spec
from personalization.visitor.purposes import GPC

if TYPE_CHECKING:
    from personalization.catalog.compiled_catalog import CompiledCatalog


class Source(Spec, frozen=True, kw_only=True):
    """Where events and requests come from, and the keys they show.

    A key is given in the clear (development) or as ``sha256:`` and the SHA-256 of it in hex.

    Attributes
    ----------
    write_keys
        May send events and ask for decisions; may stand in a web page.
    server_keys
        May also read visitors and placements, and reward with money; to be kept secret.
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
    """

    write_keys: tuple[str, ...] = ()
    server_keys: tuple[str, ...] = ()
    consent_default: Literal["granted", "denied"] = "denied"
    gpc: tuple[str, ...] = GPC
    after_login: Literal["logged_out", "same_person"] = "logged_out"
    origins: tuple[str, ...] = ()
    verify_users: bool = False


_ORIGIN = re.compile(r"https?://([a-z0-9-]+\.)*[a-z0-9-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
"""As browsers write them: lower case, without a path, and without the port that goes without saying."""


class SourceSection(Section[Source]):
    """``sources``."""

    name = "sources"
    noun = "source"

    def compile(self, check: Check, compiled: CompiledCatalog, name: str, spec: Source) -> None:
        """Its origins are checked; there is nothing to compile."""
        for index, origin in enumerate(spec.origins):
            check.demand(
                _ORIGIN.fullmatch(origin) is not None,
                f"sources.{name}.origins[{index}]",
                "is no origin as browsers write it: scheme and host in lower case and nothing behind, as in "
                "https://shop.example or http://localhost:3000",
            )
