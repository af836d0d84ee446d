"""The page about exports shows the columns that files have, and the command that reads one back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from operations.exporting.columns import COLUMNS, What, columns_of
from operations.exporting.parquet_format import write_parquet
from tests.requirements import require
from tests.servers import ROOT

PAGE = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")


def table(what: What) -> str:
    rows = [f"| `{column.name}` | {column.kind.value} | {column.meaning} |" for column in COLUMNS[what]]
    return "\n".join([f"### {what}", "", "| column | what stands there | meaning |", "|---|---|---|", *rows, ""])


@pytest.mark.parametrize("what", What)
def test_the_page_has_every_column(what: What) -> None:
    assert table(what) in PAGE, f"write into docs/export.md:\n{table(what)}"


def test_what_the_page_asks_duckdb_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("parquet")
    import duckdb

    monkeypatch.chdir(tmp_path)
    choice = {"placement": "home.hero", "propensity": 0.5, "sample_weight": 1.0}
    rows = [
        {**choice, "arm": "a", "reward": 1.0, "trains": True},
        {**choice, "arm": "b", "reward": 0.0, "trains": True},
        {**choice, "arm": "b", "reward": 1.0, "trains": False},
    ]
    with Path("outcomes.parquet").open("wb") as file:
        write_parquet(rows, file, columns_of(What.OUTCOMES, with_ids=False))
    (query,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert sorted(duckdb.sql(query).fetchall()) == [("a", 1.0), ("b", 0.0)]


def test_the_command_that_reads_one_back_ignores_all_that_is_no_context() -> None:
    (ignored,) = re.findall(r"--ignore (\S+)", PAGE.replace("\\\n", ""))
    read = {"arm", "reward", "propensity"}
    names = {column.name for column in COLUMNS[What.OUTCOMES]} - {"visitor_id"}
    assert set(ignored.split(",")) == names - read
