"""The routes of Segment's wire, and those that RudderStack's clients have beside them."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.types import Scope

from api.access.permissions import Permission
from api.dialects.segment.collect import collect_batch, collect_single
from api.dialects.segment.configuration import settings, source_config
from api.dialects.segment.event import Kind
from api.http.dialect import PAGE_HEADERS, Dialect, Route, shown_key

_POST, _GET = ("POST",), ("GET", "HEAD")
_KINDS: dict[str, Kind] = {
    "t": "track",
    "i": "identify",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
"""By the letter that browsers' paths have."""

_RUDDERSTACK_HEADERS = (
    "anonymousid",
    "sentat",
    "rsa-recovered",
    "rsa-retry-attempt",
    "rsa-retry-reason",
    "rsa-since-first-attempt",
    "rsa-since-last-attempt",
)


def key_of(scope: Scope) -> str | None:
    """The key in the headers, else in the path."""
    in_path: str | None = scope.get("path_params", {}).get("key")
    return shown_key(scope) or in_path


def _singles() -> Iterator[Route]:
    for letter, kind in _KINDS.items():
        handle = collect_single(kind)
        for path in (f"/v1/{kind}", f"/v1/{letter}"):
            yield Route(_POST, path, f"segment_{kind}", Permission.COLLECT, handle)


def _batches() -> Iterator[Route]:
    for path in ("/v1/batch", "/v1/b", "/beacon/v1/batch"):
        yield Route(_POST, path, "segment_batch", Permission.COLLECT, collect_batch)


def _configurations() -> Iterator[Route]:
    yield Route(_GET, "/v1/projects/{key}/settings", "segment_settings", Permission.COLLECT, settings)
    for path in ("/sourceConfig/", "/sourceConfig"):
        yield Route(_GET, path, "rudderstack_config", Permission.COLLECT, source_config)


SEGMENT = Dialect(
    name="segment",
    prefix="/beacon/",
    routes=(*_batches(), *_singles(), *_configurations()),
    key_of=key_of,
    accepted_headers=(*PAGE_HEADERS, "x-strict-mode", "x-retry-count", *_RUDDERSTACK_HEADERS),
)
