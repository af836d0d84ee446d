"""Which dashboard is which file."""

from __future__ import annotations

from pathlib import Path

from dashboards import decide_latency, events, freshness, learning, redis_and_kafka
from dashboards.board import as_json

BOARDS = (decide_latency.BOARD, freshness.BOARD, learning.BOARD, events.BOARD, redis_and_kafka.BOARD)
FOLDER = Path(__file__).parent.parent / "deploy" / "grafana"


def written() -> dict[Path, str]:
    """Each file and what should stand in it."""
    return {FOLDER / f"{board.uid.removeprefix('nextbest-')}.json": as_json(board) for board in BOARDS}
