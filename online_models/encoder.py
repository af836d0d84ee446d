"""Raw features to numbers, online: scaled, one-hot, bounded, finite.

A numeric feature becomes its z-score under the mean and deviation seen so far, clipped to ±5; where it has
been missing at times, a second dimension says so; but in a family (``affinities.x``, ``affinities.y`` …: the
keys of one map) what is absent is 0. A category becomes one dimension per level. Names and levels beyond the
bounds share hashed dimensions, so that the width never exceeds ``max_dims`` whatever callers send. Nothing here
looks at what a name means.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

from online_models.frozen_encoder import N_HASHED, FrozenEncoder, fill
from online_models.reward_model import FloatArray
from personalization.features import MAX_MAGNITUDE, clean

MAX_LEVELS = 48
"""Levels of one category with a dimension of their own; later ones are hashed."""

FAMILY = 3
"""So many numeric names with one prefix up to their last dot are the keys of a map: a missing key is a zero."""

MIN_DEVIATION = 1e-9
"""Below this share of its own magnitude a feature counts as constant and is 0."""

SETTLE = 8.0
"""A deviation is trusted fully after about so many values; before, z is damped (n/(n + SETTLE))."""


def storable(text: str) -> bool:
    """Lone surrogates pass through JSON but into no snapshot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Encoder:
    """The learning side: gives every name and level its dimension and keeps running statistics.

    Its maps and arrays are replaced when they change, never written to: a frozen encoder shares them, and ``mark``
    and ``back_to`` cost next to nothing.

    Parameters
    ----------
    max_dims
        Bound on the encoded width, the ``N_HASHED`` shared dimensions included.

    References
    ----------
    Welford (1962) for the running mean and variance; Weinberger et al. (2009) for signed hashing.
    """

    def __init__(self, max_dims: int = 160) -> None:
        self.max_dims = max(max_dims, N_HASHED + 1)
        self.numeric: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        self.levels: dict[str, dict[str, int]] = {}
        self.hashed_from = -1
        self.n_seen = 0
        self._families: dict[str, list[str]] = {}
        self._count: FloatArray = np.zeros(0)
        self._mean: FloatArray = np.zeros(0)
        self._m2: FloatArray = np.zeros(0)
        self._absent: FloatArray = np.zeros(0)
        """Raw value where a context does not name the dimension; NaN where that says nothing."""
        self._empty: array[float] | None = array("d")
        """The same; None: to be made again."""
        self._watched = False
        """Whether there are numbers that have never been missing."""

    @property
    def n_dims(self) -> int:
        """Encoded width now."""
        return int(self._count.shape[0])

    def learn(self, features: Mapping[Any, Any]) -> FloatArray:
        """Take one context into layout and statistics; its raw values, shape (d,), NaN where missing."""
        row = self._familiar(features)
        if row is None:
            self._lay_out(features)
            row = self._empty_row()
            fill(row, features, self.numeric, self.missing, self.levels, self.hashed_from)
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
        n = np.maximum(self._count, 1.0)
        variance = self._m2 / n
        varies = variance > (MIN_DEVIATION * np.maximum(np.abs(self._mean), 1.0)) ** 2
        inverse = np.zeros_like(variance)
        np.divide(n / (n + SETTLE), np.sqrt(variance, where=varies, out=inverse), where=varies, out=inverse)
        return FrozenEncoder(
            self.numeric, self.missing, self.levels, self._mean, inverse, self._absent, self.hashed_from
        )

    def _empty_row(self) -> array[float]:
        """Raw values of a context that names nothing."""
        if self._empty is None:
            self._empty = array("d", self._absent.tobytes())
            self._watched = any(
                name not in self.missing and self._empty[dim] != self._empty[dim]
                for name, dim in self.numeric.items()
            )
        return self._empty[:]

    def _familiar(self, features: Mapping[Any, Any]) -> array[float] | None:
        """Raw values where every name and level is known and no number is missing for the first time; else None."""
        row = self._empty_row()
        dim_of, missing, n_numeric = self.numeric.get, self.missing, 0
        for name, value in features.items():
            if type(value) is float and -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
                dim = dim_of(name)
                if dim is None:
                    return None
                row[dim] = value
                n_numeric += 1
                if missing and name in missing:
                    row[missing[name]] = 0.0
            elif type(value) is str and name in self.levels and value in self.levels[name]:
                row[self.levels[name][value]] = 1.0
            else:
                return None
        return row if n_numeric == len(self.numeric) or not self._watched else None

    def _lay_out(self, features: Mapping[Any, Any]) -> None:
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
        self.levels, self._families = dict(self.levels), dict(self._families)
        for text, name, level in new:
            if level is None:
                family = text.rpartition(".")[0]
                # Once names are hashed no new family can have members with dimensions of their own.
                counts = family in self._families if self.hashed_from >= 0 else bool(family)
                if counts and len(self._families.get(family, ())) < self.max_dims:
                    members = self._families[family] = [*self._families.get(family, ()), name]
                    if len(members) == FAMILY:
                        for member in members:
                            self._make_sparse(member)
        for text, name, level in sorted(new, key=lambda item: (item[0], item[2] or "")):
            if level is None:
                sparse = len(self._families.get(text.rpartition(".")[0], ())) >= FAMILY
                late = self.n_seen > 0 and not sparse
                if self._room_for(2 if late else 1):
                    self.numeric[name] = self._add(0.0 if sparse else np.nan)
                    if late:  # it was missing in all that came before
                        self._flag_missing(name)
            else:
                by_level = self.levels.get(name, {})
                if level not in by_level and len(by_level) < MAX_LEVELS and self._room_for(1):
                    self.levels[name] = {**by_level, level: self._add(0.0)}
        if n_known + len(new) < len(self.numeric) and bool(np.isnan(self._absent).any()):
            for name in self.numeric:
                if name in self.missing or not np.isnan(self._absent[self.numeric[name]]):
                    continue
                if clean(features.get(name)) is None and self._room_for(1):
                    self._flag_missing(name)

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
            return False
        if self.n_dims + n + N_HASHED <= self.max_dims:
            return True
        self.hashed_from = self.n_dims
        for _ in range(N_HASHED):
            self._add(0.0)
        return False

    def _add(self, absent: float) -> int:
        at = self.n_dims
        # A level or flag that appears late was "absent" in every earlier row.
        seen = 0.0 if np.isnan(absent) else float(self.n_seen)
        self._count = np.append(self._count, seen)
        self._mean = np.append(self._mean, 0.0)
        self._m2 = np.append(self._m2, 0.0)
        self._absent = np.append(self._absent, absent)
        self._empty = None
        return at

    def dump(self) -> dict[str, Any]:
        """Everything, as plain values for a checkpoint."""
        return {
            "max_dims": self.max_dims,
            "numeric": dict(self.numeric),
            "missing": dict(self.missing),
            "levels": {name: dict(by_level) for name, by_level in self.levels.items()},
            "hashed_from": self.hashed_from,
            "n_seen": self.n_seen,
            "families": {family: list(names) for family, names in self._families.items()},
            "arrays": np.stack([self._count, self._mean, self._m2, self._absent]).tobytes(),
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> Encoder:
        """The inverse of ``dump``: continues bit for bit."""
        encoder = cls(state["max_dims"])
        encoder.numeric, encoder.missing = dict(state["numeric"]), dict(state["missing"])
        encoder.levels = {name: dict(by_level) for name, by_level in state["levels"].items()}
        encoder.hashed_from, encoder.n_seen = state["hashed_from"], state["n_seen"]
        encoder._families = {family: list(names) for family, names in state["families"].items()}
        arrays = np.frombuffer(state["arrays"], np.float64).reshape(4, -1).copy()
        encoder._count, encoder._mean, encoder._m2, encoder._absent = arrays
        encoder._empty = None
        return encoder
