"""Every metric that a page of the documentation names is one that a process shows, by exactly that name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from operations.metrics_page import metric_names
from tests.servers import ROOT

PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "nextbest_" in path.read_text())
_NAME = re.compile(r"\bnextbest_(?!client\b)[a-z_]+")  # the client for Python is no metric


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_metric_a_page_names_is_shown(page: Path) -> None:
    shown = metric_names()
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}  # a page names histograms whole
    assert set(_NAME.findall(page.read_text())) - shown - families == set()


def test_the_runbook_is_among_the_pages() -> None:
    assert ROOT / "docs" / "runbook.md" in PAGES
