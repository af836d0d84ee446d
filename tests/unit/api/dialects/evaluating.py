"""OFREP's two calls, as its clients make them."""

from __future__ import annotations

from typing import Any

import httpx

from personalization.catalog.catalog import Content, Placement
from personalization.catalog.compiled_catalog import CompiledCatalog, compile_catalog
from tests.unit.api.site import WRITE, Site, shop

FLAGS = "/ofrep/v1/evaluate/flags"


async def evaluate(
    site: Site, key: str = "home.hero", targeting_key: Any = "a1", headers: dict[str, str] = WRITE, **context: Any
) -> httpx.Response:
    body = {"context": {"targetingKey": targeting_key, **context}}
    return await site.client.post(f"{FLAGS}/{key}", json=body, headers=headers)


async def evaluate_all(
    site: Site, tag: str | None = None, targeting_key: Any = "a1", headers: dict[str, str] = WRITE, **context: Any
) -> httpx.Response:
    body = {"context": {"targetingKey": targeting_key, **context}}
    conditional = {} if tag is None else {"If-None-Match": tag}
    return await site.client.post(FLAGS, json=body, headers={**headers, **conditional})


def serving(*contents: Content, version: int = 13, **terms: Any) -> CompiledCatalog:
    """A catalog whose only placement, ``flag``, has these contents: ``c0``, ``c1``, …"""
    names = tuple(f"c{n}" for n in range(len(contents)))
    placement = Placement(content=names, default="c0", **terms)
    catalog = shop()
    catalog = type(catalog)(
        placements={"flag": placement}, content=dict(zip(names, contents, strict=True)), sources=catalog.sources
    )
    return compile_catalog(catalog, version)
