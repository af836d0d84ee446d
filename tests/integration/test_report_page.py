"""The page of reports in a browser: everybody can read it, also on paper and in the dark, and it loads nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, sync_playwright

from operations.reporting.page import page
from tests.clients.browser import CHROMIUM_FLAGS, chromium
from tests.integration.example_site import assert_everybody_can_use
from tests.unit.operations.reporting import made_reports

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    reports = [made_reports.full(), made_reports.missing(), made_reports.alarm("home.list")]
    file.write_text(page(reports, 1_700_000_000_000), encoding="utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_everybody_can_read_it(browser: Browser, file: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    shown, asked, said = context.new_page(), [], []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert said == []
    assert_everybody_can_use(shown)
    context.close()


def test_on_paper_all_figures_are_there_on_white(browser: Browser, file: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    shown = context.new_page()
    shown.goto(file.as_uri())
    shown.emulate_media(media="print")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tables = shown.locator("details table")
    assert tables.count() >= 1
    assert all(each.is_visible() for each in tables.all()), "what is folded together on a screen is printed"
    context.close()
