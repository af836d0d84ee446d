"""A history from a file: features by name as the live system would have them, and a 0/1 label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from online_models.reward_model import FloatArray
from operations.tables.leaks import Target, leaks, left_out, one_sided
from operations.tables.reading import AS_FOUND, Reading
from operations.tables.table_file import read_table
from personalization.errors import InvalidInput
from personalization.features import MAX_FEATURES, FeatureValue


@dataclass(frozen=True, slots=True)
class History:
    """Rows in file order.

    Attributes
    ----------
    rows
        Features per row; an empty cell is absent, a number a float, anything else a category.
    labels
        Shape (n,), in {0, 1}.
    notes
        What was found in the file or chosen and may surprise, a sentence each.
    """

    rows: Sequence[dict[str, FeatureValue]]
    labels: FloatArray
    notes: tuple[str, ...] = ()


def read_history(
    path: Path,
    label: str,
    limit: int | None = None,
    ignored: Sequence[str] = (),
    said: Reading = AS_FOUND,
) -> History:
    """Read a delimited file, gzipped where its first bytes say so; what gives the label away is left out.

    Raises
    ------
    InvalidInput
        Naming the option, or file, line and column, and what to write instead.
    """
    table = read_table(path, {label: "--label", **dict.fromkeys(ignored, "--ignore")}, limit, ignored, said, label)
    notes = list(table.notes)
    y = table.labels(label)
    if y.min() == y.max():
        raise InvalidInput("--label", f"every row of {label!r} is {y[0]:g}: both outcomes are needed")
    target = Target(f"the label `{label}`", y.astype(np.intp), ("0", "1"))
    away = {name: why for name, why in leaks(table.contexts, target).items() if name not in said.keep}
    notes += [left_out(name, why) for name, why in away.items()]
    rows = table.contexts.without(away)
    notes += one_sided(rows.without(said.keep), target)
    if not rows.columns:
        why = " (" + "; ".join(notes) + ")" if notes else ""
        raise InvalidInput(str(path), f"has no column beside the label to predict from{why}")
    if len(rows.columns) > MAX_FEATURES:
        raise InvalidInput(
            str(path), f"has {len(rows.columns)} features, at most {MAX_FEATURES} are learned: --ignore some"
        )
    return History(rows, y, tuple(notes))
