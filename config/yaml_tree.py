"""YAML text into a small tree that knows its lines: strict about size and shape, silent about meaning.

Built from the parser's events rather than from ``yaml.compose``: composing recurses in C and takes the
process down on text nested deeply enough, and it forgets where an alias was written. Nothing is ever
constructed, so tags can do no harm; what a scalar means is decided by the field it stands in, which is why
a locale called ``no`` stays one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

import yaml

from config.catalog_errors import CatalogMistake, Place

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_NODES = 200_000
"""With aliases written out; some 100 times a large catalog. A few lines of nested aliases reach 10⁹."""
MAX_DEPTH = 64

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Scalar:
    """A single value as written; ``plain`` if without quotes.

    Attributes
    ----------
    first_line
        The line of the file on which its text begins, where it goes on line by line (``|``); 0: it does not.
    """

    place: Place
    text: str
    plain: bool
    first_line: int = 0


@dataclass(slots=True)
class Items:
    """A list."""

    place: Place
    items: list[Tree] = field(default_factory=list)


@dataclass(slots=True)
class Fields:
    """Names and values, in order; the same name may stand in it twice."""

    place: Place
    fields: list[tuple[Scalar, Tree]] = field(default_factory=list)


Tree: TypeAlias = Scalar | Items | Fields


def is_null(tree: Tree) -> bool:
    """Whether nothing, ``~`` or ``null`` was written."""
    return isinstance(tree, Scalar) and tree.plain and tree.text in ("", "~", "null", "Null", "NULL")


def kind(tree: Tree) -> str:
    """What the tree is, in words: ``a list``, ``a group of fields``, ``'soon'``."""
    if isinstance(tree, Items):
        return "a list"
    if isinstance(tree, Fields):
        return "a group of fields"
    if is_null(tree):
        return "empty"
    text = tree.text if len(tree.text) <= 60 else tree.text[:59] + "…"
    return repr(text)


def parse_yaml(name: str, data: bytes) -> Tree | None:
    """The one document in ``data``; None if it holds nothing but comments.

    Raises
    ------
    CatalogMistake
        At the first place that is no YAML, or more of it than a catalog could need.
    """
    text = _decode(name, data)
    builder = _Builder(name)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.reader.ReaderError as error:
        code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "?")
        line = next((n for n, row in enumerate(text.split("\n"), 1) if chr(code) in row), 0)
        message = f"a character that no text may hold (U+{code:04X}); delete it"
        raise CatalogMistake(Place(name, line), "", message, "bad_yaml") from error
    except yaml.MarkedYAMLError as error:
        raise _explain(name, text, error) from error
    return builder.root


def _decode(name: str, data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        message = f"larger than {MAX_FILE_BYTES >> 20} MB; split it into several files"
        raise CatalogMistake(Place(name), "", message, "too_large")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CatalogMistake(Place(name, 1), "", "saved as UTF-16; save it as UTF-8", "bad_encoding")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = Place(name, data.count(b"\n", 0, error.start) + 1)
        message = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise CatalogMistake(place, "", message, "bad_encoding") from error


@dataclass(slots=True)
class _Open:
    tree: Items | Fields
    anchor: str | None
    nodes_before: int
    key: Scalar | None = None


class _Builder:
    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Tree | None = None
        self.n_documents = 0
        self.n_nodes = 0
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Tree, int]] = {}

    def take(self, event: yaml.Event) -> None:
        place = Place(self.name, event.start_mark.line + 1 if event.start_mark else 0)
        if isinstance(event, yaml.DocumentStartEvent):
            self.n_documents += 1
            if self.n_documents > 1:
                raise self.mistake(place, "a second document begins here (---); put it into a file of its own")
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                message = f"*{event.anchor} repeats nothing: no finished value above is marked &{event.anchor}"
                raise self.mistake(place, message + "; put text that starts with * in quotes")
            tree, n_nodes = self.anchors[event.anchor]
            self.count(place, n_nodes)
            self.attach(tree, place)
        elif isinstance(event, yaml.NodeEvent):
            self.refuse_tag(event, place)
            self.count(place, 1)
            if isinstance(event, yaml.ScalarEvent):
                first_line = place.line + 1 if event.style == "|" else 0
                scalar = Scalar(place, event.value, not event.style, first_line)
                if event.anchor is not None:
                    self.anchors[event.anchor] = (scalar, 1)
                self.attach(scalar, place)
            else:
                tree = Items(place) if isinstance(event, yaml.SequenceStartEvent) else Fields(place)
                if len(self.open) >= MAX_DEPTH:
                    raise self.mistake(place, f"nested more than {MAX_DEPTH} deep", "too_large")
                self.open.append(_Open(tree, event.anchor, self.n_nodes - 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self.open.pop()
            if closed.anchor is not None:
                self.anchors[closed.anchor] = (closed.tree, self.n_nodes - closed.nodes_before)
            self.attach(closed.tree, closed.tree.place)

    def refuse_tag(self, event: yaml.NodeEvent, place: Place) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise self.mistake(place, f"the tag {tag!r} is not used here; put text that starts with ! in quotes")

    def count(self, place: Place, n_nodes: int) -> None:
        self.n_nodes += n_nodes
        if self.n_nodes > MAX_NODES:
            message = f"more than {MAX_NODES:,} values once its aliases (*name) are written out"
            raise self.mistake(place, message, "too_large")

    def attach(self, tree: Tree, place: Place) -> None:
        if not self.open:
            self.root = tree
            return
        top = self.open[-1]
        if isinstance(top.tree, Items):
            top.tree.items.append(tree)
        elif top.key is None:
            if not isinstance(tree, Scalar):
                raise self.mistake(
                    place, "a list or group stands where a name is expected; put text with {{ }} or [ ] in quotes"
                )
            top.key = tree
        else:
            key, top.key = top.key, None
            if key.plain and key.text == "<<":
                self.merge(top.tree, tree, place)
            else:
                top.tree.fields.append((key, tree))

    def merge(self, into: Fields, tree: Tree, place: Place) -> None:
        # `<<: *base` lends what is not written here; what is written before or after it wins.
        for source in tree.items if isinstance(tree, Items) else [tree]:
            if not isinstance(source, Fields):
                raise self.mistake(place, "<< takes a group of fields, such as *name")
            self.count(place, len(source.fields))
            into.fields.extend((Borrowed(key.place, key.text, key.plain), value) for key, value in source.fields)

    def mistake(self, place: Place, message: str, code: str = "bad_yaml") -> CatalogMistake:
        return CatalogMistake(place, "", message, code)


class Borrowed(Scalar):
    """A name that came in through ``<<``: gives way to one that was written."""

    __slots__ = ()


_AFTER_QUOTE = re.compile(r"""^\s*(?:- )?(?P<name>[\w.-]+):\s+(?P<value>(["']).*?\3\s*[^\s#].*)$""")

_EXPLAINED = (
    ("mapping values are not allowed", "a ':' too many, or a line indented too far; put text with ': ' in quotes"),
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("',' or ']'", "a list opened here with [ is not closed with ]"),
    ("',' or '}'", "a group opened here with { is not closed with }"),
    ("sequence entries are not allowed", "a list item (-) must start on a line of its own"),
    ("expected ':'", "neither 'name: value' nor '- item'; is a colon missing, or a blank after it?"),
    ("expected '-' indicator", "a list and names are mixed here; indent the names, or start each item with -"),
    ("expected key", "indented like no line above; names of one group start in the same column"),
    ("<block end>", "indented like no line above; names of one group start in the same column"),
    ("node content", "a bracket or a brace is missing here or one is too many; put text with brackets in quotes"),
    ("block scalar", "after | or > the text starts on the next line; put text that starts with > in quotes"),
    ("alphabetic or numeric", "put text that starts with * or & in quotes"),
    ("cannot start any token", "a character that must be in quotes; put the whole text in quotes"),
)


def _explain(name: str, text: str, error: yaml.MarkedYAMLError) -> CatalogMistake:
    problem = error.problem or "not YAML"
    opened_here = any(word in problem for word in ("end of stream", "',' or", "expected ':'"))
    mark = (opened_here and error.context_mark) or error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 0
    lines = text.split("\n")
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    message = next((said for word, said in _EXPLAINED if word in problem), problem)
    indent = line[: len(line) - len(line.lstrip())]
    after_quote = _AFTER_QUOTE.match(line)
    if "\t" in indent:
        message = "a tab; indent with spaces"
    elif after_quote:
        value = after_quote["value"]
        remedy = (
            f"'{value}'" if "'" not in value else f'"{value}"' if '"' not in value else f">- and below it {value}"
        )
        message = f"the value goes on after its closing quote; quote all of it: {after_quote['name']}: {remedy}"
    return CatalogMistake(Place(name, number), "", message, "bad_yaml")
