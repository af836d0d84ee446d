"""One visitor's features as a short row of floats: a column per name, a small number per level.

Nothing looks at a name's meaning. A name may carry numbers and strings; each kind gets its own column. The
row keeps raw values, so that whoever reads it (hashes, trees) bins it as it likes, and may do so again later.

The first ``FREE_COLUMNS`` are there for the asking. Beyond them a name waits until it was seen with several units
(``waiting_names``), and then has a column while there is room: never more than ``MAX_COLUMNS``, whatever callers
send. ``select`` makes room.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.bringers import OWN, Bringers
from online_models.reward_model import Float32Array, FloatArray
from online_models.waiting_names import Name, WaitingNames
from personalization.features import clean

FREE_COLUMNS = 64
"""Columns that need not be earned: what is narrow is learned from its first row on."""

MAX_COLUMNS = 256
"""Names that have none are ignored: a bound on time and memory per example."""

NUMBER, CATEGORY = None, OWN
"""How a name waits for a column of either kind."""

OWN_LEVELS = 96
"""Levels of one category with a number of their own; later ones share ``SHARED_LEVELS`` hashed ones."""

SHARED_LEVELS = 31
REFRESH = 32
"""Rows between two looks at the deviations; every row before the first."""

MIN_VARIANCE = 1e-18
"""Below this share of its own square a feature counts as constant."""

N_LEVELS = OWN_LEVELS + SHARED_LEVELS + 1
"""The last number means missing, or not seen when a table was made."""

CLIP = 4.0
SETTLE = 8.0
"""A deviation is trusted fully after about so many values; before, z is damped (n/(n + SETTLE))."""


class Columns:
    """The layout, and running mean and deviation of every numeric column (Welford, 1962).

    >>> columns = Columns()
    >>> columns.learn({"age": 40, "device": "phone"}), columns.names
    (None, ['age', 'device'])
    >>> columns.row({"device": "phone", "age": float("inf"), "unheard_of": 3}).tolist()
    [nan, 0.0]
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.is_category: list[bool] = []
        self._numeric: dict[str, int] = {}
        self._category: dict[str, int] = {}
        self._levels: dict[str, dict[str, int]] = {}
        self._free_levels: dict[str, list[int]] = {}
        """Numbers of levels that went, ascending: all that are free below the highest in use."""
        self._count: FloatArray = np.zeros(0)
        self._mean: FloatArray = np.zeros(0)
        self._m2: FloatArray = np.zeros(0)
        self._inverse: FloatArray = np.zeros(0)
        self._n_rows = 0
        self._since: list[int] = []
        """Rows learned when each column was given."""
        self.waiting = WaitingNames()
        self.bringers = Bringers()
        self._pending: list[Float32Array] = []
        self._category_columns: list[int] = []
        self.complete = False
        """Whether every value of the row made last has its column and level: then there is nothing to lay out."""

    @property
    def n(self) -> int:
        """Number of columns C."""
        return len(self.names)

    @property
    def age(self) -> NDArray[np.int64]:
        """Rows since each column was given, shape (C,)."""
        return self._n_rows - np.array(self._since, dtype=np.int64)

    @property
    def n_wanted(self) -> int:
        """Names that have earned a column and find no room."""
        return max(0, len(self.waiting.ready(self._n_rows)) - (MAX_COLUMNS - self.n))

    def learn(self, features: Mapping[Any, Any], unit: bytes = b"") -> None:
        """Give what is new in ``features`` its column and level, and take the numbers into the statistics.

        Parameters
        ----------
        unit
            Hash of the person it is about; if there is none, each row counts as another person's.
        """
        self.lay_out(features, unit)
        self.learn_bringer(features, unit)
        self.learn_row(self.row(features))

    def learn_bringer(self, features: Mapping[Any, Any], unit: bytes) -> None:
        """Note that this person brings these, where few have so far."""
        if self.bringers:
            self.bringers = self.bringers.after(features, unit)

    def learn_row(self, row: Float32Array) -> None:
        """Take a laid-out row into the statistics, a block at a time (Chan et al., 1983)."""
        self._pending.append(row)
        self._n_rows += 1
        if self._n_rows < REFRESH or not self._n_rows % REFRESH:
            self.refresh()

    def row(self, features: Mapping[Any, Any]) -> Float32Array:
        """Raw values, shape (C,): a number, a level's number, or NaN where missing.

        In float32, as rows are kept: a question must be answered as when it was grown.
        """
        values = [np.nan] * len(self.names)
        self.complete = True
        for name, value in features.items():
            kind = type(value)
            if kind is float and -1e9 <= value <= 1e9:
                at = self._numeric.get(name)
                if at is not None:
                    values[at] = value
                else:
                    self.complete = False
                continue
            if kind is str:
                levels = self._levels.get(name)
                own = None if levels is None else levels.get(value)
                if own is not None:
                    values[self._category[name]] = own
                    continue
            self.complete = False
            cleaned = clean(value)
            if cleaned is None:
                continue
            if isinstance(cleaned, str):
                at = self._category.get(name)
                if at is not None:
                    values[at] = self._level(name, cleaned)
            else:
                at = self._numeric.get(name)
                if at is not None:
                    values[at] = cleaned
        return np.array(values, dtype=np.float32)

    def z(self, row: Float32Array) -> FloatArray:
        """Scores of the numeric columns, clipped to ±``CLIP``; 0 for categories, missing and constants."""
        z = (row - self._mean) * self._inverse
        z[z != z] = 0.0
        return np.minimum(np.maximum(z, -CLIP, out=z), CLIP, out=z)

    def refresh(self) -> None:
        """Merge the pending rows; work out 1 / deviation anew: 0 for a constant and for a category."""
        block = np.full((len(self._pending), self.n), np.nan)
        for at, row in enumerate(self._pending):
            block[at, : row.shape[0]] = row
        self._pending = []
        known = block == block
        count = known.sum(0)
        block[~known] = 0.0
        mean = block.sum(0) / np.maximum(count, 1)
        m2 = (np.where(known, block - mean, 0.0) ** 2).sum(0)
        total = self._count + count
        delta = mean - self._mean
        self._m2 += m2 + delta * delta * self._count * count / np.maximum(total, 1.0)
        self._mean += delta * count / np.maximum(total, 1.0)
        self._count = total
        n = np.maximum(total, 1.0)
        varies = self._m2 > MIN_VARIANCE * n * np.maximum(self._mean * self._mean, 1.0)
        varies[self._category_columns] = False
        self._inverse = np.zeros_like(n)
        np.divide(n / (n + SETTLE), np.sqrt(self._m2 / n), where=varies, out=self._inverse)

    def _level(self, name: str, level: str) -> int:
        own = self._levels[name].get(level)
        if own is not None:
            return own
        if len(self._levels[name]) < OWN_LEVELS:
            return N_LEVELS - 1
        return OWN_LEVELS + zlib.crc32(level.encode("utf-8", "surrogatepass")) % SHARED_LEVELS

    def lay_out(self, features: Mapping[Any, Any], unit: bytes = b"") -> bool:
        """Give what is new in ``features`` its column and level, or let it wait; whether its row is another now."""
        new: list[tuple[str, Any, str | None]] = []
        for name, value in features.items():
            if isinstance(value, str):
                if value not in self._levels.get(name, ()):
                    level = clean(value)
                    if isinstance(level, str) and level not in self._levels.get(name, ()):
                        new.append((str(name), name, level))
            elif name not in self._numeric and clean(value) is not None:
                new.append((str(name), name, None))
        if not new:
            return False
        changed, homeless = False, set[Name]()
        # Sorted: the order of a dict must not matter.
        for _, name, level in sorted(new, key=lambda item: (item[0], item[2] or "")):
            if level is not None and name in self._category:
                changed |= self._add_level(name, level, unit)
            elif self.n < FREE_COLUMNS:
                changed = True
                self._add(name, category=level is not None)
                self.bringers = self.bringers.begun([(name, NUMBER if level is None else CATEGORY)], (unit,))
                if level is not None:
                    self._add_level(name, level, unit)
            else:
                homeless.add((name, NUMBER if level is None else CATEGORY))
        if homeless:
            ordered = sorted(homeless, key=lambda item: (str(item[0]), item[1] is CATEGORY))
            self.waiting = self.waiting.after(ordered, unit or self._n_rows.to_bytes(8, "big"), self._n_rows)
            changed |= self._admit(ordered, features, unit)
        return changed

    def _admit(self, names: list[Name], features: Mapping[Any, Any], unit: bytes) -> bool:
        """Those of them that have earned a column get it while there is room; whether one did."""
        earned = [name for name in names if self.waiting.is_ready(name)][: MAX_COLUMNS - self.n]
        for name, kind in earned:
            self._add(name, category=kind is not NUMBER)
            self.bringers = self.bringers.begun([(name, kind)], self.waiting.units_of((name, kind)))
            level = clean(features[name]) if kind is not NUMBER else None
            if isinstance(level, str):
                self._add_level(name, level, unit)
        if earned:
            self.waiting = self.waiting.without(earned)
        return bool(earned)

    def _add_level(self, name: Any, level: str, unit: bytes) -> bool:
        levels = self._levels[name]
        if len(levels) >= OWN_LEVELS:
            return False
        free = self._free_levels.get(name)
        levels[level] = free.pop(0) if free else len(levels)
        self.bringers = self.bringers.begun([(name, level)], (unit,))
        return True

    def forget(self, units: Collection[bytes]) -> NDArray[np.intp]:
        """Persons with these units are erased: levels that nobody else has brought go, and what waits.

        The next new level of the category takes the number of one that went.

        Returns
        -------
        numpy.ndarray
            Columns that nobody else has brought, ascending: for ``select`` to leave out.
        """
        self.waiting = self.waiting.forgetting(units)
        self.bringers, alone = self.bringers.without(units)
        for name, level in alone:
            if level is not NUMBER and level != CATEGORY:
                number = self._levels[name].pop(level)
                self._free_levels[name] = sorted([*self._free_levels.get(name, []), number])
        places = [
            self._numeric[name] if kind is NUMBER else self._category[name]
            for name, kind in alone
            if kind is NUMBER or kind == CATEGORY
        ]
        return np.array(sorted(places), np.intp)

    def _add(self, name: Any, *, category: bool) -> None:
        (self._category if category else self._numeric)[name] = self.n
        self._since.append(self._n_rows)
        if category:
            self._levels[name] = {}
            self._category_columns = [*self._category_columns, self.n]
        self.names.append(name)
        self.is_category.append(category)
        for field in ("_count", "_mean", "_m2", "_inverse"):
            setattr(self, field, np.append(getattr(self, field), 0.0))

    def select(self, kept: NDArray[np.intp]) -> None:
        """Only these columns stay, in this order; the names of the others may earn one anew."""
        self.refresh()
        names = [(self.names[at], self.is_category[at], self._since[at]) for at in kept.tolist()]
        levels, free = self._levels, self._free_levels
        statistics = [self._count, self._mean, self._m2, self._inverse]
        self.names, self.is_category, self._since = [], [], []
        self._numeric, self._category, self._levels, self._category_columns = {}, {}, {}, []
        self._free_levels = {}
        placed: set[Name] = set()
        for name, category, since in names:
            self._add(name, category=category)
            self._since[-1] = since
            placed.add((name, CATEGORY if category else NUMBER))
            if category:
                self._levels[name] = levels[name]
                if name in free:
                    self._free_levels[name] = free[name]
                placed |= {(name, level) for level in levels[name]}
        self.bringers = self.bringers.of(placed)
        self._count, self._mean, self._m2, self._inverse = (values[kept] for values in statistics)

    def dump(self, *, training: bool = True) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint; without ``training`` nothing of who brought what."""
        return {
            "names": list(self.names),
            "is_category": list(self.is_category),
            "levels": {name: _by_number(levels) for name, levels in self._levels.items()},
            "statistics": np.stack([self._count, self._mean, self._m2, self._inverse]).tobytes(),
            "n_rows": self._n_rows,
            "since": list(self._since),
            "waiting": self.waiting.dump() if training else [],
            "bringers": self.bringers.dump() if training else [],
            "pending": [row.tobytes() for row in self._pending],
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Columns:
        """The inverse of ``dump``: continues bit for bit."""
        columns = cls()
        for name, category in zip(state["names"], state["is_category"], strict=True):
            columns._add(name, category=category)
        for name, levels in state["levels"].items():
            columns._levels[name] = {level: i for i, level in enumerate(levels) if level}
            free = [i for i, level in enumerate(levels) if not level]
            if free:
                columns._free_levels[name] = free
        statistics = np.frombuffer(state["statistics"]).reshape(4, -1).copy()
        columns._count, columns._mean, columns._m2, columns._inverse = statistics
        columns._n_rows, columns._since = state["n_rows"], list(state["since"])
        columns.waiting = WaitingNames.load(state["waiting"])
        columns.bringers = Bringers.load(state.get("bringers", []))  # older checkpoints have none
        columns._pending = [np.frombuffer(row, np.float32) for row in state["pending"]]
        return columns


def _by_number(levels: dict[str, int]) -> list[str]:
    """The levels in the order of their numbers; empty in place of one that went."""
    names = [""] * (1 + max(levels.values(), default=-1))
    for level, number in levels.items():
        names[number] = level
    return names
