"""The file that an export makes, and what stands beside it while it does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from operations.exporting.columns import (
    ARM_FEATURE,
    FEATURE,
    OTHERS,
    Column,
    Row,
    What,
    columns_of,
    feature_columns,
)
from operations.exporting.csv_format import write_csv
from operations.exporting.parquet_format import check_parquet, write_parquet
from operations.exporting.rows_file import open_owned, read_rows, sync, sync_folder
from personalization.errors import InvalidInput

Writer = Callable[[Iterable[Row], IO[bytes], Sequence[Column]], None]

_WRITERS: dict[str, Writer | None] = {".csv": write_csv, ".jsonl": None, ".parquet": write_parquet}
"""By ending; None: the rows as they are gathered."""


class Target:
    """A file to be made, in three steps that may each be done again: rows, the file under another name, its own.

    Raises
    ------
    InvalidInput
        If its name does not say what it is to be, or there is no such folder.
    Refused
        If what writes it is not installed.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in _WRITERS:
            raise InvalidInput("--to", f"{path.name!r} does not end in {', '.join(_WRITERS)}")
        if not path.parent.is_dir():
            raise InvalidInput("--to", f"there is no folder {path.parent}: make it first")
        if path.is_dir():
            raise InvalidInput("--to", f"{path} is a folder: name a file in it")
        self.path = path
        self._write = _WRITERS[path.suffix]
        if path.suffix == ".parquet":
            check_parquet()
        self.rows = path.with_name(path.name + ".rows")
        self.progress = path.with_name(path.name + ".progress")

    def finish(self, what: What, features: dict[str, bool], *, with_ids: bool) -> None:
        """Make the file of the rows. Done again after a crash it makes the same one.

        Parameters
        ----------
        features
            Those that have columns, and whether any row has text there.
        """
        if not self.rows.exists() and self.path.exists():
            return  # it was done, but for the file that says how far it is
        if self._write is None:
            os.replace(self.rows, self.path)
        else:
            columns = (*columns_of(what, with_ids=with_ids), *feature_columns(features))
            part = self.path.with_name(self.path.name + ".part")
            with open_owned(part) as file:
                self._write(_with_others(read_rows(self.rows), features), file, columns)
                sync(file)
            os.replace(part, self.path)
            sync_folder(self.path.parent)
            self.rows.unlink()
        sync_folder(self.path.parent)


def _with_others(rows: Iterable[Row], features: dict[str, bool]) -> Iterator[Row]:
    """The rows, with the features that have no column together in one."""
    for row in rows:
        others = {
            name: value
            for name, value in row.items()
            if name.startswith((FEATURE, ARM_FEATURE)) and name not in features
        }
        yield {**row, OTHERS: others} if others else row
