"""PostHog's properties: what is the caller's own, and what SDKs say by themselves, whose names begin with ``$``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NEVER = frozenset({"token", "api_key", "distinct_id", "consent", "consentReceipt", "userHash", "userToken"})
"""Says who sends it and whose it is, and is no property."""

_PAGE = {
    "$current_url": "url",
    "$pathname": "path",
    "$host": "host",
    "$referrer": "referrer",
    "title": "title",
}
_CONTEXT = {
    "$raw_user_agent": "userAgent",
    "$user_agent": "userAgent",
    "$browser_language": "locale",
    "$timezone": "timezone",
    "consent": "consent",
    "consentReceipt": "consentReceipt",
}


def own_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's own properties.

    >>> own_of({"plan": "pro", "$lib": "posthog-python", "token": "pk_dev"})
    {'plan': 'pro'}
    """
    return {name: value for name, value in properties.items() if name[:1] != "$" and name not in _NEVER}


def page_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The page, as rules know it.

    >>> page_of({"$current_url": "https://shop.example/tents", "$pathname": "/tents", "$os": "Linux"})
    {'url': 'https://shop.example/tents', 'path': '/tents'}
    """
    return {name: properties[sent] for sent, name in _PAGE.items() if sent in properties}


def context_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The context in which it happened, of what SDKs say by themselves.

    >>> context_of({"$raw_user_agent": "Mozilla/5.0", "$timezone": "Europe/Vienna", "plan": "pro"})
    {'userAgent': 'Mozilla/5.0', 'timezone': 'Europe/Vienna'}
    """
    context = {name: properties[sent] for sent, name in _CONTEXT.items() if sent in properties}
    page = page_of(properties)
    return {**context, "page": page} if page else context
