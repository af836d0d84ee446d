"""A CEL expression as a tree: what it names, calls and compares. ``cel_parser`` reads it from text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
"""Methods whose first argument is a name they bind: ``xs.exists(x, x > 1)``."""


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
class Keyword:
    """``name=value``, an argument by name. CEL has none; windows do (``catalog.windows``)."""

    name: str
    value: Node


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


Node: TypeAlias = Literal | Name | Field | Index | Call | Keyword | Unary | Binary | Conditional | ListOf | MapOf


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, in order."""
    match node:
        case Field(target):
            return (target,)
        case Index(target, key):
            return (target, key)
        case Call(target, _, arguments):
            return arguments if target is None else (target, *arguments)
        case Keyword(_, value):
            return (value,)
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


def replaced(node: Node, replacement: Callable[[Node], Node | None]) -> Node:
    """The tree with every node, outermost first, for which there is a ``replacement``.

    >>> from personalization.catalog.cel_parser import parse
    >>> text_of(replaced(parse("a + b * a"), lambda each: Name("c") if each == Name("a") else None))
    'c + b * c'
    """
    new = replacement(node)
    if new is not None:
        return new

    def within(child: Node) -> Node:
        return replaced(child, replacement)

    match node:
        case Field(target, name):
            return Field(within(target), name)
        case Index(target, key):
            return Index(within(target), within(key))
        case Call(target, function, arguments):
            return Call(None if target is None else within(target), function, tuple(map(within, arguments)))
        case Keyword(name, value):
            return Keyword(name, within(value))
        case Unary(operator, operand):
            return Unary(operator, within(operand))
        case Binary(operator, left, right):
            return Binary(operator, within(left), within(right))
        case Conditional(test, then, otherwise):
            return Conditional(within(test), within(then), within(otherwise))
        case ListOf(items):
            return ListOf(tuple(map(within, items)))
        case MapOf(entries):
            return MapOf(tuple((within(key), within(value)) for key, value in entries))
    return node


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it, outermost first."""
    yield node
    for child in children(node):
        yield from walk(child)


def bound_names(node: Node) -> frozenset[str]:
    """The names that macros bind anywhere in it: they are no variables.

    >>> from personalization.catalog.cel_parser import parse
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

    >>> from personalization.catalog.cel_parser import parse
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


def equality_of(node: Node) -> tuple[Path, str] | None:
    """The path and the text of an expression that compares the two for equality and does nothing else.

    >>> from personalization.catalog.cel_parser import parse
    >>> equality_of(parse('properties.category == "shoes"')), equality_of(parse("n_orders == 1"))
    ((('properties', 'category'), 'shoes'), None)
    """
    match node:
        case Binary("==", left, Literal(str(text), written, False)) | Binary(
            "==", Literal(str(text), written, False), left
        ) if "\\" not in written and "\r" not in written:  # escapes are read by CEL itself
            path = path_of(left)
            return None if path is None else (path, text)
    return None


def keys_of(node: Node, variable: str) -> frozenset[str] | None:
    """The entries of a map that an expression names; None if it uses the whole map.

    >>> from personalization.catalog.cel_parser import parse
    >>> keys_of(parse("scores.buys > 0.2 && scores['leaves'] < 0.1"), "scores") == {"buys", "leaves"}
    True
    >>> keys_of(parse("size(scores) > 0"), "scores") is None
    True
    """
    keys, whole = entries_of(node, variable)
    return None if whole else keys


def entries_of(node: Node, variable: str) -> tuple[frozenset[str], bool]:
    """The entries of a map (or items of a list) that an expression names, and whether it uses the whole besides.

    >>> from personalization.catalog.cel_parser import parse
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

    >>> from personalization.catalog.cel_parser import parse
    >>> text_of(parse("(a + b)*c >= -1||!(x in  ['a'])"))
    "(a + b) * c >= -1 || !(x in ['a'])"
    """
    return _write(node)[0]


LEVELS = (("||",), ("&&",), ("<", "<=", ">", ">=", "==", "!=", "in"), ("+", "-"), ("*", "/", "%"))
_LEVEL_OF = {operator: level for level, operators in enumerate(LEVELS, start=1) for operator in operators}
_UNARY, _MEMBER = len(LEVELS) + 1, len(LEVELS) + 2


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
        case Keyword(name, value):
            return f"{name}={text_of(value)}", 0
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
