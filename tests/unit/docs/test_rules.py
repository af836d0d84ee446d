"""Rules are cited by names that the page of rules has, and each names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.servers import ROOT

_CITED = re.compile(r"\brules? ((?:\*[A-Z][A-Za-z, ]*\*(?:,| and)? ?)+)")
_TESTS = re.compile(r"`(tests/[\w./]+\.py)`")


def rules() -> dict[str, str]:
    """The text of each rule by its name."""
    parts = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8").split("\n### ")[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def test_every_rule_names_tests_that_are_there() -> None:
    for name, text in rules().items():
        tests = _TESTS.findall(text)
        assert tests, f"nothing holds us to {name}"
        assert [path for path in tests if not (ROOT / path).exists()] == []


def test_every_rule_that_code_cites_is_written_down() -> None:
    folders = [each for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")]
    cited: dict[str, Path] = {}
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for names in _CITED.findall(path.read_text(encoding="utf-8")):
            cited.update(dict.fromkeys(re.findall(r"\*([^*]+)\*", names), path))
    assert len(cited) > 10
    assert {name: path for name, path in cited.items() if name not in rules()} == {}
