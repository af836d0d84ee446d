"""CEL text as a tree: what a rule names, calls and compares. The one place that reads CEL text.

The ``cel`` package compiles and evaluates, and tells which names and functions an expression uses, but not how. The
grammar is that of the language definition (https://github.com/google/cel-spec, *Syntax*) without message literals,
which have no meaning in rules. Reading costs about 5 µs a token, once per rule.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

MAX_NESTED = 40
"""Parentheses and calls within each other: each is ten frames of the parser's, of Python's 1,000."""

MAX_DEPTH = 250
"""Levels of the tree, a frame each for whoever walks it; `a || b || c` has two."""

MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
"""Methods whose first argument is a name they bind: ``xs.exists(x, x > 1)``."""


class Unreadable(ValueError):
    """The text is no CEL, or uses a part of it that rules do not know."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a text, true, false or null; ``text`` as written. Unsigned numbers and bytes have no ``value``."""

    value: float | int | str | bool | None
    text: str
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or a name bound by a macro."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """``target.name``."""

    target: Node
    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """``target[key]``."""

    target: Node
    key: Node


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments)`` or ``target.function(arguments)``."""

    target: Node | None
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """``!operand`` or ``-operand``."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    """``left operator right``."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Conditional:
    """``test ? then : otherwise``."""

    test: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[a, b]``."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """``{key: value}``."""

    entries: tuple[tuple[Node, Node], ...]


Node: TypeAlias = Literal | Name | Field | Index | Call | Unary | Binary | Conditional | ListOf | MapOf


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


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in order."""
    match node:
        case Field(target):
            return (target,)
        case Index(target, key):
            return (target, key)
        case Call(target, _, arguments):
            return arguments if target is None else (target, *arguments)
        case Unary(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Conditional(test, then, otherwise):
            return (test, then, otherwise)
        case ListOf(items):
            return items
        case MapOf(entries):
            return tuple(part for entry in entries for part in entry)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it, outermost first."""
    yield node
    for child in children(node):
        yield from walk(child)


def bound_names(node: Node) -> frozenset[str]:
    """The names that macros bind anywhere in it: they are no variables.

    >>> sorted(bound_names(parse("cart.exists(sku, cart[sku] > 10.0)")))
    ['sku']
    """
    return frozenset(
        each.arguments[0].name
        for each in walk(node)
        if isinstance(each, Call)
        and each.target is not None
        and each.function in MACROS
        and each.arguments
        and isinstance(each.arguments[0], Name)
    )


Path: TypeAlias = tuple[str, ...]


def path_of(node: Node) -> Path | None:
    """A variable and the names that lead into it, None for anything else.

    >>> path_of(parse("counts['Product Viewed']")), path_of(parse("traits.address.city")), path_of(parse("1 + 1"))
    (('counts', 'Product Viewed'), ('traits', 'address', 'city'), None)
    """
    match node:
        case Name(name):
            return (name,)
        case Field(target, name) | Index(target, Literal(str(name), _, False)):
            path = path_of(target)
            return None if path is None else (*path, name)
    return None


def keys_of(node: Node, variable: str) -> frozenset[str] | None:
    """The entries of a map that an expression names; None if it uses the whole map.

    >>> keys_of(parse("scores.buys > 0.2 && scores['leaves'] < 0.1"), "scores") == {"buys", "leaves"}
    True
    >>> keys_of(parse("size(scores) > 0"), "scores") is None
    True
    """
    keys, whole = entries_of(node, variable)
    return None if whole else keys


def entries_of(node: Node, variable: str) -> tuple[frozenset[str], bool]:
    """The entries of a map (or items of a list) that an expression names, and whether it uses the whole besides.

    >>> entries_of(parse("size(segments) > 1 && 'vip' in segments"), "segments")
    (frozenset({'vip'}), True)
    """
    keys: set[str] = set()
    whole = False
    pending = [node]
    while pending:
        each = pending.pop()
        match each:
            case Name(name) if name == variable:
                whole = True
            case Field(Name(name), key) | Index(Name(name), Literal(str(key), _, False)) if name == variable:
                keys.add(key)
            case Binary("in", Literal(str(key), _, False), Name(name)) if name == variable:
                keys.add(key)
            case _:
                pending.extend(children(each))
    return frozenset(keys), whole


def text_of(node: Node) -> str:
    """The expression as CEL text, with parentheses only if they are needed.

    >>> text_of(parse("(a + b)*c >= -1||!(x in  ['a'])"))
    "(a + b) * c >= -1 || !(x in ['a'])"
    """
    return _write(node)[0]


_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*)
    |(?P<text>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |\"(?:\\.|[^\\"\n])*\"|'(?:\\.|[^\\'\n])*'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_RAW_TEXT = re.compile(r"[bB]?[rR][bB]?(\"\"\"|'''|\"|')(.*)\1", re.DOTALL)
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_LEVELS = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
_LEVEL_OF = {operator: level for level, operators in enumerate(_LEVELS, start=1) for operator in operators}
_UNARY, _MEMBER = len(_LEVELS) + 1, len(_LEVELS) + 2


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
        if level == len(_LEVELS):
            return self.unary()
        node = self.operation(level + 1)
        while operator := self.take(*_LEVELS[level]):
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
        return Call(None, name, self.list(")")) if self.take("(") else Name(name)

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
    if text[-1] in "uU":
        return Literal(None, text, opaque=True)
    if text[:2] in ("0x", "0X"):
        return Literal(int(text, 16), text)
    return Literal(int(text), text) if text.isdigit() else Literal(float(text), text)


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


def _write(node: Node) -> tuple[str, int]:
    """Text, and how tightly its outermost operator binds."""
    match node:
        case Literal(_, text):
            return text, _MEMBER
        case Name(name):
            return name, _MEMBER
        case Field(target, name):
            return f"{_within(target, _MEMBER)}.{name}", _MEMBER
        case Index(target, key):
            return f"{_within(target, _MEMBER)}[{text_of(key)}]", _MEMBER
        case Call(target, function, arguments):
            start = "" if target is None else f"{_within(target, _MEMBER)}."
            return f"{start}{function}({', '.join(map(text_of, arguments))})", _MEMBER
        case Unary(operator, operand):
            return f"{operator}{_within(operand, _MEMBER)}", _UNARY
        case Binary(operator, left, right):
            level = _LEVEL_OF[operator]
            return f"{_within(left, level)} {operator} {_within(right, level + 1)}", level
        case Conditional(test, then, otherwise):
            return f"{_within(test, 1)} ? {_within(then, 1)} : {text_of(otherwise)}", 0
        case ListOf(items):
            return f"[{', '.join(map(text_of, items))}]", _MEMBER
        case MapOf(entries):
            return "{" + ", ".join(f"{text_of(key)}: {text_of(value)}" for key, value in entries) + "}", _MEMBER


def _within(node: Node, at_least: int) -> str:
    text, level = _write(node)
    return text if level >= at_least else f"({text})"
