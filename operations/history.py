"""A history from a CSV file: features by name as the live system would have them, and a 0/1 label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from online_models.reward_model import FloatArray
from operations.csv_file import Row, read_rows
from personalization.errors import InvalidInput
from personalization.features import MAX_FEATURES, FeatureValue

TRUE, FALSE = frozenset({"1", "1.0", "true", "t", "yes", "y"}), frozenset({"0", "0.0", "false", "f", "no", "n"})


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

    rows: list[dict[str, FeatureValue]]
    labels: FloatArray


def read_history(path: Path, label: str, limit: int | None = None) -> History:
    """Read a CSV file with a header, gzipped where its first bytes say so.

    Raises
    ------
    InvalidInput
        Naming the option or the line, and what to write instead.
    """
    rows = read_rows(path, {label: "--label"}, limit)
    n_features = len(rows[0].cells) - 1
    if not n_features:
        raise InvalidInput(str(path), "has no column beside the label to predict from")
    if n_features > MAX_FEATURES:
        raise InvalidInput(str(path), f"has {n_features} features, at most {MAX_FEATURES} are learned")
    y = np.array([_label(row, label) for row in rows])
    if y.min() == y.max():
        raise InvalidInput("--label", f"every row of {label!r} is {y[0]:g}: both outcomes are needed")
    return History([row.context({label}) for row in rows], y)


def _label(row: Row, label: str) -> float:
    text = row.cells[label]
    word = text.lower()
    if word in TRUE:
        return 1.0
    if word in FALSE:
        return 0.0
    raise InvalidInput(row.place, f"column {label!r} is {text!r}: write 1 for converted, 0 for not")
