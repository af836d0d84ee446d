"""``nextbest simulate``: its three shapes of input, its JSON, and that it plays what it says."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

from cli.simulate import simulate
from operations.simulation.play import PlaySettings, order_of, play
from operations.simulation.table import Columns, by_label
from personalization.catalog.policy_spec import PolicySpec
from personalization.errors import InvalidInput

FIELDS = {
    "mean_reward",
    "sd",
    "per_order",
    "interval",
    "first_half",
    "first_half_interval",
    "second_half",
    "second_half_interval",
    "accepted",
    "us_per_decision",
    "us_per_update",
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def visitors(tmp_path: Path) -> Path:
    """400 visitors: the right arm depends on a number and a category; some cells are empty."""
    rng = np.random.default_rng(4)
    rows = []
    for i in range(400):
        age, device = rng.normal(), "phone" if rng.random() < 0.5 else "desk"
        best = "young" if age < 0 else ("mobile" if device == "phone" else "old")
        row = {"age": f"{age:.3f}", "device": device if i % 9 else "", "best": best}
        row |= {f"pays_{arm}": "2.5" if best == arm else "-1" for arm in ("young", "mobile", "old")}
        shown = ("young", "mobile", "old")[rng.integers(3)]
        rows.append({**row, "shown": shown, "clicked": float(shown == best), "p": "0.3333333"})
    return write(tmp_path / "visitors.csv.gz", rows)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(simulate, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.splitlines()[-1])


def leave_only(path: Path, *columns: str) -> Path:
    with gzip.open(path, "rt") as file:
        rows = [{name: row[name] for name in columns} for row in csv.DictReader(file)]
    return write(path.with_name("-".join(columns)[:40] + ".csv.gz"), rows)


def test_labels(visitors: Path) -> None:
    file = leave_only(visitors, "age", "device", "best")
    report = run(str(file), "--label", "best", "--orders", "2", "--policy", "default", "--policy", "uniform")
    assert report["rows"] == 400
    assert report["arms"] == ["mobile", "old", "young"]
    for figures in report["policies"].values():
        assert figures.keys() == FIELDS
        assert len(figures["per_order"]) == 2
        assert figures["accepted"] == 400
        assert figures["us_per_decision"] > 0
    assert report["policies"]["default"]["second_half"] > 0.7
    assert report["policies"]["uniform"]["mean_reward"] == pytest.approx(1 / 3, abs=0.06)


def test_every_arms_reward_is_known(visitors: Path) -> None:
    columns = ("pays_young", "pays_mobile", "pays_old")
    file = leave_only(visitors, "age", "device", *columns)
    arguments = (str(file), "--rewards", ",".join(columns), "--orders", "1")
    report = run(*arguments, "--reward-range", "-1:2.5")
    assert report["arms"] == list(columns)
    assert report["policies"]["default"]["second_half"] > 1.0
    outside = CliRunner().invoke(simulate, [*arguments, "--json"])
    assert isinstance(outside.exception, InvalidInput)
    assert "--reward-range" in str(outside.exception)


def test_logged_data_is_replayed_by_rejection(visitors: Path) -> None:
    file = leave_only(visitors, "age", "device", "shown", "clicked", "p")
    arguments = (str(file), "--shown", "shown", "--reward", "clicked", "--orders", "1", "--policy", "uniform")
    plain, weighted = run(*arguments), run(*arguments, "--propensity", "p")
    figures = plain["policies"]["uniform"]
    assert 100 < figures["accepted"] < 170
    with gzip.open(file, "rt") as opened:
        truth = np.mean([float(row["clicked"]) for row in csv.DictReader(opened)])
    for estimate in figures["off_policy"].values():
        assert estimate["low"] <= truth <= estimate["high"]
    assert weighted["policies"]["uniform"]["off_policy"]["ips"]["value"] == pytest.approx(
        figures["off_policy"]["ips"]["value"] * (1 / 3) / 0.3333333, rel=1e-5
    )


def test_orders_are_seeded_and_one_order_is_the_files_own() -> None:
    assert order_of(9, 0, 1, False).tolist() == list(range(9))
    assert (
        order_of(9, 1, 3, False).tolist() == order_of(9, 1, 3, False).tolist() != order_of(9, 2, 3, False).tolist()
    )
    halves = order_of(10, 0, 3, True)
    assert sorted(halves[:5]) == list(range(5))


def test_the_same_order_gives_the_same_rewards_and_the_future_does_not_matter(visitors: Path) -> None:
    table = by_label(leave_only(visitors, "age", "device", "best"), "best")
    settings = PlaySettings(PolicySpec())
    order = order_of(len(table), 0, 2, False)
    one = play(table, settings, order, 0).rewards
    assert one.tolist() == play(table, settings, order, 0).rewards.tolist()
    changed = np.concatenate([order[:200], order[200:][::-1]])
    assert one[:200].tolist() == play(table, settings, changed, 0).rewards[:200].tolist()


def test_delay_and_rare_updates_are_played(visitors: Path) -> None:
    table = by_label(leave_only(visitors, "age", "device", "best"), "best")
    order = np.arange(len(table))
    late = play(table, PlaySettings(PolicySpec(), delay=50), order, 0)
    assert late.n_updates == len(table) - 50
    never = play(table, PlaySettings(PolicySpec(), update_every=10_000), order, 0)
    assert never.rewards.mean() == pytest.approx(1 / 3, abs=0.08)


def test_what_is_only_known_afterwards_is_no_context(visitors: Path) -> None:
    table = by_label(visitors, "best", Columns(ignored=["device"]))
    assert {name for context in table.contexts for name in context} == {
        name for context in by_label(visitors, "best").contexts for name in context if name != "device"
    }
    result = run(str(visitors), "--label", "best", "--ignore", "device", "--orders", "1", "--limit", "50")
    assert result["rows"] == 50


@pytest.mark.parametrize("ending", ["html", "png", "svg"])
def test_the_plot_is_a_page_or_a_picture(visitors: Path, tmp_path: Path, ending: str) -> None:
    plot = tmp_path / f"curve.{ending}"
    run(str(leave_only(visitors, "age", "best")), "--label", "best", "--orders", "1", "--plot", str(plot))
    if ending == "png":
        assert plot.read_bytes().startswith(b"\x89PNG")
        return
    page = plot.read_text()
    svg = ElementTree.fromstring(page[page.index("<svg") : page.rindex("</svg>") + len("</svg>")])
    assert len([each for each in svg.iter() if each.get("id", "").startswith("line2d")]) > 2
    texts = {each.text for each in svg.iter() if each.tag.endswith("text")}
    assert {"default", "uniform", "best fixed (young)"} <= texts
    assert any(each.get("id", "").startswith("FillBetween") for each in svg.iter())


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--label", "nothing"], "nothing"),
        (["--label", "best", "--ignore", "nothing"], "nothing"),
        (["--label", "best", "--policy", "better"], "--policy"),
        (["--label", "best", "--model", "os.system"], "--model"),
        ([], "--label"),
        (["--shown", "shown"], "--reward"),
        (["--label", "best", "--plot", "curve.pdf"], "--plot"),
        (["--rewards", "device", "--reward-range", "1:0"], "interval"),
    ],
)
def test_what_is_wrong_is_named(visitors: Path, arguments: list[str], names: str) -> None:
    result = CliRunner().invoke(simulate, [str(visitors), *arguments])
    assert result.exit_code != 0
    assert names in result.output + str(result.exception)
