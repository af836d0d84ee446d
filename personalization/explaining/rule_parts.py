"""A rule taken apart where it joins conditions: by ``&&``, ``||``, ``!`` and ``? :``. Each is a rule of its own.

A part that cannot be worked out (what it compares is missing) is neither true nor false, and CEL's own logic says
what becomes of the whole: ``false && unknown`` is false, ``true || unknown`` is true, everything else is unknown.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from personalization.catalog.cel_parser import parse
from personalization.catalog.cel_tree import Binary, Conditional, Node, Unary, bound_names, text_of
from personalization.catalog.rules import Rule, Scope

MAX_RULES = 512
"""Rules whose parts are remembered: taking one apart compiles each of its conditions."""

Join: TypeAlias = Literal["all", "any", "not", "if", "condition"]


@dataclass(frozen=True, slots=True)
class Part:
    """A rule, or a part of one.

    Attributes
    ----------
    join
        How ``parts`` make it; ``condition``: it has none, and is looked at by ``rule``. Of ``if`` the parts are
        the test, what holds then, and what holds otherwise.
    node
        As the catalog has it.
    """

    join: Join
    node: Node
    parts: tuple[Part, ...] = ()
    rule: Rule | None = None

    @property
    def text(self) -> str:
        """It as CEL text."""
        return text_of(self.node)


@dataclass(frozen=True, slots=True)
class Looked:
    """A part that was looked at in a scope.

    Attributes
    ----------
    truth
        None: it cannot be worked out.
    fault
        Why, in words; empty if something is merely missing.
    """

    part: Part
    truth: bool | None
    parts: tuple[Looked, ...] = ()
    fault: str = ""


def parts_of(rule: Rule) -> Part:
    """The rule taken apart."""
    # A name that a macro binds somewhere may be a variable elsewhere.
    return _parts_of(rule.source, rule.variables | bound_names(rule.tree), rule.calculates)


@functools.lru_cache(maxsize=MAX_RULES)
def _parts_of(source: str, variables: frozenset[str], calculates: bool) -> Part:
    return _part(parse(source), variables, calculates)


def _part(node: Node, variables: frozenset[str], calculates: bool) -> Part:
    def within(*nodes: Node) -> tuple[Part, ...]:
        return tuple(_part(each, variables, calculates) for each in nodes)

    match node:
        case Binary("&&" | "||" as operator):
            return Part("all" if operator == "&&" else "any", node, within(*_joined(node, operator)))
        case Unary("!", operand):
            return Part("not", node, within(operand))
        case Conditional(test, then, otherwise):
            return Part("if", node, within(test, then, otherwise))
    rule = Rule(text_of(node), "rule", variables, looks_back=True, calculates=calculates)
    return Part("condition", node, rule=rule)


def _joined(node: Node, operator: str) -> list[Node]:
    """The conditions that one operator joins, in order: ``a && b && c`` has three."""
    found: list[Node] = []
    pending = [node]
    while pending:
        match pending.pop():
            case Binary(each, left, right) if each == operator:
                pending += (right, left)
            case other:
                found.append(other)
    return found


def look(part: Part, scope: Scope) -> Looked:
    """What each part is in a scope, conditions first."""
    if part.rule is not None:
        return _look_at_condition(part, part.rule, scope)
    parts = tuple(look(each, scope) for each in part.parts)
    truths = [each.truth for each in parts]
    match part.join:
        case "not":
            truth = None if truths[0] is None else not truths[0]
        case "if":
            truth = None if truths[0] is None else truths[1] if truths[0] else truths[2]
        case _:
            truth = _of_all(truths) if part.join == "all" else _of_any(truths)
    return Looked(part, truth, parts)


def _look_at_condition(part: Part, rule: Rule, scope: Scope) -> Looked:
    n_errors = rule.n_errors
    value = rule.value(scope)
    if isinstance(value, bool):
        return Looked(part, value)
    if value is not None:
        return Looked(part, None, fault="it is neither true nor false")
    return Looked(part, None, fault=rule.last_error if rule.n_errors > n_errors else "")


def _of_all(truths: Sequence[bool | None]) -> bool | None:
    return False if False in truths else None if None in truths else True


def _of_any(truths: Sequence[bool | None]) -> bool | None:
    return True if True in truths else None if None in truths else False


def failing(looked: Looked, wanted: bool = True) -> list[tuple[Looked, bool]]:
    """The smallest parts for which it is not ``wanted``, each with what it would have to be.

    That is each condition of ``&&`` that fails, and all of ``||``; under ``!`` what holds and must not.
    """
    if looked.truth is wanted:
        return []
    match looked.part.join:
        case "all" | "any":
            return [found for each in looked.parts for found in failing(each, wanted)]
        case "not":
            return failing(looked.parts[0], not wanted)
        case "if":
            test, then, otherwise = looked.parts
            if test.truth is None:
                return failing(test, True)
            return failing(then if test.truth else otherwise, wanted)
    return [(looked, wanted)]
