"""HTML as it was written, cut into pieces that every parser cuts alike.

Where a piece ends depends, by the standard, on what the tree around it looks like: ``<style>`` holds text in one
place and tags in another. So this reads what reads the same everywhere, and calls the rest ``Unclear``. Unlike
``html.parser`` it tells quotes and offsets, and reads alike in every version of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

_BLANK = r"[ \t\n\r\f]"
_VALUE = r"""(?P<value>"[^"]*+"|'[^']*+'|[^\s"'=<>`]++)"""
_ATTRIBUTE = rf"""{_BLANK}++(?P<name>[^\s"'<>/=\x00]++)(?:{_BLANK}*+={_BLANK}*+{_VALUE})?+"""
_ATTRIBUTES = re.compile(_ATTRIBUTE)
_TAG = re.compile(
    r"<(?P<tag>[A-Za-z][^\s\"'<>/=`\x00]*+)(?:" + re.sub(r"\?P<\w+>", "?:", _ATTRIBUTE) + rf")*+{_BLANK}*+/?>"
)
_END_TAG = re.compile(rf"</(?P<tag>[A-Za-z][^\s\"'<>/=`\x00]*+){_BLANK}*+>")
_COMMENT = re.compile(r"<!--(?!-?>)(?P<text>.*?)-->", re.DOTALL)
_DOCTYPE = re.compile(r"<!doctype[^<>\"'\[]*+>", re.IGNORECASE)
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])")

TEXT_ONLY = frozenset(
    {"iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "textarea", "title", "xmp"}
)
"""Elements that hold no tags: whatever stands in them is their text, until they end."""


@dataclass(frozen=True, slots=True)
class Text:
    """Words between tags."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of a start tag.

    Attributes
    ----------
    start, end
        Of its name.
    value_start, value_end
        Of its value without quotes; both are ``end`` where it has none.
    quote
        What stands around the value; empty: nothing.
    """

    name: str
    start: int
    end: int
    value_start: int
    value_end: int
    quote: str


@dataclass(frozen=True, slots=True)
class StartTag:
    """A start tag; ``name_end`` is where its name ends."""

    name: str
    start: int
    end: int
    name_end: int
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class EndTag:
    """An end tag."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Held:
    """The text of an element that holds no tags."""

    element: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unclear:
    """All that follows ``start``: parsers may differ on it.

    Attributes
    ----------
    element
        The element before it whose text has a ``<``; None: what begins at ``start`` is malformed.
    """

    start: int
    end: int
    element: str | None


Piece: TypeAlias = Text | StartTag | EndTag | Held | Comment | Unclear


def pieces_of(html: str) -> Iterator[Piece]:
    """Its pieces in order; an ``Unclear`` is the last.

    >>> [type(piece).__name__ for piece in pieces_of("a <b>c</b> < d")]
    ['Text', 'StartTag', 'Text', 'EndTag', 'Text']
    """
    at = text_from = 0
    while markup := _MARKUP.search(html, at):
        at = markup.start()
        piece = _markup_at(html, at)
        if text_from < at:
            yield Text(text_from, at)
        if piece is None:
            yield Unclear(at, len(html), None)
            return
        yield piece
        at = text_from = piece.end
        if isinstance(piece, StartTag) and piece.name in TEXT_ONLY:
            held = _held(html, piece)
            yield held
            at = text_from = held.end
            if "<" in html[held.start : held.end]:
                yield Unclear(at, len(html), piece.name)
                return
    if text_from < len(html):
        yield Text(text_from, len(html))


def _markup_at(html: str, at: int) -> StartTag | EndTag | Comment | None:
    """What begins with the ``<`` at ``at``; None where that is malformed."""
    if tag := _TAG.match(html, at):
        return StartTag(tag["tag"].lower(), at, tag.end(), tag.end("tag"), _attributes(html, tag))
    if tag := _END_TAG.match(html, at):
        return EndTag(tag["tag"].lower(), at, tag.end())
    if comment := _COMMENT.match(html, at):
        return None if "--!>" in comment["text"] else Comment(at, comment.end())
    doctype = _DOCTYPE.match(html, at)
    return Comment(at, doctype.end()) if doctype else None


def _attributes(html: str, tag: re.Match[str]) -> tuple[Attribute, ...]:
    found = []
    at = tag.end("tag")
    while match := _ATTRIBUTES.match(html, at, tag.end()):
        at = match.end()
        start, end = match.span("value")
        quote = html[start] if start >= 0 and html[start] in "\"'" else ""
        span = (start + len(quote), end - len(quote)) if start >= 0 else (at, at)
        found.append(Attribute(match["name"].lower(), *match.span("name"), *span, quote))
    return tuple(found)


def _held(html: str, tag: StartTag) -> Held:
    end = re.compile(rf"</{tag.name}(?=[\s/>])", re.IGNORECASE).search(html, tag.end)
    return Held(tag.name, tag.end, end.start() if end and tag.name != "plaintext" else len(html))
