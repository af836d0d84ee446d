"""Names and levels that have no dimension of their own yet: they earn it by being seen with several units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple, TypeAlias

MIN_UNITS = 3
"""Different units a name must be seen with. One person's browser, or one stranger with a public key, is one."""

MAX_WAITING = 1_024
"""Names that wait, at most; about 150 bytes each."""

KEPT_SHARE = 7 / 8
"""Of them, when there are too many: so that looking for the least costs little per newcomer."""

STALE = 2_048
"""Contexts without a name after which it counts as seen with nobody."""

REFRESH = 64
"""Contexts between two notes of when a name that has earned its dimension was seen last."""

Name: TypeAlias = tuple[str, str | None]
"""A feature's name; and a level of it, if it is a category."""


class Waiting(NamedTuple):
    """What is known of one that waits.

    Attributes
    ----------
    units
        Hashes of those it was seen with, at most ``MIN_UNITS``.
    last
        Count of contexts when it was seen last.
    """

    units: tuple[bytes, ...]
    last: int

    @property
    def ready(self) -> bool:
        """Whether it has earned a dimension."""
        return len(self.units) >= MIN_UNITS


class WaitingNames:
    """A bounded table of them. It is replaced when it changes, never written to.

    Where there are too many, those seen with the fewest units go; among them what a unit brought beyond what others
    did, so that one who sends a thousand names a minute displaces his own, and of everybody's some stay and can be
    seen again; then those not seen for longest.

    >>> names = WaitingNames()
    >>> for unit in (b"ann", b"ann", b"bob"):
    ...     names = names.after([("age", None)], unit, 1)
    >>> names.ready(1)
    []
    >>> names.after([("age", None)], b"cat", 2).ready(2)
    [('age', None)]
    """

    __slots__ = ("_table",)

    def __init__(self, table: dict[Name, Waiting] | None = None) -> None:
        self._table = table if table is not None else {}

    def __len__(self) -> int:
        return len(self._table)

    def after(self, names: Iterable[Name], unit: bytes, now: int) -> WaitingNames:
        """What it becomes once these were seen with the ``unit`` in the context with this number."""
        changed: dict[Name, Waiting] = {}
        for name in names:
            seen = self._table.get(name)
            if seen is None:
                changed[name] = Waiting((unit,), now)
            elif seen.ready or unit in seen.units:
                if now - seen.last >= REFRESH:
                    changed[name] = seen._replace(last=now)
            else:
                changed[name] = Waiting((*seen.units, unit), now)
        if not changed:
            return self
        table = {**self._table, **changed}
        return WaitingNames(table if len(table) <= MAX_WAITING else _best(table, now))

    def without(self, names: Iterable[Name]) -> WaitingNames:
        """What it becomes once these wait no more."""
        table = self._table.copy()
        for name in names:
            table.pop(name, None)
        return WaitingNames(table)

    def forgetting(self, units: Collection[bytes]) -> WaitingNames:
        """What it becomes once these units are erased: who was seen with nobody else waits no more."""
        table: dict[Name, Waiting] = {}
        for name, seen in self._table.items():
            others = tuple(unit for unit in seen.units if unit not in units)
            if others:
                table[name] = seen if len(others) == len(seen.units) else seen._replace(units=others)
        return WaitingNames(table)

    def units_of(self, name: Name) -> tuple[bytes, ...]:
        """Those it was seen with, as far as they are remembered."""
        seen = self._table.get(name)
        return seen.units if seen is not None else ()

    def __contains__(self, name: Name) -> bool:
        return name in self._table

    def is_ready(self, name: Name) -> bool:
        """Whether this one has earned a dimension."""
        seen = self._table.get(name)
        return seen is not None and seen.ready

    def ready(self, now: int) -> list[Name]:
        """Those that have earned a dimension and are still being seen."""
        return [name for name, seen in self._table.items() if seen.ready and now - seen.last < STALE]

    def dump(self) -> list[Any]:
        """Everything, as plain values."""
        return [[*name, list(seen.units), seen.last] for name, seen in self._table.items()]

    @classmethod
    def load(cls, state: list[Any]) -> WaitingNames:
        """The inverse of ``dump``."""
        return cls({(name, level): Waiting(tuple(units), last) for name, level, units, last in state})


def _best(table: dict[Name, Waiting], now: int) -> dict[Name, Waiting]:
    brought: Counter[bytes] = Counter()
    place: dict[Name, int] = {}
    for name, seen in table.items():
        if len(seen.units) == 1:
            place[name] = brought[seen.units[0]]
            brought[seen.units[0]] += 1

    def worth(item: tuple[Name, Waiting]) -> tuple[int, int, int]:
        name, seen = item
        n_units = len(seen.units) if now - seen.last < STALE else 0
        return n_units, -place[name] if n_units == 1 else 0, seen.last

    ranked = sorted(table.items(), key=worth, reverse=True)
    return dict(ranked[: int(KEPT_SHARE * MAX_WAITING)])
