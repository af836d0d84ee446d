"""What a column looks like over all its rows, in bounded memory: enough to say what it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from operations.tables.dates import COMPACT, TIME, parse, styles_of
from operations.tables.numbers import COMMA, MAX_CHARS, POINT, is_ambiguous, mark_of, number

MAX_DISTINCT = 20_000
"""So many different texts are told apart; how different the rest is, is concluded from them."""


MISSING = frozenset({"NA", "N/A", "#N/A", "#NV", "NULL", "null", "None", "NaN", "nan", "NaT", "\\N", "-", "--"})
"""What programs write where they have no number or date."""

_BEGINNINGS = frozenset("0123456789+-.,€$£¥ECUG[")
"""What begins otherwise is no number and no date, whoever wrote it."""


@dataclass(slots=True)
class ColumnProfile:
    """Counts over a column's cells that are not empty, nor stand for nothing.

    Attributes
    ----------
    n, n_seen
        Cells, and those of them that came while different texts were still told apart.
    texts
        The different texts among the latter.
    n_float, n_whole
        Numbers as every program writes them, and those without a fraction.
    n_numbers
        By decimal mark: cells that are a number with it.
    n_marks
        By decimal mark: cells that cannot have been written with the other.
    n_styles
        By style of date: cells that are one.
    n_clocks
        Dates that say a time of day.
    """

    n: int = 0
    n_seen: int = 0
    texts: set[str] = field(default_factory=set)
    n_float: int = 0
    n_whole: int = 0
    n_padded: int = 0
    n_ambiguous: int = 0
    n_chars: int = 0
    n_blanks: int = 0
    n_numbers: Counter[str] = field(default_factory=Counter)
    n_marks: Counter[str] = field(default_factory=Counter)
    n_styles: Counter[str] = field(default_factory=Counter)
    n_clocks: int = 0
    is_running: bool = True
    low: float = float("inf")
    high: float = float("-inf")
    is_rising: bool = True
    ambiguous: str = ""
    _last: float | None = None

    def add(self, cells: Iterable[str]) -> None:
        """Take in cells, in order; empty ones count for nothing."""
        cells = [cell for cell in cells if cell and cell not in MISSING]
        self.n += len(cells)
        if self.is_rising:
            self._follow(cells)
        if len(self.texts) < MAX_DISTINCT:
            self.n_seen += len(cells)
            self.texts.update(cells)
        for text, n in Counter(cells).items():
            self._weigh(text, n)

    @property
    def different(self) -> float:
        """The share of cells that are unlike every other."""
        return len(self.texts) / self.n_seen if self.n_seen else 0.0

    def _follow(self, cells: Iterable[str]) -> None:
        for cell in cells:
            try:
                value = float(cell)
            except ValueError:
                self.is_rising = self.is_running = False
                return
            if self._last is not None:
                self.is_rising = self.is_rising and value >= self._last
                self.is_running = self.is_running and value == self._last + 1
            self._last = value

    def _weigh(self, text: str, n: int) -> None:
        self.n_chars += n * len(text)
        self.n_blanks += n * text.count(" ")
        try:
            value = float(text)
        except ValueError:
            if len(text) <= MAX_CHARS and text[0] in _BEGINNINGS:
                self._weigh_written(text, n)
            return
        self.n_float += n
        self.n_numbers[POINT] += n
        self.low, self.high = min(self.low, value), max(self.high, value)
        if text.isdecimal():
            self.n_whole += n
            self.n_numbers[COMMA] += n
            if len(text) > 2 and text[0] == "0":
                self.n_padded += n
            if len(text) == 8 and parse(text, COMPACT) is not None:
                self.n_styles[COMPACT] += n
        elif len(text.partition(".")[2]) not in (0, 3):
            self.n_marks[POINT] += n
        else:
            self._weigh_mark(text, n)
            if number(text, COMMA) is not None:
                self.n_numbers[COMMA] += n

    def _weigh_written(self, text: str, n: int) -> None:
        for mark in (POINT, COMMA):
            if number(text, mark) is not None:
                self.n_numbers[mark] += n
        self._weigh_mark(text, n)
        for style in styles_of(text):
            self.n_styles[style] += n
            if style != TIME and ":" in text and not text.endswith(("00:00:00", " 00:00")):
                self.n_clocks += n

    def _weigh_mark(self, text: str, n: int) -> None:
        mark = mark_of(text)
        if mark is not None:
            self.n_marks[mark] += n
        elif is_ambiguous(text):
            self.n_ambiguous += n
            self.ambiguous = self.ambiguous or text
