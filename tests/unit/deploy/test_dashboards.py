"""The dashboards in the repository are those of the code, and ask for what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboards.board import Board
from dashboards.files import BOARDS, FOLDER, written
from operations.metrics_page import metric_names
from tests.promql import named
from tests.unit.deploy.test_prometheus import OF_PROMETHEUS, RECORDED

OF_PROCESSES = {"process_cpu_seconds_total", "process_resident_memory_bytes"}


def asked(board: Board) -> list[str]:
    """The queries as Grafana sends them."""
    return [
        expression.replace("$__rate_interval", "1m").replace("$placement", ".*")
        for expression in board.expressions()
    ]


@pytest.mark.parametrize("path", written(), ids=lambda path: path.name)
def test_a_dashboard_is_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == written()[path], "run: python -m dashboards"


def test_no_other_dashboard_lies_there() -> None:
    assert set(FOLDER.glob("*.json")) == written().keys()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_dashboard_asks_for_what_some_process_shows(board: Board) -> None:
    assert asked(board)
    for expression in asked(board):
        names = named(expression)
        assert names - metric_names() - RECORDED.keys() - OF_PROMETHEUS - OF_PROCESSES == set(), expression


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_a_panel_says_how_to_read_it_and_where_it_asks(board: Board) -> None:
    found = json.loads(written()[FOLDER / f"{board.uid.removeprefix('nextbest-')}.json"])
    panels = [panel for panel in found["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in found["panels"]}) == len(found["panels"])
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${source}"
        assert all(target["expr"] for target in panel["targets"])
