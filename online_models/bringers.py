"""Who brought a name or a level into a model, for as long as few did: with them it goes when they are erased."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeAlias

from online_models.waiting_names import Name
from personalization.features import MAX_CATEGORY_CHARS

MAX_BRINGERS = 3
"""Different units that are remembered. One person may have several, a browser's and their own; what a fourth
brings is nobody's alone, and stays for good."""

OWN = ""
"""In place of a level: a category as such, where it has a place of its own beside its levels."""

_Table: TypeAlias = dict[Any, dict[str | None, tuple[bytes, ...]]]
"""Feature → None if it is a number, else a level → units."""


class Bringers:
    """The units of each name and level that few have brought. It is replaced when it changes, never written to.

    What somebody without a unit brings is taken for everybody's: nobody can ask for it to go.

    >>> known = Bringers().begun([("mail", "jane@"), ("age", None)], (b"jane",)).after({"age": 40.0}, b"john")
    >>> known, alone = known.without(frozenset([b"jane"]))
    >>> alone
    [('mail', 'jane@')]
    >>> known.without(frozenset([b"john"]))[1]
    [('age', None)]
    """

    __slots__ = ("_table",)

    def __init__(self, table: _Table | None = None) -> None:
        self._table: _Table = table if table is not None else {}

    def __bool__(self) -> bool:
        return bool(self._table)

    def begun(self, names: Iterable[Name], units: tuple[bytes, ...]) -> Bringers:
        """What they become when these names get their place, and these units are who brought them."""
        if b"" in units or not units:
            return self
        changed: _Table = {}
        for name, level in names:
            changed[name] = {**changed.get(name, self._table.get(name, {})), level: units[:MAX_BRINGERS]}
        return Bringers({**self._table, **changed})

    def after(self, features: Mapping[Any, Any], unit: bytes) -> Bringers:
        """What they become when somebody brings these features."""
        changed: _Table = {}
        table = self._table
        for name in table if len(table) < len(features) else features:
            if name not in table or name not in features:
                continue
            by_level, value = table[name], features[name]
            for level in (value[:MAX_CATEGORY_CHARS], OWN) if isinstance(value, str) else (None,):
                units = by_level.get(level)
                if units is not None and unit not in units:
                    changed.setdefault(name, dict(by_level))[level] = (*units, unit)
                    if not unit or len(units) == MAX_BRINGERS:
                        del changed[name][level]
        return Bringers(_filled({**table, **changed})) if changed else self

    def without(self, units: Collection[bytes]) -> tuple[Bringers, list[Name]]:
        """What they become once these are erased, and what nobody else had brought."""
        left: _Table = {}
        alone: list[Name] = []
        for name, by_level in self._table.items():
            left[name] = {}
            for level, own in by_level.items():
                others = tuple(unit for unit in own if unit not in units)
                if others:
                    left[name][level] = others
                else:
                    alone.append((name, level))
        return Bringers(_filled(left)), alone

    def of(self, names: Collection[Name]) -> Bringers:
        """What they become when only these have a place."""
        if not self._table:
            return self
        left = {
            name: {level: units for level, units in by_level.items() if (name, level) in names}
            for name, by_level in self._table.items()
        }
        return Bringers(_filled(left))

    def names(self) -> set[Name]:
        """The names and levels that few have brought."""
        return {(name, level) for name, by_level in self._table.items() for level in by_level}

    def dump(self) -> list[Any]:
        """Everything, as plain values."""
        return [
            [name, level, list(units)]
            for name, by_level in self._table.items()
            for level, units in by_level.items()
        ]

    @classmethod
    def load(cls, state: list[Any]) -> Bringers:
        """The inverse of ``dump``."""
        table: _Table = {}
        for name, level, units in state:
            table.setdefault(name, {})[level] = tuple(units)
        return cls(table)


def _filled(table: _Table) -> _Table:
    return {name: by_level for name, by_level in table.items() if by_level}
