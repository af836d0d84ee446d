"""Template variables in bodies: ``{{traits.first_name|there}}`` is a trait, else the words behind the bar."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

VARIABLE = re.compile(r"\{\{\s*([\w.\- ]+?)\s*(?:\|([^{}]*))?\}\}")
"""A template variable: its name, and what stands in for it."""


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """A variable in a masked body.

    Attributes
    ----------
    written
        As the author wrote it, braces included.
    otherwise
        What is shown where the value is unknown.
    start, end
        Where its mask stands in the masked text.
    """

    written: str
    otherwise: str
    start: int
    end: int


_START, _END = attrgetter("start"), attrgetter("end")


@dataclass(frozen=True, slots=True)
class MaskedBody:
    """A body in which a word of letters and digits stands for each variable: it reads as it will once filled in.

    >>> body = mask("<b>{{traits.name|you}}</b>")
    >>> body.text, body.variables[0].otherwise
    ('<b>zv0z</b>', 'you')
    """

    text: str
    variables: tuple[TemplateVariable, ...] = ()

    def line_at(self, offset: int) -> int:
        """The line of the body, from 1, on which ``offset`` of the masked text stands."""
        within = sum(each.written.count("\n") for each in self.variables if each.end <= offset)
        return 1 + self.text.count("\n", 0, offset) + within

    def within(self, start: int, end: int) -> Sequence[TemplateVariable]:
        """The variables that stand, in part at least, between two offsets."""
        first = bisect_right(self.variables, start, key=_END)
        last = bisect_left(self.variables, end, first, key=_START)
        return self.variables[first:last]


def mask(body: str) -> MaskedBody:
    """Put words in the places of variables; the words occur nowhere else in the body."""
    stem, lowered = "zv", body.lower()
    while stem in lowered:
        stem += "z"
    parts: list[str] = []
    variables: list[TemplateVariable] = []
    length = written_to = 0
    for match in VARIABLE.finditer(body):
        before, word = body[written_to : match.start()], f"{stem}{len(variables)}z"
        start = length + len(before)
        length = start + len(word)
        variables.append(TemplateVariable(match[0], match[2] or "", start, length))
        parts += (before, word)
        written_to = match.end()
    return MaskedBody("".join((*parts, body[written_to:])), tuple(variables))
