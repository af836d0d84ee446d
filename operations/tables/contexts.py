"""The features of all rows, column by column: a few bytes a cell, and a dictionary of the row that is asked for."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

from personalization.features import FeatureValue

Features = dict[str, FeatureValue]


@dataclass(slots=True)
class FeatureColumn:
    """One feature of every row.

    Attributes
    ----------
    source
        The file's column that it was made from.
    numbers
        Its number in each row, NaN where it has none.
    codes
        Index of its category in each row, −1 where it has none; empty while no row has one.
    categories
        The categories.
    """

    name: str
    source: str
    numbers: array[float] = field(default_factory=lambda: array("d"))
    codes: array[int] = field(default_factory=lambda: array("i"))
    categories: list[str] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)

    def append(self, value: FeatureValue | None) -> None:
        """The feature of the next row; None: it has none."""
        if isinstance(value, str):
            if not self.codes:
                self.codes = array("i", [-1]) * len(self.numbers)
            code = self._index.setdefault(value, len(self.categories))
            if code == len(self.categories):
                self.categories.append(value)
            self.numbers.append(float("nan"))
            self.codes.append(code)
            return
        self.numbers.append(float("nan") if value is None else value)
        if self.categories:
            self.codes.append(-1)

    def get(self, row: int) -> FeatureValue | None:
        """The feature of a row."""
        value = self.numbers[row]
        if value == value:
            return value
        if self.codes and (code := self.codes[row]) >= 0:
            return self.categories[code]
        return None

    def groups(self) -> NDArray[np.float64]:
        """A number that stands for each row's value: equal where the values are; NaN where there is none."""
        found: NDArray[np.float64] = np.array(self.numbers, dtype=np.float64)
        if self.codes:
            codes = np.array(self.codes)
            # Categories get numbers that no feature reaches: features are cut off at a thousand millions.
            found = np.where(codes >= 0, 1e12 + codes, found)
        return found


class Contexts(Sequence[Features]):
    """The features of n rows, as dictionaries made when they are asked for.

    >>> column = FeatureColumn("age", "age")
    >>> for value in (31.0, None, "old"): column.append(value)
    >>> list(Contexts([column], 3))
    [{'age': 31.0}, {}, {'age': 'old'}]
    """

    def __init__(self, columns: Sequence[FeatureColumn], n_rows: int) -> None:
        self.columns = tuple(columns)
        self._n_rows = n_rows

    def __len__(self) -> int:
        return self._n_rows

    @overload
    def __getitem__(self, at: int) -> Features: ...
    @overload
    def __getitem__(self, at: slice) -> list[Features]: ...
    def __getitem__(self, at: int | slice) -> Features | list[Features]:
        if isinstance(at, slice):
            return [self._row(row) for row in range(*at.indices(self._n_rows))]
        row = int(at)
        if not -self._n_rows <= row < self._n_rows:
            raise IndexError(row)
        return self._row(row % self._n_rows)

    def __iter__(self) -> Iterator[Features]:
        return map(self._row, range(self._n_rows))

    def without(self, sources: Collection[str]) -> Contexts:
        """The same rows, but for what was made from these columns of the file."""
        return Contexts([each for each in self.columns if each.source not in sources], self._n_rows)

    def _row(self, row: int) -> Features:
        return {each.name: value for each in self.columns if (value := each.get(row)) is not None}
