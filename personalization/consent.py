"""Consent: whether a visitor agreed to a purpose, from the state, the request, or a signature it carries.

A refusal in the request always holds. Where the state can be read its word stands, unless the request carries
a signed one; an unsigned grant counts only for a visitor who has said nothing yet. Where the state cannot be
read, what the request or the source's default grants lets a model see the request's own context, for nobody; a
signed grant lets it be logged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any

from personalization.request import DecideRequest
from personalization.visitor_state import VisitorState

_SIGNATURE_BYTES = 15


def sign_consent(secret: bytes, key: str, purposes: Mapping[str, bool], until_ms: int) -> dict[str, Any]:
    """What to send as ``context.consent`` so that it holds without the visitor's state, until ``until_ms``.

    >>> signed = sign_consent(b"s", "a:1", {"personalization": True}, 2_000)
    >>> is_signed(b"s", ("a:1",), signed, 1_999), is_signed(b"s", ("a:1",), signed, 2_000)
    (True, False)
    >>> is_signed(b"s", ("a:2",), signed, 0)
    False
    """
    return {**purposes, "untilMs": until_ms, "signature": _signature(secret, key, purposes, until_ms)}


def is_signed(secret: bytes, keys: Iterable[str], consent: Mapping[str, Any], now_ms: int) -> bool:
    """Whether ``consent`` was signed by us for one of the visitor's keys and still holds."""
    signature, until_ms = consent.get("signature"), consent.get("untilMs")
    if not isinstance(signature, str) or type(until_ms) is not int or now_ms >= until_ms:
        return False
    purposes = {name: value for name, value in consent.items() if isinstance(value, bool)}
    given = signature.encode("utf-8", "replace")
    return any(hmac.compare_digest(given, _signature(secret, key, purposes, until_ms).encode()) for key in keys)


def _signature(secret: bytes, key: str, purposes: Mapping[str, bool], until_ms: int) -> str:
    words = [key, str(until_ms), *(f"{name}={int(value)}" for name, value in sorted(purposes.items()))]
    mac = hmac.digest(secret, "\x1f".join(("consent", *words)).encode("utf-8", "replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(mac[:_SIGNATURE_BYTES]).decode()


def said(context: Mapping[str, Any]) -> dict[str, bool]:
    """The consents a context carries, by purpose (``context.consent``, Segment's preferences included).

    >>> said({"consent": {"personalization": False, "categoryPreferences": {"ads": True}, "n": 3}})
    {'personalization': False, 'ads': True}
    """
    given = context.get("consent")
    if not isinstance(given, Mapping):
        return {}
    preferences = given.get("categoryPreferences")
    both = {**given, **preferences} if isinstance(preferences, Mapping) else given
    return {name: value for name, value in both.items() if isinstance(value, bool)}


class Consents:
    """The consents that hold for one request.

    Parameters
    ----------
    state
        None where it could not be read.
    """

    __slots__ = ("_default", "_said", "_signed", "_state")

    def __init__(
        self,
        secret: bytes,
        request: DecideRequest,
        state: VisitorState | None,
        now_ms: int,
    ) -> None:
        self._state = None if state is None else state.consents
        self._default = request.consent_default
        self._said: dict[str, bool] = {}
        self._signed = False
        given = request.context.get("consent")
        if given is not None:
            self._said = said(request.context)
            self._signed = isinstance(given, Mapping) and is_signed(secret, request.keys(), given, now_ms)

    def granted(self, purpose: str) -> bool:
        """Whether the visitor agreed to ``purpose``."""
        word = self._said.get(purpose) if self._said else None
        if word is False:
            return False
        if word and self._signed:
            return True
        if self._state is None:
            return True if word else self._default
        recorded = self._state.get(purpose)
        if recorded is not None:
            return recorded
        return True if word else self._default

    @property
    def signed(self) -> bool:
        """Whether the request carries consents that we have signed."""
        return self._signed

    def refused(self, purpose: str) -> bool:
        """Whether the request itself refuses ``purpose``."""
        return self._said.get(purpose) is False

    def missing(self, purposes: tuple[str, ...]) -> str | None:
        """The first of ``purposes`` not agreed to, None where all are."""
        for purpose in purposes:
            if not self.granted(purpose):
                return purpose
        return None
