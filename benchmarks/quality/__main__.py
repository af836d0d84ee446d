"""Our learning beside Vowpal Wabbit, MABWiser and River's own policies, on real data, in one run.

    python -m benchmarks.quality --only digits
    python -m benchmarks.quality --orders 5 --write docs/quality.md

The competitors come with ``pip install -e '.[bench]'``; one that is not installed is named and left out. Every run
is kept (``.cache/quality.jsonl``) under a stamp of the code that made it, so the benchmark may be stopped, run in
parts, and goes on; after a change of ours only ours is played again. It runs at low priority.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.ending import end_by_sigterm
from benchmarks.quality.cells import FILE_ORDER, Cell, Cells
from benchmarks.quality.contenders import Contender, contenders
from benchmarks.quality.data_sets import DATA_SETS, DataSet, data_folder
from benchmarks.quality.measure import baselines, load, measure
from benchmarks.quality.page import Results, as_json, page, table
from operations.history import History
from operations.simulation.table import Table

LIBRARIES = ("vowpalwabbit", "mabwiser", "river")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is missing, print the table."""
    given = _parser().parse_args(arguments)
    folder = data_folder(given.data)
    if folder is None:
        print("no data folder: give one with --data or NEXTBEST_DATA", file=sys.stderr)
        return 1
    found, absent = contenders()
    players, sets = _chosen(given.only, found), _chosen_sets(given.rows, given.only)
    names = [*(each.name for each in DATA_SETS), *(each.name for each in found)]
    unknown = set(given.only) - set(names)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(names)}", file=sys.stderr)
        return 1
    results = Results(given.orders, given.limit, absent=absent, versions=_versions())
    for library, why in absent.items():
        print(f"absent: {library} ({why})", file=sys.stderr)
    cells = Cells(Path(given.cache))
    for data_set in sets:
        _run(data_set, players, folder, cells, results, kept=given.kept)
    if given.write:
        Path(given.write).write_text(page(results, _command(given)), encoding="utf-8")
    if given.json:
        print(json.dumps(as_json(results)))
    else:
        print("\n".join(table(results)))
    return 0


def _run(
    data_set: DataSet,
    players: Sequence[Contender],
    folder: Path,
    cells: Cells,
    results: Results,
    *,
    kept: bool,
) -> None:
    if not (folder / data_set.file).exists():
        print(f"absent: {data_set.file} in {folder}", file=sys.stderr)
        return
    orders, limit = results.orders, results.limit
    rows = load(data_set, folder, limit)
    results.fixed[data_set.name] = baselines(data_set, rows)
    # Order by order, so that contenders are measured side by side whatever else the machine does.
    for index in range(1 if data_set.kind == "conversion" else orders):
        for player in players:
            if not player.takes(data_set):
                continue
            order = FILE_ORDER if orders == 1 or data_set.kind == "conversion" else index
            cell = cells.get(data_set, player, order, limit)
            if cell is None and not kept:
                cell = _measured(data_set, player, rows, index, orders, limit)
                cells.add(cell)
            if cell is not None:
                results.cells.setdefault((data_set.name, player.name), []).append(cell)


def _measured(
    data_set: DataSet, player: Contender, rows: Table | History, index: int, orders: int, limit: int | None
) -> Cell:
    began = time.monotonic()
    cell = measure(data_set, player, rows, index, orders, limit)
    shown = " / ".join(f"{cell.figures[figure]:.4f}" for figure in data_set.figures)
    words = f"{data_set.name} {player.name} order {index + 1}: {shown}"
    print(f"{words} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    return cell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [data_set.name for data_set in DATA_SETS]
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="a data set or a contender; repeatable"
    )
    parser.add_argument("--orders", type=int, default=5, help="shuffled orders; 1: file order (default 5)")
    parser.add_argument("--limit", type=int, help="only the first so many rows")
    parser.add_argument("--data", default="", help="folder of the files; else NEXTBEST_DATA, or a neighbour's data")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", metavar="FILE", help="write the page, e.g. docs/quality.md")
    parser.add_argument("--kept", action="store_true", help="play nothing: show what was measured before")
    parser.add_argument("--cache", default=".cache/quality.jsonl", help="where runs are kept")
    return parser


def _chosen(only: Sequence[str], found: Sequence[Contender]) -> list[Contender]:
    named = [player for player in found if player.name in only]
    return named or list(found)


def _chosen_sets(rows: Sequence[str], only: Sequence[str]) -> list[DataSet]:
    named = [data_set for data_set in DATA_SETS if data_set.name in (*rows, *only)]
    return named or list(DATA_SETS)


def _versions() -> dict[str, str]:
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def _command(given: argparse.Namespace) -> str:
    words = ["python -m benchmarks.quality", f"--orders {given.orders}"]
    words += [f"--limit {given.limit}"] if given.limit else []
    words += [f"--rows {' '.join(given.rows)}"] if given.rows else []
    words += [f"--only {name!r}" for name in given.only]
    return " ".join([*words, f"--write {given.write}"])


if __name__ == "__main__":
    end_by_sigterm()
    os.nice(max(0, 10 - os.nice(0)))
    raise SystemExit(main())
