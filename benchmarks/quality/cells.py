"""What was measured, one line a run, kept beside the project: a long benchmark is done in parts and goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.quality.contenders import Contender
from benchmarks.quality.data_sets import DataSet

CACHE = Path(".cache") / "quality.jsonl"
FILE_ORDER = -1


class Cell(msgspec.Struct, frozen=True):
    """One run: one contender, one data set, one order.

    Attributes
    ----------
    order
        Which of the shuffled orders; −1: the file's own.
    """

    data_set: str
    contender: str
    stamp: str
    order: int
    limit: int
    rows: int
    figures: dict[str, float]
    us_per_decision: float
    us_per_update: float


class Cells:
    """All that was measured, on disk."""

    def __init__(self, path: Path = CACHE) -> None:
        self._path = path
        self._known: dict[tuple[str, str, str, int, int], Cell] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                cell = msgspec.json.decode(line, type=Cell)
                self._known[_key(cell)] = cell

    def get(self, data_set: DataSet, contender: Contender, order: int, limit: int | None) -> Cell | None:
        """The run, where the same code has made it."""
        return self._known.get((data_set.name, contender.name, contender.stamp, order, limit or 0))

    def add(self, cell: Cell) -> None:
        """Keep a run."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(cell) + b"\n")
        self._known[_key(cell)] = cell


def _key(cell: Cell) -> tuple[str, str, str, int, int]:
    return cell.data_set, cell.contender, cell.stamp, cell.order, cell.limit


def mean_and_sd(cells: Sequence[Cell], figure: str) -> tuple[float, float]:
    """Of one figure over orders; the sd of one order is 0."""
    values = np.array([cell.figures[figure] for cell in cells])
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
