"""The quality benchmark plays ours as ``nextbest simulate`` does, goes on where it stopped, names who is absent."""

from __future__ import annotations

import csv
import gzip
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.quality import __main__ as quality
from benchmarks.quality import contenders as entry
from benchmarks.quality import data_sets
from benchmarks.quality.numbers import OnlineVectors
from cli.simulate import simulate
from personalization.features import Features

N_ROWS = 120


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files of every shape, under the names of the real ones."""
    rng = random.Random(1)
    rows = []
    for _ in range(N_ROWS):
        x = rng.random()
        rows.append(
            {
                "0": f"{x:.3f}",
                "city": rng.choice(["Ulm", "New York: a|b"]),
                "label": "high" if x > 0.5 else "low",
                "shown": rng.choice(["a", "b"]),
                "clicked": int(rng.random() < x),
                "converted": int(rng.random() < x),
            }
        )
    for name, columns in {
        "bandit-digits.csv.gz": ("0", "city", "label"),
        "replay-news.csv.gz": ("0", "city", "shown", "clicked"),
        "convert-bank.csv.gz": ("0", "city", "converted"),
    }.items():
        with gzip.open(tmp_path / name, "wt", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
    return tmp_path


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def call(*arguments: str) -> tuple[dict[str, Any], str]:
        cache = str(folder / "runs.jsonl")
        assert quality.main(["--data", str(folder), "--cache", cache, "--json", *arguments]) == 0
        said = capsys.readouterr()
        return json.loads(said.out), said.err

    return call


def test_ours_is_what_simulate_says(run: Callable[..., Any], folder: Path) -> None:
    for name, options in (
        ("digits", ["bandit-digits.csv.gz", "--label", "label"]),
        ("news", ["replay-news.csv.gz", "--shown", "shown", "--reward", "clicked"]),
    ):
        found, _ = run("--only", name, "--only", "nextbest", "--orders", "2")
        said = CliRunner().invoke(simulate, [str(folder / options[0]), *options[1:], "--orders", "2", "--json"])
        figures = json.loads(said.stdout)["policies"]["default"]
        ours = found["rows"][name]["nextbest"]["mean_reward"]
        assert ours["per_order"] == pytest.approx(figures["per_order"], abs=1e-12)
        assert ours["sd"] == pytest.approx(figures["sd"], abs=1e-12)


def test_it_goes_on_where_it_stopped(run: Callable[..., Any]) -> None:
    first, said = run("--only", "digits", "--only", "river ucb, no context", "--orders", "2")
    assert said.count("digits river ucb, no context order") == 2
    again, said = run("--only", "digits", "--only", "river ucb, no context", "--orders", "3")
    assert said.count("digits river ucb, no context order") == 1
    per_order = again["rows"]["digits"]["river ucb, no context"]["mean_reward"]["per_order"]
    assert per_order[:2] == first["rows"]["digits"]["river ucb, no context"]["mean_reward"]["per_order"]


def test_other_code_is_measured_again(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run("--only", "digits", "--only", "nextbest", "--orders", "1")
    assert "order" not in run("--only", "digits", "--only", "nextbest", "--orders", "1")[1]
    monkeypatch.setattr(entry, "_stamp_of_ours", lambda: "changed")
    assert "digits nextbest order 1" in run("--only", "digits", "--only", "nextbest", "--orders", "1")[1]


def test_who_is_not_installed_is_named(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "vowpalwabbit", None)
    monkeypatch.delitem(sys.modules, "benchmarks.quality.vw_players", raising=False)
    page = folder / "quality.md"
    found, said = run("--only", "digits", "--only", "bank", "--orders", "1", "--limit", "60", "--write", str(page))
    assert "absent: vowpalwabbit" in said
    assert "pip install -e '.[bench]'" in found["absent"]["vowpalwabbit"]
    text = page.read_text()
    assert "Not here: vowpalwabbit" in text
    assert "| nextbest |" in text
    assert "the first 60 rows only" in text
    assert "river forest of 10" in text


def test_a_name_nobody_has_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main(["--data", str(folder), "--only", "digitz"]) == 1
    assert "unknown: digitz; there are digits" in capsys.readouterr().err


def test_every_row_names_its_command() -> None:
    for data_set in data_sets.DATA_SETS:
        assert data_set.command(5).startswith(("nextbest simulate ", "nextbest backtest "))
        assert ("--delay 200 --update-every 50" in data_set.command(5)) == (data_set.delay == 200)


def test_vectors_use_nothing_that_was_not_seen() -> None:
    contexts: list[Features] = [{"a": 1.0, "b": "x"}, {"a": 3.0, "b": "y"}, {"b": "x"}, {"a": 5.0, "b": "x"}]
    vectors = OnlineVectors(contexts)
    seen = [vectors.vector(context).tolist() for context in contexts]
    assert seen[0] == [1.0, 0.0, 1.0, 0.0], "one value says nothing"
    assert seen[1] == [1.0, 1.0, 0.0, 1.0]
    assert seen[2] == [1.0, 0.0, 1.0, 0.0], "missing is the mean"
    assert seen[3] == [1.0, pytest.approx((5 - 3) / (8 / 3) ** 0.5), 1.0, 0.0]
