"""The example shop as a visitor meets it: what its marked lines do, and whether everybody can use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.integration.visited_site import SiteBesideABrowser, VisitedSite, id_of
from tests.running import ROOT, until

pytestmark = [pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(300)]

EXAMPLE = ROOT / "examples" / "shop"
HTML = (EXAMPLE / "index.html").read_text("utf-8")
MARK = "<!-- nextbest -->"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VisitedSite]:
    folder = tmp_path_factory.mktemp("pages")
    with (
        SiteBesideABrowser.open(tmp_path_factory, (EXAMPLE / "catalog" / "shop.yaml").read_text("utf-8")) as site,
        VisitedSite.open(site, folder) as web,
    ):
        (folder / "index.html").write_text(HTML.replace("http://127.0.0.1:8700", site.up.url), "utf-8")
        yield web


def test_five_lines_personalise_it() -> None:
    lines = HTML.splitlines()
    assert sum(MARK in line for line in lines) == 5
    assert all("nextbest" not in line or MARK in line or "<footer" in line for line in lines)


def test_both_blocks_are_decided_and_what_is_bought_is_stored(web: VisitedSite) -> None:
    page = web.visitor(viewport={"width": 1200, "height": 1000}).new_page()  # nothing is scrolled out of sight
    page.goto(f"{web.origin}/index.html")
    page.wait_for_selector(".hero[data-nextbest-shown]")
    page.wait_for_selector(".strip[data-nextbest-shown]")
    page.click("text=Add Ridge")
    visitor = id_of(page)
    until(lambda: len(web.stored(visitor).shown) == 2, "both were shown")
    until(lambda: web.stored(visitor).tracked == {"Product Added": 1}, "what was bought is stored")
    (added,) = web.stored(visitor).tracks
    assert added.properties == {"value": 129, "currency": "EUR"}
    assert page.evaluate("window.shifts") <= 0.05


@pytest.mark.parametrize("width", [360, 1200])
def test_everybody_can_use_it(web: VisitedSite, width: int) -> None:
    page = web.visitor(viewport={"width": width, "height": 900}).new_page()
    page.goto(f"{web.origin}/index.html")
    page.wait_for_selector(".strip[data-nextbest-shown]")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
