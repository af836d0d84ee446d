"""A history from a CSV file: features by name as the live system would have them, and a 0/1 label."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from online_models.reward_model import FloatArray
from personalization.errors import InvalidInput
from personalization.features import MAX_FEATURES

TRUE, FALSE = frozenset({"1", "1.0", "true", "t", "yes", "y"}), frozenset({"0", "0.0", "false", "f", "no", "n"})
MAX_SHOWN_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class History:
    """Rows in file order.

    Attributes
    ----------
    rows
        Features per row; an empty cell is absent, a number a float, anything else a category.
    labels
        Shape (n,), in {0, 1}.
    """

    rows: list[dict[str, Any]]
    labels: FloatArray


def read_history(path: Path, label: str, limit: int | None = None) -> History:
    """Read a CSV file with a header, gzipped where its first bytes say so.

    Raises
    ------
    InvalidInput
        Naming the option or the line, and what to write instead.
    """
    rows: list[dict[str, Any]] = []
    labels: list[float] = []
    try:
        with _open(path) as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, None)
            names = _check_header(path, header, label)
            at = names.index(label)
            for cells in reader:
                if not cells:
                    continue
                if limit is not None and len(rows) >= limit:
                    break
                if len(cells) != len(names):
                    raise InvalidInput(
                        f"{path.name}:{reader.line_num}", f"has {len(cells)} cells, the header has {len(names)}"
                    )
                labels.append(_label(path, reader.line_num, label, cells[at]))
                rows.append({
                    name: _cell(cell) for i, (name, cell) in enumerate(zip(names, cells, strict=True))
                    if i != at and cell.strip()
                })  # fmt: skip
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(str(path), f"cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(str(path), f"is no CSV file in UTF-8: {error}") from error
    if not rows:
        raise InvalidInput(str(path), "has a header but no rows")
    y = np.array(labels)
    if y.min() == y.max():
        raise InvalidInput("--label", f"every row of {label!r} is {y[0]:g}: both outcomes are needed")
    return History(rows, y)


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    if zipped:
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    else:
        with path.open("r", encoding="utf-8-sig", newline="") as file:
            yield file


def _check_header(path: Path, header: list[str] | None, label: str) -> list[str]:
    if not header:
        raise InvalidInput(str(path), "is empty: the first line must name the columns")
    names = [name.strip() for name in header]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise InvalidInput(str(path), f"names a column twice: {', '.join(double)}")
    if label not in names:
        shown = ", ".join(names[:MAX_SHOWN_COLUMNS]) + (", …" if len(names) > MAX_SHOWN_COLUMNS else "")
        raise InvalidInput("--label", f"{path.name} has no column {label!r}; it has {shown}")
    if len(names) == 1:
        raise InvalidInput(str(path), "has no column beside the label to predict from")
    if len(names) - 1 > MAX_FEATURES:
        raise InvalidInput(str(path), f"has {len(names) - 1} features, at most {MAX_FEATURES} are learned")
    return names


def _label(path: Path, line: int, label: str, cell: str) -> float:
    word = cell.strip().lower()
    if word in TRUE:
        return 1.0
    if word in FALSE:
        return 0.0
    raise InvalidInput(f"{path.name}:{line}", f"column {label!r} is {cell!r}: write 1 for converted, 0 for not")


def _cell(cell: str) -> float | str:
    try:
        number = float(cell)
    except ValueError:
        return cell.strip()
    return number if math.isfinite(number) else cell.strip()
