"""One set of rows as a file of each kind, read by something that is not ours."""

from __future__ import annotations

import contextlib
import csv
import json
import pkgutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from operations.exporting import columns
from operations.exporting.columns import FEATURE, OTHERS, Row, What, columns_of
from operations.exporting.progress import Asked, Progress, Standing
from operations.exporting.rows_file import RowsFile
from operations.exporting.target import Target
from operations.tables.table_file import read_table
from personalization.errors import InvalidInput, Refused
from tests.requirements import require

ROWS: list[Row] = [
    {
        "decision_id": "-d1",
        "visitor": "00ff",
        "arm": "=1+1",
        "propensity": 1 / 3,
        "holdout": None,
        "crawler": False,
        "eligible_arms": ["=1+1", "b,\n"],
        "eligible_propensities": [1 / 3, 2 / 3],
        "placed_above": [],
        "filtered": {"c": "capped"},
        "decided_at_ms": 1_700_000_000_000,
        "model_version": 3 << 40,
        FEATURE + "team": "@north",
        FEATURE + "age": 21.0,
        FEATURE + "mixed": 2.5,
    },
    {"decision_id": "d2", "arm": "b,\n", "holdout": True, FEATURE + "mixed": "'tis", FEATURE + "age": -1.5},
    {"decision_id": "d3", "arm": "c"},
]


@contextmanager
def made(to: Path, rows: list[Row], what: What = What.DECISIONS) -> Iterator[Path]:
    """The file of these rows."""
    if to.suffix == ".parquet":
        require("parquet")
    target = Target(to)
    with Progress(target.progress) as progress:
        progress.begin(Standing(asked=Asked(what=what)))
        with RowsFile(target.rows, 0) as file:
            progress.note_columns(rows)
            file.append(rows)
            file.sync()
        target.finish(what, progress.columns, with_ids=False)
        progress.remove()
    yield to


def test_json_lines_are_the_rows(tmp_path: Path) -> None:
    with made(tmp_path / "d.jsonl", ROWS) as path:
        assert [json.loads(line) for line in path.read_text().splitlines()] == ROWS


def test_a_file_is_its_owners_alone_and_nothing_stands_beside_it(tmp_path: Path) -> None:
    for ending in ("csv", "jsonl"):
        with made(tmp_path / f"d.{ending}", ROWS) as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.csv", "d.jsonl"]


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_csv_has_every_column_and_numbers_to_the_last_bit(tmp_path: Path) -> None:
    with made(tmp_path / "d.csv", ROWS) as path:
        first, second, third = cells(path)
    always = [column.name for column in columns_of(What.DECISIONS, with_ids=False)]
    assert list(first) == [*always, FEATURE + "age", FEATURE + "mixed", FEATURE + "team"]
    assert float(first["propensity"]) == 1 / 3
    assert (first["holdout"], second["holdout"], first["crawler"]) == ("", "true", "false")
    assert json.loads(first["eligible_arms"]) == ["=1+1", "b,\n"]
    assert json.loads(first["filtered"]) == {"c": "capped"}
    assert (first[FEATURE + "mixed"], second[FEATURE + "age"], third[FEATURE + "age"]) == ("2.5", "-1.5", "")
    assert (second["arm"], first["decision_id"]) == ("b,\n", "-d1"), "ids of ours are no formulas"


def test_no_cell_that_others_wrote_is_a_formula(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "'=", "plain"]
    rows = [{"decision_id": "d", "arm": text, FEATURE + "x": text} for text in texts]
    with made(tmp_path / "d.csv", rows) as path:
        found = cells(path)
    for text, row in zip(texts, found, strict=True):
        for cell in (row["arm"], row[FEATURE + "x"]):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
            assert (cell[1:] if cell.startswith("'") else cell) == text, "one apostrophe less is what was written"


def test_our_own_commands_read_the_csv(tmp_path: Path) -> None:
    with made(tmp_path / "d.csv", ROWS) as path:
        table = read_table(path, {"arm": "--shown", "decision_id": "--keep"})
    ids = table.named["decision_id"]
    assert [ids.texts[code] for code in ids.codes] == ["-d1", "d2", "d3"]


def test_parquet_has_types_that_another_reader_finds(tmp_path: Path) -> None:
    with made(tmp_path / "d.parquet", ROWS) as path, _duckdb() as database:
        described = database.execute(f"SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM '{path}')")
        types = dict(described.fetchall())
        found = database.execute(
            f"SELECT arm, propensity, holdout, eligible_arms, placed_above, filtered, decided_at_ms, "
            f'model_version, "feature.team", "feature.age", "feature.mixed" FROM \'{path}\''
        ).fetchall()
    assert found[0] == (
        *("=1+1", 1 / 3, None, ["=1+1", "b,\n"], [], '{"c":"capped"}', 1_700_000_000_000, 3 << 40),
        *("@north", 21.0, "2.5"),
    )
    assert found[1] == ("b,\n", None, True, [], [], None, None, None, None, -1.5, "'tis")
    assert (types["eligible_arms"], types["eligible_propensities"]) == ("VARCHAR[]", "DOUBLE[]")
    assert (types["decided_at_ms"], types["propensity"], types["holdout"]) == ("BIGINT", "DOUBLE", "BOOLEAN")
    assert (types["feature.age"], types["feature.mixed"]) == ("DOUBLE", "VARCHAR")


def test_an_export_without_rows_has_its_columns_all_the_same(tmp_path: Path) -> None:
    names = [column.name for column in columns_of(What.SCORES, with_ids=False)]
    with made(tmp_path / "s.csv", [], What.SCORES) as path:
        assert path.read_bytes().decode() == ",".join(names) + "\r\n"
    with made(tmp_path / "s.parquet", [], What.SCORES) as path, _duckdb() as database:
        database.execute(f"SELECT * FROM '{path}'")
        assert [each[0] for each in database.description or ()] == names
        assert database.fetchall() == []


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_features_beyond_the_bound_are_kept_in_one_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr("operations.exporting.progress.MAX_FEATURE_COLUMNS", 2)
    rows = [{"decision_id": f"d{n}", "arm": "a", FEATURE + f"x{n}": float(n)} for n in range(4)]
    with made(tmp_path / f"d.{ending}", rows) as path:
        if ending == "csv":
            found: list[Any] = [row[OTHERS] for row in cells(path)]
        else:
            with _duckdb() as database:
                found = [row[0] or "" for row in database.execute(f"SELECT {OTHERS} FROM '{path}'").fetchall()]
    assert found == ["", "", '{"feature.x2":2.0}', '{"feature.x3":3.0}']


def test_parquet_is_written_in_bounded_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.exporting.parquet_format.MAX_GROUP_ROWS", 4)
    rows = [{"decision_id": f"d{n}", "arm": "a"} for n in range(10)]
    with made(tmp_path / "d.parquet", rows) as path, _duckdb() as database:
        asked = f"SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata('{path}') ORDER BY 1"
        groups = database.execute(asked).fetchall()
        ids = database.execute(f"SELECT decision_id FROM '{path}'").fetchall()
    assert groups == [(0, 4), (1, 4), (2, 2)]
    assert ids == [(f"d{n}",) for n in range(10)]


class Killed(Exception):
    """Stands for whatever ends the process."""


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("step", ["os.replace", "operations.exporting.target.sync_folder", "pathlib.Path.unlink"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_whose_making_broke_off_is_made_again_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, step: str, when: str
) -> None:
    with made(tmp_path / f"whole.{ending}", ROWS) as path:
        whole = path.read_bytes()
    module, _, name = step.rpartition(".")
    owner = pkgutil.resolve_name(module)
    done = getattr(owner, name)

    def breaking(*arguments: Any, **more: Any) -> None:
        if when == "after":
            done(*arguments, **more)
        raise Killed

    target = Target(tmp_path / f"d.{ending}")
    with Progress(target.progress) as progress:
        progress.begin(Standing(asked=Asked(what=What.DECISIONS)))
        with RowsFile(target.rows, 0) as file:
            progress.note_columns(ROWS)
            file.append(ROWS)
        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(step, breaking)
            target.finish(What.DECISIONS, progress.columns, with_ids=False)
        if target.path.exists():
            assert target.path.read_bytes() == whole, "what has the name is whole"
        target.finish(What.DECISIONS, progress.columns, with_ids=False)
        progress.remove()
    assert target.path.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"d.{ending}", f"whole.{ending}"]


def test_a_name_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"does not end in \.csv, \.jsonl, \.parquet"):
        Target(tmp_path / "d.xlsx")
    with pytest.raises(InvalidInput, match="there is no folder"):
        Target(tmp_path / "nowhere" / "d.csv")


def test_whoever_has_not_what_writes_parquet_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "arro3.core", None)
    with pytest.raises(Refused, match=r"pip install 'nextbest\[parquet\]'.*\.csv or \.jsonl"):
        Target(tmp_path / "d.parquet")


def test_no_column_is_called_as_another() -> None:
    for what in What:
        names = [column.name for column in columns.COLUMNS[what]]
        assert len(names) == len(set(names))
        assert all(column.meaning.endswith(".") for column in columns.COLUMNS[what])


def _duckdb() -> Any:
    import duckdb  # behind ``require``

    return duckdb.connect()
