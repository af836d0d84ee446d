"""What the page script has to know of a source before it does anything: put in front of its text."""

from __future__ import annotations

from typing import Any

import orjson

from api.access.key_ring import Access
from personalization.catalog.duration import DAY_MS
from personalization.catalog.retention import Retention
from personalization.visitor.purposes import PERSONALISING

LONGEST_DAYS = 395
"""Thirteen months: what regulators take for the longest life of a cookie."""


def settings_of(access: Access, retention: Retention) -> dict[str, Any]:
    """The source's settings; public, like its write key.

    Attributes
    ----------
    consent
        What counts for visitors who were never asked.
    gpc
        Whether ``Sec-GPC: 1`` refuses personalization itself.
    days
        How long the browser keeps an anonymous id, and that of a user's browser: as long as the server does, a day
        at least.
    """
    kept_ms = (retention.anonymous_ms, retention.known_ms)
    return {
        "consent": access.consent_default,
        "gpc": PERSONALISING in access.gpc,
        "days": [min(LONGEST_DAYS, max(1, length_ms // DAY_MS)) for length_ms in kept_ms],
    }


def preamble(settings: dict[str, Any]) -> bytes:
    """The statement that hands them to the script.

    >>> preamble({"consent": "denied"})
    b'window.nextbestSettings={"consent":"denied"};\\n'
    """
    return b"window.nextbestSettings=%s;\n" % orjson.dumps(settings)
