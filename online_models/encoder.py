"""Raw features to numbers, online: scaled, one-hot, bounded, finite.

A numeric feature becomes its z-score under the mean and deviation seen so far, clipped to ±5; where it has
been missing at times, a second dimension says so; but in a family (``affinities.x``, ``affinities.y`` …: the
keys of one map) what is absent is 0. A category becomes one dimension per level. The first ``FREE_DIMS`` are there
for the asking. Beyond them a name or level shares hashed dimensions until it was seen with several units
(``waiting_names``), and then gets one of its own while there is room: the width never exceeds ``max_dims`` whatever
callers send, and ``select`` makes room. Nothing here looks at what a name means.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models import families
from online_models.bringers import Bringers
from online_models.dimension_statistics import inverse_deviation, replaced
from online_models.frozen_encoder import N_HASHED, FrozenEncoder, fill
from online_models.reward_model import FloatArray
from online_models.waiting_names import MIN_UNITS, Name, WaitingNames
from personalization.features import MAX_MAGNITUDE, clean, storable

FREE_DIMS = 160
"""Dimensions that need not be earned, the shared ones included: what is narrow is learned from its first row on."""

MAX_LEVELS = 48
"""Levels of one category with a dimension of their own; later ones are hashed."""


class Encoder:
    """The learning side: gives every name and level its dimension and keeps running statistics.

    Its maps and arrays are replaced when they change, never written to: a frozen encoder shares them, and ``mark``
    and ``back_to`` cost next to nothing.

    Parameters
    ----------
    max_dims
        Bound on the encoded width, the ``N_HASHED`` shared dimensions included.
    free_dims
        So many of them need not be earned; ``FREE_DIMS`` if not given.
    admits
        Whether what comes later can earn a dimension; else it shares the hashed ones for good.

    Attributes
    ----------
    limit
        The bound at present, at most ``max_dims``.
    waiting
        Names and levels without a dimension of their own.
    bringers
        Who brought those that have one, as long as few did.

    References
    ----------
    Welford (1962) for the running mean and variance; Weinberger et al. (2009) for signed hashing.
    """

    def __init__(self, max_dims: int = 160, free_dims: int | None = None, admits: bool = True) -> None:
        self.max_dims = self.limit = max(max_dims, N_HASHED + 1)
        self.free_dims = min(self.max_dims, FREE_DIMS if free_dims is None else max(free_dims, N_HASHED + 1))
        self.admits = admits
        self.waiting = WaitingNames()
        self.bringers = Bringers()
        self.numeric: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        self.levels: dict[str, dict[str, int]] = {}
        self.hashed_from = -1
        self.n_seen = 0
        self._families: families.Families = {}
        self._free: tuple[int, ...] = ()
        self._count: FloatArray = np.zeros(0)
        self._mean: FloatArray = np.zeros(0)
        self._m2: FloatArray = np.zeros(0)
        self._since: NDArray[np.int64] = np.zeros(0, np.int64)
        """Count of contexts when each dimension was given."""
        self._absent: FloatArray = np.zeros(0)
        """Raw value where a context does not name the dimension; NaN where that says nothing."""
        self._empty: array[float] | None = array("d")
        """The same; None: to be made again."""
        self._watched: tuple[int, ...] = ()
        """Dimensions of numbers that have never been missing."""

    @property
    def n_dims(self) -> int:
        """Encoded width now."""
        return int(self._count.shape[0])

    @property
    def n_room(self) -> int:
        """Dimensions that may still be given."""
        return self.limit - self.n_dims + len(self._free)

    @property
    def absent(self) -> FloatArray:
        """Raw value of each dimension that a context does not name, shape (d,); NaN: missing."""
        return self._absent

    @property
    def age(self) -> NDArray[np.int64]:
        """Contexts since each dimension was given, shape (d,)."""
        return self.n_seen - self._since

    def learn(self, features: Mapping[Any, Any], unit: bytes = b"") -> FloatArray:
        """Take one context into layout and statistics; its raw values, shape (d,), NaN where missing.

        Parameters
        ----------
        unit
            Hash of the person it is about; if there is none, each context counts as another person's.
        """
        row = self._familiar(features)
        if row is None:
            self._lay_out(features, unit)
            row = self._empty_row()
            fill(row, features, self.numeric, self.missing, self.levels, self.hashed_from)
        if self.bringers:
            self.bringers = self.bringers.after(features, unit)
        raw: FloatArray = np.frombuffer(row)
        self.n_seen += 1
        if raw.dot(raw) >= 0.0:  # nothing is missing: the same numbers with half the calls
            self._count = self._count + 1.0
            delta = raw - self._mean
            self._mean = self._mean + delta / self._count
            delta *= raw - self._mean
            self._m2 = self._m2 + delta
            return raw
        known = ~np.isnan(raw)
        self._count = self._count + known
        delta = np.where(known, raw - self._mean, 0.0)
        self._mean = self._mean + delta / np.maximum(self._count, 1.0)
        self._m2 = self._m2 + np.where(known, delta * (raw - self._mean), 0.0)
        return raw

    def mark(self) -> dict[str, Any]:
        """What it is now, to come back to."""
        return self.__dict__.copy()

    def back_to(self, mark: dict[str, Any]) -> None:
        """Be again what it was when the ``mark`` was made."""
        self.__dict__.update(mark)

    def freeze(self) -> FrozenEncoder:
        """The encoder as it stands, immutable."""
        inverse = inverse_deviation(self._count, self._mean, self._m2)
        return FrozenEncoder(
            self.numeric, self.missing, self.levels, self._mean, inverse, self._absent, self.hashed_from
        )

    def _empty_row(self) -> array[float]:
        """Raw values of a context that names nothing."""
        if self._empty is None:
            empty = self._empty = array("d", self._absent.tobytes())
            self._watched = tuple(
                dim for name, dim in self.numeric.items() if name not in self.missing and empty[dim] != empty[dim]
            )
        return self._empty[:]

    def _familiar(self, features: Mapping[Any, Any]) -> array[float] | None:
        """Raw values where every name and level is known and no number is missing for the first time; else None."""
        row = self._empty_row()
        dim_of, missing = self.numeric.get, self.missing
        for name, value in features.items():
            if type(value) is float and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
                dim = dim_of(name)
                if dim is None:
                    return None
                row[dim] = value
                if missing and name in missing:
                    row[missing[name]] = 0.0
            elif type(value) is str and name in self.levels and value in self.levels[name]:
                row[self.levels[name][value]] = 1.0
            else:
                return None
        for dim in self._watched:
            if row[dim] != row[dim]:
                return None
        return row

    def _lay_out(self, features: Mapping[Any, Any], unit: bytes) -> None:
        """Dimensions for what is new, in sorted order: the order of a dict must not matter."""
        new: list[tuple[str, Any, Any]] = []
        n_known = 0
        for name, value in features.items():
            if isinstance(value, str):
                if value not in self.levels.get(name, ()) and clean(value) is not None:
                    new.append((str(name), name, clean(value)))
            elif name not in self.numeric:
                if clean(value) is not None:
                    new.append((str(name), name, None))
            elif (type(value) is float and value - value == 0.0) or clean(value) is not None:
                n_known += 1
        new = [item for item in new if storable(item[0]) and storable(item[2] or "")]
        if not new and n_known == len(self.numeric):
            return
        self.numeric, self.missing = dict(self.numeric), dict(self.missing)
        self.levels = dict(self.levels)
        if self.hashed_from < 0:
            # All of one context at once: which of them a family makes sparse must not hang on their order.
            for text, name, level in new:
                if level is None:
                    self._join_family(text, name)
        had_to_wait = self.hashed_from >= 0
        refused: list[Name] = []
        given: list[Name] = []
        for text, name, level in sorted(new, key=lambda item: (item[0], item[2] or "")):
            if level in self.levels.get(name, ()):
                continue  # its text was longer than a level's may be
            has_one = self.hashed_from < 0 and self._give(text, name, level, earned=False)
            (given if has_one else refused).append((name, level))
        if given:
            self.bringers = self.bringers.begun(given, (unit,))
        if refused and self.admits and self.hashed_from >= 0:
            self.waiting = self.waiting.after(refused, unit or self.n_seen.to_bytes(8, "big"), self.n_seen)
            if had_to_wait:
                self._admit(refused)
        if n_known + len(new) < len(self.numeric) and bool(np.isnan(self._absent).any()):
            for name in self.numeric:
                if name in self.missing or not np.isnan(self._absent[self.numeric[name]]):
                    continue
                if self.hashed_from >= 0 and self._count[self.numeric[name]] < MIN_UNITS:
                    continue  # junk has its free dimensions, and gets no earned ones for being absent
                if clean(features.get(name)) is None and self._room_for(1):
                    self._flag_missing(name)

    def _give(self, text: str, name: Any, level: Any, earned: bool) -> bool:
        """A dimension of its own, if there is room."""
        if level is not None:
            by_level = self.levels.get(name, {})
            if level in by_level:
                return True
            if len(by_level) >= (self._max_levels if earned else MAX_LEVELS) or not self._room_for(1):
                return False
            self.levels[name] = {**by_level, level: self._add(0.0)}
            return True
        sparse = families.is_sparse(self._families, text)
        # Of one that had to wait nobody knows when it was missing: it has no flag until it is seen to be.
        late = self.n_seen > 0 and not sparse and not earned
        if not self._room_for(2 if late else 1):
            return False
        self.numeric[name] = self._add(0.0 if sparse else np.nan)
        if late:  # it was missing in all that came before
            self._flag_missing(name)
        return True

    @property
    def _max_levels(self) -> int:
        """Levels of one category that may have earned a dimension."""
        return max(MAX_LEVELS, self.limit // 2)

    @property
    def n_wanted(self) -> int:
        """Names and levels that have earned a dimension and have none."""
        levels = self.levels
        return sum(
            level is None or len(levels.get(name, ())) < self._max_levels
            for name, level in self.waiting.ready(self.n_seen)
        )

    def _admit(self, names: list[Name]) -> None:
        """Those of them that have earned a dimension get it while there is room."""
        admitted = []
        for name, level in names:
            if self.waiting.is_ready((name, level)):
                text = str(name)
                if self.n_room <= 0:
                    break
                if level is None:
                    self._join_family(text, name)
                if self._give(text, name, level, earned=True):
                    admitted.append((name, level))
        if admitted:
            for earned in admitted:
                self.bringers = self.bringers.begun([earned], self.waiting.units_of(earned))
            self.waiting = self.waiting.without(admitted)

    def _join_family(self, text: str, name: Any) -> None:
        self._families, keys = families.joined(self._families, text, name, self.max_dims)
        for key in keys:
            self._make_sparse(key)

    def _flag_missing(self, name: str) -> None:
        at = self._add(1.0)
        self.missing[name] = at
        # Before it appeared the flag would have been 1 in every row without the value.
        present = self._count[self.numeric[name]]
        absent = self.n_seen - present
        if self.n_seen:
            self._mean[at] = absent / self.n_seen
            self._m2[at] = present * absent / self.n_seen

    def _make_sparse(self, name: str) -> None:
        """From now on, and in all that came before, absent is 0."""
        if name not in self.numeric:
            return
        at = self.numeric[name]
        self._count, self._absent = self._count.copy(), self._absent.copy()
        self._mean, self._m2 = self._mean.copy(), self._m2.copy()
        present, n = self._count[at], float(self.n_seen)
        if n:
            mean = self._mean[at]
            self._mean[at] = mean * present / n
            self._m2[at] += mean * mean * present * (n - present) / n
        self._count[at], self._absent[at] = n, 0.0
        self._empty = None

    def _room_for(self, n: int) -> bool:
        """Whether ``n`` more dimensions fit; the first refusal opens the shared ones."""
        if self.hashed_from >= 0:
            return self.admits and n <= self.n_room
        if self.n_dims + n + N_HASHED <= min(self.free_dims, self.limit):
            return True
        self.hashed_from = self.n_dims
        for _ in range(N_HASHED):
            self._add(0.0)
        return False

    def _add(self, absent: float) -> int:
        at = self._free[0] if self._free else self.n_dims
        self._free = self._free[1:]
        # A level or flag that appears late was "absent" in every earlier row.
        seen = 0.0 if np.isnan(absent) else float(self.n_seen)
        self._count, self._mean = replaced(self._count, at, seen), replaced(self._mean, at, 0.0)
        self._m2, self._absent = replaced(self._m2, at, 0.0), replaced(self._absent, at, absent)
        self._since = replaced(self._since, at, self.n_seen)
        self._empty = None
        return at

    def owners(self) -> NDArray[np.intp]:
        """Of each dimension the one it stands or falls with, shape (d,); −1: it is shared, or nobody's."""
        owners = np.arange(self.n_dims)
        owners[list(self._free)] = -1
        for name, dim in self.missing.items():
            owners[dim] = self.numeric[name]
        if self.hashed_from >= 0:
            owners[self.hashed_from : self.hashed_from + N_HASHED] = -1
        return owners

    def forget(self, units: Collection[bytes]) -> NDArray[np.intp]:
        """Persons with these units are erased: what nobody else has brought waits no more.

        Returns
        -------
        numpy.ndarray
            Dimensions of names and levels that nobody else has brought, ascending: for ``select`` to leave out, or
            ``release``.
        """
        self.waiting = self.waiting.forgetting(units)
        self.bringers, alone = self.bringers.without(units)
        dims = [self.numeric[name] if level is None else self.levels[name][level] for name, level in alone]
        gone = {name for name, level in alone if level is None}
        named = [name for name in self.numeric if name not in gone]
        joined = {name for members in self._families.values() for name in members}
        waiting = [name for name in joined if (name, None) in self.waiting]
        self._families = families.of(self._families, {*named, *waiting})
        return np.flatnonzero(np.isin(self.owners(), dims))

    def select(self, kept: NDArray[np.intp]) -> None:
        """Only these dimensions stay, in this order; the names of the others may earn one anew."""
        self._keep({dim: at for at, dim in enumerate(kept.tolist())})
        if self.hashed_from >= 0:
            self.hashed_from = int(np.flatnonzero(kept == self.hashed_from)[0])
        self._count, self._mean, self._m2 = self._count[kept], self._mean[kept], self._m2[kept]
        self._absent, self._since = self._absent[kept], self._since[kept]
        self._empty = None

    def release(self, dims: NDArray[np.intp]) -> None:
        """Whoever has these dimensions has them no more: they are 0 until given again. The others stay."""
        gone = set(dims.tolist())
        self._keep({dim: dim for dim in range(self.n_dims) if dim not in gone})
        self._free = tuple(sorted({*self._free, *gone}))
        for dim in gone:
            self._count = replaced(self._count, dim, float(self.n_seen))
            self._mean, self._m2 = replaced(self._mean, dim, 0.0), replaced(self._m2, dim, 0.0)
            self._absent = replaced(self._absent, dim, 0.0)
        self._empty = None

    def _keep(self, place: dict[int, int]) -> None:
        """Names whose dimension has a place keep it, or move there; the others have none."""
        self.numeric = {name: place[dim] for name, dim in self.numeric.items() if dim in place}
        self.missing = {name: place[dim] for name, dim in self.missing.items() if dim in place}
        levels = {
            name: {level: place[dim] for level, dim in by_level.items() if dim in place}
            for name, by_level in self.levels.items()
        }
        self.levels = {name: by_level for name, by_level in levels.items() if by_level}
        self._families = families.of(self._families, self.numeric)
        placed: set[Name] = {(name, None) for name in self.numeric}
        placed |= {(name, level) for name, by_level in self.levels.items() for level in by_level}
        self.bringers = self.bringers.of(placed)

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {
            "max_dims": self.max_dims,
            "free_dims": self.free_dims,
            "admits": self.admits,
            "limit": self.limit,
            "waiting": self.waiting.dump(),
            "bringers": self.bringers.dump(),
            "since": self._since.tobytes(),
            "free": list(self._free),
            "numeric": dict(self.numeric),
            "missing": dict(self.missing),
            "levels": {name: dict(by_level) for name, by_level in self.levels.items()},
            "hashed_from": self.hashed_from,
            "n_seen": self.n_seen,
            "families": families.copied(self._families),
            "arrays": np.stack([self._count, self._mean, self._m2, self._absent]).tobytes(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Encoder:
        """The inverse of ``dump``: continues bit for bit."""
        encoder = cls(state["max_dims"], state["free_dims"], state["admits"])
        encoder.limit, encoder.waiting = state["limit"], WaitingNames.load(state["waiting"])
        encoder.bringers = Bringers.load(state.get("bringers", []))
        encoder._since = np.frombuffer(state["since"], np.int64).copy()
        encoder._free = tuple(state.get("free", ()))  # older checkpoints have none
        encoder.numeric, encoder.missing = dict(state["numeric"]), dict(state["missing"])
        encoder.levels = {name: dict(by_level) for name, by_level in state["levels"].items()}
        encoder.hashed_from, encoder.n_seen = state["hashed_from"], state["n_seen"]
        encoder._families = families.copied(state["families"])
        arrays = np.frombuffer(state["arrays"], np.float64).reshape(4, -1).copy()
        encoder._count, encoder._mean, encoder._m2, encoder._absent = arrays
        encoder._empty = None
        return encoder
