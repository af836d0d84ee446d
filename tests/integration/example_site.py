"""An example site as a visitor meets it: its pages on one origin, its catalog in force on another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.integration.visited_site import SiteBesideABrowser, VisitedSite, held
from tests.running import ROOT

MARK = "<!-- nextbest -->"
WINDOW = "4s"
"""Of rewards here: nobody waits 30 s for an example to learn. What nobody has seen by then teaches nothing."""


def example(name: str) -> Path:
    return ROOT / "examples" / name


@contextmanager
def example_site(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[VisitedSite]:
    """An example that runs."""
    folder = tmp_path_factory.mktemp("pages") / name
    with SiteBesideABrowser.open(tmp_path_factory, catalog_of(name)) as site:
        put_pages(name, folder, site.up.url, wait="20s")  # other programs use this machine too
        with VisitedSite.open(site, folder) as web:
            yield web


def put_pages(name: str, folder: Path, api: str, wait: str = "300ms") -> None:
    """An example's pages in a folder of their own, for another API and with blocks that wait as long."""
    copytree(example(name), folder)
    for page in folder.rglob("*.html"):
        told = page.read_text("utf-8").replace("http://127.0.0.1:8700", api)
        page.write_text(told.replace("300ms step-end", f"{wait} step-end"), "utf-8")


def catalog_of(name: str) -> str:
    """An example's catalog, with rewards that are due soon."""
    (catalog,) = (example(name) / "catalog").glob("*.yaml")
    told = catalog.read_text("utf-8")
    assert "window: 30s" in told
    return told.replace("window: 30s", f"window: {WINDOW}")


def marked_lines(page: Path) -> int:
    """How many lines of a page are marked; every other line knows nothing of us."""
    lines = page.read_text("utf-8").splitlines()
    assert all("nextbest" not in line or MARK in line or "<footer" in line for line in lines), page
    return sum(MARK in line for line in lines)


def open_page(web: VisitedSite, path: str, width: int = 1200, scheme: Literal["light", "dark"] = "light") -> Page:
    """A page, opened by somebody who was never here."""
    page = web.visitor(viewport={"width": width, "height": 1500}, color_scheme=scheme).new_page()
    page.goto(f"{web.origin}/{path}")
    return page


def reload_undecided(page: Page) -> None:
    """Load a page again that is never told what was decided, to when its blocks show what stands in them."""
    held(page, "/v1/decide")
    page.reload()
    page.add_style_tag(content="[data-nextbest] { animation: none !important }")
    assert page.locator("[data-nextbest-shown]").count() == 0


def assert_everybody_can_use(page: Page) -> None:
    """What assistive technology would stumble over, and whether the page scrolls to the side."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
