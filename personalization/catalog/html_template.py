"""Where the variables of an HTML body stand, and how a visitor's value is written there so that it stays a value.

A value is text: it may stand between tags, or in the quotes of an attribute that holds words, or in a URL behind
what settles where that leads. Everywhere else (scripts, styles, handlers, names, comments) no escaping is safe in
every browser, and in markup that parsers read differently nobody knows where it stands: there it is refused.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from personalization.catalog.html_cleaning import RUN_BY_LIBRARIES
from personalization.catalog.html_source import Attribute, Comment, Held, Piece, StartTag, Text, Unclear, pieces_of
from personalization.catalog.template import MaskedBody, TemplateVariable
from personalization.catalog.template_urls import REMEDY, is_settled, split_at_variables, url_value

Escape: TypeAlias = Callable[[str], str]
"""A visitor's value as it is written in a place."""

OF_WORDS = frozenset(
    {
        "abbr", "alt", "class", "datetime", "dir", "height", "label", "lang", "max", "min", "placeholder", "step",
        "title", "value", "width",
    }
)  # fmt: skip
"""Attributes that hold words or numbers, whatever they hold; those that begin with aria- or data- besides."""

OF_URLS = {
    "action": {"form"},
    "cite": {"blockquote", "del", "ins", "q"},
    "formaction": {"button", "input"},
    "href": {"a", "area"},
    "poster": {"video"},
    "src": {"audio", "iframe", "img", "input", "source", "track", "video"},
}
"""Attributes that hold one URL, by the elements on which it leads somewhere or shows something."""

NEVER_ON = frozenset({"applet", "base", "embed", "link", "meta", "object", "param", "script", "style"})
"""Elements whose attributes decide what runs, or how the page is read."""

_IN_THE_TEXT = "put it in the text, or in a quoted attribute such as title"


@dataclass(frozen=True, slots=True)
class Placed:
    """A variable where a value can stand: ``escape`` makes it one."""

    variable: TemplateVariable
    escape: Escape


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A variable where no value may stand; ``why`` follows its name in a sentence and tells the remedy."""

    variable: TemplateVariable
    why: str


def places_of(body: MaskedBody, schemes: Collection[str] = ()) -> list[Placed | Misplaced]:
    """Each variable of an HTML body in order, and whether a value may stand there.

    Parameters
    ----------
    schemes
        Schemes of apps with which a URL with variables may begin; lower case.

    >>> from personalization.catalog.template import mask
    >>> [place] = places_of(mask("<a onclick='hi({{traits.name}})'>"))
    >>> place.why
    'stands in the handler onclick; put it in the text, or in a quoted attribute such as title'
    """
    return [each for piece in pieces_of(body.text) for each in _of_piece(body, piece, schemes)]


def _of_piece(body: MaskedBody, piece: Piece, schemes: Collection[str]) -> Iterator[Placed | Misplaced]:
    if isinstance(piece, StartTag):
        yield from _of_tag(body, piece, schemes)
        return
    variables = body.within(piece.start, piece.end)
    if variables and not isinstance(piece, Text):
        why = _why_not_in(body, piece)
        yield from (Misplaced(variable, why) for variable in variables)
        return
    for variable in variables:
        if "<" in variable.otherwise:
            yield Misplaced(variable, "has a < behind its bar; write words there, and < as &lt;")
        else:
            yield Placed(variable, html.escape)


def _why_not_in(body: MaskedBody, piece: Piece) -> str:
    if isinstance(piece, Held):
        return f"stands in <{piece.element}>; {_IN_THE_TEXT}"
    if isinstance(piece, Comment):
        return f"stands in a comment; {_IN_THE_TEXT}"
    if isinstance(piece, Unclear):
        if piece.element is not None:
            return (
                f"stands behind <{piece.element}> with a < in it, which hides where that ends; move that behind it"
            )
        line = body.line_at(piece.start)
        return (
            f"stands in or behind a tag that parsers read differently (line {line} of the text); close it, put its "
            "values in quotes and a blank before each attribute"
        )
    return f"stands in the name of a tag; {_IN_THE_TEXT}"


def _of_tag(body: MaskedBody, tag: StartTag, schemes: Collection[str]) -> Iterator[Placed | Misplaced]:
    for variable in body.within(tag.start, tag.name_end):
        yield Misplaced(variable, f"stands in the name of a tag; {_IN_THE_TEXT}")
    for attribute in tag.attributes:
        for variable in body.within(attribute.start, attribute.end):
            yield Misplaced(variable, f"stands in the name of an attribute; {_IN_THE_TEXT}")
        variables = body.within(attribute.value_start, attribute.value_end)
        if not variables:
            continue
        found = _of_value(body, tag, attribute, schemes)
        for variable in variables:
            if isinstance(found, str):
                yield Misplaced(variable, found)
            elif attribute.quote in variable.otherwise:
                why = f"has a {attribute.quote} behind its bar, which ends the attribute; leave it out"
                yield Misplaced(variable, why)
            else:
                yield Placed(variable, found)


def _of_value(body: MaskedBody, tag: StartTag, attribute: Attribute, schemes: Collection[str]) -> Escape | str:
    """How a value is written within that of an attribute; a text says why none may be there."""
    name = attribute.name
    if not attribute.quote:
        return f'stands in {name}= without quotes; write {name}="…"'
    if tag.name in NEVER_ON:
        return f"stands in <{tag.name}>, which decides what runs in the page; {_IN_THE_TEXT}"
    if tag.name in OF_URLS.get(name, ()):
        start, rest = split_at_variables(body, attribute.value_start, attribute.value_end)
        return url_value if is_settled(start, rest, schemes) else f"may decide where {name} leads; {REMEDY}"
    if name in OF_WORDS or (name.startswith(("aria-", "data-")) and not RUN_BY_LIBRARIES.match(name)):
        return html.escape
    kind = "the handler" if name.startswith("on") else "the attribute"
    return f"stands in {kind} {name}; {_IN_THE_TEXT}"
