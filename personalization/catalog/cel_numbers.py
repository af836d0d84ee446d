"""One kind of number for rules that calculate: what JSON sends as 129 or as 129.5 is the same thing to them.

CEL compares whole numbers with fractions, but calculates only within one kind: ``properties.revenue * 1.5``
would fail for every order of a whole amount. In a rule that calculates every number is a fraction instead:
those that come from visitors and events, those written in the rule, and what functions count. If CEL insists on
a whole number (an index, ``%``) it is made one. So ``7 / 2`` is 3.5. A division by 0 has no answer, and the
rule does not hold. Rules that only compare are left as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from personalization.catalog.cel_tree import (
    Binary,
    Call,
    Conditional,
    Field,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Unary,
    walk,
)
from personalization.catalog.vocabulary import NUMBER_FUNCTIONS

MAX_EXACT = 2**53
"""Up to here every whole number is a fraction too; larger ones are ids, and stay as they are."""

_WHOLE_FUNCTIONS = NUMBER_FUNCTIONS - {"double", "uint"}


def calculates(node: Node) -> bool:
    """Whether the expression does arithmetic; joining texts is none.

    >>> from personalization.catalog.cel_parser import parse
    >>> calculates(parse("traits.age + 0.5 > 3")), calculates(parse("'product-' + properties.id"))
    (True, False)
    """
    return any(
        isinstance(each, Binary)
        and (each.operator in ("-", "*", "/", "%") or (each.operator == "+" and not _joins(each)))
        for each in walk(node)
    )


def with_fractions(node: Node) -> Node:
    """The same expression over fractions.

    >>> from personalization.catalog.cel_parser import parse
    >>> from personalization.catalog.cel_tree import text_of
    >>> text_of(with_fractions(parse("xs[1] + size(ys) * 2 > n % 3")))
    'xs[1] + double(size(ys)) * 2.0 > double(int(n) % int(3.0))'
    """
    match node:
        case Literal(int() as value) if not isinstance(value, bool) and value <= MAX_EXACT:
            return Literal(float(value), f"{value}.0")
        case Field(target):
            return replace(node, target=with_fractions(target))
        case Index(target, key):
            return Index(with_fractions(target), _whole_index(key))
        case Call(target, function, arguments):
            call = Call(
                None if target is None else with_fractions(target), function, tuple(map(with_fractions, arguments))
            )
            return Call(None, "double", (call,)) if function in _WHOLE_FUNCTIONS else call
        case Unary(operator, operand):
            return Unary(operator, with_fractions(operand))
        case Binary("/", left, right):
            return Binary("/", with_fractions(left), _not_zero(with_fractions(right)))
        case Binary("%", left, right):
            whole = Binary("%", _whole(with_fractions(left)), _whole(with_fractions(right)))
            return Call(None, "double", (whole,))
        case Binary(operator, left, right):
            return Binary(operator, with_fractions(left), with_fractions(right))
        case Conditional(test, then, otherwise):
            return Conditional(with_fractions(test), with_fractions(then), with_fractions(otherwise))
        case ListOf(items):
            return ListOf(tuple(map(with_fractions, items)))
        case MapOf(entries):
            return MapOf(tuple((key, with_fractions(value)) for key, value in entries))
    return node


def as_fractions(value: Any) -> Any:
    """A visitor's or an event's value with fractions for its whole numbers, however deep they stand."""
    kind = type(value)
    if kind is int:
        return float(value) if -MAX_EXACT <= value <= MAX_EXACT else value
    if kind is dict:
        return {key: as_fractions(item) for key, item in value.items()}
    if kind is list:
        return [as_fractions(item) for item in value]
    return value


def _joins(plus: Binary) -> bool:
    return any(_is_text_or_list(side) for side in (plus.left, plus.right))


def _is_text_or_list(node: Node) -> bool:
    match node:
        case Literal(value):
            return isinstance(value, str)
        case Call(_, function):
            return function in ("string", "filter", "map")
        case Binary("+"):
            return _joins(node)
    return isinstance(node, ListOf)


_NOTHING_TO_DIVIDE_BY = Call(None, "double", (Binary("/", Literal(1, "1"), Literal(0, "0")),))


def _not_zero(divisor: Node) -> Node:
    """The divisor, or CEL's own error if it is 0: the quotient would be infinite, and above every threshold."""
    if isinstance(divisor, Literal) and divisor.value:
        return divisor
    if any(isinstance(each, Binary) and each.operator == "/" for each in walk(divisor)):
        return divisor  # written twice at each level it would grow without end
    return Conditional(Binary("==", divisor, Literal(0.0, "0.0")), _NOTHING_TO_DIVIDE_BY, divisor)


def _whole(node: Node) -> Node:
    return Call(None, "int", (node,))


def _whole_index(key: Node) -> Node:
    """An index as CEL wants it: numbers whole, texts as they are, and what may be either told apart."""
    if isinstance(key, Literal):
        return key
    made = with_fractions(key)
    match key:
        case Name() | Field() | Index() | Conditional():
            is_number = Binary("==", Call(None, "type", (made,)), Name("double"))
            return Conditional(is_number, _whole(made), Call(None, "dyn", (made,)))
        case Call(_, function) if function in NUMBER_FUNCTIONS:
            return _whole(made)
        case Binary(operator) if operator in ("-", "*", "/", "%") or (operator == "+" and not _joins(key)):
            return _whole(made)
        case Unary("-"):
            return _whole(made)
    return made
