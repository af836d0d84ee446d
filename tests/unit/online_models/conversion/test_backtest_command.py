"""``nextbest backtest``: its JSON, its options, and what it says about bad files."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.backtest import backtest
from personalization.errors import InvalidInput
from tests.unit.online_models.conversion.test_model import visitors

KEYS = {"auc", "auc_low", "auc_high", "log_loss", "calibration_error", "us_per_event", "rows"}


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.csv.gz"
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, ["pages", "minutes", "source", "noise", "bought"])
        writer.writeheader()
        for i, (x, y) in enumerate(visitors(900)):
            writer.writerow({**x, "noise": i % 7, "bought": int(y)})
    return path


def run(*arguments: object) -> dict[str, Any]:
    result = CliRunner().invoke(backtest, [str(a) for a in (*arguments, "--json")], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_the_report(history: Path) -> None:
    report = run(history, "--label", "bought")
    assert set(report) >= KEYS
    assert report["rows"] == 900
    assert 0.5 < report["auc_low"] < report["auc"] < report["auc_high"] < 1.0
    again = run(history, "--label", "bought")
    assert {**again, "us_per_event": 0} == {**report, "us_per_event": 0}, "deterministic but for the clock"


def test_shuffled_orders_folds_and_importance(history: Path) -> None:
    report = run(history, "--label", "bought", "--shuffle", 2, "--folds", 3, "--importance", "--limit", 600)
    assert report["rows"] == 600
    assert len(report["per_order"]) == 2
    assert report["per_order"][0] != report["per_order"][1]
    assert [fold["rows"] for fold in report["folds"]] == [150, 150, 150]
    importance = {item["feature"]: item for item in report["importance"]}
    assert set(importance) == {"pages", "minutes", "source", "noise"}
    assert report["importance"][0]["feature"] == "pages"
    assert importance["pages"]["low"] > 0.0
    assert importance["noise"]["low"] <= 0.02


def test_a_river_model_by_dotted_path(history: Path) -> None:
    assert run(history, "--label", "bought", "--model", "river.linear_model.LogisticRegression")["auc"] > 0.6


def test_people_get_a_table(history: Path) -> None:
    result = CliRunner().invoke(backtest, [str(history), "--label", "bought", "--folds", "1", "--limit", "200"])
    assert result.exit_code == 0
    assert "AUC" in result.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("a,bought\n", "no rows"),
        ("a,b\n1,2\n", "no column 'bought'"),
        ("bought\n1\n0\n", "no column beside the label"),
        ("a,a,bought\n1,2,1\n", "twice: a"),
        ("a,bought\n1,1\n2\n", "history.csv:3: has 1 cells"),
        ("a,bought\n1,1\n2,maybe\n", "history.csv:3: column 'bought' is 'maybe'"),
        ("a,bought\n1,1\n2,1\n", "both outcomes"),
        ('a,bought\n"x,1\n', r"history.csv:2: a quote begins there that does not end"),
    ],
)
def test_bad_files_are_named_with_the_line_and_the_remedy(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "history.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=says):
        CliRunner().invoke(backtest, [str(path), "--label", "bought"], catch_exceptions=False)


def test_damaged_and_binary_files(tmp_path: Path, history: Path) -> None:
    cut, binary = tmp_path / "cut.csv.gz", tmp_path / "binary.csv"
    cut.write_bytes(history.read_bytes()[:200])
    binary.write_bytes(bytes(range(128, 256)))
    for path in (cut, binary):
        with pytest.raises(InvalidInput):
            CliRunner().invoke(backtest, [str(path), "--label", "bought"], catch_exceptions=False)
