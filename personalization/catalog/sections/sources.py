"""Who may talk to us."""

from __future__ import annotations

from typing import Literal

from personalization.catalog.section import Section
from personalization.catalog.spec import Spec
from personalization.visitor.purposes import GPC


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
    verify_users
        Whether a write key that names a user has to prove that it speaks for them (``userHash`` or ``userToken``):
        without proof nothing of the user is read or written, and the visitor is who their anonymous id says.
    """

    write_keys: tuple[str, ...] = ()
    server_keys: tuple[str, ...] = ()
    consent_default: Literal["granted", "denied"] = "denied"
    gpc: tuple[str, ...] = GPC
    after_login: Literal["logged_out", "same_person"] = "logged_out"
    verify_users: bool = False


class SourceSection(Section[Source]):
    """``sources``."""

    name = "sources"
    noun = "source"
