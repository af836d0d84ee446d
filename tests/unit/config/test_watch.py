"""A saved catalog is published with its warnings, each of them told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from config.loader import check_catalog
from config.watch import watch_catalog
from personalization.catalog.catalog import Catalog

SHOP = """\
placements: {hero: {content: [a], default: a}}
content:
  a: {body: BODY}
sources: {shop: {write_keys: [pk], consent_default: denied}}
"""
UNUSED = "  UNUSED: {body: x}\nsources:"


async def test_a_warning_is_told_once_until_it_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SHOP.replace("sources:", UNUSED))
    published: list[Catalog] = []
    said: list[str] = []
    stop = asyncio.Event()

    async def publish(catalog: Catalog) -> int:
        if not published or published[-1] != catalog:
            published.append(catalog)
        return len(published)

    before = check_catalog(tmp_path).warnings
    watching = asyncio.create_task(
        watch_catalog(tmp_path, publish, report=said.append, stop=stop, debounce_ms=20, warned=before)
    )

    async def save(text: str, holds: Callable[[], bool]) -> None:
        # Saved again until it is seen: nothing says when the watch has begun.
        async with asyncio.timeout(20):
            while not holds():
                (tmp_path / ".saving").write_text(text)
                (tmp_path / ".saving").replace(file)  # at once: half a file would be another catalog
                await asyncio.sleep(0.1)

    def body() -> object:
        return published[-1].content["a"].body if published else None

    def warnings() -> list[str]:
        return [line for line in said if ": warning: " in line]

    await save(SHOP.replace("sources:", UNUSED).replace("BODY", "1"), lambda: body() == 1)
    assert warnings() == []  # told when the watch began
    more = SHOP.replace("sources:", "  more: {body: x}\n" + UNUSED).replace("BODY", "2")
    await save(more, lambda: body() == 2 and bool(warnings()))
    assert [line.split(": ")[:3] for line in warnings()] == [["shop.yaml:4", "warning", "content.more"]]
    await save(SHOP.replace("BODY", "3"), lambda: body() == 3)
    await save(SHOP.replace("sources:", UNUSED).replace("BODY", "4"), lambda: body() == 4 and len(warnings()) > 1)
    assert warnings()[1].startswith("shop.yaml:4: warning: content.UNUSED: no placement shows it")
    stop.set()
    await asyncio.wait_for(watching, 10)
    assert len(warnings()) == 2
