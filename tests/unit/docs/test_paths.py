"""Every file and folder that a page of the documentation names is there, and no paragraph stands on it twice."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.servers import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
TOPS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
_PATH = re.compile(rf"`((?:{'|'.join(TOPS)})/[\w./-]*)`")
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [path for path in _PATH.findall(text) if "NAME" not in path]
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [link for link in _LINK.findall(text) if not (page.parent / link).exists()] == []


def test_the_map_of_the_house_answers_questions_with_places() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "? |" in line]
    assert len(rows) >= 20
    assert all(_PATH.search(row.split("|")[2]) for row in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_paragraph_begins_as_another_does(page: Path) -> None:
    """As two that were merged do, of which one was to go."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line for line in text.splitlines() if len(line.split()) >= 8 and not line.startswith(("|", "-", "*"))]
    begins = Counter(" ".join(line.split()[:8]) for line in lines)
    assert [words for words, n in begins.items() if n > 1] == []
