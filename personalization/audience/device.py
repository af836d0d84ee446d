"""What kind of device a request comes from, from what the context says or its user agent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

KINDS = frozenset({"mobile", "tablet", "desktop", "bot"})

_BOT = re.compile(r"bot\b|crawl|spider|slurp|preview|headless|lighthouse|monitor|curl/|python-|wget/", re.I)
_TABLET = re.compile(r"ipad|tablet|kindle|silk/|playbook|android(?!.*mobile)", re.I)
_MOBILE = re.compile(r"mobi|iphone|ipod|android|windows phone|opera mini", re.I)
_DESKTOP = re.compile(r"windows nt|macintosh|x11|cros|linux", re.I)


def device_of(context: Mapping[str, Any]) -> str:
    """``mobile``, ``tablet``, ``desktop``, ``bot`` or ``unknown``.

    >>> device_of({"device": {"type": "ios"}}), device_of({"userAgent": "Mozilla/5.0 (X11; Linux x86_64)"})
    ('mobile', 'desktop')
    """
    device = context.get("device")
    if isinstance(device, Mapping):
        kind = device.get("type")
        if isinstance(kind, str):
            kind = kind.lower()
            if kind in KINDS:
                return kind
            if kind in ("ios", "android"):
                return "mobile"
    agent = context.get("userAgent")
    return _of_agent(agent[:512]) if isinstance(agent, str) and agent else "unknown"


@lru_cache(maxsize=4096)
def _of_agent(agent: str) -> str:
    for kind, pattern in (("bot", _BOT), ("tablet", _TABLET), ("mobile", _MOBILE), ("desktop", _DESKTOP)):
        if pattern.search(agent):
            return kind
    return "unknown"
