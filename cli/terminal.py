"""What goes to a terminal: others wrote much of it, such as names of events, and terminals obey escapes."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from rich.markup import escape


def printable(text: str) -> str:
    """What of a text may go to a terminal: whoever holds a page's key wrote it, and terminals obey escapes.

    >>> printable("\\x1b[2JOrder\\n1")
    '�[2JOrder�1'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def cell(text: str) -> str:
    """The same for a cell of a table of Rich's, which reads markup in it.

    >>> cell("[red]\\x9b2J")
    '\\\\[red]�2J'
    """
    return escape(printable(text))


def json_line(value: object) -> str:
    """A value as JSON on one line, with all that a terminal might obey written as JSON's escapes.

    >>> json_line({"event": "\\x1b[2J \\x9b31m \\u202e"})
    '{"event":"\\\\u001b[2J \\\\u009b31m \\\\u202e"}'
    """
    text = msgspec.json.encode(value).decode()
    return text if text.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class GivenId(click.ParamType):
    """An id as somebody types it: text, and not empty."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The id; it is a mistake of usage if it is none."""
        text = str(value)
        if not text.strip():
            self.fail("it is empty", param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("it is not UTF-8", param, ctx)
        return text
