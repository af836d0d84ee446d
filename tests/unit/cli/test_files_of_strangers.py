"""``nextbest simulate`` and ``backtest`` on files as they come out of other people's programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from cli.backtest import backtest
from cli.simulate import simulate

N = 300


def run(command: click.Command, *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    for note in report["notes"]:
        assert note in result.stderr, "what is found is said to people, too"
    return report


@pytest.fixture
def excel(tmp_path: Path) -> Path:
    """As a German Excel saves it: semicolons, decimal commas, Windows-1252, a title; sold for more if at all."""
    rng = np.random.default_rng(1)
    lines = ["Kundenübersicht;;;;;", "Kundennr;Datum;Ort;Umsatz;Gekauft;Bestellwert"]
    for n in range(N):
        is_sold = rng.random() < 0.3
        lines.append(
            f"{rng.integers(10**6)};{n % 28 + 1:02d}.{n % 12 + 1:02d}.2024 08:30;"
            f"{rng.choice(['München', 'Köln'])};{rng.integers(1, 9)}.{rng.integers(100, 999)},50 €;"
            f"{'ja' if is_sold else 'nein'};{'12,50' if is_sold else ''}"
        )
    path = tmp_path / "kunden.csv"
    path.write_bytes("\r\n".join(lines).encode("cp1252"))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log without a header: time, session, device, what was shown, its page, clicked."""
    rng = np.random.default_rng(2)
    lines = []
    for n in range(N):
        shown = rng.choice(["a", "b"])
        click = int(rng.random() < (0.6 if shown == "a" else 0.1))
        device = rng.choice(["phone", "desk"])
        lines.append(f"{1_711_000_000 + 60 * n}|{rng.integers(2**62):016x}|{device}|{shown}|/{shown}.html|{click}")
    path = tmp_path / "access.log"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_german_excel_file_is_backtested(excel: Path) -> None:
    report = run(backtest, str(excel), "--label", "Gekauft", "--importance")
    assert report["rows"] == N
    assert {each["feature"] for each in report["importance"]} == {
        "Datum year progress",
        "Datum month",
        "Datum weekday",
        "Datum hour",
        "Ort",
        "Umsatz",
    }
    notes = "\n".join(report["notes"])
    for said in (
        "read as Windows-1252",
        "separated by ';'",
        "a line above the table is left out",
        "column `Datum` holds dates",
        "column `Kundennr` is",
        "column `Bestellwert` gives the label `Gekauft` away",
    ):
        assert said in notes


def test_knowing_nothing_but_the_share_stands_beside(excel: Path) -> None:
    report = run(backtest, str(excel), "--label", "Gekauft")
    assert report["log_loss_low"] < report["log_loss"] < report["log_loss_high"]
    # Of a share of .3: its entropy, but for what is not known in the beginning.
    assert report["baseline_log_loss"] == pytest.approx(-(0.3 * np.log(0.3) + 0.7 * np.log(0.7)), abs=0.06)


def test_a_log_without_a_header_is_simulated(log: Path) -> None:
    report = run(
        simulate, str(log), "--shown", "column 4", "--reward", "column 6", "--orders", "2", "--policy", "uniform"
    )
    assert report["arms"] == ["a", "b"]
    low, high = report["policies"]["uniform"]["interval"]
    assert low < report["policies"]["uniform"]["mean_reward"] < high
    best = report["baselines"]["best fixed"]
    assert best["arm"] == "a"
    assert best["interval"][0] < 0.6 < best["interval"][1]
    assert report["baselines"].keys() == {"uniform", "best fixed", "as logged"}
    assert "column `column 5` gives the arm (`column 4`) away" in "\n".join(report["notes"])


def test_people_get_intervals_and_baselines(log: Path) -> None:
    arguments = [str(log), "--shown", "column 4", "--reward", "column 6", "--orders", "1", "--policy", "uniform"]
    result = CliRunner().invoke(simulate, arguments, catch_exceptions=False)
    for said in ("95 %", "first half", "best fixed: a", "as logged", "snips"):
        assert said in result.stdout


def test_a_header_that_is_none_can_be_said(log: Path) -> None:
    arguments = [str(log), "--label", "column 4", "--policy", "uniform", "--orders", "1", "--header"]
    result = CliRunner().invoke(simulate, arguments)
    assert "has no column 'column 4'" in str(result.exception)


def test_columns_with_commas_in_their_names_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "rewards.csv"
    path.write_text('age,"a, blue","b, red"\n' + "1,0,1\n2,1,0\n3,1,1\n" * 5)
    report = run(simulate, str(path), "--rewards", '"a, blue","b, red"', "--orders", "1", "--policy", "uniform")
    assert report["arms"] == ["a, blue", "b, red"]


def test_a_reward_outside_its_range_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rewards.csv"
    path.write_text("age,a,b\n1,0,1\n2,5,7\n")
    result = CliRunner().invoke(simulate, [str(path), "--rewards", "a,b", "--orders", "1"])
    assert str(result.exception) == ("rewards.csv:3: column 'a' is 5: outside --reward-range 0:1, which may be 0:7")
