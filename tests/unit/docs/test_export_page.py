"""The page about exports shows the columns that files have, and the command that reads one back."""

from __future__ import annotations

import re

import pytest

from operations.exporting.columns import COLUMNS, What
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def table(what: What) -> str:
    rows = [f"| `{column.name}` | {column.kind.value} | {column.meaning} |" for column in COLUMNS[what]]
    return "\n".join([f"### {what}", "", "| column | what stands there | meaning |", "|---|---|---|", *rows, ""])


@pytest.mark.parametrize("what", What)
def test_the_page_has_every_column(what: What) -> None:
    assert table(what) in PAGE, f"write into docs/export.md:\n{table(what)}"


def test_the_command_that_reads_one_back_ignores_all_that_is_no_context() -> None:
    (ignored,) = re.findall(r"--ignore (\S+)", PAGE.replace("\\\n", ""))
    read = {"arm", "reward", "propensity"}
    names = {column.name for column in COLUMNS[What.OUTCOMES]} - {"visitor_id"}
    assert set(ignored.split(",")) == names - read
