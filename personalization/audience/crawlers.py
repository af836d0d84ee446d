"""Who is no visitor: programs that read pages, by what they say of themselves (``crawler-user-agents``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MAX_AGENT_CHARS = 512


def is_crawler(context: Mapping[str, Any]) -> bool:
    """Whether a request comes from a program that reads pages, by its ``userAgent``.

    >>> is_crawler({"userAgent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"})
    True
    >>> is_crawler({"userAgent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}), is_crawler({})
    (False, False)
    """
    agent = context.get("userAgent")
    return isinstance(agent, str) and bool(agent) and _is_known(agent[:MAX_AGENT_CHARS])


def load_patterns() -> None:
    """Compile the patterns, which takes 120 ms: a process that decides does so before anybody waits for it."""
    _matches("")


@lru_cache(maxsize=4096)
def _is_known(agent: str) -> bool:
    return _matches(agent)


def _matches(agent: str) -> bool:
    # Not at the top: commands that look at nobody need not read its patterns.
    import crawleruseragents  # type: ignore[import-untyped]  # the package has none

    return bool(crawleruseragents.is_crawler(agent))
