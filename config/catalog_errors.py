"""Mistakes in a catalog's files, each with the place a person has to go to."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from personalization.catalog.compiled_catalog import InvalidCatalog
from personalization.errors import InvalidInput


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file; line 0 is the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class CatalogMistake(InvalidInput):
    """One mistake: where it stands, what it is about, what to write instead.

    Parameters
    ----------
    place
        File and line.
    path
        What it is about, e.g. ``placements.home.hero.window``; empty where the file itself is wrong.

    >>> print(CatalogMistake(Place("placements.yaml", 12), "placements.home.hero.window", "needs a unit"))
    placements.yaml:12: placements.home.hero.window: needs a unit
    """

    def __init__(self, place: Place, path: str, message: str, code: str = "invalid_field") -> None:
        super().__init__(path, message, code)
        self.place = place
        self.path = path

    def __str__(self) -> str:
        line = ": ".join(part for part in (str(self.place), self.path, self.message) if part)
        return " ".join(line.splitlines())  # names may hold anything, a mistake is one line


@dataclass(frozen=True, slots=True)
class CatalogWarning:
    """Something that works and is probably not meant; it stops nothing.

    >>> print(CatalogWarning(Place("sources.yaml", 3), "sources.shop", "has no keys", "no_keys"))
    sources.yaml:3: warning: sources.shop: has no keys
    """

    place: Place
    path: str
    message: str
    code: str

    def __str__(self) -> str:
        return " ".join(f"{self.place}: warning: {self.path}: {self.message}".splitlines())


class Mistakes:
    """Collects every mistake instead of stopping at the first."""

    def __init__(self) -> None:
        self.found: list[CatalogMistake] = []

    def add(self, place: Place, path: str, message: str, code: str = "invalid_field") -> None:
        """Note one mistake."""
        self.found.append(CatalogMistake(place, path, message, code))

    def in_file_order(self) -> tuple[CatalogMistake, ...]:
        """All of them, first files and lines first."""
        return tuple(sorted(self.found, key=_in_file_order))

    def raise_any(self) -> None:
        """Raise ``InvalidCatalog`` with all of them in file order, if there are any."""
        if self.found:
            raise InvalidCatalog([*self.in_file_order()])


def _in_file_order(mistake: CatalogMistake) -> tuple[Place, str]:
    return mistake.place, mistake.path


def did_you_mean(name: str, known: Collection[str]) -> str:
    """What to say about a name nobody knows: the nearest one, or all of them while they are few.

    >>> did_you_mean("windw", ["window", "slots"])
    "did you mean 'window'?"
    >>> did_you_mean("x", ["window", "slots"])
    'known here: slots, window'
    """
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if not close:
        # Case and separators are what people get wrong most, and what difflib weighs like any other letter.
        plain = {_plain(other): other for other in known}
        close = [plain[_plain(name)]] if _plain(name) in plain else []
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known here: {listing(known)}" if known else "none is defined"


def listing(names: Iterable[str], limit: int = 12) -> str:
    """Names in order, comma-separated, shortened."""
    ordered = sorted(names)
    more = f", … ({len(ordered) - limit} more)" if len(ordered) > limit else ""
    return ", ".join(ordered[:limit]) + more


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())
