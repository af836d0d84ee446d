"""Rules that are right as CEL and do not mean what they seem to.

Everything here is said only if it is sure from the text of the rule: what never holds (an hour of 24, a number
above 18 and below 9), and whom a rule leaves out without saying so (visitors who never told, counts that
faded).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from config.catalog_errors import did_you_mean
from personalization.catalog.cel_tree import (
    Binary,
    Call,
    Field,
    Index,
    ListOf,
    Literal,
    Node,
    Path,
    Unary,
    bound_names,
    children,
    path_of,
    text_of,
    walk,
)
from personalization.catalog.vocabulary import Variable

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_MAYBE_ABSENT = frozenset({"affinities", "consents", "context", "counts", "scores", "tiers", "traits", "trends"})
"""Maps of which a visitor has some entries and not others."""

_FADING = frozenset({"affinities", "counts"})


def rule_warnings(tree: Node, variables: Mapping[str, Variable]) -> list[str]:
    """What is surprising about a rule over visitors, in words with the remedy."""
    bound = bound_names(tree)
    known = {name: variable for name, variable in variables.items() if name not in bound}
    return list(dict.fromkeys([*_fading_counts(tree), *_absent(tree, known), *_impossible(tree, known)]))


# Counts fade


def _fading_counts(tree: Node) -> Iterator[str]:
    for node in walk(tree):
        compared = _with_constant(node)
        if compared is None or not isinstance(compared.constant, int | float):
            continue
        path, n = compared.path, compared.constant
        if path[0] != "counts" or len(path) != 2 or n < 1 or n != int(n) or compared.operator not in (">=", "=="):
            continue
        yield (
            f"{text_of(node)} holds only at the very moment of the {_ordinal(int(n))} event, because counts fade; "
            f"write {text_of(compared.left)} > {n - 0.5:g}"
        )


def _ordinal(n: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th") if n % 100 not in (11, 12, 13) else "th"
    return f"{n}{ending}"


# What is not there


def _absent(tree: Node, variables: Mapping[str, Variable]) -> Iterator[str]:
    """Negations of what may not be there, unless the rule asks for it, or for one of its values, anywhere."""
    asked = _asked(tree)
    doubtful: list[tuple[Path, str]] = []
    # Node, whether an odd number of negations stands before it, and the outermost of them.
    pending: list[tuple[Node, bool, Node | None]] = [(tree, False, None)]
    while pending:
        node, negated, outermost = pending.pop()
        match node:
            case Unary("!", operand):
                pending.append((operand, not negated, outermost or node))
            case Binary("!=", left, right):
                said = None if negated else node
                pending += [(side, said is not None, said) for side in (left, right)]
            case Call(None, "has"):
                pass
            case _:
                path = path_of(node)
                if path is None:
                    compared = _with_constant(node)
                    if not negated and compared is not None and _is_too_few(compared):
                        pending.append((compared.left, True, node))
                        continue
                    pending += [(child, negated, outermost) for child in children(node)]
                elif not negated:
                    asked.add(path)
                elif len(path) > 1 and path[0] in variables and path[0] in _MAYBE_ABSENT:
                    doubtful.append((path, _left_out(outermost or node, node, path)))
    for path, said_of_it in doubtful:
        if not any(path[: len(one)] == one[: len(path)] for one in asked if len(one) > 1):
            yield said_of_it


def _asked(tree: Node) -> set[Path]:
    """The paths whose being there the rule asks about."""
    asked: set[Path] = set()
    for node in walk(tree):
        match node:
            case Call(None, "has", (wanted,)):
                path = path_of(wanted)
            case Binary("in", Literal(str(key), _, False), held):
                path = path_of(held)
                path = None if path is None else (*path, key)
            case _:
                continue
        if path is not None:
            asked.add(path)
    return asked


def _is_too_few(compared: _Compared) -> bool:
    """Whether it asks for fewer of something that is absent, not 0, if there was none."""
    constant = compared.constant
    if compared.path[0] not in _FADING or not isinstance(constant, int | float):
        return False
    if compared.operator in ("<", "<="):
        return constant > 0 or (constant == 0 and compared.operator == "<=")
    return compared.operator == "==" and constant == 0


def _left_out(said: Node, node: Node, path: Path) -> str:
    here = text_of(said)
    without = "who never did it" if path[0] == "counts" else f"who have no {text_of(node)}"
    there = _is_there(node)
    absent = f"!{there}" if there.startswith("has(") and " " not in there else f"!({there})"
    return (
        f"{here} does not hold for visitors {without}; write ({absent} || {here}) to include them, or "
        f"{there} && {here} to leave them out"
    )


def _is_there(node: Node) -> str:
    """How to ask whether an entry is there, and whatever it stands in."""
    match node:
        case Field(target):
            asked = f"has({text_of(node)})"
        case Index(target, key):
            asked = f"{text_of(key)} in {text_of(target)}"
        case _:
            return ""
    around = _is_there(target)
    return f"{around} && {asked}" if around else asked


# What no value fulfils


@dataclass(frozen=True, slots=True)
class _Compared:
    """A variable compared with a constant: ``left operator constant``."""

    left: Node
    path: Path
    operator: str
    constant: float | str


@dataclass(slots=True)
class _Range:
    """The numbers that all comparisons so far allow."""

    low: float = -math.inf
    high: float = math.inf
    without_low: bool = False
    without_high: bool = False

    def narrow(self, operator: str, n: float, whole: bool) -> None:
        if operator in (">", ">=", "=="):
            least, without = n, operator == ">"
            if whole:
                least, without = (math.floor(n) + 1 if without else math.ceil(n)), False
            if (least, without) > (self.low, self.without_low):
                self.low, self.without_low = least, without
        if operator in ("<", "<=", "=="):
            most, without = n, operator == "<"
            if whole:
                most, without = (math.ceil(n) - 1 if without else math.floor(n)), False
            if (-most, without) > (-self.high, self.without_high):
                self.high, self.without_high = most, without

    @property
    def is_empty(self) -> bool:
        return self.low > self.high or (self.low == self.high and (self.without_low or self.without_high))


@dataclass(slots=True)
class _Demands:
    """Everything one conjunction asks of one variable."""

    comparisons: list[_Compared] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)


def _impossible(tree: Node, variables: Mapping[str, Variable]) -> Iterator[str]:
    pending: list[Node] = [tree]
    while pending:
        node = pending.pop()
        parts = _conjuncts(node)
        demands: dict[Path, _Demands] = {}
        for part in parts:
            compared = _with_constant(part)
            if compared is not None and compared.path[0] in variables:
                demand = demands.setdefault(compared.path, _Demands())
                demand.comparisons.append(compared)
                demand.nodes.append(part)
            pending.extend(children(part))
        for path, demand in demands.items():
            yield from _contradiction(demand, _variable_at(path, variables))
        for part in parts:
            yield from _unknown_word(part, variables)


def _conjuncts(node: Node) -> list[Node]:
    if isinstance(node, Binary) and node.operator == "&&":
        return [*_conjuncts(node.left), *_conjuncts(node.right)]
    return [node]


def _contradiction(demand: _Demands, variable: Variable | None) -> Iterator[str]:
    said = " && ".join(map(text_of, demand.nodes))
    numbers = [each for each in demand.comparisons if isinstance(each.constant, int | float)]
    texts = {
        each.constant for each in demand.comparisons if isinstance(each.constant, str) and each.operator == "=="
    }
    if len(texts) > 1:
        name = text_of(demand.comparisons[0].left)
        yield f"{said} never holds: {name} is one text at a time; write || between them"
    whole = variable is not None and variable.whole
    low, high = (variable.low, variable.high) if variable is not None else (None, None)
    domain = _Range(-math.inf if low is None else low, math.inf if high is None else high)
    for compared in numbers:
        assert isinstance(compared.constant, int | float)
        domain.narrow(compared.operator, compared.constant, whole)
    if not domain.is_empty:
        return
    name = text_of(numbers[0].left)
    if len(numbers) == 1:
        bounds = f"from {low:g} to {high:g}" if low is not None and high is not None else f"of {low or 0:g} or more"
        kind = "whole number" if whole else "number"
        yield f"{said} never holds: {name} is a {kind} {bounds}; compare it with such a one"
    else:
        yield f"{said} never holds: no number is all of that; write || where one of them is enough"


def _unknown_word(node: Node, variables: Mapping[str, Variable]) -> Iterator[str]:
    """Texts that a variable of a few words never is."""
    asked: list[tuple[Node, Path, Node]] = []
    compared = _with_constant(node)
    if compared is not None and isinstance(node, Binary) and compared.operator in ("==", "!="):
        asked.append((compared.left, compared.path, node.right if compared.left is node.left else node.left))
    elif isinstance(node, Binary) and node.operator == "in" and isinstance(node.right, ListOf):
        path = path_of(node.left)
        asked += [(node.left, path, item) for item in node.right.items if path is not None]
    for left, path, literal in asked:
        variable = _variable_at(path, variables)
        if variable is None or not variable.words or not isinstance(literal, Literal):
            continue
        if isinstance(literal.value, str) and literal.value not in variable.words:
            yield f"{text_of(left)} is never {literal.text}; {did_you_mean(literal.value, variable.words)}"


def _with_constant(node: Node) -> _Compared | None:
    """The node as a comparison of a variable with a constant, whichever stands first."""
    if not isinstance(node, Binary) or node.operator not in _MIRRORED:
        return None
    for left, right, operator in (
        (node.left, node.right, node.operator),
        (node.right, node.left, _MIRRORED[node.operator]),
    ):
        path, constant = path_of(left), _constant(right)
        if path is not None and constant is not None:
            return _Compared(left, path, operator, constant)
    return None


def _constant(node: Node) -> float | str | None:
    match node:
        case Literal(value, _, False) if isinstance(value, int | float | str) and not isinstance(value, bool):
            return value
        case Unary("-", Literal(value, _, False)) if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    return None


def _variable_at(path: Path, variables: Mapping[str, Variable]) -> Variable | None:
    variable = variables.get(path[0])
    for name in path[1:]:
        variable = None if variable is None else variable.entry(name)
    return variable
