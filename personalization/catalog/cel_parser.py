"""CEL text into its tree: the one place that reads CEL text.

The ``cel`` package compiles and evaluates, and tells which names and functions an expression uses, but not how. The
grammar is that of the language definition (https://github.com/google/cel-spec, *Syntax*) without message literals,
which have no meaning in rules. Reading costs about 5 µs a token, once per rule.
"""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Iterator

from personalization.catalog.cel_tree import (
    LEVELS,
    Binary,
    Call,
    Conditional,
    Field,
    Index,
    Keyword,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Unary,
    children,
)

MAX_NESTED = 40
"""Parentheses and calls within each other: each is ten frames of the parser's, of Python's 1,000."""

MAX_DIGITS = 400
"""Of a number: no value that is compared has more."""

MAX_DEPTH = 250
"""Levels of the tree, a frame each for whoever walks it; `a || b || c` has two."""


class Unreadable(ValueError):
    """The text is no CEL, or uses a part of it that rules do not know."""


class TooMuch(Unreadable):
    """The text is longer, or nested deeper, than any rule needs."""


@functools.lru_cache(maxsize=4096)
def parse(source: str) -> Node:
    """Read an expression.

    Raises
    ------
    Unreadable
        If it is no CEL, or nested too deeply.

    >>> parse('n_orders > 2 && "loyal" in segments').operator
    '&&'
    """
    node = _Parser(source).whole()
    level, depth = [node], 0
    while level := [child for each in level for child in children(each)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise Unreadable("too long or too deeply nested; name parts of it as segments")
    return node


_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    |(?P<text>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |\"(?:\\.|[^\\"\n])*\"|'(?:\\.|[^\\'\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[<>=!]=|[-+*/%<>=!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_RAW_TEXT = re.compile(r"[bB]?[rR][bB]?(\"\"\"|'''|\"|')(.*)\1", re.DOTALL)
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class _Parser:
    """Reads one expression by recursive descent."""

    def __init__(self, source: str) -> None:
        self.tokens = list(_tokens(source))
        self.at = 0
        self.depth = 0

    def whole(self) -> Node:
        node = self.expression()
        if self.token() != ("end", ""):
            raise Unreadable(f"unexpected {self.token()[1]!r}")
        return node

    def token(self) -> tuple[str, str]:
        return self.tokens[self.at]

    def take(self, *signs: str) -> str | None:
        kind, text = self.tokens[self.at]
        if text in signs and kind in ("sign", "name"):
            self.at += 1
            return text
        return None

    def need(self, sign: str) -> None:
        if self.take(sign) is None:
            raise Unreadable(f"expected {sign!r}, not {self.token()[1]!r}")

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTED:
            raise Unreadable(f"more than {MAX_NESTED} parentheses within each other")
        node = self.operation(0)
        if self.take("?"):
            then = self.operation(0)
            self.need(":")
            node = Conditional(node, then, self.expression())
        self.depth -= 1
        return node

    def operation(self, level: int) -> Node:
        if level == len(LEVELS):
            return self.unary()
        node = self.operation(level + 1)
        while operator := self.take(*LEVELS[level]):
            node = Binary(operator, node, self.operation(level + 1))
        return node

    def unary(self) -> Node:
        signs = []
        while sign := self.take("!", "-"):
            signs.append(sign)
        node = self.member()
        for sign in reversed(signs):
            node = Unary(sign, node)
        return node

    def member(self) -> Node:
        node = self.primary()
        while True:
            if self.take("."):
                name = self.name()
                node = Call(node, name, self.list(")")) if self.take("(") else Field(node, name)
            elif self.take("["):
                node = Index(node, self.expression())
                self.need("]")
            else:
                return node

    def primary(self) -> Node:
        kind, text = self.token()
        if kind == "number" or kind == "text":
            self.at += 1
            return _number(text) if kind == "number" else _text(text)
        if self.take("("):
            node = self.expression()
            self.need(")")
            return node
        if self.take("["):
            return ListOf(self.list("]"))
        if self.take("{"):
            return MapOf(self.map())
        self.take(".")  # `.name` is the name, from the root
        name = self.name()
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name], name)
        return Call(None, name, self.arguments()) if self.take("(") else Name(name)

    def name(self) -> str:
        kind, text = self.token()
        if kind != "name" or text == "in":
            raise Unreadable(f"unexpected {text!r}" if text else "something is missing at the end")
        self.at += 1
        return text

    def list(self, end: str) -> tuple[Node, ...]:
        items = []
        while not self.take(end):
            items.append(self.expression())
            if not self.take(","):
                self.need(end)
                break
        return tuple(items)

    def arguments(self) -> tuple[Node, ...]:
        """Read a function's arguments: values, then values by name."""
        items: list[Node] = []
        while not self.take(")"):
            item = self.expression()
            if isinstance(item, Name) and self.take("="):
                item = Keyword(item.name, self.expression())
            elif items and isinstance(items[-1], Keyword):
                raise Unreadable("a value without a name stands behind one with a name")
            items.append(item)
            if not self.take(","):
                self.need(")")
                break
        return tuple(items)

    def map(self) -> tuple[tuple[Node, Node], ...]:
        entries = []
        while not self.take("}"):
            key = self.expression()
            self.need(":")
            entries.append((key, self.expression()))
            if not self.take(","):
                self.need("}")
                break
        return tuple(entries)


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(source):
        token = _TOKEN.match(source, at)
        if token is None:
            raise Unreadable(f"unexpected {source[at]!r}")
        if token.lastgroup != "blank":
            yield str(token.lastgroup), token[0]
        at = token.end()
    yield "end", ""


def _number(text: str) -> Literal:
    if len(text) > MAX_DIGITS:
        raise TooMuch(f"a number of {len(text)} digits")
    if text[-1] in "uU":
        return Literal(None, text, opaque=True)
    if text[:2] in ("0x", "0X"):
        return Literal(int(text, 16), text)
    if text.isdigit():
        return Literal(int(text), text)
    value = float(text)
    if math.isinf(value):
        raise TooMuch(f"{text} is more than a number can be")
    return Literal(value, text)


def _text(text: str) -> Literal:
    quote = min(text.find(sign) for sign in "\"'" if sign in text)
    if "b" in text[:quote].lower():
        return Literal(None, text, opaque=True)
    if raw := _RAW_TEXT.fullmatch(text):
        return Literal(raw[2], text)
    try:
        # Escapes are Python's, but for \? and \`, which stand for themselves.
        value = ast.literal_eval(re.sub(r"\\(\\|[?`])", _unescape, text))
    except (ValueError, SyntaxError) as error:
        raise Unreadable(f"cannot read the text {text}") from error
    return Literal(str(value), text)


def _unescape(escape: re.Match[str]) -> str:
    return escape[0] if escape[1] == "\\" else escape[1]
