"""The page on measuring shows a catalog that can be measured, and commands that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from cli.report import report
from config.loader import check_catalog
from personalization.catalog.compiled_catalog import compile_catalog
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^nextbest (report\b[^#\n]*)", PAGE, re.MULTILINE)


def test_the_example_is_a_catalog_with_an_experiment_and_every_kind_of_metric(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "site.yaml").write_text(block)
    checked = check_catalog(tmp_path)
    assert [str(mistake) for mistake in checked.mistakes] == []
    catalog = compile_catalog(checked.catalog_or_raise(), 1)
    assert catalog.placements["home.hero"].split.keys() == {"control", "", "bold"}
    assert {name: metric.is_share for name, metric in catalog.metrics.items()} == {
        "signed_up": True,
        "paid_orders": True,
        "revenue": False,
        "buys_soon": True,
    }


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_that_the_page_shows_is_one(words: str) -> None:
    with click.Context(report) as context:
        report.parse_args(context, shlex.split(words)[1:])


def test_there_are_some() -> None:
    assert len(COMMANDS) >= 5


def test_every_test_that_the_page_names_is_there() -> None:
    fold = "tests/unit/personalization/folding/test_participating.py"
    assert fold in PAGE
    named = re.findall(r"`FOLD -k \"?([^\"`]+)\"?`", PAGE)
    named_by_file = {fold: named, "tests/integration/test_report.py": re.findall(r"test_report\.py -k (\w+)", PAGE)}
    for file, keys in named_by_file.items():
        assert keys
        tests = re.findall(r"^def (test_\w+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
        for key in keys:
            for word in key.split(" or "):
                assert any(word in test for test in tests), (file, word)
