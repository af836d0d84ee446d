"""What GrowthBook's SDKs send when their features are evaluated remotely."""

from __future__ import annotations

from collections.abc import Container
from typing import Any
from urllib.parse import urlsplit

from api.evaluating import FlagId
from api.reading.wire import Reader, Wire
from personalization.errors import InvalidInput
from personalization.free_json import check_free_json

VISITOR_ID = FlagId("id", "attributes")


class WireRemoteEval(Wire, frozen=True, kw_only=True):
    """An evaluation of every feature for one visitor."""

    attributes: dict[str, Any] | None = None
    forced_variations: dict[str, Any] | None = None
    forced_features: list[tuple[str, Any]] | dict[str, Any] | None = None
    url: str | None = None


class _AnyRemoteEval(WireRemoteEval, frozen=True, kw_only=True, forbid_unknown_fields=False):
    pass


REMOTE_EVAL: Reader[WireRemoteEval] = Reader(WireRemoteEval, _AnyRemoteEval)


def described(wire: WireRemoteEval) -> dict[str, Any]:
    """The visitor's attributes; the page's address is among them where they do not tell of the page themselves.

    >>> described(WireRemoteEval(attributes={"id": "a1"}, url="https://shop.example/tents?q=2"))["page"]
    {'url': 'https://shop.example/tents?q=2', 'path': '/tents', 'search': '?q=2'}
    """
    attributes = wire.attributes or {}
    if not wire.url or "page" in attributes:
        return attributes
    return {**attributes, "page": _page(wire.url)}


def _page(url: str) -> dict[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return {"url": url}
    return {"url": url, "path": parts.path or "/", "search": f"?{parts.query}" if parts.query else ""}


def forced_features(wire: WireRemoteEval) -> dict[str, Any]:
    """The values that the caller shows whatever is decided, by feature.

    Raises
    ------
    InvalidInput
        Names the feature whose value could not be given back.
    """
    forced = dict(wire.forced_features or {})
    for name, value in forced.items():
        check_free_json(value, f"forcedFeatures.{name[:64]}")
    return forced


def check_forced_variations(wire: WireRemoteEval, flags: Container[str]) -> None:
    """Refuse a variation forced by its number, which contents do not have.

    Raises
    ------
    InvalidInput
        Names the placement. Other names are experiments of the client's own, which it forces by itself.
    """
    for name in wire.forced_variations or ():
        if name in flags:
            message = "forces a variation by number, and contents have none; force its value by forcedFeatures"
            raise InvalidInput(f"forcedVariations.{name}", message, "forced_variation")
