"""The routes of the description: made once, when it is first asked for, and beside what else there is to do."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from typing import Any

import msgspec

from api.http.description import Description, Given
from api.http.dialect import Call, Dialect, Reply, Route
from api.openapi.document import document
from api.openapi.page import CONTENT_SECURITY_POLICY, page

JSON_PATH, PAGE_PATH = "/openapi.json", "/docs"
_GET = ("GET", "HEAD")

_JSON = Description(
    summary="This description, OpenAPI 3.1",
    given={200: Given(what="Of all that is answered here.", types={"application/json": (dict[str, Any],)})},
)
_PAGE = Description(
    summary="This description, to be read",
    given={200: Given(what="A page without scripts.", types={"text/html": (str,)})},
)


def describing(dialects: Sequence[Dialect]) -> Dialect:
    """The dialect that describes several others, and itself."""

    @functools.cache
    def made() -> tuple[bytes, bytes]:
        told = document([*dialects, dialect])
        return msgspec.json.encode(told), page(told).encode()

    async def show_json(_: Call) -> Reply:
        as_json, _page = await asyncio.to_thread(made)
        return Reply(200, as_json)

    async def show_page(_: Call) -> Reply:
        _json, as_page = await asyncio.to_thread(made)
        headers = [(b"content-security-policy", CONTENT_SECURITY_POLICY.encode())]
        return Reply(200, as_page, headers, b"text/html; charset=utf-8")

    dialect = Dialect(
        name="description",
        prefix="/",
        routes=(
            Route(_GET, JSON_PATH, "openapi", None, show_json, description=_JSON),
            Route(_GET, PAGE_PATH, "docs", None, show_page, description=_PAGE),
        ),
    )
    return dialect
