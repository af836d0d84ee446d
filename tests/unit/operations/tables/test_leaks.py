"""A column that gives the answer away is named and left out, unless somebody insists; honest ones stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from operations.history import read_history
from operations.simulation.table import Columns, by_log
from operations.tables.reading import Reading

N = 400


def write(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    lines = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def history(path: Path, **more: object) -> Path:
    rng = np.random.default_rng(3)
    age = rng.integers(18, 80, N)
    bought = (rng.random(N) < np.where(age > 50, 0.6, 0.1)).astype(int)
    given = {
        "status": [("open", "paid")[each] for each in bought],
        "amount": [f"{rng.uniform(5, 90):.2f}" if each else "" for each in bought],
        "spent": [f"{rng.uniform(5, 90):.2f}" if each else 0 for each in bought],
        "paid_on": ["2024-05-01" if each else "" for each in bought],
        "score": [f"{each + rng.uniform(0, 0.9):.4f}" for each in bought],
        "pages": rng.integers(1, 9, N).tolist(),
    }
    return write(path, {"age": age.tolist(), **{name: given[name] for name in more}, "bought": bought.tolist()})


@pytest.mark.parametrize("column", ["status", "amount", "spent", "paid_on", "score"])
def test_a_column_that_gives_the_label_away_is_left_out_with_a_word(tmp_path: Path, column: str) -> None:
    path = history(tmp_path / "history.csv", **{column: True})
    found = read_history(path, "bought")
    assert [*found.rows[0]] == ["age"]
    assert f"column `{column}` gives the label `bought` away" in "\n".join(found.notes)
    kept = read_history(path, "bought", said=Reading(keep=(column,)))
    assert {name.split()[0] for row in kept.rows for name in row} == {"age", column}
    assert not [note for note in kept.notes if "away" in note]


def test_honest_columns_stay(tmp_path: Path) -> None:
    found = read_history(history(tmp_path / "history.csv", pages=True), "bought")
    assert [*found.rows[0]] == ["age", "pages"]
    assert found.notes == ()


@pytest.mark.parametrize("seed", range(8))
def test_chance_gives_nothing_away(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns: dict[str, list[object]] = {f"c{n}": rng.integers(0, n + 2, 60).tolist() for n in range(30)}
    columns["bought"] = (rng.random(60) < 0.12).astype(int).tolist()
    columns["bought"][:2] = [0, 1]
    assert not [note for note in read_history(write(tmp_path / "h.csv", columns), "bought").notes if "away" in note]


def test_a_column_that_gives_the_arm_away_is_left_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arms = rng.choice(["a", "b", "c"], N)
    path = write(
        tmp_path / "log.csv",
        {
            "device": rng.choice(["phone", "desk"], N).tolist(),
            "template": [f"/{arm}.html" for arm in arms],
            "shown": arms.tolist(),
            "clicked": rng.integers(0, 2, N).tolist(),
        },
    )
    table = by_log(path, "shown", "clicked")
    assert [*table.contexts[0]] == ["device"]
    assert "column `template` gives the arm (`shown`) away" in table.notes[-1]
    kept = by_log(path, "shown", "clicked", columns=Columns(said=Reading(keep=("template",))))
    assert [*kept.contexts[0]] == ["device", "template"]


def test_arms_that_were_not_equally_likely_are_told_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for chance, is_told in ((0.5, False), (0.8, True)):
        shown = np.where(rng.random(N) < chance, "a", "b").tolist()
        columns = {
            "age": rng.integers(18, 80, N).tolist(),
            "shown": shown,
            "clicked": rng.integers(0, 2, N).tolist(),
        }
        columns["p"] = [chance if arm == "a" else 1 - chance for arm in shown]
        path = write(tmp_path / "log.csv", columns)
        log = Columns(ignored=["p"])
        assert (
            any("arms were not shown alike" in note for note in by_log(path, "shown", "clicked", columns=log).notes)
            == is_told
        )
        assert not any("alike" in note for note in by_log(path, "shown", "clicked", "p").notes)


def test_a_column_that_tells_of_some_outcomes_is_warned_of(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    visit = (rng.random(N) < 0.3).astype(int)
    spend: list[object] = [f"{rng.uniform(1, 9):.2f}" if each and rng.random() < 0.4 else 0 for each in visit]
    path = write(
        tmp_path / "log.csv",
        {"age": rng.integers(18, 80, N).tolist(), "spend": spend, "visit": visit.tolist()},
    )
    found = read_history(path, "visit")
    assert [*found.rows[0]] == ["age", "spend"]
    assert "the label `visit` is always '1': if it is known only afterwards, --ignore spend" in "\n".join(
        found.notes
    )
